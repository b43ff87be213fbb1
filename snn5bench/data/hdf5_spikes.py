"""The HDF5 layout of the Heidelberg data: ragged spike times and units, a label and a speaker for each sample."""

from __future__ import annotations

import gzip
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from snn5bench.data.brought import whole
from snn5bench.errors import BenchError

if TYPE_CHECKING:
    import h5py

_BLOCK = 256


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
            try:
                block = times[start : start + _BLOCK], units[start : start + _BLOCK]
            except OSError as error:
                raise _broken(self.path, f"samples from {start} cannot be read ({error})") from error
            for offset, (t, u) in enumerate(zip(*block, strict=True)):
                yield Row(start + offset, t, u)


@contextmanager
def opened(path: Path) -> Iterator[Spikes]:
    """Open `path` (`.h5`, `.h5.gz` or `.h5.zip`). Raises `BenchError` where it is not a whole file of this layout."""
    import h5py

    with tempfile.TemporaryDirectory(prefix="snn5bench-") as scratch:
        plain = _plain(whole(path), Path(scratch))
        try:
            file = h5py.File(plain, "r")
        except OSError as error:
            raise _broken(path, f"is not a whole HDF5 file ({error})") from error
        with file:
            yield Spikes(path, file, *_columns(path, file))


def _plain(path: Path, scratch: Path) -> Path:
    if path.suffix not in (".gz", ".zip"):
        return path
    out = scratch / path.stem
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as packed, out.open("wb") as target:
                shutil.copyfileobj(packed, target, 1 << 20)
        else:
            with zipfile.ZipFile(path) as archive:
                inside = [name for name in archive.namelist() if name.endswith(".h5")]
                if len(inside) != 1:
                    raise _broken(path, f"holds {len(inside)} .h5 files, expected one")
                with archive.open(inside[0]) as packed, out.open("wb") as target:
                    shutil.copyfileobj(packed, target, 1 << 20)
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise _broken(path, f"cannot be unpacked ({error})") from error
    return out


def _columns(path: Path, file: h5py.File) -> tuple[np.ndarray, np.ndarray]:
    absent = [name for name in ("spikes/times", "spikes/units", "labels") if name not in file]
    if absent:
        raise _broken(path, f"has no {', '.join(absent)}")
    label = np.asarray(file["labels"])
    lengths = {name: len(file[name]) for name in ("spikes/times", "spikes/units", "labels")}
    if len(set(lengths.values())) != 1:
        raise _broken(path, f"has columns of different lengths {lengths}")
    if label.dtype.kind not in "iuf" or (len(label) and not np.isfinite(label.astype(np.float64)).all()):
        raise _broken(path, f"has labels of type {label.dtype} that are not all numbers")
    speaker = np.asarray(file["extra/speaker"]) if "extra/speaker" in file else np.full(len(label), -1)
    if len(speaker) != len(label):
        raise _broken(path, f"names {len(speaker)} speakers for {len(label)} samples")
    return label.astype(np.int64), speaker.astype(np.int64)


def _broken(path: Path, what: str) -> BenchError:
    return BenchError(what, where=str(path), do="get the file again")
