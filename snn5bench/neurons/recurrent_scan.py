"""The LIF recurrence with all-to-all recurrent weights over a whole sequence as one op.

v[t] = c[t-1] + V y[t-1] + x[t]           with the carry c and the spike y of `lif_scan`
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from snn5bench.neurons.absent import spikes_or_zero, state_or_zero
from snn5bench.neurons.backend import compiled, on_triton
from snn5bench.neurons.kernels import recurrent_backward, recurrent_forward
from snn5bench.neurons.lif_scan import LifConstants, same_each_step
from snn5bench.neurons.surrogate import Surrogate


def recurrent_lif_scan(
    x: Tensor, carry: Tensor | None, last: Tensor | None, weight: Tensor, constants: LifConstants, surrogate: Surrogate
) -> tuple[Tensor, Tensor]:
    """Spikes `[T, B, N]` and last carry `[B, N]`. `x` `[T, B, N]` is the input current, `carry` and `last` `[B, N]` the
    carry and the spikes before it (None: zero), `weight` `[N, N]` from column to row."""
    zero = x.new_zeros(x.shape[1:])
    carry = zero if carry is None else carry
    last = zero if last is None else last
    if compiled(x, carry, weight):
        return _RecurrentScan.apply(x, carry, last, weight, constants, surrogate)
    if on_triton(x, carry, last, weight):
        from snn5bench.neurons import triton_recurrent

        if len(weight) <= triton_recurrent.WIDEST:
            return triton_recurrent.recurrent_lif_scan(x, carry, last, weight, constants, surrogate)
    return recurrent_lif_loop(x, carry, last, weight, constants, surrogate)


def recurrent_lif_loop(
    x: Tensor, carry: Tensor, y: Tensor, weight: Tensor, constants: LifConstants, surrogate: Surrogate
) -> tuple[Tensor, Tensor]:
    """The oracle: the same recurrence as a plain torch loop, differentiated by autograd."""
    decay, threshold, hard, detach_reset, through_time = constants
    spikes = []
    for x_t in x:
        if not through_time:
            carry, y = carry.detach(), y.detach()
        v = carry + y @ weight.t() + x_t
        y = surrogate(v - threshold)
        spikes.append(y)
        reset = y.detach() if detach_reset else y
        carry = decay * v * (1 - reset) if hard else decay * v - threshold * reset
    return torch.stack(spikes), carry if through_time else carry.detach()


class _RecurrentScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, carry: Tensor, last: Tensor, weight: Tensor, constants: LifConstants, surrogate: Surrogate
    ) -> tuple[Tensor, Tensor]:
        real = np.float32 if x.dtype == torch.float32 else np.float64
        current = x.contiguous().numpy()
        membrane, spikes = np.empty_like(current), torch.empty(x.shape, dtype=x.dtype)
        end = carry.clone(memory_format=torch.contiguous_format)
        first = last.detach().contiguous()
        by_source = weight.detach().t().contiguous()
        recurrent_forward(
            current, end.numpy(), first.numpy(), by_source.numpy(), real(constants.decay), real(constants.threshold),
            constants.hard, membrane, spikes.numpy(),
        )  # fmt: skip
        ctx.membrane, ctx.constants, ctx.surrogate = membrane, constants, surrogate
        ctx.save_for_backward(first, weight)
        ctx.set_materialize_grads(False)
        return spikes, end

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_spikes: Tensor | None, g_end: Tensor | None) -> tuple[Tensor | None, ...]:
        v, constants, surrogate = ctx.membrane, ctx.constants, ctx.surrogate
        first, weight = ctx.saved_tensors
        real = v.dtype.type
        batch, neurons = v.shape[1:]
        g_carry = state_or_zero(g_end, first)
        g_x = torch.empty(v.shape, dtype=first.dtype)
        g_first = torch.zeros_like(first)
        g_weight = torch.zeros(neurons, neurons, dtype=first.dtype)
        spikes_in = same_each_step(spikes_or_zero(g_spikes, g_x)).reshape(-1, batch, neurons)
        recurrent_backward(
            spikes_in, v, g_carry.numpy(), first.numpy(), weight.detach().contiguous().numpy(),
            real(constants.decay), real(constants.threshold), constants.hard, not constants.detach_reset,
            constants.through_time, surrogate.id, real(surrogate.width.item()), real(surrogate.scale.item()),
            g_x.numpy(), g_first.numpy(), g_weight.numpy(),
        )  # fmt: skip
        return g_x, g_carry, g_first, g_weight.t(), None, None
