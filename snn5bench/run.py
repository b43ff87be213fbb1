"""The driver of a run: data first, then the cells that are not cached, each record stored the moment it ends."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple

from filelock import FileLock, Timeout

from snn5bench import registry
from snn5bench.cell import Cell
from snn5bench.data.cache import folder_of, prepare
from snn5bench.errors import BenchError
from snn5bench.expand import PlannedCell
from snn5bench.plan import Planner, State, Step, make_dataset, source_of
from snn5bench.progress import Display
from snn5bench.record import Record, Status
from snn5bench.store import Store
from snn5bench.tracking import Tracker

RunnerName = Literal["serial", "processes"]

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
) -> Summary:
    """Bring every planned cell to its end. Interrupting it loses nothing that had ended."""
    with _alone(store):
        unmade = prepare_data(planned, display)
        planner = Planner(store, store.records())
        steps = [planner.step(p) for p in planned]
        to_run = [s for s in steps if s.state is State.RUN and source_of(s.cell) not in unmade]
        ended: dict[Status, int] = {}
        failures: list[str] = []
        for one, step in zip(planned, steps, strict=True):
            why = unmade.get(source_of(step.cell)) if step.state is State.RUN else None
            status = Status.FAILED if why else _FINAL.get(step.state)
            if status is not None:
                _set_aside(one, status, why or step.reason, step.key, store)
                ended[status] = ended.get(status, 0) + 1
                if why:
                    failures.append(f"{step.cell.label}: {why}")
        if to_run:
            for status, label in _execute(to_run, store, tracker, display, runner, jobs):
                ended[status] = ended.get(status, 0) + 1
                if status is Status.FAILED:
                    failures.append(label)
        return Summary(sum(s.state is State.CACHED for s in steps), ended, failures)


def prepare_data(planned: Sequence[PlannedCell], display: Display) -> dict[str, str]:
    """Make or open the packed data of every cell that can run, each dataset once; returns why data could not be made, by
    `source_of` their cells. Data that must be brought are left to the plan."""
    failed: dict[str, str] = {}
    seen: set[str] = set()
    for one in planned:
        source = source_of(one.cell)
        if one.incompatible or one.spec is None or source in seen:
            continue
        seen.add(source)
        try:
            _prepare(one.cell, display)
        except registry.BrokenPlugin:
            continue  # the plan says what is wrong with it
        except Exception as error:
            words = error.problems[0].what if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"
            failed[source] = f"its data could not be made: {words}"
            display.console.print(f"{one.cell.dataset_variant}: {failed[source]}", highlight=False, markup=False)
    return failed


def _prepare(cell: Cell, display: Display) -> None:
    dataset = make_dataset(cell)
    with registry.blaming("datasets", cell.dataset, "does not say whether it is here"):
        ready = (folder_of(dataset) / "meta.json").is_file() or not dataset.available()
    if not ready:
        with display.data(cell.dataset_variant) as progress:
            prepare(dataset, progress)


def _execute(
    steps: Sequence[Step], store: Store, tracker: Tracker, display: Display, runner: RunnerName, jobs: int
) -> list[tuple[Status, str]]:
    import snn5bench.runners.processes
    import snn5bench.runners.serial
    from snn5bench.measure.estimate import fill

    by_cell = {step.cell: step for step in steps}
    out: list[tuple[Status, str]] = []
    flying = dict.fromkeys(by_cell)
    with display.cells(len(steps)) as advance:

        def done(cell: Cell, outcome: snn5bench.execute.Outcome) -> None:
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
            if runner == "serial" or jobs == 1 or len(steps) == 1:
                snn5bench.runners.serial.run(list(by_cell), done)
            else:
                snn5bench.runners.processes.run(list(by_cell), done, jobs)
        except KeyboardInterrupt:
            _note_interrupted([by_cell[cell] for cell in flying], store)
            raise
    return out


def _set_aside(one: PlannedCell, status: Status, reason: str, key: str | None, store: Store) -> None:
    """A record for a cell that cannot run, so that its row says why. What was measured before its data or its plugin went
    away stays."""
    from snn5bench.execute import blank

    cell, old = one.cell, store.last_of(one.cell)
    if old is not None and old.status is Status.DONE and status in (Status.NEEDS_DATA, Status.NOT_INSTALLED):
        return
    if old is None or (old.status, old.reason) != (status, reason):
        without = one.spec is None
        store.write(_without_data(cell, status, reason) if without else blank(cell, status, reason, key or "0" * 32))


def _without_data(cell: Cell, status: Status, reason: str) -> Record:
    """A record of a cell whose dataset cannot be loaded: nothing is known of its steps and classes."""
    return Record(
        suite=cell.suite,
        method=cell.method,
        variant=cell.variant,
        method_params=cell.method_params,
        dataset=cell.dataset_variant,
        dataset_name=cell.dataset,
        dataset_params=cell.dataset_params,
        twin=cell.twin,
        seed=cell.seed,
        budget={"epochs": cell.epochs, "batch_size": cell.batch_size},
        key="0" * 32,
        status=status,
        reason=reason,
    )


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
