"""Checks of a submission that a stranger wrote: nothing in it is believed that can be computed again."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snn5bench import environment, registry
from snn5bench.cell import Cell
from snn5bench.data.cache import prepare
from snn5bench.data.packed import Packed
from snn5bench.errors import BenchError, Problem
from snn5bench.expand import PlannedCell, read
from snn5bench.outcome import Outcome
from snn5bench.plain import largest
from snn5bench.plan import make_dataset
from snn5bench.record import Record, Status
from snn5bench.reproduce import Verdict, compare, judge
from snn5bench.runners import processes
from snn5bench.store import Store, identity_of
from snn5bench.submission import layout
from snn5bench.submission.earlier import contradictions
from snn5bench.submission.forgery import faults, strange_to, unchecked
from snn5bench.submission.text import pull_request
from snn5bench.suite import Suite

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
    report.problems += _other_than_here(suite, folder, root)
    pairs = list(_pair(planned, records, folder, report))
    for one, record in pairs:
        _check_cell(one, record, store, report)
    report.problems += contradictions(root, folder, suite.name, pairs, store)
    if not report.problems:
        report.problems += _words(folder, [record for _, record in pairs], store)
    if rerun and not report.problems and not report.open:
        _run_one_again(pairs, folder, store, salt, report)
    return report


def _words(folder: Path, records: Sequence[Record], store: Store) -> Iterator[Problem]:
    """What a person reads of a submission must be what its records say."""
    row = f"{records[0].variant}@{records[0].dataset}"
    wanted = {
        layout.ENVIRONMENT: layout.environment_text(records),
        layout.TEXT: pull_request(row, records, store),
    }
    for name, text in wanted.items():
        if (folder / name).read_text(encoding="utf-8", errors="replace") != text:
            do = "write it with `snn5bench submit`; words of your own belong into the pull request itself"
            yield Problem("it is not what the records say", str(folder / name), do)


Pair = tuple[PlannedCell, Record]


def _pair(planned: Sequence[PlannedCell], records: Sequence[Record], folder: Path, report: Report) -> Iterator[Pair]:
    """Each cell of the submission's row with its record, in the order of the suite; a row must be whole."""
    rows = sorted({(r.variant, r.dataset) for r in records})
    if len(rows) != 1:
        report.problems.append(Problem(f"records of {len(rows)} rows", str(folder), "a submission holds one row"))
        return
    if folder.name != (name := layout.folder_of(folder, "", *rows[0]).name):
        report.problems.append(Problem("the folder is not its row's", str(folder), f"it is called {name}"))
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
    """What must be true of a record wherever it is read; and, where its method and data are here, what is true of them."""
    if not store.path(record).is_file():  # `_pair` has said so
        return
    where = str(store.path(record))
    try:
        packed, no_data = _data(one.cell)
        arrays = store.arrays(record)
    except BenchError as error:
        report.problems += error.problems
        return
    found = list(faults(one.cell, record, arrays, packed))
    missing = list(dict.fromkeys(filter(None, (one.absent, no_data))))
    if packed is not None and not missing:
        found += [fault for fault in strange_to(one.cell, record, packed) if fault not in found]
    report.problems += [Problem(what, where, do) for what, do in found]
    report.open += [f"{one.cell.label}: {words}" for words in (*missing, *unchecked(record))]


def _data(cell: Cell) -> tuple[Packed | None, str]:
    """The data of a cell, or why they are not here."""
    if absent := registry.absence("datasets", cell.dataset):
        return None, absent
    try:
        dataset = make_dataset(cell)
        with registry.blaming("datasets", cell.dataset, "does not say whether it is here"):
            verdict = dataset.available()
    except registry.BrokenPlugin as broken:
        return None, broken.problems[0].what
    if not verdict:
        return None, f"its data are not here: {verdict.reason}"
    if (number := largest(cell.dataset_params)) > MOST_NUMBER:
        return None, f"a parameter of its data is {number}, more than is made for a check"
    return prepare(dataset), ""


def _other_than_here(suite: Suite, folder: Path, root: Path) -> Iterator[Problem]:
    """Where the repository has a suite of this name, a row of it is one under its protocol."""
    path = root / "suites" / f"{suite.name}.yaml"
    if not path.is_file():
        return
    try:
        here, _ = read(path)
    except BenchError as error:
        yield from error.problems
        return
    odd = [name for name, value in _protocol(suite).items() if value != _protocol(here)[name]]
    known = {block.label or block.name for block in here.methods}
    changed = [block for block in suite.methods if block not in here.methods]
    odd += [f"method {name}" for block in changed if (name := block.label or block.name) in known]
    for name in odd:
        what = f"its {name:.60} is not that of the suite '{suite.name}' here"
        yield Problem(what, str(folder), "run the suite as it is here, or give yours another name")


def _protocol(suite: Suite) -> dict[str, Any]:
    """What all rows of a suite share. A twin that is not mentioned is another one than one that is refused."""
    shared = {name: getattr(suite, name) for name in ("seeds", "budget", "datasets", "record_peeking")}
    return shared | {"twins": suite.twins.model_dump(exclude_unset=True)}


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
