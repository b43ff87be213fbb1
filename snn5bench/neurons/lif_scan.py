"""The LIF recurrence over a whole sequence as one op.

State between steps is a single `carry` c, what the past adds to the next input:

    v[t] = c[t-1] + x[t],   y[t] = H(v[t] - theta),
    c[t] = d v[t] (1 - y[t])          hard reset
    c[t] = d v[t] - theta y[t]        soft reset

which is v <- d v (1 - y) + x and v <- d v - theta y + x with c[-1] = 0.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from snn5bench.neurons.absent import spikes_or_zero, state_or_zero
from snn5bench.neurons.backend import compiled, on_triton
from snn5bench.neurons.kernels import lif_backward, lif_forward
from snn5bench.neurons.surrogate import Surrogate


class LifConstants(NamedTuple):
    """What a LIF layer does not learn."""

    decay: float
    threshold: float
    hard: bool
    """Hard reset to zero, else soft reset by the threshold."""
    detach_reset: bool
    """No gradient through the reset's spike."""
    through_time: bool
    """Gradient through the carry (STBP); without it, SDBP."""


def lif_scan(x: Tensor, carry: Tensor | None, constants: LifConstants, surrogate: Surrogate) -> tuple[Tensor, Tensor]:
    """Spikes `[T, B, N]` and the last carry `[B, N]` for the input current `x` `[T, B, N]`; `carry` None is zero."""
    if carry is None:
        carry = x.new_zeros(x.shape[1:])
    if compiled(x, carry):
        if torch.is_grad_enabled() and (x.requires_grad or carry.requires_grad):
            return _LifScan.apply(x, carry, constants, surrogate)
        return _run(x, carry, constants, x.new_empty((1, *x.shape[1:])))
    if on_triton(x, carry):
        from snn5bench.neurons import triton_lif

        return triton_lif.lif_scan(x, carry, constants, surrogate)
    return lif_loop(x, carry, constants, surrogate)


def lif_loop(x: Tensor, carry: Tensor, constants: LifConstants, surrogate: Surrogate) -> tuple[Tensor, Tensor]:
    """The oracle: the same recurrence as a plain torch loop, differentiated by autograd."""
    decay, threshold, hard, detach_reset, through_time = constants
    spikes = []
    for x_t in x:
        v = (carry if through_time else carry.detach()) + x_t
        y = surrogate(v - threshold)
        spikes.append(y)
        reset = y.detach() if detach_reset else y
        carry = decay * v * (1 - reset) if hard else decay * v - threshold * reset
    return torch.stack(spikes), carry if through_time else carry.detach()


def _run(x: Tensor, carry: Tensor, constants: LifConstants, membrane: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes and the last carry; `membrane` is filled, or is of one step and of no use where no gradient is wanted."""
    real = np.float32 if x.dtype == torch.float32 else np.float64
    current = x.detach().contiguous()
    spikes = torch.empty_like(current)
    last = carry.detach().clone(memory_format=torch.contiguous_format)
    lif_forward(
        flat(current), last.numpy().reshape(-1), real(constants.decay), real(constants.threshold), constants.hard,
        flat(membrane), flat(spikes),
    )  # fmt: skip
    return spikes, last


class _LifScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, carry: Tensor, constants: LifConstants, surrogate: Surrogate
    ) -> tuple[Tensor, Tensor]:
        membrane = torch.empty(x.shape, dtype=x.dtype)
        ctx.membrane, ctx.constants, ctx.surrogate = membrane, constants, surrogate
        ctx.set_materialize_grads(False)
        return _run(x, carry, constants, membrane)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_spikes: Tensor | None, g_last: Tensor | None) -> tuple[Tensor, Tensor, None, None]:
        membrane, constants, surrogate = ctx.membrane, ctx.constants, ctx.surrogate
        v = flat(membrane)
        real = v.dtype.type
        g_carry = state_or_zero(g_last if constants.through_time else None, membrane[0])
        g_x = torch.empty_like(membrane)
        lif_backward(
            same_each_step(spikes_or_zero(g_spikes, membrane)), v, g_carry.numpy().reshape(-1),
            real(constants.decay), real(constants.threshold),
            constants.hard, not constants.detach_reset, constants.through_time,
            surrogate.id, real(surrogate.width.item()), real(surrogate.scale.item()), flat(g_x),
        )  # fmt: skip
        return g_x, g_carry, None, None


def flat(x: Tensor) -> np.ndarray:
    """`[T, B, N]` as an array `[T, B*N]` on the same memory."""
    return x.numpy().reshape(x.shape[0], -1)


def same_each_step(x: Tensor) -> np.ndarray:
    """`[T, B, N]` as `[T, B*N]`, or as `[1, B*N]` where it is one frame expanded over time (a summed read-out's
    gradient): the kernels then read the one frame."""
    if x.stride(0) == 0:
        x = x[:1]
    return flat(x.contiguous())
