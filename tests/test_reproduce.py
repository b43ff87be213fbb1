"""`reproduce ROW`: what came back, and what could explain it if something else did."""

from __future__ import annotations

import json
import os
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from snn5bench import keys
from snn5bench.errors import ExitCode
from snn5bench.record import Status
from snn5bench.reproduce import reproduce_row
from snn5bench.runners import serial
from tests.conftest import TINY_METHOD
from tests.test_run import go, suite

__all__ = ["suite"]
ROW = "acme/tiny@pulse-order"


@pytest.fixture
def here(monkeypatch):
    """In this process: the verdict is tested, not the place."""
    monkeypatch.setattr("snn5bench.reproduce.processes.run", lambda cells, done, jobs: serial.run(cells, done))


def told(planned, store, row: str = ROW, jobs: int = 2) -> tuple[ExitCode, str]:
    console = Console(file=StringIO(), width=200)
    return reproduce_row(row, planned, store, jobs, console, False), console.file.getvalue()


def answer(store, planned, right: float) -> None:
    """Stored predictions of the method itself of which this share is right."""
    for one in planned:
        record = store.last_of(one.cell)
        if record.twin == "none":
            arrays = store.arrays(record)
            label = arrays["label"]
            wrong = np.arange(len(label)) >= round(right * len(label))
            arrays["prediction"] = np.where(wrong, (label + 1) % 4, label).astype(np.int16)
            accuracy = float((arrays["prediction"] == label).mean())
            store.write(record.model_copy(update={"test_accuracy": accuracy}), arrays)


@pytest.mark.parametrize("jobs", [1, 2])
def test_bit_equal_in_another_process_whatever_the_jobs(install_plugin, suite, tmp_path, monkeypatch, jobs):
    told_by = tmp_path / "pids"
    method = TINY_METHOD.replace(
        "            return nn.Linear(data.channels, data.n_classes)",
        "            import os\n\n"
        "            with open(os.environ['TOLD_BY'], 'a') as file:\n"
        "                file.write(f'{os.getpid()}\\n')\n"
        "            return nn.Linear(data.channels, data.n_classes)",
    )
    assert "TOLD_BY" in method
    monkeypatch.setenv("TOLD_BY", str(told_by))
    install_plugin("acme", {"tiny": method}, methods={"tiny": "acme.tiny:Tiny"})
    _, store, planned = go(suite(), tmp_path / "results")
    assert set(told_by.read_text().split()) == {str(os.getpid())}
    told_by.unlink()
    code, text = told(planned, store, jobs=jobs)
    assert code is ExitCode.OK
    assert text.count(": bit-equal") == len(planned) + 1
    assert text.endswith(f"environment: nothing that is recorded differs\n{ROW}: bit-equal\n")
    pids = told_by.read_text().split()
    assert len(pids) == len(planned)
    assert str(os.getpid()) not in pids


@pytest.mark.parametrize(
    ("right", "verdict", "code"),
    [(0.6, "within the seed interval", ExitCode.OK), (0.0, "differs", ExitCode.REGRESSION)],
)
def test_within_the_interval_or_not(suite, tmp_path, here, right, verdict, code):
    _, store, planned = go(suite(), tmp_path / "results")
    answer(store, planned, right)
    ended, text = told(planned, store)
    assert ended is code
    assert f"{ROW}#0: {right:.4f} then, 0.5000 now: differs in test_accuracy, prediction" in text
    assert f"acme/tiny+notd{ROW[9:]}#0: 0.5000 then, 0.5000 now: bit-equal" in text
    assert text.endswith(f"{ROW}: {verdict}\n")


def test_what_could_explain_it_is_named(suite, tmp_path, here, tiny_plugin):
    _, store, planned = go(suite(), tmp_path / "results")
    for one in planned:
        record = store.last_of(one.cell)
        parts = record.key_parts | {"versions": record.key_parts["versions"] | {"torch": "1.0"}}
        there = record.environment.model_copy(update={"cpu": "an abacus", "python": "2.7"})
        store.write(record.model_copy(update={"key_parts": parts, "environment": there}), store.arrays(record))
    (tiny_plugin / "tiny.py").write_text((tiny_plugin / "tiny.py").read_text() + "\nEXTRA = 1\n")
    keys.code_of.cache_clear()
    _, text = told(planned, store)
    for words in ("code: acme.tiny was edited", "torch 1.0 became", "cpu an abacus became", "python 2.7 became"):
        assert text.count(words) == 1


def test_cells_without_numbers_are_not_passed_over_in_silence(suite, tmp_path, here, capsys):
    _, store, planned = go(suite(), tmp_path / "results")
    records = [store.last_of(one.cell) for one in planned]
    lost, failed = (r for r in records if r.twin == "none")
    store.path(lost).unlink()
    store.write(failed.model_copy(update={"status": Status.FAILED, "reason": "no luck"}))
    _, text = told(planned, store)
    assert f"not run again: {ROW}#0: no record" in text
    assert f"not run again: {ROW}#1: failed: no luck" in text
    reproduce_row(ROW, planned, store, 1, Console(quiet=True), True)
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == "bit-equal"
    assert document["not_run_again"] == [f"{ROW}#0: no record", f"{ROW}#1: failed: no luck"]
    assert len(document["cells"]) == len(planned) - 2
