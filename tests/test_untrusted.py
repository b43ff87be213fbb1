"""Input nobody should trust: suites, records, predictions, names and plugins' words. (YAML's own tricks: test_suite;
the escaping of each rendering: tests/report; objects in an npz: test_run; forged records: test_submission.)"""

from __future__ import annotations

import ast
import pickle
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from snn5bench import publish, store
from snn5bench.cell import slug
from snn5bench.errors import BenchError
from snn5bench.expand import read
from snn5bench.progress import Display
from snn5bench.record import Record
from snn5bench.run import run
from snn5bench.store import Store, read_record
from snn5bench.tracking import NoTracker
from snn5bench.yamlfile import MAX_BYTES, YamlFile

ROOT = Path(__file__).parents[1]
RESTRICTED = "snn5bench/data/image_files.py"
"""Reads CIFAR's own files, which are pickles, with an unpickler that knows arrays and containers only."""
SOURCES = sorted([*(ROOT / "snn5bench").rglob("*.py"), *(ROOT / ".ci").glob("*.py")])
SUITE = """\
name: NAME
description: DESCRIPTION
seeds: [0]
budget: {epochs: 1, batch_size: 64}
twins: {notd: null, shuffled: null}
datasets:
  - {name: pulse-order, LABEL, params: {T: 16, min_gap: 2, max_gap: 4, train: 30, val: 10, test: 20}}
methods: [{name: acme/tiny, LABEL}]
"""


TO_ITS_OWN_WORKERS = tuple(f"snn5bench/runners/{name}.py" for name in ("hand", "worker", "campaign", "node"))
"""What a driver and the processes that it started itself say to each other, over their pipes; nothing from a file."""


def suite(folder: Path, name: str = "mine", label: str = "plain", description: str = "plain") -> Path:
    path = folder / "mine.yaml"
    text = SUITE.replace("NAME", name).replace("DESCRIPTION", f"'{description}'").replace("LABEL", f"label: '{label}'")
    path.write_text(text)
    return path


def calls(source: Path) -> list[tuple[str, ast.Call]]:
    tree = ast.parse(source.read_text())
    return [(ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_source_unpickles_evaluates_or_asks_a_shell(source):
    tree = ast.parse(source.read_text())
    imported = {
        alias.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {(node.module or "").partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    forbidden = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml"}
    if source.relative_to(source.anchor).as_posix().endswith(RESTRICTED):
        forbidden -= {"pickle"}
        (unpickler,) = [
            n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and "Unpickler" in ast.unparse(n.bases[0])
        ]
        assert [n.name for n in unpickler.body if isinstance(n, ast.FunctionDef)] == ["find_class"]
        assert not {name for name, _ in calls(source)} & {"pickle.load", "pickle.loads", "pickle.Unpickler"}
    if source.relative_to(source.anchor).as_posix().endswith(TO_ITS_OWN_WORKERS):
        forbidden -= {"pickle"}
    assert not imported & forbidden
    for name, call in calls(source):
        words = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert name not in {"eval", "exec", "os.system", "os.popen", "torch.jit.load", "torch.hub.load"}
        assert words.get("shell", "False") == "False"
        if name == "torch.load":
            assert words.get("weights_only") == "True"
        if name in {"np.load", "numpy.load"}:
            assert words.get("allow_pickle", "False") == "False"
        if name == "Environment" and "jinja2" in imported:
            assert source.name == "scaffold.py" or words.get("autoescape") == "True"
        if name.endswith(".extractall"):
            assert words.get("filter") == "'data'"


def test_the_guard_above_sees_what_it_must(tmp_path):
    bad = tmp_path / "bad.py"
    for line in ("import pickle", "torch.load(p)", "np.load(p, allow_pickle=True)", "eval(x)", "run(x, shell=True)"):
        bad.write_text(line)
        with pytest.raises(AssertionError):
            test_no_source_unpickles_evaluates_or_asks_a_shell(bad)
    bad.write_text("torch.load(p, weights_only=True)")
    test_no_source_unpickles_evaluates_or_asks_a_shell(bad)


class _Evil:
    def __reduce__(self):
        return (Path.touch, (Path("owned"),))


@pytest.mark.parametrize("load", ["cifar", "record", "arrays"])
def test_a_pickle_that_runs_code_runs_none(tmp_path, monkeypatch, load):
    monkeypatch.chdir(tmp_path)
    evil = pickle.dumps({b"data": _Evil(), b"labels": [0]})
    if load == "cifar":
        from snn5bench.data.image_files import read_cifar

        (tmp_path / "batch").write_bytes(evil)
        with pytest.raises(BenchError, match="it asks for"):
            read_cifar(tmp_path / "batch", "labels")
    elif load == "record":
        (tmp_path / "x.json").write_bytes(evil)
        with pytest.raises(BenchError, match="not a record"):
            read_record(tmp_path / "x.json")
    else:
        results, record = Store(tmp_path, "mine"), Record.model_validate(MINIMAL)
        path = results.write(record).with_suffix(".npz")
        np.savez(path, prediction=np.array([_Evil()], dtype=object))
        with pytest.raises(BenchError, match="pickle"):
            results.arrays(record)
    assert not (tmp_path / "owned").exists()
    pickle.loads(evil)
    assert (tmp_path / "owned").exists(), "the pickle is as evil as it claims"


@given(st.text(max_size=80))
def test_no_name_leaves_its_folder(text):
    name = slug(text)
    assert re.fullmatch(r"[A-Za-z0-9._=,+\[\]-]+", name)
    assert ".." not in name
    assert name not in {".", ""}
    assert not name.startswith((".", "-"))


@pytest.mark.parametrize(
    "name", ["../../outside", "/tmp/outside", "a/b", "..", ".hidden", "a b", "-rf", "x" * 61, "nul\\0"]
)
def test_a_suite_cannot_be_called_a_path(tmp_path, tiny_plugin, name):
    with pytest.raises(BenchError, match="name"):
        read(suite(tmp_path, name=f"'{name}'"))


@pytest.mark.parametrize("label", ["../../outside", "/etc/passwd", "..", "a/../../b", "~/x"])
def test_labels_that_are_paths_stay_in_the_results(tmp_path, tiny_plugin, label):
    path = suite(tmp_path, label=label)
    before = set(tmp_path.rglob("*"))
    loaded, planned = read(path)
    results = Store(tmp_path / "results", loaded.name)
    run(planned, results, NoTracker(), Display(Console(quiet=True)), "serial", 1)
    made = set(tmp_path.rglob("*")) - before - set((tmp_path / "site").rglob("*"))
    assert all(p.is_relative_to(tmp_path / "results") for p in made)
    assert len(results.records()) == 1


def test_a_record_whose_words_are_paths_is_read_in_its_folder(tmp_path):
    words = {"variant": "../../../x", "dataset": "/etc", "key": "../../secret", "suite": "../y"}
    record = Record.model_validate(MINIMAL | words)
    path = Store(tmp_path, "mine").path(record)
    assert path.parent == tmp_path / "mine" / "cells"
    assert path.resolve().is_relative_to(tmp_path)


MINIMAL = {
    "suite": "mine", "method": "m", "variant": "m", "method_params": {}, "dataset": "d", "dataset_params": {}, "seed": 0,
    "key": "0" * 32, "status": "done",
}  # fmt: skip


def test_sizes_are_limited(tmp_path, monkeypatch):
    big = tmp_path / "big.yaml"
    big.write_text("#" * (MAX_BYTES + 1))
    with pytest.raises(BenchError, match="larger than"):
        YamlFile.read(big)
    with (tmp_path / "big.json").open("wb") as file:
        file.truncate(store.MAX_RECORD_BYTES + 1)
    with pytest.raises(BenchError, match="too large to be a record"):
        read_record(tmp_path / "big.json")
    results, record = Store(tmp_path, "mine"), Record.model_validate(MINIMAL)
    path = results.write(record, {"prediction": np.zeros(10, np.int16)}).with_suffix(".npz")
    assert results.arrays(record)["prediction"].tolist() == [0] * 10
    with path.open("r+b") as file:
        file.truncate(store.MAX_ARRAYS_BYTES + 1)
    with pytest.raises(BenchError, match="too large to be per-sample"):
        results.arrays(record)
    monkeypatch.setattr(store, "MAX_ARRAYS_BYTES", 1 << 20)
    results.write(record, {"prediction": np.zeros(4 << 20, np.int8)})
    assert path.stat().st_size < 1 << 20, "a small file that unpacks to a large one"
    with pytest.raises(BenchError, match="would unpack to"):
        results.arrays(record)


def test_deep_or_endless_text_is_a_message(tmp_path):
    for text in (
        "[" * 60_000,
        "k: [" + "[" * 60,
        "- " * 60,
        "a: " + "{b: " * 3000 + "1" + "}" * 3000,
        "seeds: [" + "1" * 5000 + "]",
    ):
        path = tmp_path / "deep.yaml"
        path.write_text(text)
        with pytest.raises(BenchError):
            read(path)
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(BenchError, match="not a record"):
        read_record(tmp_path / "deep.json")


class _Scripts(HTMLParser):
    """Every start tag of a page, with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


@pytest.mark.parametrize(
    "evil", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</script><b>", "{{ 7777 * 7777 }}"]
)
def test_what_a_suite_calls_its_rows_never_becomes_code(tmp_path, tiny_plugin, evil):
    results = {}
    for name, label in (("evil", evil), ("plain", "plain")):
        folder = tmp_path / name
        folder.mkdir()
        path = suite(folder, label=label, description=label)
        loaded, planned = read(path)
        into = Store(folder / "results", loaded.name)
        run(planned, into, NoTracker(), Display(Console(quiet=True)), "serial", 1)
        publish.leaderboard(loaded, planned, into, Console(quiet=True), None, False)
        publish.front_page(folder, folder / "results", Console(quiet=True))
        results[name] = {p.name: p.read_text() for p in (folder / "results").rglob("*.html")}
    assert set(results["evil"]) == {"index.html", "leaderboard.html"}
    for name, page in results["evil"].items():
        assert evil not in page or evil.startswith("{{")
        assert str(7777 * 7777) not in page
        tags, usual = _Scripts(page).tags, _Scripts(results["plain"][name]).tags
        assert [tag for tag, _ in tags].count("script") == [tag for tag, _ in usual].count("script")
        assert "img" not in {tag for tag, _ in tags} - {tag for tag, _ in usual}
        assert not [attrs for _, attrs in tags if any(key.startswith("on") for key in attrs)]
