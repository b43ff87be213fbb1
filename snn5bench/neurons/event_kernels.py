"""The compiled kernels of synapses fed by events, on contiguous numpy arrays; `weight` is `[channels, N]`, as in
`spike_kernels`."""

# mypy: disable-error-code="call-arg"
# (an intrinsic's first parameter, the typing context, is not for its callers)

from __future__ import annotations

import numpy as np

from snn5bench.neurons.backend import exact, jit
from snn5bench.neurons.row_kernels import add_rows, add_rows_and_fire


@exact
def current_of_events(indptr, step, channel, weight, bias, out):
    """Fill the current `out` `[T, B, N]` of events."""
    steps, batch, n = out.shape
    for b in range(batch):
        at, stop = indptr[b], indptr[b + 1]
        for t in range(steps):
            first = at
            while at < stop and step[at] == t:
                at += 1
            add_rows(weight, channel, first, at, bias, 0, out, (t * batch + b) * n, n)


@exact
def lif_of_events(indptr, step, channel, weight, bias, decay, theta, hard, carry, v, bits):
    """Fill `bits` `[B, T, words]` (zero before) of LIF neurons fed by events, and their membrane `v` `[B, T, N]`, or
    `[1, 1, N]` where it is not kept. `carry` `[N]` is space."""
    batch, steps, words = bits.shape
    n = len(carry)
    kept = n if v.size == batch * steps * n else 0
    for b in range(batch):
        carry[:] = weight.dtype.type(0)
        at, stop = indptr[b], indptr[b + 1]
        for t in range(steps):
            first, row = at, b * steps + t
            while at < stop and step[at] == t:
                at += 1
            add_rows_and_fire(
                weight, channel, first, at, bias, 0, decay, theta, hard, carry, v, row * kept, bits, row * words, n
            )  # fmt: skip


@jit
def scatter_events(indptr, step, channel, low, by_sample, by_step, g, g_weight):
    """Add to the rows of `g_weight` `[channels, N]` the gradients of the current of these events: that of the sample number
    b here and step t is row `low + by_sample * b + by_step * t` of `g` `[R, N]`.

    The events are put in order by channel first: a row of gradients is then read for each, but none written, except for
    one a channel."""
    channels, n = g_weight.shape
    first, last = indptr[0], indptr[-1]
    begin = np.zeros(channels + 2, np.int64)
    for k in range(first, last):
        begin[channel[k] + 2] += 1
    for c in range(2, channels + 2):
        begin[c] += begin[c - 1]
    rows = np.empty(last - first, np.int32)
    for b in range(len(indptr) - 1):
        for k in range(indptr[b], indptr[b + 1]):
            c = channel[k] + 1
            rows[begin[c]] = low + by_sample * b + by_step * step[k]
            begin[c] += 1
    for c in range(channels):
        if begin[c] < begin[c + 1]:
            add_rows(g, rows, begin[c], begin[c + 1], g_weight, c * n, g_weight, c * n, n)
