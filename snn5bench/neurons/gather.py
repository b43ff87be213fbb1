"""Synapses by events: add up weight rows where there is a spike, never multiply a zero.

`W` is kept `[channels, neurons]` here (the transpose of `nn.Linear.weight`), so that a spike is one contiguous row.
Rows of the output are accumulated one (step, sample) at a time and do not depend on the rest of the batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from snn5bench.contracts.inputs import Events
from snn5bench.neurons.event_kernels import current_of_events, scatter_events
from snn5bench.neurons.spike_kernels import current_of_spikes, flag_spikes, scatter_spikes

SAMPLES = 8
"""Samples whose gradients are taken together: few enough that these stay in the second-level cache."""


def gather_events(events: Events, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Current `[T, B, N]` of the input events through `weight` `[N, C]` and `bias` `[N]`."""
    return _GatherEvents.apply(events, weight, bias)


def gather_spikes(spikes: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Current `[T, B, N]` of the spikes `[T, B, C]` (zeros and ones) through `weight` `[N, C]` and `bias` `[N]`."""
    return _GatherSpikes.apply(spikes, weight, bias, None)


def gather_spikes_onto(current: Tensor, spikes: Tensor, weight: Tensor) -> Tensor:
    """`current` `[T', B, N]`, T' >= T, with that of the spikes `[T, B, C]` through `weight` `[N, C]` added to its last T
    steps. The sum begins with `current`: a row of it is read once, and the spikes' own current is never written."""
    return _GatherSpikes.apply(spikes, weight, None, current)


def _arrays(weight: Tensor, bias: Tensor | None) -> tuple[np.ndarray, np.ndarray]:
    """The weight by channel, and the bias or zeros."""
    by_channel = np.ascontiguousarray(weight.detach().numpy().T)
    return by_channel, np.zeros(weight.shape[0], by_channel.dtype) if bias is None else bias.detach().numpy()


class _GatherEvents(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, events: Events, weight: Tensor, bias: Tensor | None) -> Tensor:
        out = torch.empty(events.T, events.batch, weight.shape[0], dtype=weight.dtype)
        current_of_events(events.indptr, events.step, events.channel, *_arrays(weight, bias), out.numpy())
        ctx.events, ctx.shape = events, weight.shape
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor, Tensor | None]:
        events, (neurons, channels) = ctx.events, ctx.shape
        g = grads[0].contiguous().view(-1, neurons)
        g_weight = torch.zeros(channels, neurons, dtype=g.dtype)
        for low in range(0, events.batch, SAMPLES):
            part = events.indptr[low : low + SAMPLES + 1]
            scatter_events(part, events.step, events.channel, low, 1, events.batch, g.numpy(), g_weight.numpy())
        return None, g_weight.t(), g.sum(0) if ctx.needs_input_grad[2] else None


class _GatherSpikes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spikes: Tensor, weight: Tensor, bias: Tensor | None, onto: Tensor | None) -> Tensor:
        steps, batch, channels = spikes.shape
        before = 0 if onto is None else len(onto) - steps
        out = torch.empty(before + steps, batch, weight.shape[0], dtype=weight.dtype)
        words = -(-channels // 64)
        bits = np.zeros((steps * batch, words), np.uint64)
        rows = spikes.detach().contiguous().numpy().reshape(-1, channels)
        if not flag_spikes(rows, bits, np.zeros((1, words), np.uint64)):
            raise ValueError("these synapses take spikes (zeros and ones), but another value came in")
        by_channel, start = _arrays(weight, bias)
        if onto is not None:
            out[:before] = onto[:before]
            start = onto[before:].detach().contiguous().numpy().reshape(-1)
        current_of_spikes(bits, by_channel, start, out[before:].numpy().reshape(len(rows), -1))
        ctx.bits, ctx.before = bits, before
        ctx.save_for_backward(weight)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None, Tensor | None]:
        (weight,) = ctx.saved_tensors
        g_out = grads[0]
        g = g_out[ctx.before :]
        steps, batch = g.shape[:2]
        once = g[:1] if g.stride(0) == 0 else g
        times = steps // len(once)
        once = once.contiguous().view(-1, len(weight))
        g_weight = torch.zeros(weight.shape[1], len(weight), dtype=g.dtype)
        scatter_spikes(ctx.bits, once.numpy(), g_weight.numpy())
        g_spikes = None
        if ctx.needs_input_grad[0]:
            g_spikes = (once @ weight).view(-1, batch, weight.shape[1]).expand(steps, -1, -1)
        g_bias = once.sum(0) * times if ctx.needs_input_grad[2] else None
        return g_spikes, g_weight.t(), g_bias, g_out if ctx.needs_input_grad[3] else None
