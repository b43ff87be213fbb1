"""Compiled forward and backward of the state-space recurrence. See `ssm_scan`.

One sample and a group of channels at a time, in blocks of steps: the block's inputs go to a buffer in the cache, and each
pair of states walks over it (`ssm_rows`). Models and states are `[2, N, H]`, real parts first.
"""

from __future__ import annotations

import numpy as np

from snn5bench.neurons.backend import jit
from snn5bench.neurons.ssm_rows import retrace, walk, walk_back

_LANES = 64


@jit
def _cut(x, first, steps, b, low, high, block):
    """Copy `x[first:first + steps, b, low:high]` to the flat `block` `[steps, high - low]`."""
    n = high - low
    for t in range(steps):
        for i in range(n):
            block[t * n + i] = x[first + t, b, low + i]


@jit
def _paste(block, first, steps, b, low, high, out):
    """The way back."""
    n = high - low
    for t in range(steps):
        for i in range(n):
            out[first + t, b, low + i] = block[t * n + i]


@jit
def ssm_forward(x, a, p, now, size, kept, out):
    """Fill `out` `[T, B, H]`: y = now x + sum Re(p h), h being the state before the step, then h <- a h + x.

    `kept` `[blocks, B, 2, N, H]`, if it has any rows, is filled with the state before each block of `size` steps."""
    steps, batch, width = x.shape
    _, pairs, _ = a.shape
    imag = pairs * width
    zero = x.dtype.type(0)
    state = np.empty(a.shape, a.dtype)
    block, y = np.empty(size * _LANES, x.dtype), np.empty(size * _LANES, x.dtype)
    for b in range(batch):
        state[:] = zero
        for low in range(0, width, _LANES):
            high = min(width, low + _LANES)
            n = high - low
            for k in range(-(-steps // size)):
                first = k * size
                count = min(size, steps - first)
                _cut(x, first, count, b, low, high, block)
                for t in range(count):
                    for i in range(n):
                        y[t * n + i] = now[low + i] * block[t * n + i]
                for pair in range(pairs):
                    if len(kept) > 0:
                        for i in range(low, high):
                            kept[k, b, 0, pair, i] = state[0, pair, i]
                            kept[k, b, 1, pair, i] = state[1, pair, i]
                    walk(block, y, a, p, state, pair * width + low, imag, count, n)
                _paste(y, first, count, b, low, high, out)


@jit
def ssm_backward(g, x, a, p, now, size, kept, g_x, g_a, g_p, g_now):
    """The reverse, from the gradient `g` of the output: fill `g_x`, add to `g_a`, `g_p` and `g_now`.

    The states within a block are computed again from `kept`."""
    steps, batch, width = x.shape
    _, pairs, _ = a.shape
    imag = pairs * width
    zero = x.dtype.type(0)
    later = np.empty(a.shape, a.dtype)
    block, above = np.empty(size * _LANES, x.dtype), np.empty(size * _LANES, x.dtype)
    below, h = np.empty(size * _LANES, x.dtype), np.empty(size * 2 * _LANES, x.dtype)
    for b in range(batch):
        later[:] = zero
        for low in range(0, width, _LANES):
            high = min(width, low + _LANES)
            n = high - low
            for k in range(-(-steps // size) - 1, -1, -1):
                first = k * size
                count = min(size, steps - first)
                _cut(x, first, count, b, low, high, block)
                _cut(g, first, count, b, low, high, above)
                for t in range(count):
                    for i in range(n):
                        below[t * n + i] = now[low + i] * above[t * n + i]
                for t in range(count):
                    for i in range(n):
                        g_now[low + i] += block[t * n + i] * above[t * n + i]
                for pair in range(pairs):
                    at = pair * width + low
                    retrace(block, h, a, kept, (k * batch + b) * 2 * imag + at, at, imag, count, n)
                    walk_back(above, below, h, a, p, later, g_a, g_p, at, imag, count, n)
                _paste(below, first, count, b, low, high, g_x)
