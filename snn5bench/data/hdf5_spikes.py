"""The HDF5 layout of the Heidelberg data: ragged spike times and units, a label and a speaker for each sample."""

from __future__ import annotations

import gzip
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from snn5bench.data.brought import decoding, whole
from snn5bench.errors import BenchError

if TYPE_CHECKING:
    import h5py

_BLOCK = 256
_MOST_UNPACKED = 100
"""The official files unpack to less than four times their size."""
_COLUMNS = ("spikes/times", "spikes/units", "labels")


class Row(NamedTuple):
    """One recording as it is stored."""

    number: int
    times: np.ndarray
    """[events], seconds, often float16"""
    units: np.ndarray
    """[events]"""


class Spikes(NamedTuple):
    """An open file of recordings."""

    path: Path
    file: h5py.File
    label: np.ndarray
    """int64 [samples]"""
    speaker: np.ndarray
    """int64 [samples]; -1 where the file names none"""

    def rows(self) -> Iterator[Row]:
        """Every recording; read in blocks, which is what makes HDF5's ragged rows fast."""
        times, units = self.file["spikes/times"], self.file["spikes/units"]
        for start in range(0, len(self.label), _BLOCK):
            with decoding(self.path, f"samples from {start} cannot be read"):
                block = times[start : start + _BLOCK], units[start : start + _BLOCK]
            for offset, (t, u) in enumerate(zip(*block, strict=True)):
                yield Row(start + offset, t, u)


@contextmanager
def opened(path: Path) -> Iterator[Spikes]:
    """Open `path` (`.h5`, `.h5.gz` or `.h5.zip`). Raises `BenchError` where it is not a whole file of this layout."""
    import h5py

    with tempfile.TemporaryDirectory(prefix="snn5bench-") as scratch:
        plain = _plain(whole(path), Path(scratch))
        with decoding(path, "is not a whole HDF5 file"):
            file = h5py.File(plain, "r")
        with file:
            with decoding(path, "is not a whole HDF5 file"):
                spikes = Spikes(path, file, *_columns(path, file, plain.stat().st_size))
            yield spikes


def _plain(path: Path, scratch: Path) -> Path:
    if path.suffix not in (".gz", ".zip"):
        return path
    out = scratch / path.stem
    with decoding(path, "cannot be unpacked"):
        if path.suffix == ".gz":
            with gzip.open(path) as packed:
                _copy(packed, out, path)
        else:
            with zipfile.ZipFile(path) as archive:
                inside = [name for name in archive.namelist() if name.endswith(".h5")]
                if len(inside) != 1:
                    raise _broken(path, f"holds {len(inside)} .h5 files, expected one")
                with archive.open(inside[0]) as packed:
                    _copy(packed, out, path)
    return out


class _Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _copy(packed: _Source, out: Path, path: Path) -> None:
    left = _MOST_UNPACKED * path.stat().st_size
    with out.open("wb") as target:
        while piece := packed.read(1 << 20):
            left -= len(piece)
            if left < 0:
                raise _broken(path, f"would unpack to more than {_MOST_UNPACKED} times its size")
            target.write(piece)


def _columns(path: Path, file: h5py.File, size: int) -> tuple[np.ndarray, np.ndarray]:
    import h5py

    found = {name: _dataset(path, file, name) for name in (*_COLUMNS, "extra/speaker")}
    absent = [name for name in _COLUMNS if found[name] is None]
    if absent:
        raise _broken(path, f"has no {', '.join(absent)}")
    columns = {name: column for name, column in found.items() if column is not None}
    lengths = {name: column.shape for name, column in columns.items()}
    if len(set(lengths.values())) != 1 or len(columns["labels"].shape) != 1:
        raise _broken(path, f"has columns of different lengths {lengths}")
    if len(columns["labels"]) > size:
        raise _broken(path, f"announces {len(columns['labels'])} samples in {size} bytes")
    for name in ("spikes/times", "spikes/units"):
        if h5py.check_vlen_dtype(columns[name].dtype) is None:
            raise _broken(path, f"has {name} of type {columns[name].dtype}, expected a list for each sample")
    label = _whole_numbers(path, columns["labels"], "labels")
    if "extra/speaker" not in columns:
        return label, np.full(len(label), -1)
    return label, _whole_numbers(path, columns["extra/speaker"], "speakers")


def _dataset(path: Path, file: h5py.File, name: str) -> h5py.Dataset | None:
    """The column called `name`, where it stands in this very file; links to elsewhere are not followed."""
    import h5py

    at = file
    for part in name.split("/"):
        link = at.get(part, getlink=True) if isinstance(at, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise _broken(path, f"has a link to elsewhere in the place of {name}")
        at = at[part]
    if not isinstance(at, h5py.Dataset) or at.is_virtual or at.external or at.shape is None:
        raise _broken(path, f"has {name}, which holds no values of its own")
    return at


def _whole_numbers(path: Path, column: h5py.Dataset, what: str) -> np.ndarray:
    """int64 [samples], each of which an int32 could hold."""
    values = np.asarray(column)
    if values.dtype.kind not in "iuf":
        raise _broken(path, f"has {what} of type {values.dtype}, expected numbers")
    wide = values.astype(np.float64)
    bad = np.flatnonzero(~((wide == np.floor(wide)) & (np.abs(wide) < 2**31)))
    if len(bad):
        raise _broken(path, f"has {what} that are no whole numbers: {values[bad[0]]} at sample {bad[0]}")
    return values.astype(np.int64)


def _broken(path: Path, what: str) -> BenchError:
    return BenchError(what, where=str(path), do="get the file again")
