"""Frames: what one sample shows one layer at one step, and how many non-zeros stand in it.

Everything that is counted is counted frame by frame, so that no number depends on which samples share a batch.
Accumulators are 64 bit: float32 sums go wrong above 2**24.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import torch
from torch import Tensor

from snn5bench.contracts.inputs import SpikeBits

TERNARY, INTEGER, REAL = 0, 1, 2
"""Levels of a frame: all values in {-1, 0, 1}; all whole numbers; anything else."""
_EVERY = np.uint64(0x0101010101010101)


class Look(NamedTuple):
    """One quick pass over a tensor of frames."""

    fired: np.ndarray | None
    """int64 `[steps, n]`: in how many frames of the batch each value is not exactly zero; None for spikes as bits."""
    by_step: np.ndarray
    """int64 `[steps]`: its sum over values."""
    by_value: np.ndarray
    """int64 `[n]`: its sum over steps."""
    total: int
    """Its sum over both."""
    unit: bool
    """Whether every frame is `TERNARY`."""


class Scan(NamedTuple):
    """A pass that keeps the frames apart; every field is `[steps, B]`."""

    nonzero: np.ndarray
    """int64: values that are not exactly zero."""
    weighted: np.ndarray
    """int64: the same, each counted as often as it fans out."""
    unrolled: np.ndarray
    """int64: fan-out times |value| in `INTEGER` frames (spikes of size k as k unit spikes), 0 elsewhere."""
    level: np.ndarray
    """int8: `TERNARY`, `INTEGER` or `REAL`."""


def as_frames(x: Tensor, trailing: int, T: int, B: int) -> Tensor:
    """`x` as `[steps, B, n]`: steps is T for a call on the whole sequence, fewer for a chunk of it, 1 for one step.

    The last `trailing` dimensions belong to one item; those before must begin with `T, B`, with `T * B` or with `B`, or
    be just `steps, B` or `B, T` (batch first). Where two of these fit, the first is taken (the totals are the same by
    each). Raises `ValueError` for any other shape.
    """
    lead = tuple(x.shape[: x.ndim - trailing])
    if lead[:2] == (T, B) or lead[:1] == (T * B,):
        return x.reshape(T, B, -1)
    if len(lead) == 2 and lead[0] < T and lead[1] == B:
        return x.reshape(lead[0], B, -1)
    if lead == (B, T):
        return x.transpose(0, 1).reshape(T, B, -1)
    if lead[:1] == (B,):
        return x.reshape(1, B, -1)
    raise ValueError(f"a tensor of shape {tuple(x.shape)} does not fit {B} samples of {T} steps")


def look(frames: Tensor | SpikeBits) -> Look:
    """Who fired, and whether all frames of `[steps, B, n]` are binary or ternary."""
    if isinstance(frames, SpikeBits):
        by_step, by_value = _look_bits(frames.words)
        return Look(None, by_step, by_value[: frames.channels], int(by_step.sum()), True)
    steps = frames.shape[0]
    if steps > 1 and frames.stride(0) == 0:
        once = look(frames[:1])
        fired = None if once.fired is None else np.broadcast_to(once.fired, (steps, len(once.by_value)))
        return Look(fired, once.by_step.repeat(steps), once.by_value * steps, once.total * steps, once.unit)
    if frames.device.type == "cpu":
        return Look(*_look(_array(frames)))
    return _look_torch(frames)


def scan(frames: Tensor, fan_out: np.ndarray) -> Scan:
    """Count the non-zeros of `[steps, B, n]` frames; `fan_out` (int64 `[n]`) is how many outputs each value reaches."""
    steps, batch, n = frames.shape
    repeated = steps > 1 and frames.stride(0) == 0
    rows = (frames[:1] if repeated else frames).reshape(-1, n)
    if rows.device.type == "cpu":
        found = _scan(_array(rows), np.ascontiguousarray(fan_out, dtype=np.int64))
    else:
        found = _scan_torch(rows, torch.from_numpy(fan_out).to(rows.device))
    if repeated:
        return Scan(*(np.broadcast_to(part, (steps, batch)) for part in found))
    return Scan(*(part.reshape(steps, batch) for part in found))


@numba.njit(cache=True, nogil=True)
def reach_by_step(step: np.ndarray, channel: np.ndarray, fan_out: np.ndarray, steps: int) -> np.ndarray:
    """Outputs that the events of each step reach: int64 `[steps]`."""
    reach = np.zeros(steps, np.int64)
    start, events = 0, len(step)
    while start < events:
        now, end, total = step[start], start, np.int64(0)
        while end < events and step[end] == now:
            total += fan_out[channel[end]]
            end += 1
        reach[now] += total
        start = end
    return reach


@numba.njit(cache=True, nogil=True)
def events_by_step(step: np.ndarray, steps: int) -> np.ndarray:
    """Events of each step, int64 `[steps]`: quick where they come in runs, since a bit tells for each of 64 events if its
    run ends there."""
    hits = np.zeros(steps, np.int64)
    at = done = 0
    while at + 64 < len(step):
        ends = np.uint64(0)
        for i in range(64):
            ends |= np.uint64(step[at + i] != step[at + i + 1]) << np.uint64(i)
        while ends != 0:
            stop = at + 1 + _ones((ends & (~ends + np.uint64(1))) - np.uint64(1))
            hits[step[stop - 1]] += stop - done
            done = stop
            ends &= ends - np.uint64(1)
        at += 64
    for k in range(done, len(step)):
        hits[step[k]] += 1
    return hits


@numba.njit(cache=True, nogil=True)
def _ones(word: Any) -> Any:
    """Set bits of a word: sums of 2, 4 and 8 bits in place, then of all eight bytes."""
    word -= (word >> np.uint64(1)) & np.uint64(0x5555555555555555)
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * _EVERY) >> np.uint64(56))


def _array(x: Tensor) -> np.ndarray:
    x = x.detach()
    return (x if x.dtype in (torch.float32, torch.float64) else x.float()).contiguous().numpy()


@numba.njit(cache=True, nogil=True)
def _look(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, int, bool]:
    steps, batch, n = x.shape
    fired = np.zeros((steps, n), np.int64)
    by_step = np.zeros(steps, np.int64)
    by_value = np.zeros(n, np.int64)
    within = np.zeros(n, np.int32)
    beyond = np.zeros(n, np.int32)
    for step in range(steps):
        within[:] = 0
        for b in range(batch):
            for i in range(n):
                size = abs(x[step, b, i])
                within[i] += np.int32(size != 0)
                beyond[i] |= np.int32(size != 0) & np.int32(size != 1)
        for i in range(n):
            fired[step, i] = within[i]
            by_step[step] += within[i]
            by_value[i] += within[i]
    return fired, by_step, by_value, by_step.sum(), not np.any(beyond)


@numba.njit(cache=True, nogil=True)
def _look_bits(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`by_step`, and `by_value` of all bits: eight columns are added up at once in the bytes of a word, which hold 255."""
    batch, steps, width = words.shape
    by_step = np.zeros(steps, np.int64)
    by_value = np.zeros(64 * width, np.int64)
    rows = words.reshape(-1, width)
    for w in range(width):
        for b in range(batch):
            for step in range(steps):
                by_step[step] += _ones(words[b, step, w])
        for low in range(0, len(rows), 255):
            some = rows[low : low + 255, w].copy()
            for i in range(8):
                sums = np.uint64(0)
                for word in some:
                    sums += (word >> np.uint64(i)) & _EVERY
                for k in range(8):
                    by_value[64 * w + 8 * k + i] += np.int64((sums >> np.uint64(8 * k)) & np.uint64(255))
    return by_step, by_value


def _look_torch(frames: Tensor) -> Look:
    """The same in torch operations, for tensors that are not on the CPU."""
    hit = frames != 0
    fired = hit.sum(1, dtype=torch.int64).cpu().numpy()
    return Look(fired, fired.sum(1), fired.sum(0), int(fired.sum()), not bool((hit & (frames.abs() != 1)).any()))


@numba.njit(cache=True, nogil=True)
def _scan(x: np.ndarray, fan_out: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rows, n = x.shape
    nonzero = np.zeros(rows, np.int64)
    weighted = np.zeros(rows, np.int64)
    unrolled = np.zeros(rows, np.int64)
    level = np.zeros(rows, np.int8)
    for row in range(rows):
        hits, beyond = np.int32(0), np.int32(0)
        for i in range(n):
            size = abs(x[row, i])
            hits += np.int32(size != 0)
            beyond += np.int32(size != 0) & np.int32(size != 1)
        nonzero[row] = hits
        if hits:
            reach = np.int64(0)
            for i in range(n):
                reach += fan_out[i] if x[row, i] != 0 else 0
            weighted[row] = reach
        if beyond:
            level[row] = INTEGER
            reach = np.int64(0)
            for i in range(n):
                size = abs(x[row, i])
                if not (size == np.floor(size) and size < 2**31):
                    level[row] = REAL
                    reach = np.int64(0)
                    break
                reach += np.int64(size) * fan_out[i]
            unrolled[row] = reach
    return nonzero, weighted, unrolled, level


def _scan_torch(x: Tensor, fan_out: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The same in torch operations, for tensors that are not on the CPU (float64 holds whole numbers to 2**53)."""
    size = x.detach().abs().double()
    hit = size != 0
    beyond = (hit & (size != 1)).any(1)
    real = ~((size == size.floor()) & (size < 2**31)).all(1)
    level = torch.where(beyond, torch.where(real, REAL, INTEGER), TERNARY).to(torch.int8)
    weighted = hit.double() @ fan_out.double()
    unrolled = torch.where(level == INTEGER, size.nan_to_num() @ fan_out.double(), 0.0)
    return (
        hit.sum(1).cpu().numpy(),
        weighted.long().cpu().numpy(),
        unrolled.long().cpu().numpy(),
        level.cpu().numpy(),
    )
