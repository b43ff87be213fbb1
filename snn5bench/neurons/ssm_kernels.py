"""Compiled forward and backward of the state-space recurrence. See `ssm_scan`.

One sample and a group of channels at a time, in blocks of steps: the block's inputs go to a buffer in the cache, and each
pair of states walks over it (`ssm_rows`). Models and states are `[2, N, H]`, real parts first.
"""

# mypy: disable-error-code="call-arg"
# (an intrinsic's first parameter, the typing context, is not for its callers)

from __future__ import annotations

import numpy as np

from snn5bench.neurons.backend import jit
from snn5bench.neurons.ssm_rows import cut, cut_and_sum, keep, paste, retrace, walk, walk_back

_LANES = 64
"""Channels of a group: its buffers (at most five times `[steps, lanes]`, a pair's states among them) stay in the cache."""


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
                place = (first * batch + b) * width + low
                cut(x, place, batch * width, now, low, block, y, count, n)
                for pair in range(pairs):
                    at = pair * width + low
                    if len(kept) > 0:
                        keep(state, at, imag, kept, (k * batch + b) * 2 * imag + at, n)
                    walk(block, y, a, p, state, at, imag, count, n)
                paste(y, out, place, batch * width, count, n)


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
                place = (first * batch + b) * width + low
                cut(g, place, batch * width, now, low, above, below, count, n)
                cut_and_sum(x, place, batch * width, above, block, g_now, low, count, n)
                for pair in range(pairs):
                    at = pair * width + low
                    retrace(block, h, a, kept, (k * batch + b) * 2 * imag + at, at, imag, count, n)
                    walk_back(above, below, h, a, p, later, g_a, g_p, at, imag, count, n)
                paste(below, g_x, place, batch * width, count, n)
