"""The compiled kernels of the neurons, on contiguous numpy arrays of one type (float32 or float64).

They stand in one file because numba's on-disk cache notices a change in the file of the outermost kernel only: a kernel
must not call one of another file. Every scalar is passed in, in the arrays' type (a Python float would turn float32
arithmetic into float64), and none is captured, so that a change of a surrogate's width is followed.
"""

from __future__ import annotations

import numpy as np

from snn5bench.neurons.backend import jit

_BLOCK = 2048


@jit
def surrogate_row(shape, width, scale, v, theta, out):
    """Fill `out` with the derivative at `v - theta`, element by element (`theta` is an array); one branch a call."""
    real = v.dtype.type
    inv = real(1) / width
    peak = scale * inv
    half = real(0.5)
    one = real(1)
    zero = real(0)
    n = v.shape[0]
    if shape == 0:
        for i in range(n):
            out[i] = peak if abs(v[i] - theta[i]) < half * width else zero
    elif shape == 1:
        for i in range(n):
            out[i] = peak * max(zero, one - abs(v[i] - theta[i]) * inv)
    elif shape == 2:
        for i in range(n):
            z = real(np.pi / 2) * (v[i] - theta[i]) * inv
            out[i] = half * peak / (one + z * z)
    elif shape == 3:
        for i in range(n):
            s = one / (one + np.exp(-(v[i] - theta[i]) * inv))
            out[i] = peak * s * (one - s)
    elif shape == 4:
        for i in range(n):
            out[i] = half * peak * np.exp(-abs(v[i] - theta[i]) * inv)
    else:
        for i in range(n):
            z = one + abs(v[i] - theta[i]) * inv
            out[i] = scale / (z * z)


@jit
def lif_forward(x, carry, decay, theta, hard, v, s):
    """Fill membrane `v` and spikes `s` `[T, M]`; `carry` `[M]` is updated in place."""
    steps, cells = x.shape
    one = x.dtype.type(1)
    zero = x.dtype.type(0)
    for start in range(0, cells, _BLOCK):
        stop = min(cells, start + _BLOCK)
        c = carry[start:stop]
        for t in range(steps):
            x_t, v_t, s_t = x[t, start:stop], v[t, start:stop], s[t, start:stop]
            if hard:
                for i in range(stop - start):
                    u = c[i] + x_t[i]
                    y = one if u >= theta else zero
                    v_t[i] = u
                    s_t[i] = y
                    c[i] = decay * u * (one - y)
            else:
                for i in range(stop - start):
                    u = c[i] + x_t[i]
                    y = one if u >= theta else zero
                    v_t[i] = u
                    s_t[i] = y
                    c[i] = decay * u - theta * y


@jit
def lif_backward(g_s, v, g_carry, decay, theta, hard, through_reset, through_time, shape, width, scale, g_x):
    """Fill `g_x` `[T, M]` from the spikes' gradient `g_s` (`[T, M]` or `[1, M]`); `g_carry` `[M]` enters as the
    gradient of the last carry and leaves as that of the first."""
    steps, cells = v.shape
    real = v.dtype.type
    one = real(1)
    zero = real(0)
    reset = one if through_reset else zero
    every = len(g_s) > 1
    slope = np.empty(min(_BLOCK, cells), v.dtype)
    thetas = np.full(min(_BLOCK, cells), theta)
    for start in range(0, cells, _BLOCK):
        stop = min(cells, start + _BLOCK)
        n = stop - start
        gc = g_carry[start:stop]
        for t in range(steps - 1, -1, -1):
            v_t, out = v[t, start:stop], g_x[t, start:stop]
            g_t = g_s[t if every else 0, start:stop]
            surrogate_row(shape, width, scale, v_t, thetas, slope)
            if not through_time:
                for i in range(n):
                    out[i] = g_t[i] * slope[i]
            elif hard:
                for i in range(n):
                    keep = zero if v_t[i] >= theta else one
                    g = g_t[i] * slope[i] + gc[i] * decay * (keep - reset * v_t[i] * slope[i])
                    out[i] = g
                    gc[i] = g
            else:
                for i in range(n):
                    g = g_t[i] * slope[i] + gc[i] * (decay - reset * theta * slope[i])
                    out[i] = g
                    gc[i] = g


@jit
def recurrent_forward(x, carry, last, weight, decay, theta, hard, v, s):
    """Fill membrane `v` and spikes `s` `[T, B, N]`; `carry` `[B, N]` is updated in place; `weight` is `[from, to]`."""
    steps, batch, n = x.shape
    one = x.dtype.type(1)
    zero = x.dtype.type(0)
    fired = np.empty(n, np.int32)
    for b in range(batch):
        c = carry[b]
        for t in range(steps):
            before = last[b] if t == 0 else s[t - 1, b]
            v_t, x_t, s_t = v[t, b], x[t, b], s[t, b]
            for i in range(n):
                v_t[i] = c[i] + x_t[i]
            count = 0
            for j in range(n):
                fired[count] = j
                count += before[j] != zero
            for k in range(0, count - 3, 4):
                p, q, r, w = weight[fired[k]], weight[fired[k + 1]], weight[fired[k + 2]], weight[fired[k + 3]]
                for i in range(n):
                    v_t[i] += (p[i] + q[i]) + (r[i] + w[i])
            for k in range(count - count % 4, count):
                p = weight[fired[k]]
                for i in range(n):
                    v_t[i] += p[i]
            for i in range(n):
                u = v_t[i]
                y = one if u >= theta else zero
                s_t[i] = y
                c[i] = decay * u * (one - y) if hard else decay * u - theta * y


@jit
def recurrent_backward(
    g_s, v, g_carry, last, weight, decay, theta, hard, through_reset, through_time, shape, width, scale, g_x, g_last,
    g_weight,
):  # fmt: skip
    """Fill `g_x`, `g_last`, `g_weight` (`[from, to]`); `weight` is `[to, from]`; `g_carry` leaves as the first carry's
    gradient. `g_s` has one step where every step has the same gradient."""
    steps, batch, n = v.shape
    real = v.dtype.type
    zero = real(0)
    one = real(1)
    reset = one if through_reset else zero
    every = len(g_s) > 1
    slope = np.empty(n, v.dtype)
    g_y = np.empty(n, v.dtype)
    thetas = np.full(n, theta)
    for b in range(batch):
        gc = g_carry[b]
        if not through_time:
            gc[:] = zero
        g_y[:] = zero
        for t in range(steps - 1, -1, -1):
            v_t, out = v[t, b], g_x[t, b]
            g_t = g_s[t if every else 0, b]
            surrogate_row(shape, width, scale, v_t, thetas, slope)
            for i in range(n):
                if hard:
                    keep = zero if v_t[i] >= theta else one
                    past = gc[i] * decay * (keep - reset * v_t[i] * slope[i])
                else:
                    past = gc[i] * (decay - reset * theta * slope[i])
                out[i] = (g_t[i] + g_y[i]) * slope[i] + past
            g_y[:] = zero
            if through_time:
                for i in range(n):
                    gc[i] = out[i]
                for i in range(0, n - 7, 8):
                    p, q, r, w = weight[i], weight[i + 1], weight[i + 2], weight[i + 3]
                    e, f, h, k = weight[i + 4], weight[i + 5], weight[i + 6], weight[i + 7]
                    for j in range(n):
                        g_y[j] += (
                            (out[i] * p[j] + out[i + 1] * q[j])
                            + (out[i + 2] * r[j] + out[i + 3] * w[j])
                            + (out[i + 4] * e[j] + out[i + 5] * f[j])
                            + (out[i + 6] * h[j] + out[i + 7] * k[j])
                        )
                for i in range(n - n % 8, n):
                    p = weight[i]
                    for j in range(n):
                        g_y[j] += out[i] * p[j]
            for j in range(n):
                before = last[b, j] if t == 0 else (one if v[t - 1, b, j] >= theta else zero)
                if before != zero:
                    row = g_weight[j]
                    for i in range(n):
                        row[i] += before * out[i]
        for j in range(n):
            g_last[b, j] = g_y[j]


@jit
def glif_forward(x, carry, leak, lin, gain, gamma, drop, theta, u, o):
    """Fill membrane `u` and spikes `o` `[T, B, N]`; `carry` `[B, N]` is updated in place."""
    steps, batch, n = x.shape
    one = x.dtype.type(1)
    zero = x.dtype.type(0)
    for t in range(steps):
        gain_t = gain[t]
        for b in range(batch):
            c, x_t, u_t, o_t = carry[b], x[t, b], u[t, b], o[t, b]
            for i in range(n):
                v = c[i] - lin[i] + gain_t[i] * x_t[i]
                y = one if v > theta[i] else zero
                u_t[i] = v
                o_t[i] = y
                c[i] = leak[i] * v * (one - gamma[i] * y) - drop[i] * y


@jit
def glif_backward(
    g_s, x, u, g_carry, leak, lin, gain, gamma, drop, theta, through_time, shape, width, scale,
    g_x, g_leak, g_lin, g_gain, g_gamma, g_drop, g_theta,
):  # fmt: skip
    """Fill `g_x` `[T, B, N]` and add the coefficients' gradients up; `g_carry` `[B, N]` enters as the gradient of the
    last carry and leaves as that of the first. `g_s` has one step where every step has the same gradient."""
    steps, batch, n = u.shape
    real = u.dtype.type
    one = real(1)
    zero = real(0)
    back = one if through_time else zero
    every = len(g_s) > 1
    slope = np.empty(n, u.dtype)
    for t in range(steps - 1, -1, -1):
        gain_t, g_gain_t = gain[t], g_gain[t]
        for b in range(batch):
            gc, x_t, u_t, out = g_carry[b], x[t, b], u[t, b], g_x[t, b]
            g_t = g_s[t if every else 0, b]
            surrogate_row(shape, width, scale, u_t, theta, slope)
            for i in range(n):
                v, c = u_t[i], gc[i]
                y = one if v > theta[i] else zero
                kept = one - gamma[i] * y
                g_leak[i] += c * v * kept
                g_gamma[i] -= c * leak[i] * v * y
                g_drop[i] -= c * y
                g_o = (g_t[i] - back * c * (leak[i] * v * gamma[i] + drop[i])) * slope[i]
                g = g_o + back * c * leak[i] * kept
                g_theta[i] -= g_o
                g_lin[i] -= g
                g_gain_t[i] += g * x_t[i]
                out[i] = g * gain_t[i]
                gc[i] = g
