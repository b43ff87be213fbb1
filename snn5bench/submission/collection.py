"""`submit ROW`: the folder of a pull request, from records that are whole and of today's code."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from snn5bench.errors import BenchError, Problem, did_you_mean
from snn5bench.expand import PlannedCell
from snn5bench.plan import Planner, State
from snn5bench.record import Record
from snn5bench.store import Store
from snn5bench.submission import layout
from snn5bench.submission.text import pull_request


def collect(row: str, suite_file: Path, planned: Sequence[PlannedCell], store: Store, root: Path) -> Path:
    """Write the submission of `row` (`METHOD@DATASET`) under `root`, and return its folder.

    Raises `BenchError` for an unknown row, and where a cell of it (each seed, each twin) has not run to its end or was
    made by other code, versions or data than those here.
    """
    cells = [p for p in planned if f"{p.cell.variant}@{p.cell.dataset_variant}" == row]
    if not cells:
        known = {f"{p.cell.variant}@{p.cell.dataset_variant}" for p in planned}
        raise BenchError(f"no row is called '{row}'", "ROW", did_you_mean(row, known))
    planner = Planner(store, store.records())
    problems, records = [], list[Record]()
    for one in cells:
        step, record = planner.step(one), store.last_of(one.cell)
        ended = (step.state is State.CACHED and step.lent is None) or (
            step.state is State.INCOMPATIBLE and one.cell.twin != "none"
        )
        if ended and record is not None:
            records.append(record)
        else:
            what = f"its state is '{step.state}': {step.reason}"
            problems.append(Problem(what, one.cell.label, "run the suite first"))
    if problems:
        raise BenchError(problems)
    first = cells[0].cell
    folder = layout.folder_of(root, store.folder.name, first.variant, first.dataset_variant)
    if folder.exists():
        raise BenchError(f"{folder} is there already", "--to", "remove it, or write elsewhere")
    into = layout.store_of(folder)
    for record in records:
        into.write(record, store.arrays(record))
    shutil.copyfile(suite_file, folder / f"{store.folder.name}.yaml")
    (folder / layout.ENVIRONMENT).write_text(layout.environment_text(records), encoding="utf-8")
    (folder / layout.TEXT).write_text(pull_request(row, records, into), encoding="utf-8")
    return folder
