"""Files of pictures: IDX (MNIST), CIFAR's pickled batches read without running them, and grey PNGs."""

from __future__ import annotations

import gzip
import io
import math
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np

from snn5bench.data.brought import MOST_BYTES, content, decoding, whole
from snn5bench.errors import BenchError

MOST_UNPACKED = 64
"""MNIST's labels, which pack best, shrink to a half; a file that grows more was made to fill the memory."""


def read_idx(path: Path) -> np.ndarray:
    """uint8 array of any shape from an IDX file, plain or gzipped. Raises `BenchError` where it is not whole."""
    with decoding(path, "cannot be unpacked"):
        raw = _unpacked(whole(path)) if path.suffix == ".gz" else content(path)
    if len(raw) < 4 or raw[:3] != b"\0\0\x08":
        raise BenchError(
            f"starts with {raw[:4]!r}, expected an IDX header of bytes", where=str(path), do="get it again"
        )
    if len(raw) < 4 + 4 * raw[3] or not 1 <= raw[3] <= 4:
        raise BenchError(f"has a header of {raw[3]} axes that is not whole", where=str(path), do="get it again")
    shape = np.frombuffer(raw, ">u4", raw[3], 4).tolist()
    values = np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3])
    if len(values) != math.prod(shape):
        raise BenchError(
            f"announces {math.prod(shape)} bytes and has {len(values)}", where=str(path), do="get it again"
        )
    return values.reshape(shape)


def _unpacked(path: Path) -> bytes:
    """The content of a `.gz`; no more than a file of pictures of its size could hold."""
    most = min(MOST_BYTES, MOST_UNPACKED * path.stat().st_size)
    with gzip.open(path) as file:
        raw = file.read(most + 1)
    if len(raw) > most:
        raise ValueError(f"it would unpack to more than {most:,} bytes")
    return raw


class _Plain(pickle.Unpickler):
    """Builds arrays and plain containers; refuses anything else that a pickle could ask for."""

    _ALLOWED = frozenset(
        {
            ("numpy", "dtype"),
            ("numpy", "ndarray"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy._core.numeric", "_frombuffer"),
            ("_codecs", "encode"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no batch of pictures needs")
        return super().find_class(module, name)


_CONTAINERS = frozenset(
    "EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST LIST EMPTY_DICT DICT EMPTY_SET FROZENSET REDUCE BUILD INST OBJ "
    "NEWOBJ NEWOBJ_EX".split()
)


def _refuse_growth(raw: bytes) -> None:
    """Refuse what lets a short pickle grow without bound: containers that are used twice (each level may double), and
    memo slots far beyond the number of objects. No batch of pictures has either."""
    memo: dict[int, bool] = {}
    is_container = False
    for number, (code, value, _) in enumerate(pickletools.genops(raw)):
        if code.name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            slot = len(memo) if code.name == "MEMOIZE" else int(value or 0)
            if slot > number:
                raise pickle.UnpicklingError(f"it puts an object into slot {slot}")
            memo[slot] = is_container
        elif code.name == "DUP" or (code.name in ("GET", "BINGET", "LONG_BINGET") and memo.get(int(value or 0), False)):
            raise pickle.UnpicklingError("it uses a container twice, which no batch of pictures needs")
        else:
            is_container = code.name in _CONTAINERS


def read_cifar(path: Path, label_key: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels uint8 [n, 3, 32, 32] and labels int64 [n] of one batch; `label_key` is `labels` or `fine_labels`."""
    with decoding(path, "is no whole batch of CIFAR's Python version"):
        raw = content(path)
        _refuse_growth(raw)
        batch = _Plain(io.BytesIO(raw), encoding="bytes").load()
        pixels, labels = batch[b"data"], batch[label_key.encode()]
        if not (isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.shape[1:] == (3072,)):
            raise ValueError("`data` are not rows of 3,072 bytes")
        if not (isinstance(labels, list) and all(type(label) is int and 0 <= label < 256 for label in labels)):
            raise ValueError(f"`{label_key}` is not a list of whole numbers from 0")
    if len(pixels) != len(labels):
        raise BenchError(f"has {len(pixels)} pictures and {len(labels)} labels", where=str(path), do="get it again")
    return pixels.reshape(-1, 3, 32, 32), np.array(labels, dtype=np.int64)


MOST_PIXELS = 1 << 20


def read_grey(path: Path) -> np.ndarray:
    """Pixels uint8 [height, width] of a PNG, in grey."""
    from PIL import Image

    with decoding(path, "is no whole PNG"), Image.open(whole(path), formats=("PNG",)) as picture:
        if picture.width * picture.height > MOST_PIXELS:
            raise ValueError(f"it announces {picture.width} x {picture.height} pixels")
        return np.asarray(picture.convert("L"))
