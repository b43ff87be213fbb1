"""The PLIF recurrence over a whole sequence as one op; the plain torch loop of `plif.PLIF` is its oracle.

v[t] = u[t-1] + k (x[t] - u[t-1]),   s[t] = H(v[t] - 1),   u[t] = v[t] (1 - s[t]), s detached in it
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from snn5bench.neurons.absent import spikes_or_zero, state_or_zero
from snn5bench.neurons.kernels import plif_backward, plif_forward
from snn5bench.neurons.lif_scan import flat, same_each_step
from snn5bench.neurons.surrogate import Surrogate


def plif_scan(x: Tensor, state: Tensor, k: Tensor, surrogate: Surrogate, through_time: bool) -> tuple[Tensor, Tensor]:
    """Spikes `[T, B, N]` and the membrane after the last step `[B, N]`, for the current `x` `[T, B, N]`, the membrane
    `state` before it and the leak `k`, a scalar. Without `through_time` the state is detached before each step."""
    if x.is_cuda:
        from snn5bench.neurons import triton_plif

        return triton_plif.plif_scan(x, state, k, surrogate, through_time)
    return _PlifScan.apply(x, state, k, surrogate, through_time)


class _PlifScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, state: Tensor, k: Tensor, surrogate: Surrogate, through_time: bool
    ) -> tuple[Tensor, Tensor]:
        x, first = x.detach().contiguous(), state.detach().contiguous()
        membrane, spikes, last = torch.empty_like(x), torch.empty_like(x), first.clone()
        plif_forward(flat(x), k.detach().numpy()[()], last.numpy().reshape(-1), flat(membrane), flat(spikes))
        ctx.save_for_backward(x, first, membrane, k)
        ctx.surrogate, ctx.through_time = surrogate, through_time
        ctx.set_materialize_grads(False)
        return spikes, last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_spikes: Tensor | None, g_last: Tensor | None) -> tuple[Tensor | None, ...]:
        x, first, membrane, k = ctx.saved_tensors
        g_state = state_or_zero(g_last, first)
        g_x = torch.empty_like(x)
        v = flat(membrane)
        real = v.dtype.type
        g_k = plif_backward(
            same_each_step(spikes_or_zero(g_spikes, x)), flat(x), v,
            first.numpy().reshape(-1), g_state.numpy().reshape(-1), k.numpy()[()], ctx.through_time,
            ctx.surrogate.id, real(ctx.surrogate.width.item()), real(ctx.surrogate.scale.item()), flat(g_x),
        )  # fmt: skip
        return g_x, g_state if ctx.through_time else None, torch.full_like(k, g_k), None, None
