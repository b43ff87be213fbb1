"""The recurrent LIF of `recurrent_scan` on a GPU: a Triton program has one sample and all neurons of the layer, and walks
the steps, forward and back.

Up to `HOLDS` neurons a program holds the weights in registers; above, it reads them at each step, some rows at a time, from
the second-level cache. A sum over neurons has the same order every time: the same seed ends in the same bits.
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
from snn5bench.neurons.triton_lif import step, step_back
from snn5bench.neurons.triton_surrogate import each_step, on_device, shape_of

HOLDS, WIDEST = 128, 512
"""Most neurons whose weights a program holds in registers, and most neurons at all."""


def recurrent_lif_scan(
    x: Tensor, carry: Tensor, last: Tensor, weight: Tensor, constants: LifConstants, surrogate: Surrogate
) -> tuple[Tensor, Tensor]:
    """Spikes `[T, B, N]` and the last carry `[B, N]`, as `recurrent_scan.recurrent_lif_loop` has them."""
    if torch.is_grad_enabled() and any(part.requires_grad for part in (x, carry, last, weight)):
        return _TritonRecurrent.apply(x, carry, last, weight, constants, surrogate)
    spikes, end, _ = _run(x, carry, last, weight, constants, keep=False)
    return spikes, end


@triton.jit
def _rows(matrix, row, neuron, neurons):
    """Rows of a `[N, N]` matrix, padded with zeros."""
    there = (row < neurons)[:, None] & (neuron < neurons)[None, :]
    return tl.load(matrix + row[:, None] * neurons + neuron[None, :], mask=there, other=0.0)


@triton.jit
def _passed_on(frame, matrix, neuron, neurons, ROWS: tl.constexpr):
    """A frame `[N]` in memory times the matrix, a block of its rows at a time."""
    row = tl.arange(0, ROWS)
    total = _rows(matrix, row, neuron, neurons) * tl.load(frame + row, mask=row < neurons, other=0.0)[:, None]
    for _ in range(ROWS, neurons, ROWS):
        row += ROWS
        total += _rows(matrix, row, neuron, neurons) * tl.load(frame + row, mask=row < neurons, other=0.0)[:, None]
    return tl.sum(total, axis=0)


@triton.jit
def _forward(
    x, carry, first, matrix, constants, v, s, end, steps, cells, neurons,
    HARD: tl.constexpr, KEEP: tl.constexpr, HELD: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    neuron = tl.arange(0, WIDE)
    here = neuron < neurons
    at = tl.program_id(0).to(tl.int64) * neurons
    decay, theta = tl.load(constants), tl.load(constants + 1)
    c = tl.load(carry + at + neuron, mask=here, other=0.0)
    y = tl.load(first + at + neuron, mask=here, other=0.0)
    before = first + at
    if HELD:
        held = _rows(matrix, neuron, neuron, neurons)
    start = at
    now = tl.load(x + at + neuron, mask=here, other=0.0)
    for t in range(0, steps):
        then = tl.load(x + at + cells + neuron, mask=here & (t + 1 < steps), other=0.0)
        if HELD:
            given = tl.sum(held * y[:, None], axis=0)
        else:
            given = _passed_on(before, matrix, neuron, neurons, ROWS)
        u, y, c = step(now, c + given, theta, decay, HARD)
        tl.store(s + at + neuron, y, mask=here)
        if KEEP:
            tl.store(v + at + neuron, u, mask=here)
        if not HELD:
            tl.debug_barrier()
            before = s + at
        now = then
        at += cells
    tl.store(end + start + neuron, c, mask=here)


@triton.jit
def _backward(
    g_s, v, g_carry, g_first, matrix, constants, width_at, scale_at, g_x, steps, cells, neurons,
    HARD: tl.constexpr, RESET: tl.constexpr, THROUGH: tl.constexpr, SHAPE: tl.constexpr, EVERY: tl.constexpr,
    HELD: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    neuron = tl.arange(0, WIDE)
    here = neuron < neurons
    start = tl.program_id(0).to(tl.int64) * neurons
    decay, theta = tl.load(constants), tl.load(constants + 1)
    width, scale = tl.load(width_at), tl.load(scale_at)
    gc = tl.load(g_carry + start + neuron, mask=here, other=0.0)
    given = gc * 0.0
    if HELD and THROUGH:
        held = _rows(matrix, neuron, neuron, neurons)
    at = start + (steps - 1) * tl.cast(cells, tl.int64)
    g = tl.load(g_s + (at if EVERY else start) + neuron, mask=here, other=0.0)
    u = tl.load(v + at + neuron, mask=here, other=0.0)
    for t in range(0, steps):
        more = here & (t + 1 < steps)
        u_then = tl.load(v + at - cells + neuron, mask=more, other=0.0)
        g_then = g
        if EVERY:
            g_then = tl.load(g_s + at - cells + neuron, mask=more, other=0.0)
        gc = step_back(u, g + given, gc, theta, decay, width, scale, HARD, RESET, THROUGH, SHAPE)
        tl.store(g_x + at + neuron, gc, mask=here)
        if THROUGH:
            if HELD:
                given = tl.sum(held * gc[:, None], axis=0)
            else:
                tl.debug_barrier()
                given = _passed_on(g_x + at, matrix, neuron, neurons, ROWS)
        u, g = u_then, g_then
        at -= cells
    if THROUGH:
        tl.store(g_carry + start + neuron, gc, mask=here)
        tl.store(g_first + start + neuron, given, mask=here)


def _shape(weight: Tensor, forward: bool) -> dict[str, Any]:
    """How a program is laid out: 64 registers of a thread hold the weights (128 forward, where it needs few others), or 32
    a block of their rows and 32 its sum."""
    wide = max(16, triton.next_power_of_2(len(weight)))
    held = wide <= HOLDS
    rows = wide if held else 8192 // wide
    registers = (128 if forward else 64) if held else 32
    warps = max(1, rows * wide * weight.element_size() // (128 * registers))
    return {"HELD": held, "WIDE": wide, "ROWS": rows, "num_warps": warps, "enable_fp_fusion": False}


def _run(
    x: Tensor, carry: Tensor, last: Tensor, weight: Tensor, constants: LifConstants, keep: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes, last carry, and the membrane where it is kept (else a tensor of no use)."""
    x, carry, last = (part.detach().contiguous() for part in (x, carry, last))
    spikes, end = torch.empty_like(x), torch.empty_like(carry)
    membrane = torch.empty_like(x) if keep else end
    fixed = on_device((constants.decay, constants.threshold), x.dtype, x.device)
    _forward[(len(carry),)](
        x, carry, last, weight.detach().t().contiguous(), fixed, membrane, spikes, end,
        len(x), carry.numel(), len(weight), HARD=constants.hard, KEEP=keep, **_shape(weight, forward=True),
    )  # fmt: skip
    return spikes, end, membrane


class _TritonRecurrent(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, carry: Tensor, last: Tensor, weight: Tensor, constants: LifConstants, surrogate: Surrogate
    ) -> tuple[Tensor, Tensor]:
        spikes, end, ctx.membrane = _run(x, carry, last, weight, constants, keep=True)
        ctx.save_for_backward(spikes, last, weight)
        ctx.constants, ctx.surrogate = constants, surrogate
        ctx.set_materialize_grads(False)
        return spikes, end

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_spikes: Tensor | None, g_end: Tensor | None) -> tuple[Tensor | None, ...]:
        membrane, constants = ctx.membrane, ctx.constants
        spikes, first, weight = ctx.saved_tensors
        g_carry = state_or_zero(g_end if constants.through_time else None, first)
        g_first = torch.zeros_like(g_carry)
        g_s, every = each_step(spikes_or_zero(g_spikes, membrane))
        width, scale, shape = shape_of(ctx.surrogate, membrane)
        fixed = on_device((constants.decay, constants.threshold), membrane.dtype, membrane.device)
        g_x = torch.empty_like(membrane)
        _backward[(len(g_carry),)](
            g_s, membrane, g_carry, g_first, weight.contiguous(), fixed, width, scale, g_x,
            len(membrane), g_carry.numel(), len(weight),
            HARD=constants.hard, RESET=not constants.detach_reset, THROUGH=constants.through_time, SHAPE=shape,
            EVERY=every, **_shape(weight, forward=False),
        )  # fmt: skip
        g_weight = torch.addmm(g_x[0].t() @ first, g_x[1:].flatten(0, 1).t(), spikes[:-1].flatten(0, 1))
        return g_x, g_carry, g_first, g_weight, None, None
