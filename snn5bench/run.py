"""The driver of a run: data first, then the cells that are not cached, each record stored the moment it ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING, Literal, NamedTuple

from filelock import FileLock, Timeout

from snn5bench.cell import Cell, digest
from snn5bench.data.cache import folder_of, prepare
from snn5bench.errors import BenchError
from snn5bench.expand import PlannedCell
from snn5bench.plan import Planner, State, Step, make_dataset
from snn5bench.progress import Display
from snn5bench.record import Record, Status
from snn5bench.store import Store
from snn5bench.tracking import Tracker

if TYPE_CHECKING:
    from snn5bench.execute import Outcome
    from snn5bench.runners.serial import Done

RunnerName = Literal["serial", "processes", "ray"]

_FINAL = {
    State.INCOMPATIBLE: Status.INCOMPATIBLE,
    State.NEEDS_DATA: Status.NEEDS_DATA,
    State.NOT_INSTALLED: Status.NOT_INSTALLED,
}


class Summary(NamedTuple):
    """How many cells of a run were cached, and how the others ended."""

    cached: int
    ended: dict[Status, int]
    failures: list[str]


def run(
    planned: Sequence[PlannedCell],
    store: Store,
    tracker: Tracker,
    display: Display,
    runner: RunnerName = "processes",
    jobs: int = 1,
    gpus: float = 0.0,
) -> Summary:
    """Bring every planned cell to its end. Interrupting it loses nothing that had ended. `gpus` is what a cell on a Ray
    cluster asks for where no record tells."""
    with _alone(store):
        prepare_data([p.cell for p in planned if not p.incompatible], display)
        records = store.records()
        planner = Planner(store, records)
        steps = [planner.step(p) for p in planned]
        to_run = [s for s in steps if s.state is State.RUN]
        ended: dict[Status, int] = {}
        failures: list[str] = []
        for step in steps:
            if step.state in _FINAL:
                _set_aside(step, store)
                ended[_FINAL[step.state]] = ended.get(_FINAL[step.state], 0) + 1
        if to_run:
            over = _runner(runner, jobs, records, gpus, to_run, display)
            for status, label in _execute(to_run, store, tracker, display, over):
                ended[status] = ended.get(status, 0) + 1
                if status is Status.FAILED:
                    failures.append(label)
        return Summary(sum(s.state is State.CACHED for s in steps), ended, failures)


def prepare_data(cells: Sequence[Cell], display: Display) -> None:
    """Make or open the packed data of every cell, each dataset once. Data that are missing are left to the plan."""
    datasets = {digest([cell.dataset, cell.dataset_params]): cell for cell in cells}
    for cell in datasets.values():
        dataset = make_dataset(cell)
        folder = folder_of(dataset)
        if not dataset.available():
            continue
        if not (folder / "meta.json").is_file():
            with display.data(cell.dataset_variant) as progress:
                prepare(dataset, progress)


Over = Callable[[list[Cell], "Done"], None]


def _runner(
    name: RunnerName, jobs: int, records: Sequence[Record], gpus: float, steps: Sequence[Step], display: Display
) -> Over:
    """What brings cells to their end; a runner that is not chosen is not imported."""
    if name == "ray":
        from snn5bench.runners import cluster
        from snn5bench.runners.needs import History

        history = History(records, gpus)
        minutes = {step.cell: inf if step.minutes is None else step.minutes for step in steps}

        def over(cells: list[Cell], done: Done) -> None:
            longest_first = sorted(cells, key=lambda cell: -minutes[cell])
            cluster.run(longest_first, done, history, jobs, display.say)

        return over
    if name == "serial" or jobs == 1 or len(steps) == 1:
        from snn5bench.runners import serial

        return serial.run
    from snn5bench.runners import processes

    return lambda cells, done: processes.run(cells, done, jobs)


def _execute(
    steps: Sequence[Step], store: Store, tracker: Tracker, display: Display, over: Over
) -> list[tuple[Status, str]]:
    from snn5bench.measure.estimate import fill

    by_cell = {step.cell: step for step in steps}
    out: list[tuple[Status, str]] = []
    flying = dict.fromkeys(by_cell)
    with display.cells(len(steps)) as advance:

        def done(cell: Cell, outcome: Outcome) -> None:
            record, step = outcome.record, by_cell[cell]
            record.ran_because = step.because
            record.key = record.key or step.key or "0" * 32
            fill(record)
            store.write(record, outcome.arrays)
            flying.pop(cell)
            tracker.log(cell, record)
            out.append((record.status, f"{cell.label}: {record.reason}"))
            advance(cell.label, record)

        try:
            over(list(by_cell), done)
        except KeyboardInterrupt:
            _note_interrupted([by_cell[cell] for cell in flying], store)
            raise
    return out


def _set_aside(step: Step, store: Store) -> None:
    """A record for a cell that cannot run, so that its row says why. What was measured before its data or its plugin went
    away stays."""
    from snn5bench.execute import blank

    status = _FINAL[step.state]
    record = blank(step.cell, status, step.reason, key=step.key or "0" * 32)
    old = store.last_of(step.cell)
    if old is not None and old.status is Status.DONE and status is not Status.INCOMPATIBLE:
        return
    if old is None or (old.status, old.reason) != (record.status, record.reason):
        store.write(record)


def _note_interrupted(steps: Sequence[Step], store: Store) -> None:
    from snn5bench.execute import blank

    for step in steps:
        if store.last_of(step.cell) is None:
            store.write(
                blank(step.cell, Status.INTERRUPTED, "the run was interrupted before it ended", step.key or "0" * 32)
            )


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """Holds the suite's lock; a second run of the same suite is told who has it."""
    store.folder.mkdir(parents=True, exist_ok=True)
    holder = store.folder / ".lock.pid"
    lock = FileLock(store.folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        who = holder.read_text().strip() if holder.is_file() else "unknown"
        raise BenchError(
            f"another run of this suite is at work (process {who})",
            where=str(store.folder),
            do="wait for it, or stop it; whatever it finishes is kept",
        ) from None
    try:
        holder.write_text(str(os.getpid()))
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def records_of(planned: Sequence[PlannedCell], store: Store) -> list[Record]:
    """The stored records of a suite's present cells."""
    return store.records(p.cell for p in planned)
