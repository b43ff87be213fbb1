"""Checks of a submission that a stranger wrote: nothing in it is believed that can be computed again."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from snn5bench import environment, registry
from snn5bench.cell import Cell
from snn5bench.data.cache import prepare
from snn5bench.errors import BenchError, Problem
from snn5bench.execute import Outcome
from snn5bench.expand import PlannedCell, read
from snn5bench.plain import largest
from snn5bench.plan import make_dataset
from snn5bench.record import Record, Status
from snn5bench.reproduce import Verdict, compare, judge
from snn5bench.runners import processes
from snn5bench.store import Store, identity_of
from snn5bench.submission import layout
from snn5bench.submission.earlier import contradictions
from snn5bench.submission.forgery import faults, unchecked

MOST_NUMBER = 100_000
"""Samples, steps or whatever else a parameter counts: a stranger's suite must not keep the checker busy for ever."""


@dataclass
class Report:
    """What `verify` found. Problems refuse a submission; open points could not be checked here."""

    problems: list[Problem] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verify(folder: Path, root: Path = Path(), salt: str = "", rerun: bool = True) -> Report:
    """Check the submission in `folder` against itself, against this code and its data, and against the earlier numbers
    under `root`; then run one of its cells again.

    The cell is chosen by a hash of the content and `salt`: a `salt` that the submitter could not know (the base commit
    of the pull request) keeps them from trying contents until a harmless cell is chosen. One cell of a row is run, so a
    consistent forgery of a single cell among n is found with probability 1/n at each check.
    """
    report = Report(layout.strange_files(folder))
    if report.problems:
        return report
    store = layout.store_of(folder)
    try:
        suite, planned = read(next(folder.glob("*.yaml")))
        records = store.records()
    except BenchError as error:
        report.problems += error.problems
        return report
    if suite.name != folder.parent.name:
        report.problems.append(
            Problem(f"the suite is called '{suite.name}'", str(folder), "the folder must be its name")
        )
    pairs = list(_pair(planned, records, folder, report))
    for one, record in pairs:
        _check_cell(one, record, store, report)
    text = (folder / layout.ENVIRONMENT).read_text(encoding="utf-8", errors="replace")
    if text != layout.environment_text([record for _, record in pairs]):
        report.problems.append(Problem("it is not what the records say", str(folder / layout.ENVIRONMENT)))
    report.problems += contradictions(root, folder, suite.name, pairs, store)
    if rerun and not report.problems and not report.open:
        _run_one_again(pairs, folder, store, salt, report)
    return report


Pair = tuple[PlannedCell, Record]


def _pair(planned: Sequence[PlannedCell], records: Sequence[Record], folder: Path, report: Report) -> Iterator[Pair]:
    """Each cell of the submission's row with its record, in the order of the suite; a row must be whole."""
    rows = sorted({(r.variant, r.dataset) for r in records})
    if len(rows) != 1:
        report.problems.append(Problem(f"records of {len(rows)} rows", str(folder), "a submission holds one row"))
        return
    wanted = {p.cell.identity: p for p in planned if (p.cell.variant, p.cell.dataset_variant) == rows[0]}
    found = {identity_of(record): record for record in records}
    store = layout.store_of(folder)
    for path in sorted(set(store.cells.glob("*.json")) - {store.path(record) for record in records}):
        what = "the file is not named after its record and key, or is a second record of its cell"
        report.problems.append(Problem(what, str(path), "do not rename records; keep one of each cell"))
    for record in records:
        if identity_of(record) not in wanted:
            report.problems.append(Problem("the suite has no such cell", str(store.path(record)), "take it out"))
    for identity, one in wanted.items():
        if identity in found:
            yield one, found[identity]
        else:
            report.problems.append(
                Problem(f"{one.cell.label} is missing", str(folder), "submit every seed and twin of the row")
            )


def _check_cell(one: PlannedCell, record: Record, store: Store, report: Report) -> None:
    if not store.path(record).is_file():  # `_pair` has said so
        return
    where = str(store.path(record))
    if one.absent:
        report.open.append(f"{one.cell.label}: {one.absent}")
        return
    try:
        dataset = make_dataset(one.cell)
        with registry.blaming("datasets", one.cell.dataset, "does not say whether it is here"):
            verdict = dataset.available()
    except registry.BrokenPlugin as broken:
        report.open.append(f"{one.cell.label}: {broken.problems[0].what}")
        return
    if not verdict:
        report.open.append(f"{one.cell.label}: its data are not here: {verdict.reason}")
        return
    if (number := largest(one.cell.dataset_params)) > MOST_NUMBER:
        report.open.append(f"{one.cell.label}: a parameter of its data is {number}, more than is made for a check")
        return
    try:
        packed, arrays = prepare(dataset), store.arrays(record)
    except BenchError as error:
        report.problems += error.problems
        return
    report.problems += [Problem(what, where, do) for what, do in faults(one.cell, record, arrays, packed)]
    report.open += [f"{one.cell.label}: {words}" for words in unchecked(record)]


def _run_one_again(pairs: Sequence[Pair], folder: Path, store: Store, salt: str, report: Report) -> None:
    done = [(one.cell, record) for one, record in pairs if record.status is Status.DONE]
    seed = int.from_bytes(hashlib.sha256(f"{content_digest(folder)} {salt}".encode()).digest())
    cell, record = random.Random(seed).choice(done)
    again: dict[Cell, Outcome] = {}
    processes.run([cell], again.__setitem__, 1)
    found = compare(cell, record, store.arrays(record), again[cell])
    verdict = judge([cell], {cell: record}, store, again, [found])
    here = environment.capture()
    same_machine = record.environment is not None and (record.environment.cpu, record.environment.python) == (
        here.cpu,
        here.python,
    )
    report.notes.append(f"ran {cell.label} again: {verdict}")
    if verdict is Verdict.BIT_EQUAL or (verdict is Verdict.WITHIN and not same_machine):
        return
    why = again[cell].record.reason or f"it differs in {', '.join(found.fields)}"
    report.problems.append(
        Problem(
            f"{cell.label}, run again, has accuracy {found.again}, the record says {found.stored}: {why}",
            str(store.path(record)),
            "submit what the code here computes",
        )
    )


def content_digest(folder: Path) -> str:
    """SHA-256 over the names and bytes of all files."""
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        whole.update(path.read_bytes())
    return whole.hexdigest()
