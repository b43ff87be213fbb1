"""The compiled kernels of synapses, alone and together with LIF neurons, on contiguous numpy arrays.

`weight` is `[channels, N]` here, so that a spike is one contiguous row. Spikes are kept as bits, `[..., words]` of uint64:
word w of a row holds neurons 64 w to 64 w + 63, the lowest bit first. What goes forward is compiled without any freedom of
rounding (`exact`): a network gives the same bits whether its layers run one by one or together.
"""

# mypy: disable-error-code="call-arg"
# (an intrinsic's first parameter, the typing context, is not for its callers)

from __future__ import annotations

import numpy as np

from snn5bench.neurons.backend import exact, jit
from snn5bench.neurons.row_kernels import (
    add_rows,
    add_rows_and_fire,
    back_step,
    flag_row,
    scatter_row,
    trailing_zeros,
)

SLOPES = 16
"""Steps whose surrogate slopes are computed at once: few enough to stay in the first-level cache."""


@exact
def listed(bits, row, index):
    """Write the places of the set bits of `bits[row]` to `index`; returns how many."""
    count = np.uint64(0)
    for w in range(bits.shape[1]):
        word = bits[row, w]
        while word != 0:
            index[count] = np.uint64(64 * w) + trailing_zeros(word)
            count += np.uint64(1)
            word &= word - np.uint64(1)
    return np.int64(count)


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
def current_of_spikes(bits, weight, bias, out):
    """Fill the current `out` `[R, N]` of spikes, `[R, words]`."""
    rows, n = out.shape
    index = np.empty(len(weight), np.int32)
    for r in range(rows):
        count = listed(bits, r, index)
        add_rows(weight, index, 0, count, bias, 0, out, r * n, n)


@exact
def flag_spikes(x, bits, others):
    """Set the bits of the non-zeros of `x` `[R, C]`; False where a value is neither zero nor one. `bits` `[R, words]` and
    `others` `[1, words]` are zero before."""
    rows, n = x.shape
    words = bits.shape[1]
    binary = True
    for r in range(rows):
        flag_row(x, r * n, bits, r * words, others, 0, n)
        for w in range(words):
            binary &= others[0, w] == 0
            others[0, w] = 0
    return binary


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


@exact
def lif_of_current(x, none, decay, theta, hard, carry, v, bits):
    """The same of a current `x` `[T, B, N]`, or `[1, B, N]` where it is that of every step; `none` is an empty index."""
    batch, steps, words = bits.shape
    n = len(carry)
    kept = n if v.size == batch * steps * n else 0
    every = batch if len(x) > 1 else 0
    for b in range(batch):
        carry[:] = x.dtype.type(0)
        for t in range(steps):
            row = b * steps + t
            add_rows_and_fire(
                x, none, 0, 0, x, (t * every + b) * n, decay, theta, hard, carry, v, row * kept, bits, row * words, n
            )  # fmt: skip


@exact
def lif_of_spikes(below, weight, bias, decay, theta, hard, carry, v, bits):
    """The same of the spikes `below` `[B * T, words]`."""
    batch, steps, words = bits.shape
    n = len(carry)
    kept = n if v.size == batch * steps * n else 0
    index = np.empty(len(weight), np.int32)
    for b in range(batch):
        carry[:] = weight.dtype.type(0)
        for t in range(steps):
            row = b * steps + t
            count = listed(below, row, index)
            add_rows_and_fire(
                weight, index, 0, count, bias, 0, decay, theta, hard, carry, v, row * kept, bits, row * words, n
            )  # fmt: skip


@jit
def surrogate(shape, width, scale, v, theta, out):
    """Fill `out` with the surrogate's derivative at `v - theta`, both flat."""
    real = v.dtype.type
    inv = real(1) / width
    peak = scale * inv
    half = real(0.5)
    one = real(1)
    zero = real(0)
    n = v.shape[0]
    if shape == 0:
        for i in range(n):
            out[i] = peak if abs(v[i] - theta) < half * width else zero
    elif shape == 1:
        for i in range(n):
            out[i] = peak * max(zero, one - abs(v[i] - theta) * inv)
    elif shape == 2:
        for i in range(n):
            z = real(np.pi / 2) * (v[i] - theta) * inv
            out[i] = half * peak / (one + z * z)
    elif shape == 3:
        for i in range(n):
            s = one / (one + np.exp(-(v[i] - theta) * inv))
            out[i] = peak * s * (one - s)
    elif shape == 4:
        for i in range(n):
            out[i] = half * peak * np.exp(-abs(v[i] - theta) * inv)
    else:
        for i in range(n):
            z = one + abs(v[i] - theta) * inv
            out[i] = scale / (z * z)


@jit
def lif_backward(
    g_s, v, decay, theta, hard, reset, through_time, shape, width, scale, carried, slope, g_x, g_bias
):  # fmt: skip
    """Fill the gradient of the current, `g_x` `[B, T, N]`, from that of the spikes, `[B, T, N]` or `[B, 1, N]` where it is
    that of every step; add that of the bias, `g_bias` `[N]`, up. `carried` `[N]` and `slope` `[SLOPES * N]` are space."""
    batch, steps, n = v.shape
    every = 1 if g_s.shape[1] > 1 else 0
    flat = v.reshape(-1)
    for b in range(batch):
        carried[:] = v.dtype.type(0)
        for stop in range(steps, 0, -SLOPES):
            start = max(0, stop - SLOPES)
            low, high = (b * steps + start) * n, (b * steps + stop) * n
            surrogate(shape, width, scale, flat[low:high], theta, slope)
            for t in range(stop - 1, start - 1, -1):
                from_row = b * g_s.shape[1] + every * t
                back_step(
                    g_s, from_row * n, slope, (t - start) * n, v, (b * steps + t) * n, decay, theta, hard, reset,
                    through_time, carried, g_x, g_bias, n,
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


@jit
def scatter_spikes(bits, g, g_weight):
    """The same of spikes, `[R, words]`; `g` is `[R, N]`, or `[B, N]` where it is that of every step, row r being sample r
    modulo B."""
    n = g.shape[1]
    index = np.empty(len(g_weight), np.int32)
    for r in range(len(bits)):
        count = listed(bits, r, index)
        scatter_row(g, (r % len(g)) * n, index, 0, count, g_weight, n)


@jit
def spike_counts(bits, counts):
    """Add to `counts` `[B, N]` how often each neuron fired, of `bits` `[B * T, words]`."""
    steps = len(bits) // len(counts)
    index = np.empty(counts.shape[1], np.int32)
    for r in range(len(bits)):
        for k in range(listed(bits, r, index)):
            counts[r // steps, index[k]] += counts.dtype.type(1)
