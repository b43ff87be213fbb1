"""Compiled parts of Forward-Forward networks: the scaling of a current by the length of its inputs, and running rates.

What stands here has the bits of the plain torch operations; it goes through memory once where they go three or four times.
"""

from __future__ import annotations

from snn5bench.neurons.backend import exact


@exact
def scale_forward(current, length, gain, bias, out):
    """Fill `out` `[R, N]` with gain * (current / length) + bias; `length` is `[R]`, `bias` `[N]`."""
    rows, n = current.shape
    for r in range(rows):
        divisor = length[r]
        for i in range(n):
            out[r, i] = gain * (current[r, i] / divisor) + bias[i]


@exact
def scale_backward(g, length, gain, g_current):
    """Fill `g_current` `[R, N]`, the gradient of the current."""
    rows, n = g.shape
    for r in range(rows):
        divisor = length[r]
        for i in range(n):
            g_current[r, i] = (g[r, i] * gain) / divisor


@exact
def squared_rates(spikes, before, counts, out):
    """Fill `out` `[K, M]` with the squares of the mean spike rates up to each of the steps `spikes` `[K, M]`, the first of
    which has `before` steps before it; `counts` `[M]` holds the spikes of those, and is updated."""
    steps, cells = spikes.shape
    for t in range(steps):
        so_far = spikes.dtype.type(before + t + 1)
        for i in range(cells):
            counts[i] += spikes[t, i]
            rate = counts[i] / so_far
            out[t, i] = rate * rate
