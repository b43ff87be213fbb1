"""The GLIF recurrence over a whole sequence as one op.

With the gates folded into per-neuron coefficients, and the past's contribution to the next step as the carry c:

    u[t] = c[t-1] - lin + gain[t] x[t],     o[t] = 1 if u[t] > theta (strict)
    c[t] = leak u[t] (1 - gamma o[t]) - drop o[t]
    leak = 1 - alpha (1 - tau),   lin = (1 - alpha) l,   gain = 1 - beta (1 - g),   drop = (1 - gamma) V_re
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from snn5bench.neurons.absent import spikes_or_zero, state_or_zero
from snn5bench.neurons.backend import compiled, on_triton
from snn5bench.neurons.kernels import glif_backward, glif_forward
from snn5bench.neurons.lif_scan import same_each_step
from snn5bench.neurons.surrogate import Surrogate


class Coefficients(NamedTuple):
    """Per-neuron coefficients `[N]`; `gain` is `[T, N]`. All differentiable."""

    leak: Tensor
    lin: Tensor
    gain: Tensor
    gamma: Tensor
    drop: Tensor
    theta: Tensor


def glif_scan(
    x: Tensor, carry: Tensor | None, coefficients: Coefficients, surrogate: Surrogate, through_time: bool
) -> tuple[Tensor, Tensor]:
    """Spikes `[T, B, N]` and the last carry `[B, N]`. Without `through_time`, u and o are detached before they enter
    the carry; the coefficients that shape it keep their gradient."""
    if carry is None:
        carry = x.new_zeros(x.shape[1:])
    if compiled(x, carry, *coefficients):
        return _GlifScan.apply(x, carry, surrogate, through_time, *coefficients)
    if on_triton(x, carry, *coefficients):
        from snn5bench.neurons import triton_glif

        return triton_glif.glif_scan(x, carry, surrogate, through_time, *coefficients)
    return glif_loop(x, carry, coefficients, surrogate, through_time)


def glif_loop(
    x: Tensor, carry: Tensor, coefficients: Coefficients, surrogate: Surrogate, through_time: bool
) -> tuple[Tensor, Tensor]:
    """The oracle: the same recurrence as a plain torch loop, differentiated by autograd."""
    leak, lin, gain, gamma, drop, theta = coefficients
    spikes = []
    for x_t, gain_t in zip(x, gain, strict=True):
        u = carry - lin + gain_t * x_t
        o = surrogate(u - theta, strict=True)
        spikes.append(o)
        if not through_time:
            u, o = u.detach(), o.detach()
        carry = leak * u * (1 - gamma * o) - drop * o
    return torch.stack(spikes), carry


class _GlifScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, carry: Tensor, surrogate: Surrogate, through_time: bool, *coefficients: Tensor
    ) -> tuple[Tensor, Tensor]:
        x = x.detach().contiguous()
        membrane, spikes = torch.empty_like(x), torch.empty_like(x)
        last = carry.clone(memory_format=torch.contiguous_format)
        arrays = [c.detach().contiguous() for c in coefficients]
        glif_forward(x.numpy(), last.numpy(), *[a.numpy() for a in arrays], membrane.numpy(), spikes.numpy())
        ctx.save_for_backward(x, membrane, *arrays)
        ctx.surrogate, ctx.through_time = surrogate, through_time
        ctx.set_materialize_grads(False)
        return spikes, last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_spikes: Tensor | None, g_last: Tensor | None) -> tuple[Tensor | None, ...]:
        x, membrane, *arrays = ctx.saved_tensors
        batch, neurons = x.shape[1:]
        g_carry = state_or_zero(g_last, x[0])
        g_x = torch.empty_like(x)
        g_arrays = [torch.zeros_like(a) for a in arrays]
        real = membrane.numpy().dtype.type
        glif_backward(
            same_each_step(spikes_or_zero(g_spikes, x)).reshape(-1, batch, neurons),
            x.numpy(), membrane.numpy(), g_carry.numpy(), *[a.numpy() for a in arrays], ctx.through_time,
            ctx.surrogate.id, real(ctx.surrogate.width.item()), real(ctx.surrogate.scale.item()),
            g_x.numpy(), *[g.numpy() for g in g_arrays],
        )  # fmt: skip
        return g_x, g_carry, None, None, *g_arrays
