"""The adLIF recurrence of `adlif_scan` on a GPU. Gradients of coefficients are added up along a column, and over the samples
afterwards, so that the same seed ends in the same bits."""

# mypy: disallow-incomplete-defs=False

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from snn5bench.neurons.absent import spikes_or_zero, state_or_zero
from snn5bench.neurons.surrogate import Surrogate
from snn5bench.neurons.triton_surrogate import BLOCK, each_step, grid, shape_of, slope_at


def adlif_scan(
    x: Tensor, s: Tensor, u: Tensor, w: Tensor, surrogate: Surrogate, through_time: bool, *coefficients: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes `[T, B, N]`, the membrane and the adaptation after the last step `[B, N]`, as the plain loop has them."""
    return _TritonAdlif.apply(x, s, u, w, surrogate, through_time, *coefficients)


@triton.jit
def _forward(
    x, s_at, u_at, w_at, alpha_at, beta_at, a_at, b_at, spikes, membrane, current, last_u, last_w, steps, cells, neurons,
    BLOCK: tl.constexpr,
):  # fmt: skip
    column = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = column < cells
    neuron = column % neurons
    alpha, beta = tl.load(alpha_at + neuron), tl.load(beta_at + neuron)
    a, b = tl.load(a_at + neuron), tl.load(b_at + neuron)
    s = tl.load(s_at + column, mask=here, other=0.0)
    u = tl.load(u_at + column, mask=here, other=0.0)
    w = tl.load(w_at + column, mask=here, other=0.0)
    at = column
    now = tl.load(x + at, mask=here, other=0.0)
    for t in range(0, steps):
        then = tl.load(x + at + cells, mask=here & (t + 1 < steps), other=0.0)
        w = beta * w + a * u + b * s
        u = alpha * (u - s) + (1.0 - alpha) * (now - w)
        s = (u > 1.0).to(u.dtype)
        tl.store(spikes + at, s, mask=here)
        tl.store(membrane + at, u, mask=here)
        tl.store(current + at, w, mask=here)
        now = then
        at += cells
    tl.store(last_u + column, u, mask=here)
    tl.store(last_w + column, w, mask=here)


@triton.jit
def _backward(
    g_s, x, s_at, u_at, w_at, membrane, current, alpha_at, beta_at, a_at, b_at, g_u, g_w, width_at, scale_at, g_x, sums,
    steps, cells, neurons,
    THROUGH: tl.constexpr, SHAPE: tl.constexpr, EVERY: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    column = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = column < cells
    neuron = column % neurons
    alpha, beta = tl.load(alpha_at + neuron), tl.load(beta_at + neuron)
    a, b = tl.load(a_at + neuron), tl.load(b_at + neuron)
    width, scale = tl.load(width_at), tl.load(scale_at)
    e = tl.load(g_u + column, mask=here, other=0.0)
    f = tl.load(g_w + column, mask=here, other=0.0)
    first_s = tl.load(s_at + column, mask=here, other=0.0)
    first_u = tl.load(u_at + column, mask=here, other=0.0)
    first_w = tl.load(w_at + column, mask=here, other=0.0)
    zero = e * 0.0
    p, q = zero, zero
    g_alpha, g_beta, g_a, g_b = zero, zero, zero, zero
    at = column + (steps - 1) * tl.cast(cells, tl.int64)
    g_t = tl.load(g_s + column, mask=here, other=0.0)
    u = tl.load(membrane + at, mask=here, other=0.0)
    w = tl.load(current + at, mask=here, other=0.0)
    for t in range(0, steps):
        more = here & (t + 1 < steps)
        u_before = tl.where(more, tl.load(membrane + at - cells, mask=more, other=0.0), first_u)
        w_before = tl.where(more, tl.load(current + at - cells, mask=more, other=0.0), first_w)
        now = tl.load(x + at, mask=here, other=0.0)
        if EVERY:
            g_t = tl.load(g_s + at, mask=here, other=0.0)
        slope = slope_at(u - 1.0, width, scale, SHAPE)
        if THROUGH:
            g = e + (g_t + (b * q - alpha * p)) * slope + (alpha * p + a * q)
            h = f + beta * q - (1.0 - alpha) * g
        else:
            g = e + g_t * slope
            h = f - (1.0 - alpha) * g
        e, f, p, q = zero, zero, g, h
        tl.store(g_x + at, (1.0 - alpha) * g, mask=here)
        fired = tl.where(more, tl.where(u_before > 1.0, zero + 1.0, zero), first_s)
        g_alpha += p * ((u_before - fired) - (now - w))
        g_beta += q * w_before
        g_a += q * u_before
        g_b += q * fired
        u, w = u_before, w_before
        at -= cells
    tl.store(g_u + column, p, mask=here)
    tl.store(g_w + column, q, mask=here)
    tl.store(sums + column, g_alpha, mask=here)
    tl.store(sums + cells + column, g_beta, mask=here)
    tl.store(sums + 2 * tl.cast(cells, tl.int64) + column, g_a, mask=here)
    tl.store(sums + 3 * tl.cast(cells, tl.int64) + column, g_b, mask=here)


class _TritonAdlif(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, s: Tensor, u: Tensor, w: Tensor, surrogate: Surrogate, through_time: bool, *rest: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        x, *first = (part.detach().contiguous() for part in (x, s, u, w))
        arrays = [c.detach().contiguous() for c in rest]
        spikes, membrane, current = (torch.empty_like(x) for _ in range(3))
        last_u, last_w = torch.empty_like(first[1]), torch.empty_like(first[2])
        _forward[grid(last_u.numel())](
            x, *first, *arrays, spikes, membrane, current, last_u, last_w, len(x), last_u.numel(), x.shape[2],
            BLOCK=BLOCK, num_warps=2, enable_fp_fusion=False,
        )  # fmt: skip
        ctx.save_for_backward(x, *first, membrane, current, *arrays)
        ctx.surrogate, ctx.through_time = surrogate, through_time
        ctx.set_materialize_grads(False)
        return spikes, last_u, last_w

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, g_spikes: Tensor | None, g_u: Tensor | None, g_w: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        x, s, u, w, membrane, current, alpha, beta, a, b = ctx.saved_tensors
        g_s, every = each_step(spikes_or_zero(g_spikes, x))
        p, q = (state_or_zero(g, u) for g in (g_u, g_w))
        g_x, sums = torch.empty_like(x), x.new_empty(4, *x.shape[1:])
        width, scale, shape = shape_of(ctx.surrogate, x)
        _backward[grid(u.numel())](
            g_s, x, s, u, w, membrane, current, alpha, beta, a, b, p, q, width, scale, g_x, sums,
            len(x), u.numel(), x.shape[2],
            THROUGH=ctx.through_time, SHAPE=shape, EVERY=every, BLOCK=BLOCK, num_warps=2, enable_fp_fusion=False,
        )  # fmt: skip
        through = (b * q - alpha * p, alpha * p + a * q, beta * q) if ctx.through_time else (None, None, None)
        return g_x, *through, None, None, *sums.sum(1)
