"""Files of pictures: IDX (MNIST), CIFAR's pickled batches read without running them, and grey PNGs."""

from __future__ import annotations

import gzip
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from snn5bench.data.brought import whole
from snn5bench.errors import BenchError


def read_idx(path: Path) -> np.ndarray:
    """uint8 array of any shape from an IDX file, plain or gzipped. Raises `BenchError` where it is not whole."""
    try:
        raw = whole(path).read_bytes()
        raw = gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (OSError, EOFError) as error:
        raise BenchError(f"cannot be unpacked ({error})", where=str(path), do="get it again") from error
    if len(raw) < 4 or raw[:3] != b"\0\0\x08":
        raise BenchError(
            f"starts with {raw[:4]!r}, expected an IDX header of bytes", where=str(path), do="get it again"
        )
    shape = np.frombuffer(raw, ">u4", raw[3], 4).astype(int) if len(raw) >= 4 + 4 * raw[3] else np.array([-1])
    content = np.frombuffer(raw, np.uint8, offset=min(4 + 4 * raw[3], len(raw)))
    if len(content) != shape.prod():
        raise BenchError(f"announces {shape.prod()} bytes and has {len(content)}", where=str(path), do="get it again")
    return content.reshape(shape)


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


def read_cifar(path: Path, label_key: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels uint8 [n, 3, 32, 32] and labels int64 [n] of one batch; `label_key` is `labels` or `fine_labels`."""
    try:
        batch = _Plain(io.BytesIO(whole(path).read_bytes()), encoding="bytes").load()
        pixels = np.asarray(batch[b"data"], dtype=np.uint8).reshape(-1, 3, 32, 32)
        labels = np.asarray(batch[label_key.encode()], dtype=np.int64)
    except (pickle.UnpicklingError, EOFError, KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise BenchError(
            f"is no whole batch of CIFAR's Python version ({error})", where=str(path), do="get it again"
        ) from error
    if len(pixels) != len(labels):
        raise BenchError(f"has {len(pixels)} pictures and {len(labels)} labels", where=str(path), do="get it again")
    return pixels, labels


def read_grey(path: Path) -> np.ndarray:
    """Pixels uint8 [height, width] of a picture, in grey."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(whole(path)) as picture:
            return np.asarray(picture.convert("L"))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise BenchError(f"is no whole picture ({error})", where=str(path), do="get it again") from error
