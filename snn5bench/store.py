"""The records of a suite on disk: one file a cell, written once, atomically."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from snn5bench.cell import Cell, slug
from snn5bench.errors import BenchError
from snn5bench.record import SCHEMA_VERSION, Record, Status

MAX_RECORD_BYTES = 16 << 20
MAX_ARRAYS_BYTES = 1 << 30


class Store:
    """`results/<suite>/cells/`: knows the names of its files and nothing of what is in them."""

    def __init__(self, results: Path, suite: str) -> None:
        self.folder = results / suite
        self.cells = self.folder / "cells"

    def path(self, record: Record) -> Path:
        """`<method>--<dataset>--s<seed>--<key8>.json`"""
        return self.cells / f"{stem_of(record)}--{slug(record.key[:8])}.json"

    def write(self, record: Record, arrays: Mapping[str, np.ndarray] | None = None) -> Path:
        """Write a record and its per-sample arrays so that either both are there and whole, or neither. A cell that ended
        replaces its records under other keys; one that did not run to an end replaces nothing."""
        self.cells.mkdir(parents=True, exist_ok=True)
        path = self.path(record)
        try:
            if arrays:
                with _Atomic(path.with_suffix(".npz")) as temporary, temporary.open("wb") as file:
                    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
            with _Atomic(path) as temporary:
                temporary.write_text(record.model_dump_json(indent=1) + "\n")
        except OSError as error:
            raise BenchError(
                f"the record could not be written: {error.strerror or error}",
                where=str(path),
                do="free the disk or mend the folder's permissions and run again; finished cells are kept",
            ) from error
        ended = record.status in {Status.DONE, Status.FAILED, Status.INCOMPATIBLE}
        for old in self.cells.glob(f"{_glob(stem_of(record))}--????????.json") if ended else ():
            if old != path:
                old.with_suffix(".npz").unlink(missing_ok=True)
                old.unlink(missing_ok=True)
        return path

    def records(self, known: Iterable[Cell] | None = None) -> list[Record]:
        """All records, in the order of their file names; with `known`, those of these cells alone."""
        wanted = None if known is None else {cell.identity for cell in known}
        found = [read_record(path) for path in sorted(self.cells.glob("*.json"))]
        return [r for r in found if wanted is None or identity_of(r) in wanted]

    def last_of(self, cell: Cell) -> Record | None:
        """The record of a cell, whatever its key."""
        paths = sorted(self.cells.glob(f"{_glob(cell.stem)}--????????.json"), key=lambda p: p.stat().st_mtime_ns)
        return read_record(paths[-1]) if paths else None

    def arrays(self, record: Record) -> dict[str, np.ndarray]:
        """Per-sample arrays of a record (`label`, `prediction` of the test samples); empty where it has none."""
        path = self.path(record).with_suffix(".npz")
        if not path.is_file():
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


def read_record(path: Path) -> Record:
    """Read and check one record. Raises `BenchError` with the field where it does not fit the schema."""
    if not path.is_file():
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


class _Atomic:
    """A temporary file beside `path` that takes its name when the block ends well, and vanishes when it does not."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Path:
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=".partial-", suffix=self.path.suffix + ".tmp")
        os.close(handle)
        self.temporary = Path(name)
        return self.temporary

    def __exit__(self, kind: object, error: object, at: object) -> None:
        if kind is not None:
            self.temporary.unlink(missing_ok=True)
            return
        with self.temporary.open("rb") as file:
            os.fsync(file.fileno())
        self.temporary.chmod(0o644)
        self.temporary.replace(self.path)


def _glob(text: str) -> str:
    return text.replace("[", "[[]")
