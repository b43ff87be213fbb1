"""Compiled parts of the state-space scan: to and from chunks, and the states between chunks. See `ssm_scan`."""

from __future__ import annotations

import numpy as np

from snn5bench.neurons.backend import jit

_LANES = 16


@jit
def to_chunks(x, out):
    """Fill `out` `[H, C, B, K]` from the sequence `x` `[T, B, H]`; steps beyond T are zero."""
    steps, _, width = x.shape
    _, chunks, batch, size = out.shape
    zero = x.dtype.type(0)
    for c in range(chunks):
        for b in range(batch):
            for low in range(0, width, _LANES):
                high = min(width, low + _LANES)
                for k in range(size):
                    t = c * size + k
                    for h in range(low, high):
                        out[h, c, b, k] = x[t, b, h] if t < steps else zero


@jit
def from_chunks(y, out):
    """Fill the sequence `out` `[T, B, H]` from `y` `[H, C, B, K]`."""
    steps, _, width = out.shape
    _, chunks, batch, size = y.shape
    for c in range(chunks):
        for b in range(batch):
            for low in range(0, width, _LANES):
                high = min(width, low + _LANES)
                for k in range(min(size, steps - c * size)):
                    for h in range(low, high):
                        out[c * size + k, b, h] = y[h, c, b, k]


@jit
def carry_states(gathered, re, im):
    """Turn what each chunk adds to the state, `[H, C, B, 2N]` (real parts, then imaginary), into the state before each
    chunk, in place; one chunk multiplies a state by `re + i im`, each `[H, N]`."""
    width, chunks, batch, both = gathered.shape
    half = both // 2
    zero = gathered.dtype.type(0)
    state = np.empty(both, gathered.dtype)
    for h in range(width):
        a, w = re[h], im[h]
        for b in range(batch):
            state[:] = zero
            for c in range(chunks):
                s = gathered[h, c, b]
                for n in range(half):
                    p, q = state[n], state[n + half]
                    u, v = s[n], s[n + half]
                    s[n] = p
                    s[n + half] = q
                    state[n] = a[n] * p - w[n] * q + u
                    state[n + half] = a[n] * q + w[n] * p + v


@jit
def carry_gradients(g_before, before, re, im, g_re, g_im):
    """The reverse of `carry_states`: `g_before`, the gradient of the state before each chunk, becomes that of what each
    chunk adds, in place; `g_re` and `g_im` `[H, N]` are added up."""
    width, chunks, batch, both = g_before.shape
    half = both // 2
    zero = g_before.dtype.type(0)
    state = np.empty(both, g_before.dtype)
    for h in range(width):
        a, w, g_a, g_w = re[h], im[h], g_re[h], g_im[h]
        for b in range(batch):
            state[:] = zero
            for c in range(chunks - 1, -1, -1):
                g, s = g_before[h, c, b], before[h, c, b]
                for n in range(half):
                    p, q = state[n], state[n + half]
                    u, v = g[n], g[n + half]
                    g_a[n] += p * s[n] + q * s[n + half]
                    g_w[n] += q * s[n] - p * s[n + half]
                    g[n] = p
                    g[n + half] = q
                    state[n] = u + a[n] * p + w[n] * q
                    state[n + half] = v + a[n] * q - w[n] * p
