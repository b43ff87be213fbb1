"""Cells that another suite has run: taken over where they are whole and honest, run where they are not."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from snn5bench import gate, submission, views
from snn5bench import run as driver
from snn5bench.cell import Cell
from snn5bench.errors import BenchError
from snn5bench.execute import execute
from snn5bench.expand import read
from snn5bench.plan import Planner
from snn5bench.progress import Display
from snn5bench.record import Record, Status
from snn5bench.reproduce import compare, reproduce_row
from snn5bench.store import Store
from snn5bench.tracking import NoTracker
from tests.test_run import comparable, go, suite
from tests.test_store import Failing

__all__ = ["suite"]
ROW = "mine@pulse-order"
LABELLED = "{name: acme/tiny, label: mine}"


def rewritten(lender: Store, record: Record, **update: object) -> None:
    """Another record in the place of `record`, under the name that it then has, with the same predictions."""
    arrays = lender.path(record).with_suffix(".npz").read_bytes()
    lender.path(record).unlink()
    lender.path(record).with_suffix(".npz").unlink()
    path = lender.path(changed := record.model_copy(update=update))
    path.write_text(changed.model_dump_json())
    path.with_suffix(".npz").write_bytes(arrays)


def a_pipe(lender: Store, record: Record) -> None:
    lender.path(record).unlink()
    os.mkfifo(lender.path(record))


def renamed(lender: Store, record: Record) -> None:
    for path in (lender.path(record), lender.path(record).with_suffix(".npz")):
        path.rename(path.with_name(path.name.replace("--s", "--x", 1)))


def too_large(lender: Store, record: Record) -> None:
    with lender.path(record).open("r+b") as file:
        file.truncate(17 << 20)


DISHONEST: dict[str, Callable[[Store, Record], object]] = {
    "another accuracy": lambda lender, record: rewritten(lender, record, test_accuracy=0.99),
    "no accuracy": lambda lender, record: rewritten(lender, record, test_accuracy=None),
    "no predictions": lambda lender, record: lender.path(record).with_suffix(".npz").unlink(),
    "parts of another key": lambda lender, record: rewritten(
        lender, record, key_parts=record.key_parts | {"data": "x"}
    ),
    "parts that are none": lambda lender, record: rewritten(lender, record, key_parts={"config": ["x"]}),
    "another seed": lambda lender, record: rewritten(lender, record, seed=7),
    "another twin": lambda lender, record: rewritten(lender, record, twin="sdbp"),
    "another method": lambda lender, record: rewritten(lender, record, method="lif"),
    "other parameters": lambda lender, record: rewritten(lender, record, method_params={"scale": 9.0}),
    "another budget": lambda lender, record: rewritten(lender, record, budget={"epochs": 2000}),
    "another suite": lambda lender, record: rewritten(lender, record, suite="elsewhere"),
    "no end": lambda lender, record: rewritten(lender, record, status=Status.FAILED),
    "another name": renamed,
    "a pipe": a_pipe,
    "too large": too_large,
}


@pytest.mark.parametrize("dishonest", DISHONEST)
def test_a_record_that_is_not_whole_or_not_honest_is_not_taken_over(suite, tmp_path, dishonest):
    _, lender, planned = go(suite(), tmp_path / "results")
    honest = {record.key: comparable(record) for record in lender.records()}
    DISHONEST[dishonest](lender, lender.last_of(planned[0].cell))
    summary, store, _ = go(suite(name="other"), tmp_path / "results")
    assert summary.ended == {Status.DONE: 1}
    assert summary.lent == summary.cached == len(planned) - 1
    assert {record.key: comparable(record) for record in store.records()} == honest


def test_where_one_lender_is_damaged_another_one_lends(suite, tmp_path):
    _, lender, planned = go(suite(), tmp_path / "results")
    second, store, _ = go(suite(name="tinytoo"), tmp_path / "results")
    assert (second.lent, second.ended) == (len(planned), {})
    victim = lender.last_of(planned[0].cell)
    lender.path(victim).with_suffix(".npz").write_bytes(b"half")
    summary, store, _ = go(suite(name="other"), tmp_path / "results")
    assert (summary.lent, summary.ended) == (len(planned), {})
    assert len(store.records()) == len(planned)


def test_what_is_taken_over_is_as_good_as_what_was_run(suite, tmp_path, monkeypatch, capsys):
    """It can be submitted, locked, compared and reproduced; the plan that has not taken it over yet says what to do."""
    go(suite(), tmp_path / "results")
    path = suite(methods=LABELLED, name="other")
    loaded, planned = read(path)
    store, quiet = Store(tmp_path / "results", loaded.name), Console(quiet=True)
    for early in (
        lambda: submission.collect(ROW, path, planned, store, tmp_path / "early"),
        lambda: gate.lock_suite(loaded, planned, store, quiet),
        lambda: reproduce_row(ROW, planned, store, 1, quiet, False),
    ):
        with pytest.raises(BenchError, match="run"):
            early()
    summary, store, _ = go(path, tmp_path / "results")
    views.print_summary("other", summary, Console())
    assert capsys.readouterr().out == "other: 6 cached (6 run before by other suites)\n"
    folder = submission.collect(ROW, path, planned, store, tmp_path / "checkout")
    assert submission.verify(folder, tmp_path / "checkout", rerun=False).problems == []
    cell = planned[0].cell
    record = store.last_of(cell)
    assert compare(cell, record, store.arrays(record), execute(cell)).equal
    monkeypatch.chdir(tmp_path)
    gate.lock_suite(loaded, planned, store, quiet)
    assert gate.compare_suite(loaded, planned, store, None, quiet, None, None, False) == 0


def test_a_record_that_gives_way_to_a_neighbours_says_why(suite, tmp_path):
    own = suite(name="other")
    text = own.read_text()
    own.write_text(text.replace("epochs: 2", "epochs: 1"))
    go(own, tmp_path / "results")
    go(suite(), tmp_path / "results")
    own.write_text(text)
    summary, store, planned = go(own, tmp_path / "results")
    assert summary.lent == len(planned) == len(list(store.cells.glob("*.json")))
    assert {tuple(record.ran_because) for record in store.records()} == {("config: epochs 1 became 2",)}
    steps = [Planner(store, store.records()).step(one) for one in planned]
    assert {(step.reason, step.lent) for step in steps} == {("nothing changed", None)}


class Told(NoTracker):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.cells: list[str] = []

    def log(self, cell: Cell, record: Record) -> None:
        self.cells.append(f"{record.suite}: {cell.label}")


@pytest.mark.parametrize("runner", ["serial", "processes", "ray"])
def test_it_is_tracked_and_starts_no_runner(suite, tmp_path, monkeypatch, runner):
    go(suite(), tmp_path / "results")
    monkeypatch.setattr(driver, "_runner", lambda *words: pytest.fail("nothing is left to run"))
    told = Told()
    _, _, planned = go(suite(methods=LABELLED, name="other"), tmp_path / "results", runner, tracker=told)
    assert told.cells == [f"other: {one.cell.label}" for one in planned]


def test_it_waits_for_a_full_disk_as_any_record_does(suite, tmp_path, monkeypatch):
    go(suite(), tmp_path / "results")
    monkeypatch.setattr(driver, "RETRY_S", 0.01)
    loaded, planned = read(suite(name="other"))
    store = Failing(tmp_path / "results", loaded.name)
    store.errors = [errno.ENOSPC, errno.EIO]
    summary = driver.run(planned, store, NoTracker(), Display(Console(quiet=True)), "serial", 1)
    assert (summary.lent, store.errors) == (len(planned), [])


def test_planning_reads_of_the_neighbours_only_what_may_be_the_same(suite, tmp_path, monkeypatch):
    """Their folders are listed once, and their records opened by key."""
    go(suite(), tmp_path / "results")
    path = suite(name="other")
    path.write_text(path.read_text().replace("epochs: 2", "epochs: 3"))
    loaded, planned = read(path)
    listed = []
    glob = Path.glob
    monkeypatch.setattr(Path, "glob", lambda self, words: listed.append(words) or glob(self, words))
    monkeypatch.setattr("snn5bench.neighbours.read_record", lambda path: pytest.fail(f"{path} has another key"))
    planner = Planner(Store(tmp_path / "results", loaded.name), [])
    assert {planner.step(one).reason for one in planned} == {"no record yet"}
    assert len(listed) == 1
