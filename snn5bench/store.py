"""The records of a suite on disk: one file a cell, written once, atomically."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from stat import S_ISREG
from typing import Any

import numpy as np
from pydantic import ValidationError

from snn5bench.cell import Cell, slug
from snn5bench.errors import BenchError
from snn5bench.record import SCHEMA_VERSION, Record, Status

MAX_RECORD_BYTES = 16 << 20
MAX_ARRAYS_BYTES = 1 << 30

_ENDED = frozenset({Status.DONE, Status.FAILED, Status.INCOMPATIBLE})
_PARTIAL = ".partial-"
_RETRIES = 50
_CLOCK_NS = 1_000_000_000
"""By how much a record is dated after the one it replaces where the clock went backwards: a file system's coarsest tick."""


class Store:
    """`results/<suite>/cells/`: knows the names of its files and nothing of what is in them."""

    def __init__(self, results: Path, suite: str) -> None:
        self.folder = results / suite
        self.cells = self.folder / "cells"
        self._versions: dict[str, set[str]] = {}
        """Names of the records in `cells` by their stem, as they were at `_listed`."""
        self._listed = -1

    def path(self, record: Record) -> Path:
        """`<method>--<dataset>--s<seed>--<key8>.json`"""
        return self.cells / f"{stem_of(record)}--{slug(record.key[:8])}.json"

    def write(self, record: Record, arrays: Mapping[str, np.ndarray] | None = None) -> Path:
        """Write a record and its per-sample arrays so that either both are there and whole, or neither. A cell that ended
        replaces its records under other keys; one that did not run to an end replaces nothing. Killed between two steps,
        it leaves the old record, or both, of which the new one counts."""
        path = self.path(record)
        try:
            self.cells.mkdir(parents=True, exist_ok=True)
            versions = self._versions_of(stem_of(record))
            others = [self.cells / name for name in sorted(versions - {path.name})]
            newest = max((old.stat().st_mtime_ns for old in others), default=0)
            if arrays:
                with _Atomic(path.with_suffix(".npz")) as temporary, temporary.open("wb") as file:
                    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
            with _Atomic(path, newer_than=newest) as temporary:
                temporary.write_text(record.model_dump_json(indent=1) + "\n")
            if record.status in _ENDED:
                _remove(others)
        except OSError as error:
            raise BenchError(
                f"the record could not be written: {error.strerror or error}",
                where=str(path),
                do="free the disk or mend the folder's permissions and run again; finished cells are kept",
            ) from error
        versions.add(path.name)
        if record.status in _ENDED:
            versions.intersection_update({path.name})
        self._listed = self.cells.stat().st_mtime_ns
        return path

    def sweep(self) -> None:
        """Remove what killed runs left: temporary files, arrays without their record, records that a newer one replaces.
        Only for who holds the suite's lock. Raises `OSError` where the folder cannot be written."""
        self.cells.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self.cells, prefix=_PARTIAL, suffix=".tmp"):
            pass
        for partial in self.cells.glob(f"{_PARTIAL}*.tmp"):
            partial.unlink(missing_ok=True)
        for current, replaced in self._current():
            if replaced and read_record(current).status in _ENDED:
                _remove(replaced)
        for arrays in self.cells.glob("*.npz"):
            if not arrays.with_suffix(".json").is_file():
                arrays.unlink(missing_ok=True)

    def _versions_of(self, stem: str) -> set[str]:
        """The file names of a cell's records. The folder is listed again only where others changed it since: listing it
        for each of n records that a run writes would take time with n squared."""
        if not self.cells.is_dir():
            return set()
        if self._listed != (now := self.cells.stat().st_mtime_ns):
            self._versions, self._listed = {}, now
            for path in self.cells.iterdir():
                if path.suffix == ".json":
                    self._versions.setdefault(path.name.rpartition("--")[0], set()).add(path.name)
        return self._versions.setdefault(stem, set())

    def records(self, known: Iterable[Cell] | None = None) -> list[Record]:
        """One record a cell, in the order of their file names; with `known`, those of these cells alone. A run that
        replaces records meanwhile is waited out."""
        wanted = None if known is None else {cell.identity for cell in known}
        for _ in range(_RETRIES):
            try:
                found = [read_record(path) for path, _ in self._current()]
            except FileNotFoundError:
                continue
            return [r for r in found if wanted is None or identity_of(r) in wanted]
        raise BenchError("the records change while they are read", str(self.cells), "wait for the run that writes them")

    def last_of(self, cell: Cell) -> Record | None:
        """The record of a cell, whatever its key."""
        for _ in range(_RETRIES):
            try:
                paths = self._paths_of(cell.stem)
                return read_record(_newest(paths)) if paths else None
            except FileNotFoundError:
                continue
        raise BenchError("the record changes while it is read", str(self.cells), "wait for the run that writes it")

    def _paths_of(self, stem: str) -> list[Path]:
        return sorted(self.cells / name for name in self._versions_of(stem))

    def _current(self) -> list[tuple[Path, list[Path]]]:
        """The newest record file of each cell, with the older ones that it replaces."""
        by_stem: dict[str, list[Path]] = {}
        for path in sorted(self.cells.glob("*.json")):
            by_stem.setdefault(path.stem.rpartition("--")[0] or path.stem, []).append(path)
        newest = ((_newest(paths), paths) for paths in by_stem.values())
        return [(current, [path for path in paths if path != current]) for current, paths in newest]

    def arrays(self, record: Record) -> dict[str, np.ndarray]:
        """Per-sample arrays of a record (`label`, `prediction` of the test samples); empty where it has none."""
        path = self.path(record).with_suffix(".npz")
        if not path.is_file():
            if record.status is Status.DONE and not self.path(record).is_file():
                raise BenchError("the record was replaced while it was read", str(path), "do this again")
            return {}
        if path.stat().st_size > MAX_ARRAYS_BYTES:
            raise BenchError("the file is too large to be per-sample predictions", str(path), "remove it and run again")
        try:
            with zipfile.ZipFile(path) as archive:
                unpacked = sum(member.file_size for member in archive.infolist())
            if unpacked > MAX_ARRAYS_BYTES:
                raise BenchError(f"it would unpack to {unpacked} bytes", str(path), "remove it and run again")
            with np.load(path, allow_pickle=False) as file:
                found = {name: file[name] for name in file.files}
            if odd := [name for name, values in found.items() if not isinstance(values, np.ndarray)]:
                raise ValueError(f"'{odd[0]:.80}' is no array")
            return found
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise BenchError(
                f"the arrays cannot be read: {error}", str(path), "remove the record; it will run again"
            ) from None
        except BenchError:
            raise
        except Exception as error:  # zipfile and zlib raise types of their own on damaged files
            raise BenchError(
                f"the file is damaged: {error}", str(path), "remove the record; it will run again"
            ) from None

    def correct(self, records: Iterable[Record]) -> dict[str, np.ndarray]:
        """Key to the boolean array of which test samples were right, for records that have one."""
        out: dict[str, np.ndarray] = {}
        for record in records:
            arrays = self.arrays(record)
            if "prediction" in arrays and "label" in arrays:
                prediction, label = arrays["prediction"], arrays["label"]
                numbers = not {prediction.dtype.kind, label.dtype.kind} - set("iu")
                if not numbers or not prediction.shape == label.shape == (record.n_test,):
                    raise BenchError(
                        f"predictions {prediction.dtype} {prediction.shape} and labels {label.dtype} {label.shape} are not "
                        f"one whole number for each of {record.n_test} samples",
                        str(self.path(record).with_suffix(".npz")),
                        "remove the record; it will run again",
                    )
                out[record.key] = prediction == label
        return out


def stem_of(record: Record) -> str:
    """File-name prefix of a record, without the key."""
    twin = "" if record.twin == "none" else f"+{record.twin}"
    return f"{slug(record.variant)}{twin}--{slug(record.dataset)}--s{record.seed}"


def identity_of(record: Record) -> tuple[str, str, str, int]:
    """What two records of the same cell share."""
    return (record.variant, record.dataset, record.twin, record.seed)


def config_of(record: Record) -> dict[str, Any]:
    """What a record says of its cell's config (`Cell.config`), apart from what only its key holds."""
    return {
        "method": record.method,
        "method_params": record.method_params,
        "dataset": record.dataset_name,
        "dataset_params": record.dataset_params,
        "twin": record.twin,
        "seed": record.seed,
        "epochs": record.budget.get("epochs"),
        "batch_size": record.budget.get("batch_size"),
    }


def read_record(path: Path) -> Record:
    """Read and check one record. Raises `BenchError` with the field where it does not fit the schema."""
    if not S_ISREG(path.stat().st_mode):
        raise BenchError("is no file, where a record should be", str(path), "remove it; the cell will run again")
    if path.stat().st_size > MAX_RECORD_BYTES:
        raise BenchError("the file is too large to be a record", str(path), "remove it and run again")
    try:
        record = Record.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise BenchError(
            f"not a record of this version: {first['msg']}",
            f"{path} {place}".rstrip(),
            "remove it; the cell will run again",
        ) from None
    if record.schema_version > SCHEMA_VERSION:
        raise BenchError(
            f"the record has schema {record.schema_version}, this snn5bench reads up to {SCHEMA_VERSION}",
            str(path),
            "use a newer snn5bench",
        )
    return record


def _newest(paths: Sequence[Path]) -> Path:
    """The last one written. `Store.write` sees to it that this is the last by time of change, whatever the clock did."""
    return paths[0] if len(paths) == 1 else max(paths, key=lambda path: path.stat().st_mtime_ns)


def _remove(records: Iterable[Path]) -> None:
    """Remove records with their arrays, in the order that never leaves a record without its arrays."""
    for path in records:
        path.unlink(missing_ok=True)
        path.with_suffix(".npz").unlink(missing_ok=True)


class _Atomic:
    """A temporary file beside `path` that takes its name when the block ends well, and vanishes when it does not."""

    def __init__(self, path: Path, newer_than: int = 0) -> None:
        self.path, self.newer_than = path, newer_than

    def __enter__(self) -> Path:
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=_PARTIAL, suffix=self.path.suffix + ".tmp")
        os.close(handle)
        self.temporary = Path(name)
        return self.temporary

    def __exit__(self, kind: object, error: object, at: object) -> None:
        if kind is not None:
            self.temporary.unlink(missing_ok=True)
            return
        with self.temporary.open("rb") as file:
            os.fsync(file.fileno())
        if self.temporary.stat().st_mtime_ns <= self.newer_than:
            os.utime(self.temporary, ns=(self.newer_than + _CLOCK_NS,) * 2)
        self.temporary.chmod(0o644)
        self.temporary.replace(self.path)
