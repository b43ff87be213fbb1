"""Runs: resumed after any death, honest about failures, the same records from each runner."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from rich.console import Console

from snn5bench.cell import Cell
from snn5bench.errors import BenchError
from snn5bench.expand import read
from snn5bench.plan import Planner, State
from snn5bench.progress import Display
from snn5bench.record import Record, Status
from snn5bench.reproduce import VOLATILE
from snn5bench.run import _in_turns, run
from snn5bench.store import Store, read_record
from snn5bench.tracking import MlflowTracker, NoTracker

ROOT = Path(__file__).parents[1]

PATIENCE_S = 600

SUITE = """\
seeds: [0, 1]
budget: {epochs: 2, batch_size: 64}
twins: {notd: {methods: ["acme/tiny"]}}
datasets:
  - {name: pulse-order, params: {T: 16, min_gap: 2, max_gap: 4, train: 30, val: 10, test: 20}}
methods: [METHODS]
"""


@pytest.fixture
def suite(tmp_path, tiny_plugin):
    def write(methods: str = "acme/tiny", name: str = "tiny") -> Path:
        path = tmp_path / f"{name}.yaml"
        path.write_text(SUITE.replace("METHODS", methods))
        return path

    return write


def go(path: Path, results: Path, runner="serial", jobs=2, tracker=None):
    loaded, planned = read(path)
    store = Store(results, loaded.name)
    summary = run(planned, store, tracker or NoTracker(), Display(Console(quiet=True)), runner, jobs)
    return summary, store, planned


def comparable(record: Record) -> dict:
    return record.model_dump(mode="json", exclude=set(VOLATILE) - {"key", "key_parts"})


def test_a_run_leaves_one_whole_record_a_cell_and_the_next_does_nothing(suite, tmp_path):
    summary, store, planned = go(suite(), tmp_path / "results")
    assert summary.ended == {Status.DONE: 6}
    records = store.records()
    assert len(records) == len(planned) == 6
    for record in records:
        arrays = store.arrays(record)
        assert (arrays["prediction"] == arrays["label"]).mean() == record.test_accuracy
        assert record.test_accuracy_peeked is None, "the suite does not ask for it"
        assert record.method_version == "acme 1.0"
        assert record.selection_rule == "best validation epoch"
        assert record.train_steps == 2
        if record.twin == "notd":
            assert record.test_accuracy == 0.5
    again, _, _ = go(suite(), tmp_path / "results")
    assert (again.cached, again.ended) == (6, {})


def test_both_runners_write_the_same_records(suite, tmp_path):
    _, serial, _ = go(suite(), tmp_path / "a", "serial")
    _, parallel, _ = go(suite(), tmp_path / "b", "processes", jobs=2)
    assert [comparable(r) for r in serial.records()] == [comparable(r) for r in parallel.records()]
    for one in serial.records():
        for name, values in serial.arrays(one).items():
            assert values.tobytes() == parallel.arrays(one)[name].tobytes()


@pytest.mark.parametrize("runner", ["serial", "processes"])
def test_a_cell_that_raises_is_a_record_and_the_others_go_on(suite, tmp_path, runner):
    summary, store, _ = go(suite("acme/tiny, acme/crashes"), tmp_path / "results", runner)
    failed = [r for r in store.records() if r.status is Status.FAILED]
    assert summary.ended == {Status.DONE: 6, Status.FAILED: 2}
    assert all("RuntimeError: no such luck" in r.reason and r.test_accuracy is None for r in failed)
    assert all("acme/crashes" in line for line in summary.failures)


def test_a_cell_that_kills_its_worker_is_found_and_the_others_are_not_blamed(suite, tmp_path):
    summary, store, _ = go(suite("acme/tiny, acme/dies"), tmp_path / "results", "processes")
    dead = [r for r in store.records() if r.status is Status.FAILED]
    assert {r.variant for r in dead} == {"acme/dies"}
    assert summary.ended[Status.DONE] == 6
    assert all("worker died 2 times" in r.reason and r.attempts == 2 for r in dead)


def test_killed_at_once_and_run_again(suite, tmp_path):
    """kill -9 of the driver while cells run: what had ended is kept, nothing is half-written, the rest runs."""
    gate = tmp_path / "gate"
    gate.touch()
    path, results = suite(f"acme/tiny, {{name: acme/waits, params: {{gate: {gate}}}}}"), tmp_path / "results"
    command = [sys.executable, "-m", "snn5bench", "run", str(path), "--results", str(results), "--no-track", "-j", "2"]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([os.environ["PYTHONPATH"], str(ROOT)])}
    driver = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=tmp_path)
    cells = results / "tiny" / "cells"
    deadline = time.monotonic() + PATIENCE_S
    while len(list(cells.glob("*.json"))) < 2 and time.monotonic() < deadline and driver.poll() is None:
        time.sleep(0.02)
    assert driver.poll() is None, driver.stderr.read().decode()
    family = psutil.Process(driver.pid).children(recursive=True)
    workers = [child for child in family if _works(child, driver.pid)]
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    kept = {p.name: p.read_bytes() for p in cells.glob("*.json")}
    assert len(kept) == 2, "the methods come in turns, and both workers wait in the second's two cells"
    for name in kept:
        assert read_record(cells / name).status is Status.DONE
    assert len(workers) == 2
    deadline = time.monotonic() + PATIENCE_S
    while any(map(_lives, family)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(_lives, family)), "its workers ended with it, though both were in a cell that never ends"
    gate.unlink()
    summary, store, planned = go(path, results)
    assert summary.cached == 2
    assert len(store.records()) == len(planned) == 8
    assert all((cells / name).read_bytes() == text for name, text in kept.items())


def _works(process: psutil.Process, driver: int) -> bool:
    """A worker, and none of what workers start for a moment (git says which commit this is)."""
    try:
        return process.ppid() == driver and "snn5bench.runners.worker" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_an_edited_helper_runs_again_and_says_why(suite, tmp_path, tiny_plugin):
    path, results = suite(), tmp_path / "results"
    go(path, results)
    source = tiny_plugin / "tiny.py"
    source.write_text(source.read_text() + "\nEXTRA = 1\n")
    from snn5bench import keys

    keys.code_of.cache_clear()
    summary, store, planned = go(path, results)
    assert (summary.cached, summary.ended) == (0, {Status.DONE: 6})
    assert len(list(store.cells.glob("*.json"))) == 6, "the old records were replaced"
    assert store.records()[0].ran_because == ["code: acme.tiny was edited"]
    keys.code_of.cache_clear()
    planner = Planner(store, store.records())
    assert {planner.step(p).state for p in planned} == {State.CACHED}


def test_a_second_run_of_a_suite_is_told_who_holds_it(suite, tmp_path):
    from filelock import FileLock

    results = tmp_path / "results"
    (results / "tiny").mkdir(parents=True)
    (results / "tiny" / ".lock.pid").write_text("4711")
    with FileLock(results / "tiny" / ".lock"), pytest.raises(BenchError, match="process 4711"):
        go(suite(), results)


class Broken(MlflowTracker):
    def _connect(self):
        raise ConnectionError("the server is gone")


def test_tracking_that_fails_loses_no_record(suite, tmp_path, caplog):
    summary, store, _ = go(suite(), tmp_path / "results", tracker=Broken("tiny"))
    assert summary.ended == {Status.DONE: 6}
    assert len(store.records()) == 6
    assert caplog.text.count("tracking stopped, records are kept: ConnectionError") == 1


def test_each_cell_is_an_mlflow_run(suite, tmp_path, monkeypatch):
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path}/tracking.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    _, store, _ = go(suite(), tmp_path / "results", tracker=MlflowTracker("tiny"))
    client = MlflowClient(uri)
    runs = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    assert {r.info.run_name for r in runs} == {
        f"acme/tiny{t}@pulse-order#{s}" for t in ("", "+notd", "+shuffled") for s in (0, 1)
    }
    one = next(r for r in store.records() if r.twin == "none" and r.seed == 1)
    logged = next(r for r in runs if r.info.run_name == "acme/tiny@pulse-order#1")
    assert logged.data.metrics["test_accuracy"] == one.test_accuracy
    assert logged.data.tags["key"] == one.key
    curve = client.get_metric_history(logged.info.run_id, "epoch_val_accuracy")
    assert [point.value for point in curve] == [point.val_accuracy for point in one.curve]
    assert (logged.inputs.dataset_inputs[0].dataset.name, logged.info.status) == ("pulse-order", "FINISHED")
    kept = client.download_artifacts(logged.info.run_id, "record.json", str(tmp_path))
    assert Path(kept).is_relative_to(tmp_path) and read_record(Path(kept)) == one


def test_reading_only_results_is_a_message(suite, tmp_path):
    store = Store(tmp_path / "results", "tiny")
    record = Record.model_validate_json(json.dumps(_minimal()))
    store.cells.parent.mkdir(parents=True)
    store.cells.write_text("a file where a folder should be")
    with pytest.raises((BenchError, FileExistsError)):
        store.write(record)


def _minimal() -> dict:
    return {
        "suite": "tiny", "method": "m", "variant": "m", "method_params": {}, "dataset": "d", "dataset_params": {}, "seed": 0,
        "key": "0" * 32, "status": "done",
    }  # fmt: skip


def test_damaged_files_are_named(tmp_path):
    store = Store(tmp_path, "tiny")
    record = Record.model_validate(_minimal())
    path = store.write(record, {})
    path.with_suffix(".npz").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(BenchError, match=r"damaged|cannot be read"):
        store.arrays(record)
    path.write_text(path.read_text()[:-40])
    with pytest.raises(BenchError, match="not a record"):
        store.records()
    path.write_text(json.dumps(_minimal() | {"schema_version": 99}))
    with pytest.raises(BenchError, match="schema 99"):
        store.records()


def test_a_store_never_unpickles(tmp_path):
    import numpy as np

    store = Store(tmp_path, "tiny")
    record = Record.model_validate(_minimal())
    path = store.write(record)
    np.savez(path.with_suffix(".npz"), prediction=np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(BenchError):
        store.arrays(record)


def test_cell_labels_are_hashable_and_distinct(suite):
    _, planned = read(suite())
    cells = [p.cell for p in planned]
    assert len({*cells}) == len({c.label for c in cells}) == len(cells)
    assert all(isinstance(c, Cell) for c in cells)


def test_a_cell_that_cannot_run_follows_the_suite(suite, tmp_path):
    """Else its row stays with the old dataset, and a leaderboard shows two."""
    path = suite()
    ruled_out = "incompatible: [{method: acme/tiny, dataset: pulse-order, reason: too dear}]"
    for steps in (16, 18):
        path.write_text(SUITE.replace("METHODS", "acme/tiny").replace("T: 16", f"T: {steps}") + ruled_out)
        _, store, _ = go(path, tmp_path / "results")
        assert {(r.status, r.dataset_params["T"], r.T) for r in store.records()} == {("incompatible", steps, steps)}


def test_what_another_suite_has_run_is_taken_over_under_this_suites_names(suite, tmp_path):
    first, lender, _ = go(suite(), tmp_path / "results")
    again = suite(methods="{name: acme/tiny, label: mine}", name="other")
    loaded, planned = read(again)
    store = Store(tmp_path / "results", loaded.name)
    plan = [Planner(store, store.records()).step(p) for p in planned]
    assert {(s.state, s.reason) for s in plan} == {(State.CACHED, "the same cell of tiny")}
    summary, store, _ = go(again, tmp_path / "results")
    assert summary.cached == first.ended[Status.DONE] == len(planned) and not summary.ended
    for mine in store.records():
        theirs = next(r for r in lender.records() if r.key == mine.key)
        assert (mine.suite, mine.variant) == ("other", "mine")
        names = {"suite": theirs.suite, "variant": theirs.variant}
        assert mine.model_copy(update=names) == theirs
        assert (store.arrays(mine)["prediction"] == lender.arrays(theirs)["prediction"]).all()


@pytest.mark.parametrize("broken", ["record", "predictions"])
def test_a_damaged_record_of_another_suite_is_not_taken_over(suite, tmp_path, broken):
    _, lender, planned = go(suite(), tmp_path / "results")
    victim = lender.last_of(planned[0].cell)
    path = lender.path(victim).with_suffix(".json" if broken == "record" else ".npz")
    path.write_bytes(b"half")
    again = suite(name="other")
    summary, store, _ = go(again, tmp_path / "results")
    assert summary.ended == {Status.DONE: 1} and summary.cached == len(planned) - 1
    assert comparable(store.last_of(read(again)[1][0].cell))["test_accuracy"] == victim.test_accuracy


def test_workers_get_methods_in_turns_and_of_each_its_datasets():
    names = ("ax", "ax", "ay", "az", "bx", "bz", "bz")
    cells = [SimpleNamespace(method=name[0], dataset=name[1], name=name) for name in names]
    ordered = _in_turns(_in_turns(cells, "dataset"), "method")
    assert [cell.name for cell in ordered] == ["ax", "bz", "ay", "bx", "az", "bz", "ax"]
    assert sorted(map(id, ordered)) == sorted(map(id, cells))
