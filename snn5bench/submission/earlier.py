"""Earlier numbers: what was locked or submitted before must not be contradicted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from snn5bench import baseline
from snn5bench.cell import slug
from snn5bench.errors import BenchError, Problem
from snn5bench.expand import PlannedCell
from snn5bench.record import Record, Status
from snn5bench.store import Store
from snn5bench.submission import layout


def contradictions(
    root: Path, folder: Path, suite: str, pairs: Sequence[tuple[PlannedCell, Record]], store: Store
) -> list[Problem]:
    """Records of a key that is known already, under `baselines/locked` or in another submission, with other answers."""
    new = {record.key: record for _, record in pairs if record.status is Status.DONE}
    found: list[Problem] = []

    def same(record: Record, accuracy: float | None, answers: np.ndarray | None, where: Path) -> None:
        own = store.correct([record]).get(record.key)
        equal = record.test_accuracy == accuracy and (answers is None or own is None or np.array_equal(answers, own))
        if not equal:
            what = f"accuracy {record.test_accuracy} under the key {record.key[:8]}, where {accuracy} stands already"
            found.append(Problem(what, str(where), "the same key must give the same answers: earlier numbers stay"))

    try:
        locked = root / "baselines" / "locked" / f"{slug(suite)}.json"
        for cell in baseline.read(locked).cells if locked.is_file() else ():
            if cell.key in new:
                same(new[cell.key], cell.test_accuracy, cell.answers.unpack() if cell.answers else None, locked)
        for other in sorted((root / layout.ROOT).glob("*/*")):
            if other.resolve() == folder.resolve() or not other.is_dir():
                continue
            theirs = layout.store_of(other)
            for record in theirs.records():
                if record.key in new:
                    answers = theirs.correct([record]).get(record.key)
                    same(new[record.key], record.test_accuracy, answers, theirs.path(record))
    except BenchError as error:
        found += error.problems
    return found
