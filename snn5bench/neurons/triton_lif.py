"""The LIF recurrence of `lif_scan` on a GPU: a Triton program walks the steps of a block of neurons, forward and back.

Arithmetic rounds as it is written (no fused multiply-add), so that spikes are those of the plain loop. Four steps are
loaded together: their loads wait for memory at the same time.
"""

# mypy: disallow-incomplete-defs=False

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from snn5bench.neurons.absent import spikes_or_zero, state_or_zero
from snn5bench.neurons.lif_scan import LifConstants
from snn5bench.neurons.surrogate import Surrogate
from snn5bench.neurons.triton_surrogate import BLOCK, each_step, grid, on_device, shape_of, slope_at


def lif_scan(x: Tensor, carry: Tensor, constants: LifConstants, surrogate: Surrogate) -> tuple[Tensor, Tensor]:
    """Spikes `[T, B, N]` and the last carry `[B, N]`, as `lif_scan.lif_loop` has them."""
    if torch.is_grad_enabled() and (x.requires_grad or carry.requires_grad):
        return _TritonLif.apply(x, carry, constants, surrogate)
    spikes, last, _ = _run(x, carry, constants, keep=False)
    return spikes, last


@triton.jit
def step(x, c, theta, decay, HARD: tl.constexpr):
    """The membrane, the spike and the carry, given the current and the carry before."""
    v = c + x
    y = (v >= theta).to(v.dtype)
    if HARD:
        c = decay * v * (1.0 - y)
    else:
        c = decay * v - theta * y
    return v, y, c


@triton.jit
def _forward(
    x, carry, constants, v, s, last, steps, cells, HARD: tl.constexpr, KEEP: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    column = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = column < cells
    decay, theta = tl.load(constants), tl.load(constants + 1)
    c = tl.load(carry + column, mask=here, other=0.0)
    a0 = column
    for t in range(0, steps, 4):
        a1, a2, a3 = a0 + cells, a0 + 2 * cells, a0 + 3 * cells
        m1, m2, m3 = here & (t + 1 < steps), here & (t + 2 < steps), here & (t + 3 < steps)
        x0 = tl.load(x + a0, mask=here, other=0.0)
        x1 = tl.load(x + a1, mask=m1, other=0.0)
        x2 = tl.load(x + a2, mask=m2, other=0.0)
        x3 = tl.load(x + a3, mask=m3, other=0.0)
        v0, y0, c = step(x0, c, theta, decay, HARD)
        v1, y1, c1 = step(x1, c, theta, decay, HARD)
        c = tl.where(m1, c1, c)
        v2, y2, c2 = step(x2, c, theta, decay, HARD)
        c = tl.where(m2, c2, c)
        v3, y3, c3 = step(x3, c, theta, decay, HARD)
        c = tl.where(m3, c3, c)
        tl.store(s + a0, y0, mask=here)
        tl.store(s + a1, y1, mask=m1)
        tl.store(s + a2, y2, mask=m2)
        tl.store(s + a3, y3, mask=m3)
        if KEEP:
            tl.store(v + a0, v0, mask=here)
            tl.store(v + a1, v1, mask=m1)
            tl.store(v + a2, v2, mask=m2)
            tl.store(v + a3, v3, mask=m3)
        a0 += 4 * tl.cast(cells, tl.int64)
    tl.store(last + column, c, mask=here)


@triton.jit
def step_back(
    v, g, gc, theta, decay, width, scale,
    HARD: tl.constexpr, RESET: tl.constexpr, THROUGH: tl.constexpr, SHAPE: tl.constexpr,
):  # fmt: skip
    """The gradient of the membrane, given the spike's `g` and the carry's `gc`."""
    slope = slope_at(v - theta, width, scale, SHAPE)
    out = g * slope
    if THROUGH:
        if HARD:
            keep = (v < theta).to(v.dtype)
            if RESET:
                keep = keep - v * slope
            out = out + gc * decay * keep
        else:
            if RESET:
                out = out + gc * (decay - theta * slope)
            else:
                out = out + gc * decay
    return out


@triton.jit
def _backward(
    g_s, v, g_carry, constants, width_at, scale_at, g_x, steps, cells,
    HARD: tl.constexpr, RESET: tl.constexpr, THROUGH: tl.constexpr, SHAPE: tl.constexpr, EVERY: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    column = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = column < cells
    decay, theta = tl.load(constants), tl.load(constants + 1)
    width, scale = tl.load(width_at), tl.load(scale_at)
    gc = tl.load(g_carry + column, mask=here, other=0.0)
    a0 = column + (steps - 1) * tl.cast(cells, tl.int64)
    g0 = tl.load(g_s + column, mask=here, other=0.0)
    g1, g2, g3 = g0, g0, g0
    for t in range(0, steps, 4):
        a1, a2, a3 = a0 - cells, a0 - 2 * cells, a0 - 3 * cells
        m1, m2, m3 = here & (t + 1 < steps), here & (t + 2 < steps), here & (t + 3 < steps)
        v0 = tl.load(v + a0, mask=here, other=0.0)
        v1 = tl.load(v + a1, mask=m1, other=0.0)
        v2 = tl.load(v + a2, mask=m2, other=0.0)
        v3 = tl.load(v + a3, mask=m3, other=0.0)
        if EVERY:
            g0 = tl.load(g_s + a0, mask=here, other=0.0)
            g1 = tl.load(g_s + a1, mask=m1, other=0.0)
            g2 = tl.load(g_s + a2, mask=m2, other=0.0)
            g3 = tl.load(g_s + a3, mask=m3, other=0.0)
        gc = step_back(v0, g0, gc, theta, decay, width, scale, HARD, RESET, THROUGH, SHAPE)
        tl.store(g_x + a0, gc, mask=here)
        out = step_back(v1, g1, gc, theta, decay, width, scale, HARD, RESET, THROUGH, SHAPE)
        gc = tl.where(m1, out, gc)
        tl.store(g_x + a1, gc, mask=m1)
        out = step_back(v2, g2, gc, theta, decay, width, scale, HARD, RESET, THROUGH, SHAPE)
        gc = tl.where(m2, out, gc)
        tl.store(g_x + a2, gc, mask=m2)
        out = step_back(v3, g3, gc, theta, decay, width, scale, HARD, RESET, THROUGH, SHAPE)
        gc = tl.where(m3, out, gc)
        tl.store(g_x + a3, gc, mask=m3)
        a0 -= 4 * tl.cast(cells, tl.int64)
    if THROUGH:
        tl.store(g_carry + column, gc, mask=here)


def _run(x: Tensor, carry: Tensor, constants: LifConstants, keep: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes, last carry, and the membrane where it is kept (else a tensor of no use)."""
    x, carry = x.detach().contiguous(), carry.detach().contiguous()
    spikes, last = torch.empty_like(x), torch.empty_like(carry)
    membrane = torch.empty_like(x) if keep else last
    fixed = on_device((constants.decay, constants.threshold), x.dtype, x.device)
    _forward[grid(carry.numel())](
        x, carry, fixed, membrane, spikes, last, len(x), carry.numel(),
        HARD=constants.hard, KEEP=keep, BLOCK=BLOCK, num_warps=2, enable_fp_fusion=False,
    )  # fmt: skip
    return spikes, last, membrane


class _TritonLif(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, carry: Tensor, constants: LifConstants, surrogate: Surrogate
    ) -> tuple[Tensor, Tensor]:
        spikes, last, ctx.membrane = _run(x, carry, constants, keep=True)
        ctx.constants, ctx.surrogate = constants, surrogate
        ctx.set_materialize_grads(False)
        return spikes, last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_spikes: Tensor | None, g_last: Tensor | None) -> tuple[Tensor, Tensor, None, None]:
        membrane, constants = ctx.membrane, ctx.constants
        g_carry = state_or_zero(g_last if constants.through_time else None, membrane[0])
        g_s, every = each_step(spikes_or_zero(g_spikes, membrane))
        width, scale, shape = shape_of(ctx.surrogate, membrane)
        fixed = on_device((constants.decay, constants.threshold), membrane.dtype, membrane.device)
        g_x = torch.empty_like(membrane)
        _backward[grid(g_carry.numel())](
            g_s, membrane, g_carry, fixed, width, scale, g_x, len(membrane), g_carry.numel(),
            HARD=constants.hard, RESET=not constants.detach_reset, THROUGH=constants.through_time, SHAPE=shape,
            EVERY=every, BLOCK=BLOCK, num_warps=2, enable_fp_fusion=False,
        )  # fmt: skip
        return g_x, g_carry, None, None
