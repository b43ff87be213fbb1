"""Hair cells, auditory fibres and bushy cells: membrane motion in, spikes out. The only module that needs numba.

Explicit Euler throughout. A channel draws from a counter-based stream (SplitMix64) keyed by the utterance's seed and
the channel's number, so that no result depends on processes, threads or order.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX1, _MIX2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_ONE = np.uint64(1)

Hair = tuple[float, float, float, float, float, float, float, float, float]
"""A, B, g, y, l, r, x, h, M of Meddis's hair cell; rates per second."""

Bushy = tuple[int, int, float, float, int, float]
"""Fibres, their dead steps, tau_m and tau_syn in seconds, the cell's dead steps, weight of a fibre."""


@njit(cache=True)
def _mix(z: np.uint64) -> np.uint64:
    """The output function of SplitMix64 (Steele, Lea and Flood 2014)."""
    z = (z ^ (z >> _S30)) * _MIX1
    z = (z ^ (z >> _S27)) * _MIX2
    return z ^ (z >> _S31)


@njit(cache=True)
def uniform(key: np.uint64, counter: np.uint64) -> float:
    """The `counter`-th uniform number in [0, 1) of the stream `key`."""
    return float(_mix(key + counter * _STEP) >> _S11) * (1.0 / 9007199254740992.0)


@njit(cache=True)
def binomial(n: int, p: float, u: float) -> int:
    """The count of successes in `n` trials at the quantile `u`, by inversion."""
    if u < 1.0 - n * p:  # Bernoulli's inequality: less than (1 - p)^n, so certainly none
        return 0
    if p >= 1.0:
        return n
    odds = p / (1.0 - p)
    mass = (1.0 - p) ** n
    total = mass
    k = 0
    while u >= total and k < n:
        mass *= odds * (n - k) / (k + 1)
        k += 1
        total += mass
    return k


@njit(cache=True)
def firing_probability(s: np.ndarray, dt: float, A: float, B: float, g: float, y: float, loss: float, r: float,
                       x: float, h: float, M: float) -> np.ndarray:  # fmt: skip
    """Meddis's hair cell, from rest: motion `s` [steps] to the probability [steps] that a fibre fires in a step."""
    k = g * A / (A + B)
    c = M * y * k / (loss * k + y * (loss + r))
    q = c * (loss + r) / k
    w = c * r / x
    out = np.empty(len(s))
    for t in range(len(s)):
        push = s[t] + A
        k = g * push / (push + B) if push > 0.0 else 0.0
        made = y * (M - q) if q < M else 0.0
        released, taken_up, remade = k * q, r * c, x * w
        q += dt * (made - released + remade)
        c += dt * (released - loss * c - taken_up)
        w += dt * (taken_up - remade)
        out[t] = h * c * dt
    return out


@njit(cache=True)
def bushy_cell(p: np.ndarray, dt: float, fibres: int, fibre_dead: int, tau_m: float, tau_syn: float, cell_dead: int,
               weight: float, key: np.uint64, out: np.ndarray) -> int:  # fmt: skip
    """Fibres with firing probabilities `p` [steps] into one leaky integrate-and-fire cell of threshold 1.

    Both kinds are silent for `*_dead` - 1 steps after a spike. Writes the steps of the cell's spikes to `out`, returns
    how many. The ready fibres are alike, so how many of them fire is one binomial draw.
    """
    recent = np.zeros(fibre_dead, np.int64)
    ready = fibres
    current = v = 0.0
    count = 0
    wake = 0
    for t in range(len(p)):
        slot = t % fibre_dead
        ready += recent[slot]
        fired = binomial(ready, p[t], uniform(key, np.uint64(t) + _ONE))
        ready -= fired
        recent[slot] = fired
        current += weight * fired - current * dt / tau_syn
        if t >= wake:
            v += dt * (current - v / tau_m)
            if v >= 1.0:
                out[count] = t
                count += 1
                v = 0.0
                wake = t + cell_dead
    return count


@njit(cache=True)
def nerve(motion: np.ndarray, dt: float, hair: Hair, bushy: Bushy, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Motion [channels, steps] to spikes: their steps and channels, int64 each, channel by channel."""
    channels, steps = motion.shape
    room = steps // bushy[4] + 1
    step = np.empty(channels * room, np.int64)
    channel = np.empty(channels * room, np.int64)
    n = 0
    for c in range(channels):
        key = _mix(_mix(np.uint64(seed)) + np.uint64(c) * _STEP + _ONE)
        p = firing_probability(motion[c], dt, *hair)
        found = bushy_cell(p, dt, *bushy, key, step[n:])
        channel[n : n + found] = c
        n += found
    return step[:n].copy(), channel[:n].copy()
