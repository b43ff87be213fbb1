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
TILE = 1024
"""Values of one step that a normed layer takes together, for the same reason."""
MEMBRANES = 1 << 16
"""Membranes of all steps that its backward pass has at a time: few enough for the second-level cache."""


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
def current_of_spikes(bits, weight, bias, out):
    """Fill the current `out` `[R, N]` of spikes, `[R, words]`; `bias` is flat, `[N]`, or `[R * N]`: one for each row."""
    rows, n = out.shape
    every = n if len(bias) > n else 0
    index = np.empty(len(weight), np.int32)
    for r in range(rows):
        count = listed(bits, r, index)
        add_rows(weight, index, 0, count, bias, r * every, out, r * n, n)


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


@exact
def current_and_sums(bits, weight, bias, out, sums):
    """`current_of_spikes`, and of each column the sum and the sum of squares, `sums` `[2, N]` in double precision."""
    rows, n = out.shape
    index = np.empty(len(weight), np.int32)
    group = max(1, TILE // n)
    once, twice = np.zeros(group * n), np.zeros(group * n)
    flat = out.reshape(-1)
    for low in range(0, rows, group):
        high = min(rows, low + group)
        for r in range(low, high):
            count = listed(bits, r, index)
            add_rows(weight, index, 0, count, bias, 0, out, r * n, n)
        part = flat[low * n : high * n]
        for i in range(len(part)):
            x = np.float64(part[i])
            once[i] += x
            twice[i] += x * x
    for i in range(group * n):
        sums[0, i % n] += once[i]
        sums[1, i % n] += twice[i]


@exact
def normed_step(x, scale, shift, carry, decay, theta, hard, u):
    """One step of LIF neurons fed by scale x + shift: their membrane `u`, and `carry` updated, all flat."""
    zero = u.dtype.type(0)
    for i in range(len(u)):
        u[i] = carry[i] + (x[i] * scale[i] + shift[i])
    if hard:
        for i in range(len(u)):
            carry[i] = zero if u[i] >= theta else decay * u[i]
    else:
        for i in range(len(u)):
            carry[i] = decay * u[i] - (theta if u[i] >= theta else zero)


@exact
def lif_of_normed(z, below, weight, a, b, decay, theta, hard, bits):
    """Fill `bits` `[R, words]` (zero before) of LIF neurons fed by a z + b; `z` is `[T, M * N]`, `a` and `b` are `[N]`.
    Where `z` has no steps (but its columns), it is what the spikes `below` `[T * M, words]` make of `weight` `[C, N]`, and
    never written. A row of `bits` may be a part of the N neurons."""
    width, cells, words = len(a), z.shape[1], bits.shape[1]
    written = len(z) > 0
    steps = len(z) if written else len(below) * width // cells
    own = steps * cells // len(bits)
    one, zero = a.dtype.type(1), a.dtype.type(0)
    block = max(1, TILE // width) * width
    scale, shift, carry = np.empty(block, a.dtype), np.empty(block, a.dtype), np.empty(block, a.dtype)
    tile, u = np.empty(block, a.dtype), np.empty(block, a.dtype)
    none, index = np.zeros(width, a.dtype), np.empty(len(weight), np.int32)
    others = np.zeros((1, words), np.uint64)
    for i in range(block):
        scale[i], shift[i] = a[i % width], b[i % width]
    for start in range(0, cells, block):
        m = min(cells, start + block) - start
        carry[:] = zero
        for t in range(steps):
            row = (t * cells + start) // width
            if written:
                normed_step(z[t, start : start + m], scale, shift, carry, decay, theta, hard, u[:m])
            else:
                for r in range(m // width):
                    count = listed(below, row + r, index)
                    add_rows(weight, index, 0, count, none, 0, tile, r * width, width)
                normed_step(tile, scale, shift, carry, decay, theta, hard, u[:m])
            for i in range(m):
                tile[i] = one if u[i] >= theta else zero
            row = (t * cells + start) // own
            for r in range(m // own):
                flag_row(tile, r * own, bits, (row + r) * words, others, 0, own)


@exact
def add_normed(z, a, b, x, out):
    """out = x + (a z + b), all `[R, N]` but `a` and `b` `[N]`."""
    rows, n = z.shape
    for r in range(rows):
        z_r, x_r, out_r = z[r], x[r], out[r]
        for i in range(n):
            out_r[i] = x_r[i] + (z_r[i] * a[i] + b[i])


@jit
def lif_backward_normed(
    g_s, heads_q, heads_k, gate, z, a, b, added, decay, theta, hard, reset, through_time, shape, width, scale, g_x, sums
):  # fmt: skip
    """Fill the gradient of a z + b, `g_x`, from that of the spikes, `g_s`, all `[T, M * N]` with `a` and `b` `[N]`; add to
    `sums` `[2, N]` what a norm needs, of each column the sum of `g_x`, and of `g_x z`; or, where `added` has values, add
    them to `g_x`. Membranes are computed anew, for so many neurons at a time that they stay in the cache.

    Where `gate` `[R, heads]` has values, the N neurons are queries, keys and values: `g_s` `[R, N / 3]` is the gradient
    behind the gate, `heads_q` and `heads_k` `[R, heads]` those of the spike counts of a head."""
    steps, cells = z.shape
    n, heads = len(a), gate.shape[1]
    one, zero = z.dtype.type(1), z.dtype.type(0)
    block = max(1, min(TILE, MEMBRANES // steps) // n) * n
    tile, slope, later = np.empty(block, z.dtype), np.empty(block, z.dtype), np.empty(block, z.dtype)
    scales, shifts, v = np.empty(block, z.dtype), np.empty(block, z.dtype), np.empty((steps, block), z.dtype)
    once, twice = np.zeros(block), np.zeros(block)
    third = n // 3
    each = third // max(1, heads)
    for i in range(block):
        scales[i], shifts[i] = a[i % n], b[i % n]
    for start in range(0, cells, block):
        stop = min(cells, start + block)
        m = stop - start
        later[:] = zero
        for t in range(steps):
            normed_step(z[t, start:stop], scales, shifts, later, decay, theta, hard, v[t, :m])
        later[:] = zero
        for t in range(steps - 1, -1, -1):
            v_t, out, z_t = v[t, :m], g_x[t, start:stop], z[t, start:stop]
            if len(gate) == 0:
                g_t = g_s[t, start:stop]
            else:
                g_t = tile[:m]
                row = (t * cells + start) // n
                for r in range(m // n):
                    for h in range(heads):
                        q, k, o = heads_q[row + r, h], heads_k[row + r, h], gate[row + r, h]
                        at = r * n + h * each
                        for d in range(each):
                            g_t[at + d] = q
                            g_t[at + third + d] = k
                            g_t[at + 2 * third + d] = o * g_s[row + r, h * each + d]
            surrogate(shape, width, scale, v_t, theta, slope)
            if not through_time:
                for i in range(m):
                    out[i] = g_t[i] * slope[i]
            elif hard:
                for i in range(m):
                    keep = zero if v_t[i] >= theta else one
                    g = g_t[i] * slope[i] + later[i] * decay * (keep - reset * v_t[i] * slope[i])
                    out[i] = g
                    later[i] = g
            else:
                for i in range(m):
                    g = g_t[i] * slope[i] + later[i] * (decay - reset * theta * slope[i])
                    out[i] = g
                    later[i] = g
            if len(added) > 0:
                more = added[t, start:stop]
                for i in range(m):
                    out[i] += more[i]
            else:
                for i in range(m):
                    g = np.float64(out[i])
                    once[i] += g
                    twice[i] += g * np.float64(z_t[i])
    for i in range(block):
        sums[0, i % n] += once[i]
        sums[1, i % n] += twice[i]


@jit
def column_sums(g, z, sums):
    """Add to `sums` `[2, N]` of each column the sum of `g` `[R, N]`, and of `g z`."""
    rows, n = g.shape
    for r in range(rows):
        g_r, z_r = g[r], z[r]
        for i in range(n):
            sums[0, i] += np.float64(g_r[i])
            sums[1, i] += np.float64(g_r[i]) * np.float64(z_r[i])


@jit
def norm_backward(g, z, by_g, by_z, rest, out):
    """out = by_g g + by_z z + rest, all `[R, N]` but the three factors `[N]`."""
    rows, n = g.shape
    for r in range(rows):
        g_r, z_r, out_r = g[r], z[r], out[r]
        for i in range(n):
            out_r[i] = by_g[i] * g_r[i] + by_z[i] * z_r[i] + rest[i]


@exact
def head_counts(bits, head, counts):
    """Add to `counts` `[R, heads]` the spikes of each head; `head` says which one a neuron of `bits` `[R, words]` is of."""
    index = np.empty(64 * bits.shape[1], np.int32)
    for r in range(len(bits)):
        for k in range(listed(bits, r, index)):
            counts[r, head[index[k]]] += counts.dtype.type(1)


@exact
def gated(bits, head, gate, out):
    """Of `bits` `[R, words]` set those in `out` whose head has a `gate` `[R, heads]` that is not 0."""
    index = np.empty(64 * bits.shape[1], np.int32)
    for r in range(len(bits)):
        for k in range(listed(bits, r, index)):
            if gate[r, head[index[k]]] != 0:
                out[r, index[k] >> 6] |= np.uint64(1) << np.uint64(index[k] & 63)


@jit
def gate_gradient(bits, head, g, out):
    """Add to `out` `[R, heads]` the gradients `g` `[R, N]` where a neuron of the head spiked."""
    index = np.empty(64 * bits.shape[1], np.int32)
    for r in range(len(bits)):
        for k in range(listed(bits, r, index)):
            out[r, head[index[k]]] += g[r, index[k]]
