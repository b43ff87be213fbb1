"""Terminal, LaTeX, figures and the front page."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from rich.console import Console
from ruamel.yaml import YAML

from snn5bench import shelf
from snn5bench.publish import front_page
from snn5bench.report import columns, csv, figures, html, index, latex, markdown, stored, terminal
from snn5bench.report.across import sections
from snn5bench.report.overview import overview
from snn5bench.report.table import Table
from snn5bench.report.write import write
from tests.report.conftest import CLAIMS, PROBE, Bench


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_terminal_fits_its_width(full: Bench, width: int) -> None:
    console = Console(width=width, record=True, force_terminal=False, file=io.StringIO())
    terminal.show(full.table(), console)
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    assert "90.5 % [86.1, 93.6]" in text and "<script>alert(1)</script>" in text
    hidden = re.search(r"Left out for want of width: (.*?)(?: On the one dataset|$)", text)
    shown = terminal.fitting(full.table().rows, width)
    named = [column.title for column in columns.COLUMNS if column not in shown]
    assert (hidden.group(1).split(", ") if hidden else []) == named
    assert len(shown) == 14 or width < 200
    assert "broken, failed: loss became NaN in epoch 1" in text
    assert "On the one dataset that needs time, glif and lif are each first" in text
    if "temporal_gain" in [column.key for column in shown]:
        assert "n/a: Temporal gain of <script>alert(1)</script>, silent, flaky, short: no NoTD twin" in text


def test_terminal_prints_markup_as_text(bench: Bench) -> None:
    bench.add("[bold red]x[/]", "order", 0, 150)
    console = Console(width=120, record=True, file=io.StringIO())
    terminal.show(bench.table(), console)
    assert "[bold red]x[/]" in console.export_text()


def test_latex_escape() -> None:
    assert latex.escape("a_b & 5% [x] µ\n\\") == r"a\_b \& 5\% {[}x{]} $\mu$ \textbackslash{}"
    assert latex.escape("τ ≤ 2 → é 好") == r"$\tau$ $\leq$ 2 $\to$ é U+597D"


def test_latex_has_the_pages_numbers(full: Bench) -> None:
    text = latex.render(full.table())
    assert r"=1 & glif & 90.5 {\scriptsize {[}86.1, 93.6{]}} & +40.5 {\scriptsize {[}+33.9, +47.1{]}}" in text
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 2
    body = [line for line in text.splitlines() if line.endswith(r" \\")]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in body} == {8}
    assert text.isascii()


def test_latex_says_what_is_missing_and_why(full: Bench) -> None:
    text = latex.render(full.table())
    assert (
        r"silent: Temporal gain: no NoTD twin (state cut between steps) was asked for; Spike rate: not recorded" in text
    )
    assert "broken: failed: loss became NaN in epoch 1." in text
    assert r"flaky: partial: seed 2: killed; \textsuperscript{!}\,seed 2 failed: killed." in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex is on the path")
@pytest.mark.parametrize("packages", ["booktabs", "booktabs,graphicx"])
def test_latex_compiles_and_fits_the_line(full: Bench, tmp_path: Path, packages: str) -> None:
    """In a plain article; with graphicx no table is wider than its line, whatever its methods are called."""
    for seed in (0, 1, 2):
        full.add("compressed[order=prune-quantise,τ=2]", "order", seed, 140, notes=["é, 100 % ≤ #1 & {a}_b^c"])
    (tmp_path / "leaderboard.tex").write_text(latex.render(full.table()), encoding="utf-8")
    (tmp_path / "paper.tex").write_text(
        rf"\documentclass{{article}}\usepackage{{{packages}}}\begin{{document}}\input{{leaderboard.tex}}\end{{document}}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "paper.pdf").stat().st_size > 5000
    assert ("Overfull" in done.stdout) is (packages == "booktabs")


def test_figures_are_written_and_stable(bench: Bench, tmp_path: Path) -> None:
    for seed in (0, 1):
        bench.add("a", "order", seed, 150 + seed)
        bench.add("a", "order", seed, 100, twin="notd")
        bench.add("b", "order", seed, 120 + seed)
    once, twice = (figures.save(bench.table(), tmp_path / name) for name in ("one", "two"))
    assert [path.name for path in once[1:4]] == [f"synops-1-order.{suffix}" for suffix in ("svg", "png", "pdf")]
    assert len(once) == 1 + 3 * 6, "peeking was not recorded, the other six kinds were"
    for first, second in zip(once, twice, strict=True):
        assert first.read_bytes() == second.read_bytes()
    starts = {".svg": b"<svg", ".png": b"\x89PNG", ".pdf": b"%PDF"}
    for path in once[1:]:
        assert path.read_bytes().startswith(starts[path.suffix])


def test_index_links_every_suite(full: Bench) -> None:
    page = index.render(
        [full.table(description="What <i>for</i>"), _other("a <b> suite"), Bench().table(suite="empty")]
    )
    assert 'href="made-up/leaderboard.html"' in page and "What &lt;i&gt;for&lt;/i&gt;" in page
    assert 'href="a%20%3Cb%3E%20suite/leaderboard.html"' in page and "a &lt;b&gt; suite" in page
    assert "6 of 11 rows ranked" in page and page.count("<script>") == 1 and "empty" not in page
    assert "No suite has run yet." in index.render([])
    assert "<code>snn5bench report old</code> renews it" in index.render([], unread=["old"])
    assert len(page) < 100_000


def _other(suite: str) -> Table:
    bench = Bench()
    bench.add("lif", "order", 0, 150, suite=suite)
    return bench.table()


def test_overview_counts_who_is_first_where_time_is_needed() -> None:
    """a is first on both datasets that need time, c ties on one, b is first on the control, which does not count."""
    bench = Bench()
    for seed in (0, 1, 2):
        for name, rights in (("a", (180, 170, 100)), ("b", (120, 110, 195)), ("c", (179, 100, 100))):
            for dataset, right in zip(("order", "gap", "control"), rights, strict=True):
                bench.add(name, dataset, seed, right, **({"T": 7} if name == "b" else {}))
        bench.add("a", "order", seed, 100, twin="notd")
        bench.add("a", "gap", seed, 169, twin="notd")
    seen = overview(bench.table())
    assert seen.datasets == [("gap", True), ("order", True), ("control", False)] and seen.timed == 2
    assert [(one.variant, one.first, one.gained, one.cut) for one in seen.standings] == [
        ("a", 2, 1, 2), ("c", 1, 0, 0), ("b", 0, 0, 0),
    ]  # fmt: skip
    assert seen.answer.best == "On the 2 datasets that need time, a is first, alone or tied, on both; next c, on 1"
    assert seen.answer.time == (
        "When its state is cut between steps, a loses 0.5 to 40.0 points (told from 0 on 1 of 2 datasets)"
    )
    assert seen.answer.cost.startswith(
        "A sample takes a 170 k to 180 k synaptic operations and 0.085x to 0.225x the energy"
    )
    assert seen.answer.trust.startswith("3 seeds and 200 test samples a row; 9 of 9 rows ranked; epochs chosen by best")


def test_overview_of_what_cannot_be_told(bench: Bench) -> None:
    bench.add("a", "control", 0, 150)
    assert overview(bench.table()).answer.best == "No dataset of this suite needs time"
    bench.add("a", "order", 0, reason="out of memory")
    seen = overview(bench.table())
    assert seen.answer.best == "No method is ranked on the one dataset that needs time"
    assert seen.standings[0].synops.low is None and "n/a" in index.render([bench.table()])


def test_stored_tables_are_read_again(full: Bench) -> None:
    """All but what only a suite's own page shows; numbers to eight digits; another version is told apart."""
    table = full.table(claims=CLAIMS, description="what for")
    text = stored.render(table)
    again = stored.read(text)
    assert stored.render(again) == text and text.count("\n") == len(table.rows) + 2
    assert csv.render(again) == csv.render(table) and markdown.render(again) == markdown.render(table)
    assert index.render([again]) == index.render([table])
    assert again.rows[0].sources == [] and table.rows[0].sources
    for broken in ("", "[]", "{}", text.replace('"dataset"', '"datum"')):
        with pytest.raises(ValueError):
            stored.read(broken)


def test_the_front_page_needs_no_record_and_keeps_the_suites_of_others(full: Bench, tmp_path: Path) -> None:
    """Of three suites one has no leaderboard, one has one of another version; a probe of other samples is not shown."""
    suites, results = tmp_path / "suites", tmp_path / "results"
    suites.mkdir()
    for name in ("made-up", "old", "never"):
        (suites / f"{name}.yaml").write_text("not read")
    write(full.table(), results / "made-up")
    (results / "old").mkdir()
    (results / "old" / "leaderboard.json").write_text('{"rows": [{"id": "x"}]}')
    probe = {
        "key": "k", "dataset": "order", "params": {}, "fingerprint": "order-1", "T": 20, "readout": "sum", "samples": {},
        "chance": 0.125, "lines": {"counts, logistic": {"accuracy": 0.61, "low": 0.57, "high": 0.65}}, "seconds": 1.0,
    }  # fmt: skip
    for fingerprint, shown in (("order-1", True), ("order-9", False)):
        text = json.dumps({"order": probe | {"fingerprint": fingerprint}})
        (results / "made-up" / "probes.json").write_text(text)
        front_page(suites, results, Console(quiet=True))
        page = (results / "index.html").read_text(encoding="utf-8")
        assert ("61.0 % [57.0, 65.0]" in page) is shown
    assert "snn5bench report old" in page and "never" not in page and "90.5" in page
    for name, limit in (("leaderboard.json", stored.MAX_BYTES), ("probes.json", shelf.MAX_PROBES_BYTES)):
        with (results / "made-up" / name).open("r+b") as file:
            file.truncate(limit + 1)
        front_page(suites, results, Console(quiet=True))
        page = (results / "index.html").read_text(encoding="utf-8")
        assert ("snn5bench report made-up" in page) is (name == "leaderboard.json"), "too large to be read"
        write(full.table(), results / "made-up")


def test_index_gathers_each_method_and_each_dataset_over_suites() -> None:
    """The control is the same data in both suites; `order` has another T in the second one."""
    first, second = Bench(), Bench()
    for seed in (0, 1):
        first.add("glif", "order", seed, 180, dataset_params={"T": 20})
        first.add("glif", "control", seed, 190)
        for name in ("glif", "lif"):
            second.add(name, "order", seed, 150, dataset_params={"T": 50}, suite="zweite")
            second.add(name, "control", seed, 191, suite="zweite")
    tables = [first.table(), second.table()]
    methods, datasets = sections(tables, {("order", '{"T": 50}'): PROBE}, html.Notes())
    shown = {s.title: [(e.suite, e.dataset, e.row.variant) for e in s.entries] for s in methods}
    assert shown == {
        "glif": [
            ("made-up", "order (made-up)", "glif"),
            ("zweite", "order (zweite)", "glif"),
            ("made-up", "control", "glif"),
            ("zweite", "control", "glif"),
        ],
        "lif": [("zweite", "order (zweite)", "lif"), ("zweite", "control", "lif")],
    }
    assert [(s.title, len(s.entries), s.probe) for s in datasets] == [
        ("order (made-up)", 1, None), ("order (zweite)", 2, PROBE), ("control", 3, None),
    ]  # fmt: skip
    page = index.render(tables, {("order", '{"T": 50}'): PROBE})
    assert "chance is 12.5 %" in page and "61.0 % [57.0, 65.0]" in page and "every step shows the same frame" in page
    assert page.count("<code>snn5bench data probe order --set T=20</code>") == 1
    ids = re.findall(r'id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    links = re.findall(r'href="([^"]+)"', page)
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    rows = {f"{table.suite}/leaderboard.html#{html.anchor(row)}" for table in tables for row in table.rows}
    assert rows <= set(links) and page.count("<script>") == 1


def test_dvc_tracks_every_file_of_a_leaderboard_and_the_front_page(full: Bench, tmp_path: Path) -> None:
    stages = YAML(typ="safe").load(Path(__file__).parents[2] / "dvc.yaml")["stages"]
    outs = {name for out in stages["leaderboard"]["do"]["outs"] for name in out}
    assert outs == {f"results/${{item}}/{path.name}" for path in write(full.table(), tmp_path)}
    suites = stages["leaderboard"]["foreach"]
    assert {f"results/{suite}/leaderboard.json" for suite in suites} <= set(stages["index"]["deps"])
    assert [list(out) for out in stages["index"]["outs"]] == [["results/index.html"]]


def test_write_leaves_its_files_and_nothing_else(full: Bench, tmp_path: Path) -> None:
    written = write(full.table(), tmp_path / "made-up")
    assert sorted(path.name for path in (tmp_path / "made-up").iterdir()) == sorted(path.name for path in written)
    assert [path.name for path in written] == [f"leaderboard.{end}" for end in ("md", "csv", "json", "html")]
    assert written[0].read_text(encoding="utf-8") == markdown.render(full.table())
