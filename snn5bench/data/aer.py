"""Address-event files: the 5-byte form of N-MNIST, AEDAT 3.1 of DVS128 Gesture, AEDAT 2.0 of CIFAR10-DVS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from snn5bench.data.brought import content
from snn5bench.errors import BenchError

POLARITY_EVENTS = 1
_END = b"#!END-HEADER\r\n"
_HEADER = np.dtype(
    [("type", "<u2"), ("source", "<u2")]
    + [(name, "<u4") for name in ("size", "offset", "overflow", "capacity", "number", "valid")]
)


class Address(NamedTuple):
    """Events [events] of a camera, in the order of the file, all whole numbers. Long recordings have millions, so that
    `x`, `y` and `polarity` may be narrow; `t` is int64."""

    x: np.ndarray
    y: np.ndarray
    polarity: np.ndarray
    """0 or 1"""
    t: np.ndarray
    """Microseconds."""

    def channel(self, width: int, height: int, pool: int = 1) -> np.ndarray:
        """Index into (polarity, height / pool, width / pool). Raises `ValueError` outside the sensor."""
        if len(self.x) and (self.x.max() >= width or self.y.max() >= height or min(self.x.min(), self.y.min()) < 0):
            raise ValueError(f"a pixel x={self.x.max()}, y={self.y.max()} leaves the {width} x {height} sensor")
        x, y, polarity = (column.astype(np.int64) for column in self[:3])
        return (polarity * (height // pool) + y // pool) * (width // pool) + x // pool


def read_five_byte(path: Path) -> Address:
    """Events of x, y, then polarity in bit 7 and the time's bits 22-16, then bits 15-8 and 7-0 (`.bin`, `.bs2`)."""
    raw = np.frombuffer(content(path), dtype=np.uint8)
    if len(raw) % 5:
        raise BenchError(
            f"has {len(raw)} bytes, expected a multiple of 5", where=str(path), do="get it again: it is cut off"
        )
    x, y, high, middle, low = raw.reshape(-1, 5).T.astype(np.int64)
    return Address(x, y, high >> 7, (high & 127) << 16 | middle << 8 | low)


def read_aedat31(path: Path) -> Address:
    """Polarity events of an AEDAT 3.1 file; other packets are passed over."""
    raw = content(path)
    start = raw.find(_END)
    if not raw.startswith(b"#!AER-DAT3.1") or start < 0:
        raise BenchError(f"starts with {raw[:12]!r}, expected an AEDAT 3.1 header", where=str(path))
    packets = list(_packets(path, raw, start + len(_END)))
    total, filled = sum(number for _, number, _ in packets), 0
    data, time = np.empty(total, dtype=np.uint32), np.empty(total, dtype=np.int64)
    for at, number, overflow in packets:
        words, part = np.frombuffer(raw, "<u4", 2 * number, at).reshape(-1, 2), slice(filled, filled + number)
        data[part] = words[:, 0]
        time[part] = words[:, 1]
        time[part] |= overflow << 31
        filled += number
    valid = (data & 1) == 1
    if not valid.all():
        data, time = data[valid], time[valid]
    x, y, polarity = ((data >> shift & mask).astype(np.int16) for shift, mask in ((17, 0x1FFF), (2, 0x1FFF), (1, 1)))
    return Address(x, y, polarity, time)


def read_aedat2(path: Path) -> Address:
    """Events of an AEDAT 2.0 file of a DVS128: big-endian words, x in bits 1-7, y in bits 8-14, polarity in bit 0."""
    raw, at = content(path), 0
    if not raw.startswith(b"#!AER-DAT2.0"):
        raise BenchError(f"starts with {raw[:12]!r}, expected an AEDAT 2.0 header", where=str(path))
    while raw[at : at + 1] == b"#":
        at = raw.find(b"\n", at) + 1 or len(raw)
    if (len(raw) - at) % 8:
        raise BenchError(
            f"has {len(raw) - at} bytes of events, expected a multiple of 8", where=str(path), do="it is cut off"
        )
    data, time = np.frombuffer(raw, ">u4", offset=at).reshape(-1, 2).T.astype(np.int64)
    return Address(data >> 1 & 0x7F, data >> 8 & 0x7F, data & 1, time)


def _packets(path: Path, raw: bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """First byte, number of events and overflow of the clock of each packet of polarity events."""
    while at < len(raw):
        if at + _HEADER.itemsize > len(raw):
            raise BenchError(
                "ends within a packet's header", where=f"{path}, byte {at}", do="get it again: it is cut off"
            )
        head = np.frombuffer(raw, _HEADER, 1, at)[0]
        body, number, size = at + _HEADER.itemsize, int(head["number"]), int(head["size"])
        at = body + number * size
        if at > len(raw):
            raise BenchError(
                f"announces {number} events and ends after {(len(raw) - body) // max(size, 1)}",
                where=f"{path}, byte {body}",
                do="get it again: it is cut off",
            )
        if head["type"] == POLARITY_EVENTS:
            if size != 8:
                raise BenchError(f"has events of {size} bytes, expected 8", where=f"{path}, byte {body}")
            yield body, number, int(head["overflow"])
