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
from snn5bench.neurons.backend import jit


def gather_events(events: Events, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Current `[T, B, N]` of the input events through `weight` `[N, C]` and `bias` `[N]`."""
    return _GatherEvents.apply(events, weight, bias)


def gather_spikes(spikes: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Current `[T, B, N]` of the spikes `[T, B, C]` (zeros and ones) through `weight` `[N, C]` and `bias` `[N]`."""
    return _GatherSpikes.apply(spikes, weight, bias)


def _arrays(weight: Tensor, bias: Tensor | None) -> tuple[np.ndarray, np.ndarray]:
    """The weight by channel, and the bias or zeros."""
    by_channel = np.ascontiguousarray(weight.detach().numpy().T)
    return by_channel, np.zeros(weight.shape[0], by_channel.dtype) if bias is None else bias.detach().numpy()


class _GatherEvents(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, events: Events, weight: Tensor, bias: Tensor | None) -> Tensor:
        out = torch.empty(events.T, events.batch, weight.shape[0], dtype=weight.dtype)
        events_forward(events.indptr, events.step, events.channel, *_arrays(weight, bias), out.numpy())
        ctx.events, ctx.shape = events, weight.shape
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor, Tensor | None]:
        events, (neurons, channels) = ctx.events, ctx.shape
        g = grads[0].contiguous()
        g_weight = torch.zeros(channels, neurons, dtype=g.dtype)
        g_bias = torch.zeros(neurons, dtype=g.dtype)
        events_backward(events.indptr, events.step, events.channel, g.numpy(), g_weight.numpy(), g_bias.numpy())
        return None, g_weight.t(), g_bias if ctx.needs_input_grad[2] else None


class _GatherSpikes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spikes: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        steps, batch, channels = spikes.shape
        out = torch.empty(steps, batch, weight.shape[0], dtype=weight.dtype)
        rows = spikes.detach().contiguous().numpy().reshape(-1, channels)
        indptr = np.empty(len(rows) + 1, np.int64)
        index = np.empty(rows.size, np.int32)
        bits = rows.view(np.int32 if rows.itemsize == 4 else np.int64)
        filled = out.numpy().reshape(len(rows), -1)
        if not spikes_forward(rows, bits, *_arrays(weight, bias), filled, indptr, index):
            raise ValueError("these synapses take spikes (zeros and ones), but another value came in")
        ctx.indptr, ctx.index = indptr, index[: indptr[-1]].copy()
        ctx.save_for_backward(weight)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:
        (weight,) = ctx.saved_tensors
        (g,) = grads
        steps, batch = g.shape[:2]
        once = g[:1] if g.stride(0) == 0 else g
        once = once.contiguous().view(-1, len(weight))
        g_weight = torch.zeros(weight.shape[1], len(weight), dtype=g.dtype)
        g_bias = torch.zeros(len(weight), dtype=g.dtype)
        spikes_backward(ctx.indptr, ctx.index, once.numpy(), g_weight.numpy(), g_bias.numpy())
        g_spikes = None
        if ctx.needs_input_grad[0]:
            g_spikes = (once @ weight).view(-1, batch, weight.shape[1]).expand(steps, -1, -1)
        return g_spikes, g_weight.t(), g_bias if ctx.needs_input_grad[2] else None


@jit
def add_rows(index, weight, bias, out):
    """out = bias + sum of the `weight` rows named by `index`, four at a time."""
    n = out.shape[0]
    count = len(index)
    head = count % 4
    if head == 0:
        for i in range(n):
            out[i] = bias[i]
    elif head == 1:
        a = weight[index[0]]
        for i in range(n):
            out[i] = bias[i] + a[i]
    elif head == 2:
        a, b = weight[index[0]], weight[index[1]]
        for i in range(n):
            out[i] = bias[i] + a[i] + b[i]
    else:
        a, b, c = weight[index[0]], weight[index[1]], weight[index[2]]
        for i in range(n):
            out[i] = bias[i] + a[i] + b[i] + c[i]
    for k in range(head, count, 4):
        a, b, c, d = weight[index[k]], weight[index[k + 1]], weight[index[k + 2]], weight[index[k + 3]]
        for i in range(n):
            out[i] += (a[i] + b[i]) + (c[i] + d[i])


@jit
def scatter_row(index, g, g_weight):
    """Add `g` to the rows of `g_weight` named by `index`."""
    n = g.shape[0]
    for k in range(len(index)):
        row = g_weight[index[k]]
        for i in range(n):
            row[i] += g[i]


@jit
def events_forward(indptr, step, channel, weight, bias, out):
    """Fill `out` `[T, B, N]`."""
    for b in range(out.shape[1]):
        at, stop = indptr[b], indptr[b + 1]
        for t in range(out.shape[0]):
            first = at
            while at < stop and step[at] == t:
                at += 1
            add_rows(channel[first:at], weight, bias, out[t, b])


@jit
def events_backward(indptr, step, channel, g, g_weight, g_bias):
    """Add the weight and bias gradients of `g` `[T, B, N]` up."""
    n = g.shape[2]
    for b in range(g.shape[1]):
        at, stop = indptr[b], indptr[b + 1]
        for t in range(g.shape[0]):
            first = at
            while at < stop and step[at] == t:
                at += 1
            row = g[t, b]
            scatter_row(channel[first:at], row, g_weight)
            for i in range(n):
                g_bias[i] += row[i]


@jit
def spikes_forward(spikes, bits, weight, bias, out, indptr, index):
    """Fill `out` `[R, N]` and the positions of the spikes (`indptr`, `index`); False where a value is not 0 or 1.
    `bits` is `spikes` seen as integers: 32 channels are tested for silence at once, and the spikes of others listed
    without branches."""
    rows, channels = spikes.shape
    binary = True
    at = np.uint64(0)
    indptr[0] = 0
    for r in range(rows):
        first = at
        row, bit = spikes[r], bits[r]
        for block in range(channels // 32):
            low = 32 * block
            any_bit = bit[low]
            for c in range(low + 1, low + 32):
                any_bit |= bit[c]
            if any_bit != 0:
                for c in range(low, low + 32):
                    index[at] = c
                    at += np.uint64(row[c] != 0)
        for c in range(channels - channels % 32, channels):
            index[at] = c
            at += np.uint64(row[c] != 0)
        fired = index[first:at]
        for c in fired:
            binary &= row[c] == 1
        indptr[r + 1] = at
        add_rows(fired, weight, bias, out[r])
    return binary


@jit
def spikes_backward(indptr, index, g, g_weight, g_bias):
    """Add the weight and bias gradients of `g` (`[R, N]`, or the rows of one step where every step has the same) up."""
    n = g.shape[1]
    rows = len(indptr) - 1
    for r in range(rows):
        row = g[r % len(g)]
        scatter_row(index[indptr[r] : indptr[r + 1]], row, g_weight)
        for i in range(n):
            g_bias[i] += row[i]
