"""What the campaign (and reading for it) found, one of each kind: documents, caches and command lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from snn5bench import shelf
from snn5bench.cell import differences
from snn5bench.data.cache import folder_of, prepare
from snn5bench.data.pulse_order import PulseOrder
from snn5bench.data.stored import meta_of
from snn5bench.data.whole import check_packed
from snn5bench.errors import BenchError, Problem
from snn5bench.expand import read
from snn5bench.store import Store, read_record
from tests.hostile.box import Box
from tests.hostile.console import snn5bench

TINY = {"T": 16, "min_gap": 2, "max_gap": 4, "train": 30, "val": 10, "test": 20}


@pytest.fixture
def stocked(box: Box) -> Path:
    """The folder of a box with a suite, its records, a baseline, claims and packed data."""
    box.stock()
    return box.work


def arrays_of(folder: Path) -> Path:
    (path,) = (folder / "results/mine/cells").glob("lif--*--s0--*.npz")
    return path


@pytest.mark.parametrize(
    "label",
    [np.zeros(39, "i2"), np.zeros((40, 1), "i2"), np.zeros(40), np.array(["x"] * 40), np.int16(3), np.zeros(0, "i2")],
)
def test_predictions_of_other_shapes_are_named(stocked, label):
    path = arrays_of(stocked)
    np.savez(path, label=label, prediction=np.zeros(40, "i2") if label.shape != (39,) else label)
    for verb in ("compare", "lock", "report"):
        ended = snn5bench(verb, "mine")
        assert ended.code == 2 and path.name in ended.err and "one whole number for each of 40 samples" in ended.err


def test_a_member_that_is_no_array_is_named(stocked):
    import zipfile

    with zipfile.ZipFile(arrays_of(stocked), "w") as archive:
        archive.writestr("label", b"x")
        archive.writestr("prediction", b"x")
    ended = snn5bench("compare", "mine")
    assert ended.code == 2 and "'label' is no array" in ended.err and arrays_of(stocked).name in ended.err


def test_a_pipe_in_the_place_of_a_record_does_not_hang(tmp_path):
    path = tmp_path / "x.json"
    os.mkfifo(path)
    with pytest.raises(BenchError, match="no file, where a record should be"):
        read_record(path)
    assert Store(tmp_path, "mine").records() == []


@pytest.mark.parametrize("part", ["code", "config", "versions", "environment", "transform"])
@pytest.mark.parametrize("value", [["x"], "x", 5, None])
def test_a_baseline_whose_parts_are_no_mappings_is_refused(stocked, part, value):
    path = stocked / "baselines/locked/mine.json"
    document = json.loads(path.read_text())
    for cell in document["cells"]:
        if "answers" in cell:
            document["parts"][cell["made_of"][part]] = value
    path.write_text(json.dumps(document))
    ended = snn5bench("compare", "mine")
    assert ended.code == 2 and "mine.json: the baseline is not valid" in ended.err


def test_a_record_whose_key_was_made_of_lists_is_another(stocked):
    assert differences({"config": ["x"], "code": 5}, {"config": {"a": 1}, "code": {}}) == ["config: a is new"]
    (path,) = (stocked / "results/mine/cells").glob("lif--*--s0--*.json")
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"key": "1" * 32, "key_parts": {"config": ["x"], "code": "x"}}))
    assert snn5bench("plan", "mine").code == 0
    path.write_text(json.dumps(document | {"key_parts": {"config": ["x"]}}))
    ended = snn5bench("lock", "mine")
    assert ended.code == 2 and "config of its key is no mapping" in ended.err and document["key"] in ended.err


@pytest.mark.parametrize(
    "text", ["? [a, b]\n: c\n", "? {a: b}\n: c\n", "- ? [a]\n", "{[a]: b}\n", "<<: {a: 1}\n", "k: !!set {a}\n"]
)
def test_keys_that_are_no_words_are_a_message(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(BenchError) as caught:
        read(tmp_path / "x.yaml")
    assert str(tmp_path / "x.yaml") in caught.value.problems[0].where


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", '{"a": [NaN]}'])
def test_parameters_that_are_not_finite_are_refused(value):
    with pytest.raises(BenchError, match="not a finite number, or too large") as caught:
        shelf.make("shd", [f"window_s={value}"])
    assert caught.value.problems[0].where == "--set window_s"


def test_parameters_nested_without_end_are_refused():
    for words in (("data", "path", "shd", "--set", "T=" + "[" * 10_000), ("check", "lif", "--params", "[" * 10_000)):
        ended = snn5bench(*words)
        assert ended.code == 2 and words[-2] in ended.err


@pytest.mark.parametrize("place", ["params: {window_s: .inf}", "grid: {window_s: [.nan]}", "params: {window_s: 1e999}"])
def test_suites_with_numbers_that_are_not_finite_are_refused(tmp_path, place):
    path = tmp_path / "x.yaml"
    path.write_text(
        f"seeds: [0]\nbudget: {{epochs: 1, batch_size: 1}}\nmethods: [lif]\ndatasets:\n  - name: shd\n    {place}\n"
    )
    with pytest.raises(BenchError, match="not a finite number, or too large") as caught:
        read(path)
    assert str(caught.value.problems[0].where).startswith(f"{path}:6")


def test_messages_hold_nothing_that_a_terminal_obeys():
    said = str(BenchError([Problem("a\x1b[2Jb", "x\x07:1", "c\u202ed\x00")]))
    assert said == "x\\x07:1: a\\x1b[2Jb\n    -> c\\u202ed\\x00"
    assert str(Problem("日本語 é 💥")) == "日本語 é 💥"


@pytest.mark.parametrize("raw", [b"{}", b"", b"\xff", b"[" * 100_000, b'{"format": 1, "\x00": 2}'])
def test_damaged_caches_are_named(stocked, raw):
    dataset = PulseOrder(PulseOrder.Params.model_validate(TINY))
    path = folder_of(dataset) / "meta.json"
    whole = path.read_bytes()
    path.write_bytes(raw)
    with pytest.raises(BenchError, match="packed data cannot be read"):
        meta_of(dataset)
    for words in (
        ("plan", "mine"),
        ("data", "path", "pulse-order", *(w for k, v in TINY.items() for w in ("--set", f"{k}={v}"))),
    ):
        ended = snn5bench(*words)
        assert ended.code == 2 and str(path) in ended.err and "it is built again" in ended.err
    assert check_packed(path.parent).problem
    path.write_bytes(whole)
    probes = stocked / "results/mine/probes.json"
    probes.write_bytes(raw)
    assert shelf.read_probes(probes) == []


def test_a_pipe_among_packed_arrays_is_a_finding(stocked):
    folder = prepare(PulseOrder(PulseOrder.Params.model_validate(TINY))).folder
    (folder / "label.npy").unlink()
    os.mkfifo(folder / "label.npy")
    assert "label.npy is no file" in check_packed(folder).problem


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "x" * 300),
        ("report", "mine", "--results", "suites/mine.yaml"),
        ("report", "mine", "--results", "/dev/null/x"),
        ("compare", "mine", "--markdown", "results"),
        ("compare", "mine", "--junit", "/dev/full"),
        ("compare", "mine", "--baseline", "x/" * 3000),
        ("data", "prepare", "mine", "--manifest", "results"),
        ("data", "path", "shd", "--from", "x" * 300),
        ("new", "method", "my-neuron", "--to", "/dev/null"),
        ("claims", "--claims", "x" * 300),
        ("index", "--suites", "x/" * 3000),
    ],
)
def test_what_the_system_refuses_is_a_message_with_the_place(stocked, words):
    ended = snn5bench(*words)
    assert ended.code == 2 and ended.err.startswith("snn5bench: ")
    assert "Traceback" not in ended.err and len(ended.err.splitlines()[0]) > len("snn5bench: ")


def test_names_that_are_no_utf8_are_printed(stocked):
    """In a terminal that knows ASCII alone, and with bytes that no encoding knows."""
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "snn5bench", "data", "path", "shd", "--from", b"\xff\xe6\x97\xa5"]
    done = subprocess.run(command, env=environment, capture_output=True)
    assert done.returncode == 0 and b"Traceback" not in done.stderr and b"\\udcff" in done.stdout


HEAD = "budget: {epochs: 1, batch_size: 1}\n"
GROWN = {
    "a grid of 300 to the eighth": (
        HEAD + "seeds: [0]\nmethods: [lif]\ndatasets:\n- name: digits\n  grid:\n"
        + "".join(f"    a{i}: [{'1, ' * 300}]\n" for i in range(8)),
        "more than 1,000 datasets",
    ),
    "rows": (HEAD + f"seeds: [0]\nmethods: [lif]\ndatasets: [{'digits, ' * 4000}]\n", "more than 1,000 datasets"),
    "cells": (
        HEAD + f"seeds: [{', '.join(map(str, range(9000)))}]\nmethods: [lif, glif, alif]\ndatasets: [digits]\n",
        "27,000 cells before twins, at most 20,000",
    ),
    "seeds": (HEAD + f"seeds: [{'0, ' * 20_000}]\nmethods: [lif]\ndatasets: [digits]\n", "seed 0 is given twice"),
    "patterns": (
        HEAD + f"seeds: [0]\nmethods: [lif]\ndatasets: [digits]\ntwins: {{notd: {{methods: [{'a*b, ' * 300}]}}}}\n",
        "at most 200 items",
    ),
    "mistakes": (
        "seeds: [0]\nmethods: [lif]\ndatasets:\n- name: digits\n  params:\n" + "".join(f"    a{i}: 1\n" for i in range(5000)),  # noqa: E501
        "4900 more mistakes",
    ),
    "steps": (
        HEAD + "seeds: [0]\nmethods: [lif]\ndatasets: [{name: event-chain, params: {gap: 70000}}]\n",
        "timesteps, at most",
    ),
    "inner parameters": (
        HEAD + "seeds: [0]\nmethods: [lif]\ndatasets: [{name: event-chain, params: {base_params: {T: x}}}]\n",
        "of what it is made of, T",
    ),
    "numbers": (HEAD + f"seeds: [0]\nmethods: [lif]\ndatasets: [{{name: digits, params: {{T: {10**30}}}}}]\n", "too large"),
}  # fmt: skip


@pytest.mark.parametrize("name", GROWN)
def test_suites_that_grow_are_a_message(tmp_path, name):
    text, says = GROWN[name]
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(BenchError, match=says) as caught:
        read(tmp_path / "x.yaml")
    assert all(problem.where.startswith(str(tmp_path / "x.yaml")) for problem in caught.value.problems)


def test_a_stranger_cannot_have_data_made_without_end(stocked):
    from snn5bench.submission import verify

    assert snn5bench("submit", "lif@pulse-order", "--suite", "mine").code == 0
    folder = stocked / "submissions/mine/lif--pulse-order"
    suite = folder / "mine.yaml"
    suite.write_text(suite.read_text().replace("train: 30", f"train: {2**62}"))
    report = verify(folder, rerun=False)
    assert any("more than is made for a check" in point for point in report.open)


def test_the_largest_file_of_a_submission_that_is_too_large_is_named(stocked):
    from snn5bench.submission import verify

    assert snn5bench("submit", "lif@pulse-order", "--suite", "mine").code == 0
    folder = stocked / "submissions/mine/lif--pulse-order"
    largest = next((folder / "cells").glob("*.npz"))
    with largest.open("wb") as file:
        file.truncate(1 << 40)
    try:
        said = str(verify(folder, rerun=False).problems)
    except BenchError as error:
        said = str(error)
    assert f"the largest of them cells/{largest.name}" in said
