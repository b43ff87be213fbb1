"""The PLIF recurrence of `plif_scan` on a GPU. The gradient of the one leak k is added up a column at a time in float64 and
summed afterwards: no atomic additions, so that the same seed ends in the same bits."""

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


def plif_scan(x: Tensor, state: Tensor, k: Tensor, surrogate: Surrogate, through_time: bool) -> tuple[Tensor, Tensor]:
    """Spikes `[T, B, N]` and the membrane after the last step `[B, N]`, as `plif_scan.plif_scan` has them."""
    return _TritonPlif.apply(x, state, k, surrogate, through_time)


@triton.jit
def _forward(x, first, k_at, v, s, last, steps, cells, BLOCK: tl.constexpr):
    column = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = column < cells
    k = tl.load(k_at)
    u = tl.load(first + column, mask=here, other=0.0)
    at = column
    now = tl.load(x + at, mask=here, other=0.0)
    for t in range(0, steps):
        then = tl.load(x + at + cells, mask=here & (t + 1 < steps), other=0.0)
        w = u + (now - u) * k
        y = (w >= 1.0).to(w.dtype)
        tl.store(v + at, w, mask=here)
        tl.store(s + at, y, mask=here)
        u = w * (1.0 - y)
        now = then
        at += cells
    tl.store(last + column, u, mask=here)


@triton.jit
def _backward(
    g_s, x, v, first, g_state, k_at, width_at, scale_at, g_x, g_k, steps, cells,
    THROUGH: tl.constexpr, SHAPE: tl.constexpr, EVERY: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    column = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = column < cells
    k, width, scale = tl.load(k_at), tl.load(width_at), tl.load(scale_at)
    gc = tl.load(g_state + column, mask=here, other=0.0)
    rest = tl.load(first + column, mask=here, other=0.0)
    total = (rest * 0.0).to(tl.float64)
    at = column + (steps - 1) * tl.cast(cells, tl.int64)
    g = tl.load(g_s + column, mask=here, other=0.0)
    w = tl.load(v + at, mask=here, other=0.0)
    for t in range(0, steps):
        more = here & (t + 1 < steps)
        before = tl.load(v + at - cells, mask=more, other=0.0)
        current = tl.load(x + at, mask=here, other=0.0)
        if EVERY:
            g = tl.load(g_s + at, mask=here, other=0.0)
        old = tl.where(more, tl.where(before >= 1.0, before * 0.0, before), rest)
        d = g * slope_at(w - 1.0, width, scale, SHAPE) + tl.where(w >= 1.0, gc * 0.0, gc)
        total += (d * (current - old)).to(tl.float64)
        tl.store(g_x + at, d * k, mask=here)
        if THROUGH:
            gc = (1.0 - k) * d
        else:
            gc = gc * 0.0
        w = before
        at -= cells
    tl.store(g_state + column, gc, mask=here)
    tl.store(g_k + column, total, mask=here)


class _TritonPlif(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, state: Tensor, k: Tensor, surrogate: Surrogate, through_time: bool
    ) -> tuple[Tensor, Tensor]:
        x, first, k = x.detach().contiguous(), state.detach().contiguous(), k.detach()
        membrane, spikes, last = torch.empty_like(x), torch.empty_like(x), torch.empty_like(first)
        _forward[grid(first.numel())](
            x, first, k, membrane, spikes, last, len(x), first.numel(),
            BLOCK=BLOCK, num_warps=2, enable_fp_fusion=False,
        )  # fmt: skip
        ctx.save_for_backward(x, first, membrane, k)
        ctx.surrogate, ctx.through_time = surrogate, through_time
        ctx.set_materialize_grads(False)
        return spikes, last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_spikes: Tensor | None, g_last: Tensor | None) -> tuple[Tensor | None, ...]:
        x, first, membrane, k = ctx.saved_tensors
        g_s, every = each_step(spikes_or_zero(g_spikes, x))
        g_state = state_or_zero(g_last, first)
        g_x, g_k = torch.empty_like(x), torch.empty(first.shape, dtype=torch.float64, device=x.device)
        width, scale, shape = shape_of(ctx.surrogate, x)
        _backward[grid(first.numel())](
            g_s, x, membrane, first, g_state, k, width, scale, g_x, g_k, len(x), first.numel(),
            THROUGH=ctx.through_time, SHAPE=shape, EVERY=every, BLOCK=BLOCK, num_warps=2, enable_fp_fusion=False,
        )  # fmt: skip
        return g_x, g_state if ctx.through_time else None, g_k.sum().to(k).view_as(k), None, None
