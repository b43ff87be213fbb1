"""Markdown and csv: golden files, escaping, and that nothing missing becomes a number."""

from __future__ import annotations

import csv as std_csv
import io
import os
import random
from pathlib import Path

import pytest

from snn5bench.report import csv, markdown
from tests.report.conftest import CLAIMS, Bench

GOLDEN = Path(__file__).parent / "golden"
RENDERERS = {"leaderboard.md": markdown.render, "leaderboard.csv": csv.render}
DESIGN_COLUMNS = (
    "dataset rank method accuracy accuracy_low accuracy_high temporal_gain temporal_gain_low temporal_gain_high T "
    "params spike_rate activation_sparsity synops_per_sample energy_nj_low energy_nj_high ann_ratio_low ann_ratio_high "
    "train_seconds seeds status fidelity selection_rule marks claim"
).split()


@pytest.mark.parametrize("name", RENDERERS)
def test_golden(full: Bench, name: str) -> None:
    """The output is the product: whole files are compared. SNN5BENCH_UPDATE_GOLDEN=1 rewrites them."""
    text = RENDERERS[name](full.table(claims=CLAIMS))
    path = GOLDEN / name
    if os.environ.get("SNN5BENCH_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", RENDERERS)
def test_the_order_of_the_records_does_not_matter(full: Bench, name: str) -> None:
    before = RENDERERS[name](full.table())
    random.Random(5).shuffle(full.records)
    assert RENDERERS[name](full.table()) == before


def test_csv_starts_with_the_designs_columns(full: Bench) -> None:
    header = csv.render(full.table()).splitlines()[0].split(",")
    assert header[: len(DESIGN_COLUMNS)] == DESIGN_COLUMNS


def test_csv_of_a_row_without_numbers_says_so_everywhere(full: Bench) -> None:
    rows = {row["method"]: row for row in std_csv.DictReader(io.StringIO(csv.render(full.table())))}
    numbers = DESIGN_COLUMNS[3:19]
    for method in ("broken", "ff", "shd-only"):
        assert {rows[method][name] for name in numbers} == {"n/a"}
    assert rows["silent"]["synops_per_sample"] == "n/a"
    assert rows["silent"]["ann_ratio_low"] == "n/a"
    assert rows["shd-only"]["status"] == "needs_data"


def test_csv_says_why_for_every_missing_number(full: Bench) -> None:
    for row in std_csv.DictReader(io.StringIO(csv.render(full.table()))):
        told = " ".join(part.partition(":")[0] for part in row["missing"].split("; ")).replace(",", "").split()
        for name, text in row.items():
            short = name.removesuffix("_low").removesuffix("_high")
            if text == "n/a" and short in csv.REASONS:
                assert short in told, (row["method"], name)


def test_markdown_tells_a_reason_once_for_all_rows_that_share_it(full: Bench) -> None:
    text = markdown.render(full.table())
    assert r"- Temporal gain of &lt;script&gt;alert(1)&lt;/script&gt;, silent, flaky, short: no NoTD twin" in text


def test_csv_numbers() -> None:
    assert [csv.number(value) for value in (None, 0, 12345, 0.1234567, 1e9)] == [
        "n/a",
        "0",
        "12345",
        "0.123457",
        "1000000000",
    ]


def test_markdown_leaves_no_html_and_no_loose_bar(full: Bench) -> None:
    text = markdown.render(full.table())
    assert "<" not in text
    table_lines = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in table_lines} == {15}


def test_markdown_escape() -> None:
    assert markdown.escape("a|b\n*c* <i> [x](y) d_e _f_") == "a\\|b \\*c\\* &lt;i&gt; [x]\\(y) d_e \\_f\\_"


def test_empty_table_renders(bench: Bench) -> None:
    table = bench.table(suite="nothing")
    assert "No record yet." in markdown.render(table)
    assert csv.render(table).count("\n") == 1
