"""The adLIF recurrence over a whole sequence as one op; the plain torch loop of `adlif.AdLIF` is its oracle.

w[t] = beta w[t-1] + a u[t-1] + b s[t-1]
u[t] = alpha (u[t-1] - s[t-1]) + (1 - alpha) (x[t] - w[t]),     s[t] = 1 if u[t] > 1 (strict)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from snn5bench.neurons.absent import spikes_or_zero, state_or_zero
from snn5bench.neurons.kernels import adlif_backward, adlif_forward
from snn5bench.neurons.lif_scan import same_each_step
from snn5bench.neurons.surrogate import Surrogate

State = tuple[Tensor, Tensor, Tensor]


def adlif_scan(
    x: Tensor, before: State, coefficients: tuple[Tensor, ...], surrogate: Surrogate, through_time: bool
) -> tuple[Tensor, State]:
    """Spikes `[T, B, N]` and the state (s, u, w) after the last step, for the current `x` `[T, B, N]` and the state
    `before`, each `[B, N]`; `coefficients` are alpha, beta, a, b `[N]`. Without `through_time` the state is detached
    before each step."""
    if x.is_cuda:
        from snn5bench.neurons import triton_adlif

        spikes, u, w = triton_adlif.adlif_scan(x, *before, surrogate, through_time, *coefficients)
    else:
        spikes, u, w = _AdlifScan.apply(x, *before, surrogate, through_time, *coefficients)
    return spikes, (spikes[-1], u, w)


class _AdlifScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, s: Tensor, u: Tensor, w: Tensor, surrogate: Surrogate, through_time: bool, *rest: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        x = x.detach().contiguous()
        first = [part.detach().contiguous() for part in (s, u, w)]
        arrays = [c.detach().contiguous() for c in rest]
        spikes, membrane, current = (torch.empty_like(x) for _ in range(3))
        last = [part.clone() for part in first]
        adlif_forward(*(part.numpy() for part in (x, *last, *arrays, spikes, membrane, current)))
        ctx.save_for_backward(x, *first, membrane, current, *arrays)
        ctx.surrogate, ctx.through_time = surrogate, through_time
        ctx.set_materialize_grads(False)
        return spikes, last[1], last[2]

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, g_spikes: Tensor | None, g_u: Tensor | None, g_w: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        x, s, u, w, membrane, current, alpha, beta, a, b = ctx.saved_tensors
        p, q = (state_or_zero(g, u) for g in (g_u, g_w))
        g_x = torch.empty_like(x)
        sums = [torch.zeros_like(c) for c in (alpha, beta, a, b)]
        real = x.numpy().dtype.type
        adlif_backward(
            same_each_step(spikes_or_zero(g_spikes, x)).reshape(-1, *x.shape[1:]),
            *(part.numpy() for part in (x, s, u, w, membrane, current, alpha, beta, a, b, p, q)), ctx.through_time,
            ctx.surrogate.id, real(ctx.surrogate.width.item()), real(ctx.surrogate.scale.item()),
            g_x.numpy(), *(part.numpy() for part in sums),
        )  # fmt: skip
        through = (b * q - alpha * p, alpha * p + a * q, beta * q) if ctx.through_time else (None, None, None)
        return g_x, *through, None, None, *sums
