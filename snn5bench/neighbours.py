"""What other suites of the same results folder have run already: where the key is the same, so is every number."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from snn5bench.cell import Cell
from snn5bench.errors import BenchError
from snn5bench.record import Record, Status
from snn5bench.store import Store, read_record


class Neighbours:
    """The finished records beside a store, by their keys. The folders are listed once, and only when first asked."""

    def __init__(self, store: Store) -> None:
        self._own = store

    @cached_property
    def _paths(self) -> dict[str, list[Path]]:
        """By the eight digits of a key that a file's name ends in."""
        found: dict[str, list[Path]] = {}
        for path in sorted(self._own.folder.parent.glob("*/cells/*--*.json")):
            if path.parent != self._own.cells:
                found.setdefault(path.stem.rpartition("--")[2], []).append(path)
        return found

    def find(self, key: str) -> Record | None:
        """A finished record of another suite with this key. What cannot be read is passed over."""
        for path in self._paths.get(key[:8], []):
            try:
                record = read_record(path)
            except (BenchError, OSError):
                continue
            if record.key == key and record.status is Status.DONE and path.parent.parent.name == record.suite:
                return record
        return None

    def take_over(self, record: Record, cell: Cell) -> bool:
        """Write `record` under the names that `cell` has in this suite. False where its predictions are damaged, so that
        the cell has to run."""
        lender = Store(self._own.folder.parent, record.suite)
        try:
            lender.correct([record])
            arrays = lender.arrays(record)
        except (BenchError, OSError):
            return False
        names = {"suite": cell.suite, "variant": cell.variant, "dataset": cell.dataset_variant}
        self._own.write(record.model_copy(update={**names, "ran_because": []}), arrays)
        return True
