"""Frames: what one sample shows one layer at one step, and how many non-zeros stand in it.

Everything that is counted is counted frame by frame, so that no number depends on which samples share a batch.
Accumulators are 64 bit: float32 sums go wrong above 2**24.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import torch
from torch import Tensor

TERNARY, INTEGER, REAL = 0, 1, 2
"""Levels of a frame: all values in {-1, 0, 1}; all whole numbers; anything else."""


class Look(NamedTuple):
    """One quick pass over a tensor of frames."""

    fired: np.ndarray
    """int64 `[steps, n]`: in how many frames of the batch each value is not exactly zero."""
    by_step: np.ndarray
    """int64 `[steps]`: its sum over values."""
    by_value: np.ndarray
    """int64 `[n]`: its sum over steps."""
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


def look(frames: Tensor) -> Look:
    """Who fired, and whether all frames of `[steps, B, n]` are binary or ternary."""
    steps = frames.shape[0]
    if steps > 1 and frames.stride(0) == 0:
        once = look(frames[:1])
        fired = np.broadcast_to(once.fired, (steps, once.fired.shape[1]))
        return Look(fired, once.by_step.repeat(steps), once.by_value * steps, once.unit)
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
def events_by_step(
    step: np.ndarray, channel: np.ndarray, fan_out: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Events, and the outputs they reach, at each step: two int64 `[steps]`."""
    hits = np.zeros(steps, np.int64)
    reach = np.zeros(steps, np.int64)
    start, events = 0, len(step)
    while start < events:
        now, end, total = step[start], start, np.int64(0)
        while end < events and step[end] == now:
            total += fan_out[channel[end]]
            end += 1
        hits[now] += end - start
        reach[now] += total
        start = end
    return hits, reach


def _array(x: Tensor) -> np.ndarray:
    x = x.detach()
    return (x if x.dtype in (torch.float32, torch.float64) else x.float()).contiguous().numpy()


@numba.njit(cache=True, nogil=True)
def _look(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
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
    return fired, by_step, by_value, not np.any(beyond)


def _look_torch(frames: Tensor) -> Look:
    """The same in torch operations, for tensors that are not on the CPU."""
    hit = frames != 0
    fired = hit.sum(1, dtype=torch.int64).cpu().numpy()
    return Look(fired, fired.sum(1), fired.sum(0), not bool((hit & (frames.abs() != 1)).any()))


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
