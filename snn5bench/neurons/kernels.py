"""The compiled kernels of the neurons, on contiguous numpy arrays of one type (float32 or float64).

They stand in one file because numba's on-disk cache notices a change in the file of the outermost kernel only: a kernel
must not call one of another file. Every scalar is passed in, in the arrays' type (a Python float would turn float32
arithmetic into float64), and none is captured, so that a change of a surrogate's width is followed.
"""

from __future__ import annotations

import numpy as np

from snn5bench.neurons.backend import exact, jit

_BLOCK = 2048
_TILE = 128


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


@exact
def lif_forward(x, carry, decay, theta, hard, v, s):
    """Fill membrane `v` and spikes `s` `[T, M]`; `carry` `[M]` is updated in place. `v` is `[1, M]` where it is not kept."""
    steps, cells = x.shape
    one = x.dtype.type(1)
    zero = x.dtype.type(0)
    kept = len(v) == steps
    for start in range(0, cells, _BLOCK):
        stop = min(cells, start + _BLOCK)
        c = carry[start:stop]
        for t in range(steps):
            x_t, v_t, s_t = x[t, start:stop], v[t if kept else 0, start:stop], s[t, start:stop]
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
def four_rows(a, b, c, d, weight, start, stop, tile):
    """Fill `tile` `[4 * _TILE]` blockwise with the rows a, b, c, d `[N]` times `weight[:, start:stop]`, at most _TILE
    columns. A weight is read once for four rows: it comes from the second-level cache, which is what bounds this."""
    n, m = weight.shape[0], stop - start
    tile[:] = weight.dtype.type(0)
    for i in range(0, n - 3, 4):
        p, q, r, w = weight[i, start:], weight[i + 1, start:], weight[i + 2, start:], weight[i + 3, start:]
        a0, a1, a2, a3 = a[i], a[i + 1], a[i + 2], a[i + 3]
        b0, b1, b2, b3 = b[i], b[i + 1], b[i + 2], b[i + 3]
        c0, c1, c2, c3 = c[i], c[i + 1], c[i + 2], c[i + 3]
        d0, d1, d2, d3 = d[i], d[i + 1], d[i + 2], d[i + 3]
        for j in range(m):
            x, y, z, u = p[j], q[j], r[j], w[j]
            tile[j] += (a0 * x + a1 * y) + (a2 * z + a3 * u)
            tile[_TILE + j] += (b0 * x + b1 * y) + (b2 * z + b3 * u)
            tile[2 * _TILE + j] += (c0 * x + c1 * y) + (c2 * z + c3 * u)
            tile[3 * _TILE + j] += (d0 * x + d1 * y) + (d2 * z + d3 * u)
    for i in range(n - n % 4, n):
        p = weight[i, start:]
        a0, b0, c0, d0 = a[i], b[i], c[i], d[i]
        for j in range(m):
            tile[j] += a0 * p[j]
            tile[_TILE + j] += b0 * p[j]
            tile[2 * _TILE + j] += c0 * p[j]
            tile[3 * _TILE + j] += d0 * p[j]


@jit
def recurrent_backward(
    g_s, v, g_carry, last, weight, decay, theta, hard, through_reset, through_time, shape, width, scale, g_x, g_last,
    g_weight,
):  # fmt: skip
    """Fill `g_x`, `g_last`, `g_weight` (`[from, to]`); `weight` is `[to, from]`; `g_carry` leaves as the first carry's
    gradient. `g_s` has one step where every step has the same gradient. Four samples go together."""
    steps, batch, n = v.shape
    real = v.dtype.type
    zero = real(0)
    one = real(1)
    reset = one if through_reset else zero
    every = len(g_s) > 1
    slope = np.empty(n, v.dtype)
    thetas = np.full(n, theta)
    fired = np.empty(n, np.int32)
    tile = np.empty(4 * _TILE, v.dtype)
    g_last[:] = zero
    if not through_time:
        g_carry[:] = zero
    for low in range(0, batch, 4):
        high = min(batch, low + 4)
        for t in range(steps - 1, -1, -1):
            for b in range(low, high):
                v_t, out, gc, g_y = v[t, b], g_x[t, b], g_carry[b], g_last[b]
                g_t = g_s[t if every else 0, b]
                surrogate_row(shape, width, scale, v_t, thetas, slope)
                if hard:
                    for i in range(n):
                        keep = zero if v_t[i] >= theta else one
                        past = gc[i] * decay * (keep - reset * v_t[i] * slope[i])
                        out[i] = (g_t[i] + g_y[i]) * slope[i] + past
                else:
                    for i in range(n):
                        past = gc[i] * (decay - reset * theta * slope[i])
                        out[i] = (g_t[i] + g_y[i]) * slope[i] + past
                if through_time:
                    for i in range(n):
                        gc[i] = out[i]
                count = 0
                if t == 0:
                    for j in range(n):
                        fired[count] = j
                        count += last[b, j] != zero
                else:
                    before = v[t - 1, b]
                    for j in range(n):
                        fired[count] = j
                        count += before[j] >= theta
                for k in range(count):
                    row = g_weight[fired[k]]
                    spike = last[b, fired[k]] if t == 0 else one
                    for i in range(n):
                        row[i] += spike * out[i]
            if through_time:
                now, end = g_x[t], high - 1
                a, b, c, d = now[low], now[min(low + 1, end)], now[min(low + 2, end)], now[min(low + 3, end)]
                for start in range(0, n, _TILE):
                    stop = min(n, start + _TILE)
                    four_rows(a, b, c, d, weight, start, stop, tile)
                    for k in range(high - low):
                        g_y = g_last[low + k]
                        for j in range(stop - start):
                            g_y[start + j] = tile[k * _TILE + j]


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


@jit
def adlif_forward(x, s, u, w, alpha, beta, a, b, spikes, membrane, current):
    """Fill `spikes`, `membrane` and adaptation `current` `[T, B, N]`; the state `s`, `u`, `w` `[B, N]` is updated in
    place."""
    steps, batch, n = x.shape
    one, zero = x.dtype.type(1), x.dtype.type(0)
    for t in range(steps):
        for k in range(batch):
            x_t, s_k, u_k, w_k = x[t, k], s[k], u[k], w[k]
            for i in range(n):
                w_k[i] = beta[i] * w_k[i] + a[i] * u_k[i] + b[i] * s_k[i]
            for i in range(n):
                u_k[i] = alpha[i] * (u_k[i] - s_k[i]) + (one - alpha[i]) * (x_t[i] - w_k[i])
            for i in range(n):
                s_k[i] = one if u_k[i] > one else zero
            spikes[t, k] = s_k
            membrane[t, k] = u_k
            current[t, k] = w_k


@jit
def adlif_backward(
    g_s, x, s, u, w, membrane, current, alpha, beta, a, b, g_u, g_w, through_time, shape, width, scale,
    g_x, g_alpha, g_beta, g_a, g_b,
):  # fmt: skip
    """Fill `g_x` `[T, B, N]` and add the coefficients' gradients up. `s`, `u`, `w` `[B, N]` are the state before the
    first step; `g_u` and `g_w` enter as the gradients of the last membrane and adaptation, and leave as those of the
    first step's. `g_s` has one step where every step has the same gradient."""
    steps, batch, n = x.shape
    one, zero = x.dtype.type(1), x.dtype.type(0)
    back = one if through_time else zero
    every = len(g_s) > 1
    slope = np.empty(n, x.dtype)
    later_u, later_w = np.zeros((batch, n), x.dtype), np.zeros((batch, n), x.dtype)
    thetas = np.ones(n, x.dtype)
    for t in range(steps - 1, -1, -1):
        for k in range(batch):
            x_t, u_t, w_t, out = x[t, k], membrane[t, k], current[t, k], g_x[t, k]
            g_t, p_k, q_k, e_k, f_k = g_s[t if every else 0, k], later_u[k], later_w[k], g_u[k], g_w[k]
            surrogate_row(shape, width, scale, u_t, thetas, slope)
            for i in range(n):
                p, q = p_k[i], q_k[i]
                g = e_k[i] + (g_t[i] + back * (b[i] * q - alpha[i] * p)) * slope[i] + back * (alpha[i] * p + a[i] * q)
                h = f_k[i] + back * beta[i] * q - (one - alpha[i]) * g
                e_k[i] = zero
                f_k[i] = zero
                p_k[i] = g
                q_k[i] = h
                out[i] = (one - alpha[i]) * g
            before_u = membrane[t - 1, k] if t > 0 else u[k]
            before_w = current[t - 1, k] if t > 0 else w[k]
            for i in range(n):
                fired = (one if before_u[i] > one else zero) if t > 0 else s[k, i]
                g_alpha[i] += p_k[i] * ((before_u[i] - fired) - (x_t[i] - w_t[i]))
                g_beta[i] += q_k[i] * before_w[i]
                g_a[i] += q_k[i] * before_u[i]
                g_b[i] += q_k[i] * fired
    g_u[:] = later_u
    g_w[:] = later_w


@jit
def plif_forward(x, k, state, v, s):
    """Fill membrane `v` (before the reset) and spikes `s` `[T, M]`; `state` `[M]` (after the reset) is updated in
    place; `k` is a scalar."""
    steps, cells = x.shape
    one, zero = x.dtype.type(1), x.dtype.type(0)
    for t in range(steps):
        x_t, v_t, s_t = x[t], v[t], s[t]
        for i in range(cells):
            u = state[i] + (x_t[i] - state[i]) * k
            y = one if u >= one else zero
            v_t[i] = u
            s_t[i] = y
            state[i] = u * (one - y)


@jit
def plif_backward(g_s, x, v, first, g_state, k, through_time, shape, width, scale, g_x):
    """Fill `g_x` `[T, M]` and return the gradient of `k`, summed in double precision. `first` `[M]` is the state before
    the first step; `g_state` `[M]` enters as the gradient of the last state and leaves as that of the first."""
    steps, cells = v.shape
    one, zero = v.dtype.type(1), v.dtype.type(0)
    left = one - k if through_time else zero
    every = len(g_s) > 1
    total = 0.0
    slope = np.empty(min(_BLOCK, cells), v.dtype)
    thetas = np.ones(min(_BLOCK, cells), v.dtype)
    for start in range(0, cells, _BLOCK):
        stop = min(cells, start + _BLOCK)
        n = stop - start
        gc, rest = g_state[start:stop], first[start:stop]
        for t in range(steps - 1, -1, -1):
            v_t, x_t, out = v[t, start:stop], x[t, start:stop], g_x[t, start:stop]
            g_t, before = g_s[t if every else 0, start:stop], v[t - 1, start:stop]
            surrogate_row(shape, width, scale, v_t, thetas, slope)
            for i in range(n):
                g = g_t[i] * slope[i] + gc[i] * (zero if v_t[i] >= one else one)
                old = rest[i] if t == 0 else (zero if before[i] >= one else before[i])
                total += np.float64(g * (x_t[i] - old))
                out[i] = g * k
                gc[i] = left * g
    return total
