"""The store under kills, full disks, clocks that jump, and readers: one whole record a cell, whatever happens."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
import threading

import numpy as np
import pytest

from snn5bench import making
from snn5bench import run as driver
from snn5bench.errors import BenchError
from snn5bench.record import Record, Status
from snn5bench.store import Store

ARRAYS = {"label": np.arange(4), "prediction": np.arange(4)}


def record(key: str = "a", status: Status = Status.DONE, seed: int = 0, **more) -> Record:
    return Record(
        suite="s", method="m", variant="m", method_params={}, dataset="d", dataset_params={}, seed=seed, key=key * 32,
        status=status, **more,
    )  # fmt: skip


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "results", "s")


def names(store: Store) -> list[str]:
    return sorted(path.name for path in store.cells.iterdir())


@pytest.mark.parametrize(("old", "new"), [("a", "b"), ("b", "a")])
def test_killed_before_any_step_of_a_write_the_cell_has_one_whole_record(store, old, new):
    """kill -9 before each step on the disk in turn, until the write gets through."""
    for step in range(1, 100):
        shutil.rmtree(store.folder, ignore_errors=True)
        store.write(record(old, notes=["old"]), ARRAYS)
        died = _dies_before(step, store, record(new, notes=["new"]))
        (found,) = store.records()
        assert store.arrays(found).keys() == ARRAYS.keys()
        if any("new" in path.read_text() for path in store.cells.glob("*.json")):
            assert found.notes == ["new"], "once it is there, the new record is the one that counts"
        store.sweep()
        assert store.records() == [found]
        assert names(store) == sorted([f"m--d--s0--{found.key[:8]}{end}" for end in (".json", ".npz")])
        if not died:
            break
    assert step > 8
    assert found.notes == ["new"]


def _dies_before(step: int, store: Store, new: Record) -> bool:
    pid = os.fork()
    if pid:
        return os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    seen = 0

    def hook(event: str, args: tuple[object, ...]) -> None:
        nonlocal seen
        if event in {"open", "os.rename", "os.remove", "os.utime", "os.chmod"} and str(store.cells) in str(args):
            seen += 1
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    try:
        store.write(new, ARRAYS)
    finally:
        os._exit(0)


def test_the_newest_record_counts_though_the_clock_went_back(store):
    path = store.write(record("b", notes=["old"]), ARRAYS)
    ahead = path.stat().st_mtime + 1e6
    os.utime(path, (ahead, ahead))
    kept = {p.name: p.read_bytes() for p in store.cells.iterdir()}
    store.write(record("a", notes=["new"]), ARRAYS)
    for name, content in kept.items():
        (store.cells / name).write_bytes(content)
        os.utime(store.cells / name, (ahead, ahead))
    assert [r.notes for r in store.records()] == [["new"]]


def test_a_cell_that_did_not_end_replaces_nothing_and_is_read_as_the_newest(store):
    store.write(record("a", Status.FAILED, reason="x"))
    store.write(record("0", Status.NEEDS_DATA, reason="y"))
    assert len(names(store)) == 2
    assert [r.status for r in store.records()] == [Status.NEEDS_DATA]
    store.sweep()
    assert len(names(store)) == 2


def test_sweeping_removes_what_kills_leave_and_nothing_else(store):
    store.write(record("a"), ARRAYS)
    store.write(record("b", seed=1))
    whole = names(store)
    (store.cells / ".partial-x.json.tmp").write_text("{")
    (store.cells / ".partial-y.npz.tmp").write_text("PK")
    (store.cells / "m--d--s2--cccccccc.npz").write_text("arrays whose record never came")
    store.sweep()
    assert names(store) == whole


def test_a_reader_beside_a_writer_sees_each_cell_once(store):
    for seed in range(3):
        store.write(record("0", seed=seed), ARRAYS)
    stop = threading.Event()

    def replace() -> None:
        for turn in range(120):
            store.write(record("123456789abcdef"[turn % 15], seed=turn % 3), ARRAYS)
        stop.set()

    writer = threading.Thread(target=replace)
    writer.start()
    readings = 0
    while not stop.is_set():
        assert [r.seed for r in store.records()] == [0, 1, 2]
        readings += 1
    writer.join()
    assert readings > 1


def test_arrays_of_a_record_that_was_replaced_meanwhile_are_not_called_empty(store):
    old = record("a")
    store.write(old, ARRAYS)
    store.write(record("b"), ARRAYS)
    with pytest.raises(BenchError, match="replaced while it was read"):
        store.arrays(old)


class Failing(Store):
    """Fails with each error of `errors` in turn, then writes."""

    errors: list[int]

    def write(self, record, arrays=None):
        if self.errors:
            error = OSError(self.errors.pop(0), "on purpose")
            raise BenchError("the record could not be written", "here") from error
        return super().write(record, arrays)


def test_a_record_that_cannot_be_written_is_held_until_it_can(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(driver, "RETRY_S", 0.01)
    store = Failing(tmp_path / "results", "s")
    store.errors = [errno.ENOSPC, errno.EIO, errno.ESTALE]
    driver._keep(record(), ARRAYS, store, patience_s=600)
    assert len(store.records()) == 1
    assert caplog.text.count("trying again for 10 minutes") == 1


@pytest.mark.parametrize(("error", "patience_s"), [(errno.EACCES, 600), (errno.EROFS, 600), (errno.ENOSPC, 0)])
def test_what_will_not_pass_is_said_at_once(tmp_path, error, patience_s):
    store = Failing(tmp_path / "results", "s")
    store.errors = [error] * 1000
    with pytest.raises(BenchError, match="could not be written"):
        driver._keep(record(), ARRAYS, store, patience_s)
    assert len(store.errors) >= 998


@pytest.mark.parametrize("at", ["results", "results/s", "results/s/cells"])
def test_results_that_cannot_be_written_are_a_message_with_the_place(tmp_path, at):
    place = tmp_path / at
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("a file where a folder should be")
    store = Store(tmp_path / "results", "s")
    with pytest.raises(BenchError, match="the results folder cannot be written") as caught, driver._alone(store):
        pass
    assert str(tmp_path / "results") in str(caught.value)
    place.unlink()
    with driver._alone(store):
        assert f"{os.getpid()} on " in (store.folder / ".lock.pid").read_text()


def test_a_disk_that_is_full_while_data_are_packed_is_a_message(tmp_path, monkeypatch):
    from rich.console import Console

    from snn5bench.expand import read
    from snn5bench.progress import Display

    suite = tmp_path / "s.yaml"
    suite.write_text(
        "seeds: [0]\nbudget: {epochs: 1, batch_size: 8}\nmethods: [lif]\n"
        "datasets: [{name: pulse-order, params: {T: 12, min_gap: 1, max_gap: 2, train: 9, val: 9, test: 9}}]\n"
    )
    cache = tmp_path / "cache"
    cache.write_text("a file where a folder should be")
    monkeypatch.setenv("SNN5BENCH_CACHE", str(cache))
    _, planned = read(suite)
    with pytest.raises(BenchError, match="could not be packed") as caught:
        making.prepare_data(planned, Display(Console(quiet=True)))
    assert "SNN5BENCH_CACHE" in str(caught.value)
