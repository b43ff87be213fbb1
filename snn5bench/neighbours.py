"""What other suites of the same results folder have run already: where the key is the same, so is every number."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from snn5bench.cell import Cell, KeyParts
from snn5bench.errors import BenchError
from snn5bench.record import Record, Status
from snn5bench.store import Store, config_of, read_record


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

    def find(self, key: str, cell: Cell) -> Path | None:
        """A finished record of `cell` that another suite holds under `key`. What cannot be read, or does not agree with
        its own key, is passed over."""
        return next((path for path in self._paths.get(key[:8], []) if self._read(path, key, cell)), None)

    def borrow(self, path: Path, key: str, cell: Cell) -> tuple[Record, dict[str, np.ndarray]] | None:
        """The record at `path` under the names that `cell` has in this suite, with its predictions. None where they are
        gone or damaged, or give another accuracy than the record says; it is not found again then."""
        record = self._read(path, key, cell)
        arrays = {} if record is None else self._predictions(path, record)
        if record is None or not arrays:
            self._paths[key[:8]].remove(path)
            return None
        names = {"suite": cell.suite, "variant": cell.variant, "dataset": cell.dataset_variant}
        return record.model_copy(update=names), arrays

    def _predictions(self, path: Path, record: Record) -> dict[str, np.ndarray]:
        lender = self._lender(path)
        try:
            correct, arrays = lender.correct([record]).get(record.key), lender.arrays(record)
        except (BenchError, OSError):
            return {}
        agrees = correct is not None and float(correct.mean()) == record.test_accuracy
        return arrays if agrees else {}

    def _lender(self, path: Path) -> Store:
        return Store(self._own.folder.parent, path.parent.parent.name)

    def _read(self, path: Path, key: str, cell: Cell) -> Record | None:
        try:
            record = read_record(path)
            made_of = KeyParts.model_validate(record.key_parts).key()
        except (BenchError, OSError, ValueError):
            return None
        lender = self._lender(path)
        whole = record.status is Status.DONE and record.suite == lender.folder.name and lender.path(record) == path
        stated = cell.config()
        same = record.key == key == made_of and all(stated[name] == value for name, value in config_of(record).items())
        return record if whole and same else None
