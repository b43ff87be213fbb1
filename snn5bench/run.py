"""The driver of a run: data first, then the cells that are not cached, each record stored the moment it ends."""

from __future__ import annotations

import errno
import logging
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import zip_longest
from math import inf
from typing import TYPE_CHECKING, Literal, NamedTuple

from filelock import FileLock, Timeout

from snn5bench import device, keys, registry
from snn5bench.cell import Cell, digest
from snn5bench.errors import BenchError
from snn5bench.expand import PlannedCell
from snn5bench.making import prepare_data
from snn5bench.plan import Planner, State, Step, source_of
from snn5bench.progress import Display
from snn5bench.record import Record, Status
from snn5bench.store import Store, config_of
from snn5bench.suite import Limits
from snn5bench.tracking import Tracker

if TYPE_CHECKING:
    import numpy as np

    from snn5bench.outcome import Outcome
    from snn5bench.runners.serial import Done

RunnerName = Literal["serial", "processes", "ray"]

LOCK_S = 3.0
"""How long a run waits for another one of its suite: one whose DVC was killed needs a second to notice."""

RETRY_S = 5.0
"""Between two tries to write a record."""

_PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY})
"""What can stop a write and pass by itself, or with a user's help, while the record is held in memory."""

_log = logging.getLogger(__name__)

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
    lent: int = 0
    """How many of the cached ones other suites had run."""


def run(
    planned: Sequence[PlannedCell],
    store: Store,
    tracker: Tracker,
    display: Display,
    runner: RunnerName = "processes",
    jobs: int = 1,
    *,
    gpus: float = 0.0,
    limits: Limits | None = None,
) -> Summary:
    """Bring every planned cell to its end. Interrupting it loses nothing that had ended. `gpus` is what a cell on a Ray
    cluster asks for where no record tells; without it a whole one under `--device cuda`."""
    limits = limits or Limits()
    if runner != "ray":
        device.require()
    with _alone(store):
        unmade = prepare_data(planned, display)
        records = store.records()
        planner = Planner(store, records)
        steps = [_settled(p, planner, store, tracker, limits) for p in planned]
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
            over = _runner(runner, jobs, records, gpus, to_run, display, limits)
            for status, label in _execute(to_run, store, tracker, display, over, limits):
                ended[status] = ended.get(status, 0) + 1
                if status is Status.FAILED:
                    failures.append(label)
        cached = [step for step in steps if step.state is State.CACHED]
        return Summary(len(cached), ended, failures, sum(step.lent is not None for step in cached))


Over = Callable[[list[Cell], "Done"], None]


def _runner(
    name: RunnerName,
    jobs: int,
    records: Sequence[Record],
    gpus: float,
    steps: Sequence[Step],
    display: Display,
    limits: Limits,
) -> Over:
    """What brings cells to their end; a runner that is not chosen is not imported."""
    if name == "serial" and limits.stop_cells:
        _log.warning("limits: --runner serial stops no cell; cell_minutes and cell_memory_gib are not held")
    if name == "ray":
        from snn5bench.runners import cluster
        from snn5bench.runners.needs import History

        history = History(records, gpus or float(device.chosen() == device.CUDA))
        minutes = {step.cell: inf if step.minutes is None else step.minutes for step in steps}

        def over(cells: list[Cell], done: Done) -> None:
            longest_first = sorted(cells, key=lambda cell: -minutes[cell])
            cluster.run(longest_first, done, history, jobs, display.say, limits)

        return over
    if name == "serial" or (not limits.stop_cells and (jobs == 1 or len(steps) == 1)):
        from snn5bench.runners import serial

        return serial.run
    from snn5bench.runners import processes

    return lambda cells, done: processes.run(_in_turns(_in_turns(cells, "dataset"), "method"), done, jobs, limits)


def _in_turns(cells: Iterable[Cell], kind: Literal["method", "dataset"]) -> list[Cell]:
    """One cell of each kind after another. By dataset and then by method: workers that begin together compile different
    kernels, not the same, and what has ended soon tells how long the rest takes."""
    queues: dict[str, list[Cell]] = {}
    for cell in cells:
        queues.setdefault(getattr(cell, kind), []).append(cell)
    return [cell for turn in zip_longest(*queues.values()) for cell in turn if cell is not None]


def _execute(
    steps: Sequence[Step], store: Store, tracker: Tracker, display: Display, over: Over, limits: Limits
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
            _name_plugins(record)
            _keep(record, outcome.arrays, store, limits.write_minutes * 60)
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


def _name_plugins(record: Record) -> None:
    """Add to the record's environment the version and the code of every plugin that had a part in it: method, dataset,
    energy models. The key has the code of the first two; energy is outside it."""
    if record.environment is None:
        return
    names = [("methods", record.method), ("datasets", record.dataset_name)]
    names += [("energy_models", name) for name in record.energy]
    modules: dict[tuple[str, str], set[str]] = {}
    for kind, name in names:
        found = registry.entries(kind).get(name)
        if found is not None and found.package != "snn5bench":
            modules.setdefault((found.package, found.version), set()).add(found.target.partition(":")[0])
    versions = dict(record.environment.versions)
    for (package, version), targets in modules.items():
        tops = {target.partition(".")[0] for target in targets}
        code = {
            name: hashed for name, hashed in keys.code_of(*sorted(targets)).items() if name.partition(".")[0] in tops
        }
        versions[package] = f"{version}, code {digest(code)[:16]}"
    record.environment = record.environment.model_copy(update={"versions": versions})


def _settled(one: PlannedCell, planner: Planner, store: Store, tracker: Tracker, limits: Limits) -> Step:
    """What happens to a cell, after what another suite has run of it was taken over."""
    while True:
        step = planner.step(one)
        if step.lent is None or step.key is None:
            return step
        borrowed = planner.neighbours.borrow(step.lent, step.key, step.cell)
        if borrowed is not None:
            record, arrays = borrowed
            record.ran_because = step.because
            _keep(record, arrays, store, limits.write_minutes * 60)
            tracker.log(step.cell, record)
            return step


def _set_aside(one: PlannedCell, status: Status, reason: str, key: str | None, store: Store) -> None:
    """A record for a cell that cannot run, so that its row says why. What was measured before its data or its plugin went
    away stays."""
    from snn5bench.outcome import blank

    cell, old = one.cell, store.last_of(one.cell)
    if old is not None and old.status is Status.DONE and status in (Status.NEEDS_DATA, Status.NOT_INSTALLED):
        return
    record = _without_data(cell, status, reason) if one.spec is None else blank(cell, status, reason, key or "0" * 32)
    if old is None or (old.status, old.reason, config_of(old)) != (status, reason, config_of(record)):
        store.write(record)


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
    from snn5bench.outcome import blank

    for step in steps:
        if store.last_of(step.cell) is None:
            store.write(
                blank(step.cell, Status.INTERRUPTED, "the run was interrupted before it ended", step.key or "0" * 32)
            )


def _keep(record: Record, arrays: Mapping[str, np.ndarray], store: Store, patience_s: float) -> None:
    """Write a record; while the disk is full or the share is gone, hold it and try again, for `patience_s`."""
    until = time.monotonic() + patience_s
    said = False
    while True:
        try:
            store.write(record, arrays)
        except BenchError as error:
            cause = error.__cause__
            if not isinstance(cause, OSError) or cause.errno not in _PASSING or time.monotonic() > until:
                raise
            if not said:
                said = True
                _log.warning("%s\n    trying again for %.0f minutes", error, patience_s / 60)
            time.sleep(min(RETRY_S, patience_s))
        else:
            return


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """Holds the suite's lock, with what killed runs left swept away; a second run of the same suite is told who has it."""
    holder = store.folder / ".lock.pid"
    lock = FileLock(store.folder / ".lock", timeout=LOCK_S)
    try:
        store.folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        who = holder.read_text().strip() if holder.is_file() else "unknown"
        raise BenchError(
            f"another run of this suite is at work (process {who})",
            where=str(store.folder),
            do="wait for it, or stop it; whatever it finishes is kept",
        ) from None
    except OSError as error:
        raise _unwritable(error, store) from error
    try:
        try:
            store.sweep()
            holder.write_text(f"{os.getpid()} on {platform.node()}")
        except OSError as error:
            raise _unwritable(error, store) from error
        yield
    finally:
        with suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


def _unwritable(error: OSError, store: Store) -> BenchError:
    return BenchError(
        f"the results folder cannot be written: {error.strerror or error}",
        where=str(error.filename or store.folder),
        do="mend its permissions, free the disk, or give another folder with --results",
    )


def records_of(planned: Sequence[PlannedCell], store: Store) -> list[Record]:
    """The stored records of a suite's present cells."""
    return store.records(p.cell for p in planned)
