"""Recorded events made safe: refused where they cannot be right, repaired where there is one way, and counted."""

from __future__ import annotations

from collections import Counter
from typing import NoReturn

import numpy as np

from snn5bench.errors import BenchError

UNSORTED = "samples with times out of order (order does not matter: they are binned)"
EMPTY = "samples without events (kept)"
LATE = "events after the window (dropped)"
"""Names under which repairs are counted."""


def to_steps(
    times: np.ndarray, channel: np.ndarray, T: int, window: float, channels: int, where: str, counted: Counter[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Put events (`times` [events] in the unit of `window`, `channel` [events]) on `T` steps that share `window`.

    Returns int64 `step` and `channel`, in the order given. Times of any real type are cast to float64 before they are
    scaled. Repairs, added to `counted`: times out of order are taken as they are, events after the window are dropped,
    a sample without events is kept. Refused with `where` (file and sample): negative times, NaN, infinity, a channel
    outside 0..`channels` - 1 or not whole, lists of different lengths.
    """
    if np.ndim(times) != 1 or np.ndim(channel) != 1 or len(times) != len(channel):
        _refuse(where, f"times {np.shape(times)} and channels {np.shape(channel)} are not two lists of one length")
    if len(times) == 0:
        counted[EMPTY] += 1
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    if times.dtype.kind not in "fiu" or channel.dtype.kind not in "fiu":
        _refuse(where, f"times are {times.dtype} and channels {channel.dtype}, expected numbers")
    seconds = np.asarray(times, dtype=np.float64)
    low, high = seconds.min(), seconds.max()
    if not (low >= 0 and high < np.inf):
        bad = int(np.flatnonzero(~((seconds >= 0) & (seconds < np.inf)))[0])
        _refuse(where, f"event {bad} has time {times[bad]}, expected a number from 0")
    if channel.dtype.kind == "f" and not (np.abs(channel.astype(np.float64)) < 2**31).all():
        _refuse(where, "a channel is not a whole number")
    index = np.asarray(channel).astype(np.int64)
    if channel.dtype.kind == "f" and not (index == channel).all():
        _refuse(where, "a channel is not a whole number")
    if index.min() < 0 or index.max() >= channels:
        _refuse(where, f"channels {index.min()}..{index.max()} leave 0..{channels - 1}")
    counted[UNSORTED] += int((seconds[1:] < seconds[:-1]).any())
    step = np.minimum(seconds * (T / window), T).astype(np.int64)
    if high >= window or step.max() >= T:
        inside = step < T
        counted[LATE] += len(step) - int(inside.sum())
        return step[inside], index[inside]
    return step, index


def _refuse(where: str, what: str) -> NoReturn:
    raise BenchError(what, where=where, do="mend or replace the file; `snn5bench data check` looks at all of them")
