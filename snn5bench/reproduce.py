"""`reproduce ROW`: the cells of one row run again, elsewhere than the store, and a verdict on what came out."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from snn5bench import device, environment, stats
from snn5bench.cell import Cell, differences
from snn5bench.errors import BenchError, ExitCode, did_you_mean
from snn5bench.expand import PlannedCell
from snn5bench.outcome import Outcome
from snn5bench.plan import Planner
from snn5bench.progress import Display
from snn5bench.record import Record, Status
from snn5bench.runners import processes
from snn5bench.store import Store
from snn5bench.views import emit

VOLATILE = frozenset(
    "suite train_seconds eval_seconds peak_memory_bytes gpu_share environment started_at git_commit git_dirty attempts "
    "ran_because method_version key key_parts energy energy_nj ann_twin_energy_nj".split()
)
"""Fields that may differ between two runs that are the same: times, places, and what is derived from the counts."""


class Verdict(StrEnum):
    """How a rerun stands to its record."""

    BIT_EQUAL = "bit-equal"
    WITHIN = "within the seed interval"
    DIFFERS = "differs"


class CellVerdict(NamedTuple):
    """One cell's rerun beside its record."""

    cell: str
    equal: bool
    fields: list[str]
    """Fields that are not equal, `prediction` among them."""
    stored: float | None
    again: float | None


def reproduce_row(
    row: str, planned: Sequence[PlannedCell], store: Store, jobs: int, console: Console, as_json: bool
) -> ExitCode:
    """Run every cell of `row` (its twins too) in fresh processes and compare with the stored records."""
    members = [p for p in planned if f"{p.cell.variant}@{p.cell.dataset_variant}" == row]
    if not members:
        known = sorted({f"{p.cell.variant}@{p.cell.dataset_variant}" for p in planned})
        raise BenchError(f"no row is called '{row}'", "ROW", did_you_mean(row, known))
    if absent := members[0].absent:
        raise BenchError(f"it cannot be run again here: {absent}", row, "install the package, or mend it")
    cells = [p.cell for p in members]
    last = {cell: store.last_of(cell) for cell in cells}
    stored = {cell: record for cell, record in last.items() if record and record.status is Status.DONE}
    left = [_left_out(cell, record) for cell, record in last.items() if cell not in stored]
    if not stored:
        raise BenchError(f"'{row}' has no finished record to compare with", str(store.cells), "run the suite first")
    device.require()
    again = _run(list(stored), jobs, Display(console), quiet=as_json)
    found = [compare(cell, record, store.arrays(record), again[cell]) for cell, record in stored.items()]
    verdict = judge(list(stored), stored, store, again, found)
    causes = _causes(list(stored.items()), again, Planner(store, list(stored.values())))
    _show(row, verdict, found, causes, left, console, as_json)
    return ExitCode.REGRESSION if verdict is Verdict.DIFFERS else ExitCode.OK


def compare(cell: Cell, record: Record, arrays: dict[str, np.ndarray], again: Outcome) -> CellVerdict:
    """Field by field, and sample by sample."""
    old, new = record.model_dump(mode="json"), again.record.model_dump(mode="json")
    fields = [name for name in old if name not in VOLATILE and old[name] != new[name]]
    for name in ("label", "prediction", "index"):
        if not np.array_equal(arrays.get(name, np.empty(0)), again.arrays.get(name, np.empty(0))):
            fields.append(name)
    return CellVerdict(cell.label, not fields, fields, record.test_accuracy, again.record.test_accuracy)


def judge(
    cells: Sequence[Cell],
    stored: dict[Cell, Record],
    store: Store,
    again: dict[Cell, Outcome],
    found: Sequence[CellVerdict],
) -> Verdict:
    """Bit-equal when all cells are; else within, when the row's new mean accuracy lies in the interval of the stored one."""
    if all(one.equal for one in found):
        return Verdict.BIT_EQUAL
    for twin in sorted({cell.twin for cell in cells}):
        members = [cell for cell in cells if cell.twin == twin]
        if any(again[cell].record.status is not Status.DONE for cell in members):
            return Verdict.DIFFERS
        correct = store.correct(stored[cell] for cell in members)
        if len(correct) < len(members):
            return Verdict.DIFFERS
        interval = stats.mean_interval(np.stack([correct[stored[cell].key] for cell in members]))
        mean = float(np.mean([again[cell].record.test_accuracy for cell in members]))
        if not interval.low <= mean <= interval.high:
            return Verdict.DIFFERS
    return Verdict.WITHIN


def _run(cells: Sequence[Cell], jobs: int, display: Display, quiet: bool) -> dict[Cell, Outcome]:
    again: dict[Cell, Outcome] = {}
    if quiet:
        processes.run(cells, again.__setitem__, jobs)
        return again
    with display.cells(len(cells)) as advance:

        def done(cell: Cell, outcome: Outcome) -> None:
            again[cell] = outcome
            advance(cell.label, outcome.record)

        processes.run(cells, done, jobs)
    return again


def _causes(stored: Sequence[tuple[Cell, Record]], again: dict[Cell, Outcome], planner: Planner) -> list[str]:
    """What differs between the environment of the records and this one."""
    causes: dict[str, None] = {}
    for cell, record in stored:
        parts = planner.parts(cell)
        if parts is not None:
            causes |= dict.fromkeys(differences(record.key_parts, parts.model_dump(mode="json")))
        here = again[cell].record.environment or environment.capture()
        if record.environment is not None:
            for name in ("python", "platform", "cpu", "device"):
                before, now = getattr(record.environment, name), getattr(here, name)
                if before != now:
                    causes[f"environment: {name} {before} became {now}"] = None
    return list(causes)


def _left_out(cell: Cell, record: Record | None) -> str:
    """Why a cell of the row has no numbers that could come back."""
    return f"{cell.label}: " + (f"{record.status.value}: {record.reason}" if record else "no record")


def _show(
    row: str,
    verdict: Verdict,
    found: Sequence[CellVerdict],
    causes: list[str],
    left: list[str],
    console: Console,
    as_json: bool,
) -> None:
    if as_json:
        document: dict[str, Any] = {"row": row, "verdict": verdict.value, "cells": [one._asdict() for one in found]}
        emit(document | {"not_run_again": left, "environment_diff": causes})
        return
    for one in found:
        what = "bit-equal" if one.equal else f"differs in {', '.join(one.fields)}"
        console.print(
            f"{one.cell}: {_number(one.stored)} then, {_number(one.again)} now: {what}", highlight=False, markup=False
        )
    for words in left:
        console.print(f"not run again: {words}", highlight=False, markup=False)
    for cause in causes or ["environment: nothing that is recorded differs"]:
        console.print(f"  {cause}", highlight=False, markup=False)
    console.print(f"{row}: {verdict.value}", highlight=False, markup=False)


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4f}"
