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


def _bias_array(bias: Tensor | None, weight: Tensor) -> np.ndarray:
    return (torch.zeros(len(weight), dtype=weight.dtype) if bias is None else bias.detach()).numpy()


class _GatherEvents(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, events: Events, weight: Tensor, bias: Tensor | None) -> Tensor:
        out = torch.empty(events.T, events.batch, len(weight), dtype=weight.dtype)
        by_channel = weight.detach().t().contiguous().numpy()
        events_forward(events.indptr, events.step, events.channel, by_channel, _bias_array(bias, weight), out.numpy())
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
        out = torch.empty(steps, batch, len(weight), dtype=weight.dtype)
        rows = spikes.detach().contiguous().view(-1, channels).numpy()
        indptr = np.empty(len(rows) + 1, np.int64)
        index = np.empty(rows.size, np.int32)
        by_channel = weight.detach().t().contiguous().numpy()
        words = rows.view(np.uint64) if channels * rows.itemsize % 8 == 0 else np.empty((len(rows), 0), np.uint64)
        filled = out.view(len(rows), -1).numpy()
        binary = spikes_forward(rows, words, by_channel, _bias_array(bias, weight), filled, indptr, index)
        if not binary:
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
def spikes_forward(spikes, words, weight, bias, out, indptr, index):
    """Fill `out` `[R, N]` and the positions of the spikes (`indptr`, `index`); False where a value is not 0 or 1.
    `words` are the rows of `spikes` seen as 64-bit integers, four of which are tested for silence at once."""
    rows, channels = spikes.shape
    per_word = 8 // spikes.itemsize
    quads = words.shape[1] // 4
    binary = True
    at = 0
    indptr[0] = 0
    for r in range(rows):
        first = at
        row, w = spikes[r], words[r]
        for q in range(quads):
            k = 4 * q
            if (w[k] | w[k + 1] | w[k + 2] | w[k + 3]) != 0:
                for c in range(k * per_word, (k + 4) * per_word):
                    index[at] = c
                    at += row[c] != 0
        for c in range(4 * quads * per_word, channels):
            index[at] = c
            at += row[c] != 0
        for k in range(first, at):
            binary &= row[index[k]] == 1
        indptr[r + 1] = at
        add_rows(index[first:at], weight, bias, out[r])
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
