"""The GLIF recurrence of `glif_scan` on a GPU. Gradients of coefficients are added up along a column and
over the samples later, so that the same seed ends in the same bits."""

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


def glif_scan(
    x: Tensor, carry: Tensor, surrogate: Surrogate, through_time: bool, *coefficients: Tensor
) -> tuple[Tensor, Tensor]:
    """Spikes `[T, B, N]` and the last carry `[B, N]`, as `glif_scan.glif_loop` has them."""
    return _TritonGlif.apply(x, carry, surrogate, through_time, *coefficients)


@triton.jit
def _forward(
    x, carry, leak_at, lin_at, gain_at, gamma_at, drop_at, theta_at, u_at, s, last, steps, cells, neurons,
    BLOCK: tl.constexpr,
):  # fmt: skip
    column = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = column < cells
    neuron = column % neurons
    leak, lin = tl.load(leak_at + neuron), tl.load(lin_at + neuron)
    gamma, drop, theta = tl.load(gamma_at + neuron), tl.load(drop_at + neuron), tl.load(theta_at + neuron)
    c = tl.load(carry + column, mask=here, other=0.0)
    at, gain_row = column, neuron
    now = tl.load(x + at, mask=here, other=0.0)
    for t in range(0, steps):
        then = tl.load(x + at + cells, mask=here & (t + 1 < steps), other=0.0)
        gain = tl.load(gain_at + gain_row)
        u = c - lin + gain * now
        o = (u > theta).to(u.dtype)
        tl.store(u_at + at, u, mask=here)
        tl.store(s + at, o, mask=here)
        c = leak * u * (1.0 - gamma * o) - drop * o
        now = then
        at += cells
        gain_row += neurons
    tl.store(last + column, c, mask=here)


@triton.jit
def _backward(
    g_s, u_at, g_carry, leak_at, gamma_at, drop_at, theta_at, width_at, scale_at, g_u, sums, steps, cells, neurons,
    THROUGH: tl.constexpr, SHAPE: tl.constexpr, EVERY: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    column = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = column < cells
    neuron = column % neurons
    leak, gamma = tl.load(leak_at + neuron), tl.load(gamma_at + neuron)
    drop, theta = tl.load(drop_at + neuron), tl.load(theta_at + neuron)
    width, scale = tl.load(width_at), tl.load(scale_at)
    c = tl.load(g_carry + column, mask=here, other=0.0)
    g_leak, g_gamma, g_drop, g_theta = c * 0.0, c * 0.0, c * 0.0, c * 0.0
    at = column + (steps - 1) * tl.cast(cells, tl.int64)
    g_t = tl.load(g_s + column, mask=here, other=0.0)
    now = tl.load(u_at + at, mask=here, other=0.0)
    for t in range(0, steps):
        before = tl.load(u_at + at - cells, mask=here & (t + 1 < steps), other=0.0)
        if EVERY:
            g_t = tl.load(g_s + at, mask=here, other=0.0)
        o = (now > theta).to(now.dtype)
        kept = 1.0 - gamma * o
        g_leak += c * now * kept
        g_gamma -= c * leak * now * o
        g_drop -= c * o
        slope = slope_at(now - theta, width, scale, SHAPE)
        if THROUGH:
            g_o = (g_t - c * (leak * now * gamma + drop)) * slope
            c = g_o + c * leak * kept
        else:
            g_o = g_t * slope
            c = g_o
        g_theta -= g_o
        tl.store(g_u + at, c, mask=here)
        now = before
        at -= cells
    tl.store(g_carry + column, c, mask=here)
    tl.store(sums + column, g_leak, mask=here)
    tl.store(sums + cells + column, g_gamma, mask=here)
    tl.store(sums + 2 * tl.cast(cells, tl.int64) + column, g_drop, mask=here)
    tl.store(sums + 3 * tl.cast(cells, tl.int64) + column, g_theta, mask=here)


class _TritonGlif(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, carry: Tensor, surrogate: Surrogate, through_time: bool, *coefficients: Tensor
    ) -> tuple[Tensor, Tensor]:
        x, carry = x.detach().contiguous(), carry.detach().contiguous()
        arrays = [c.detach().contiguous() for c in coefficients]
        membrane, spikes, last = torch.empty_like(x), torch.empty_like(x), torch.empty_like(carry)
        _forward[grid(carry.numel())](
            x, carry, *arrays, membrane, spikes, last, len(x), carry.numel(), x.shape[2],
            BLOCK=BLOCK, num_warps=2, enable_fp_fusion=False,
        )  # fmt: skip
        ctx.save_for_backward(x, membrane, *arrays)
        ctx.surrogate, ctx.through_time = surrogate, through_time
        ctx.set_materialize_grads(False)
        return spikes, last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_spikes: Tensor | None, g_last: Tensor | None) -> tuple[Tensor | None, ...]:
        x, membrane, leak, _lin, gain, gamma, drop, theta = ctx.saved_tensors
        g_s, every = each_step(spikes_or_zero(g_spikes, x))
        g_carry = state_or_zero(g_last, x[0])
        g_u, sums = torch.empty_like(x), x.new_empty(4, *x.shape[1:])
        width, scale, shape = shape_of(ctx.surrogate, x)
        _backward[grid(g_carry.numel())](
            g_s, membrane, g_carry, leak, gamma, drop, theta, width, scale, g_u, sums, len(x), g_carry.numel(), x.shape[2],
            THROUGH=ctx.through_time, SHAPE=shape, EVERY=every, BLOCK=BLOCK, num_warps=2, enable_fp_fusion=False,
        )  # fmt: skip
        g_leak, g_gamma, g_drop, g_theta = sums.sum(1)
        g_lin, g_gain = -g_u.sum((0, 1)), (g_u * x).sum(1)
        return g_u * gain.unsqueeze(1), g_carry, None, None, g_leak, g_lin, g_gain, g_gamma, g_drop, g_theta
