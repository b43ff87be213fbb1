"""A spiking network for Forward-Forward learning: labels come in with the data, and every layer judges for itself.

    x'[t] = (data[t], one-hot label)         each step; appended, or in place of the first inputs
    I[t]  = s W x'[t] / (|x'[t]| + 1e-4) + b                length normalisation, gain s
    r     = (1/T) sum_t y[t],   goodness g = mean_j r_j^2

No gradient crosses a layer: what one layer hands to the next is detached. The scale s / |x'| is applied to the current
W x', which is the same product and leaves the inputs of the weights binary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from snn5bench.contracts.inputs import BatchInput, Events, Repeated
from snn5bench.neurons.backend import compiled
from snn5bench.neurons.goodness_kernels import scale_backward, scale_forward, squared_rates
from snn5bench.neurons.lif_scan import flat
from snn5bench.neurons.neuron import Neuron
from snn5bench.neurons.synapses import Synapses

Embedding = Literal["append", "overwrite"]
_EPSILON = 1e-4
_TRIALS, _REACH = 12, 6.0
_STEPS = 4
"""Steps whose squared rates are held at once."""


def goodness(spikes: Tensor) -> Tensor:
    """Mean over neurons of the squared spike rate: `[T, B, N] -> [B]`."""
    return spikes.mean(0).square().mean(-1)


def running_goodness(spikes: Tensor) -> Tensor:
    """The goodness of steps 0..t, for every t: `[T, B, N] -> [T, B]`. The last row is `goodness`."""
    if compiled(spikes) and not (torch.is_grad_enabled() and spikes.requires_grad):
        return _running_goodness(spikes.contiguous())
    steps = torch.arange(1, len(spikes) + 1, dtype=spikes.dtype, device=spikes.device)
    return (spikes.cumsum(0) / steps[:, None, None]).square().mean(-1)


def _running_goodness(spikes: Tensor) -> Tensor:
    """A few steps at a time, so that their rates stay in the cache."""
    steps, batch, neurons = spikes.shape
    found = spikes.new_empty(steps, batch)
    counts, squares = spikes.new_zeros(batch, neurons), spikes.new_empty(_STEPS, batch, neurons)
    for start in range(0, steps, _STEPS):
        some = spikes[start : start + _STEPS]
        own = squares[: len(some)]
        squared_rates(flat(some), start, counts.numpy().reshape(-1), flat(own))
        torch.mean(own, -1, out=found[start : start + _STEPS])
    return found


def without_first(x: BatchInput, count: int) -> BatchInput:
    """The batch with its first `count` inputs silenced, in the form in which it came."""
    if isinstance(x, Events):
        keep = x.channel >= count
        sample = np.repeat(np.arange(x.batch), np.diff(x.indptr))[keep]
        indptr = np.concatenate([[0], np.cumsum(np.bincount(sample, minlength=x.batch))]).astype(np.int64)
        return replace(x, indptr=indptr, step=x.step[keep], channel=x.channel[keep])
    if isinstance(x, Repeated):
        return Repeated(cast("Tensor", without_first(x.frame, count)), x.T)
    return torch.cat([torch.zeros_like(x[..., :count]), x[..., count:]], -1)


def squared_length(x: BatchInput, like: Tensor) -> Tensor:
    """Sum of squares of the inputs at each step, `[T, B, 1]`, in the dtype of `like`."""
    if isinstance(x, Events):
        sample = np.repeat(np.arange(x.batch), np.diff(x.indptr))
        count = np.bincount(x.step.astype(np.int64) * x.batch + sample, minlength=x.T * x.batch)
        return torch.from_numpy(count).to(like).view(x.T, x.batch, 1)
    if isinstance(x, Repeated):
        return x.frame.to(like).square().sum(-1, keepdim=True).expand(x.T, -1, -1)
    return x.to(like).square().sum(-1, keepdim=True)


class Length(nn.Module):
    """Scales a current by gain / length of the inputs that made it, and adds the bias: `[T, B, N]`."""

    gain: Tensor

    def __init__(self, inputs: int, neurons: int, gain: float, normalise: bool) -> None:
        """The gain is `gain` times the square root of `inputs`, so that it does not depend on the layer's width; without
        normalisation it is `gain`."""
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(neurons))
        self.normalise = normalise
        self.register_buffer("gain", torch.tensor(gain * math.sqrt(inputs) if normalise else gain))

    def forward(self, current: Tensor, squared: Tensor) -> Tensor:
        """Current `[T, B, N]` of inputs whose squared length is `squared` `[T, B, 1]`."""
        if not self.normalise:
            return self.gain * current + self.bias
        length = squared.sqrt() + _EPSILON
        if compiled(current, length, self.bias) and not (squared.requires_grad or self.gain.requires_grad):
            return _Scale.apply(current, length, self.gain.item(), self.bias)
        return self.gain * (current / length) + self.bias

    def operations(self, inputs: tuple[Tensor, ...], output: Tensor) -> dict[str, Tensor]:
        """One multiplication a neuron and step; the squares of the inputs, one a spike, are left out."""
        return {"norm_macs": torch.full(output.shape[:2], float(output.shape[2]))}


class _Scale(torch.autograd.Function):
    """gain * (current / length) + bias, with the bits of these operations; the length learns nothing."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, length: Tensor, gain: float, bias: Tensor) -> Tensor:
        current = current.detach().contiguous()
        out, neurons = torch.empty_like(current), current.shape[-1]
        ctx.length, ctx.gain = length.expand(*current.shape[:-1], 1).contiguous().numpy().reshape(-1), gain
        real = ctx.length.dtype.type
        scale_forward(
            current.numpy().reshape(-1, neurons), ctx.length, real(gain), bias.detach().numpy(),
            out.numpy().reshape(-1, neurons),
        )  # fmt: skip
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        g = grads[0].contiguous()
        g_current, neurons = torch.empty_like(g), g.shape[-1]
        real = ctx.length.dtype.type
        scale_backward(
            g.numpy().reshape(-1, neurons), ctx.length, real(ctx.gain), g_current.numpy().reshape(-1, neurons)
        )
        return g_current, None, None, g.sum((0, 1))


class Layer(nn.Module):
    """Synapses without bias, length, neurons."""

    def __init__(self, inputs: int, neuron: Neuron, neurons: int, gain: float, normalise: bool, spiking: bool) -> None:
        super().__init__()
        self.synapses = Synapses(inputs, neurons, bias=False, spiking=spiking)
        self.length = Length(inputs, neurons, gain, normalise)
        self.neuron = neuron

    def fire(self, current: Tensor, squared: Tensor) -> Tensor:
        """Spikes `[T, B, N]` for the raw current of inputs of that squared length."""
        return self.neuron(self.length(current, squared))


class Drive(NamedTuple):
    """What the data alone, without a label, sends to the first layer."""

    current: Tensor
    """`[T, B, N]`"""
    squared: Tensor
    """`[T, B, 1]`"""


class ForwardForwardNet(nn.Module):
    """`[T, B, C]` (or `Events`, `Repeated`) to logits per step `[T, B, classes]`: every label is tried.

    The score of a label is the goodness summed over layers. A squared mean rate is not a sum over steps, so the logits
    are the increments of the running goodness (of steps 0..t), whose sum is the goodness of all; where the dataset
    reads the last step, they are the running goodness itself. Either is causal.

    Time modes: the neurons' own; `sdbp` lets no gradient cross a step inside a layer either. With `notd` the goodness
    depends on spike counts alone, so each step carries the same share of it, 1/T.
    """

    takes_events = True

    def __init__(
        self,
        channels: int,
        hidden: Sequence[int],
        classes: int,
        neuron: Callable[[], Neuron],
        embedding: Embedding = "append",
        gain: float = 0.3,
        normalise: bool = True,
        readout: str = "sum",
    ) -> None:
        super().__init__()
        if embedding == "overwrite" and channels < classes:
            raise ValueError(f"{channels} inputs cannot hold a one-hot label of {classes} classes")
        self.classes, self.embedding, self.reads = classes, embedding, readout
        self.cut = False
        self.notes: list[str] = []
        appended = classes if embedding == "append" else 0
        self.stack = nn.ModuleList(
            Layer(a, neuron(), b, gain, normalise, spiking=k > 0)
            for k, (a, b) in enumerate(pairwise([channels, *hidden]))
        )
        self.label = Synapses(classes, hidden[0], bias=False)
        self.first.length = Length(channels + appended, hidden[0], gain, normalise)
        reach = 1 / math.sqrt(channels + appended)
        for synapses in (self.first.synapses, self.label):
            nn.init.uniform_(synapses.weight, -reach, reach)

    @property
    def first(self) -> Layer:
        """The layer that sees data and label."""
        return cast("Layer", self.stack[0])

    def members(self) -> list[list[nn.Parameter]]:
        """The parameters of each layer; those of the label belong to the first."""
        groups = [list(layer.parameters()) for layer in self.stack]
        groups[0] += list(self.label.parameters())
        return groups

    def set_time(self, mode: str) -> None:
        """Choose `full`, `sdbp` or `notd` for the whole network."""
        self.cut = mode == "notd"
        for layer in self.stack:
            cast("Layer", layer).neuron.set_time(mode)

    def one_hot(self, labels: Tensor) -> Tensor:
        """`[B, classes]` in the network's dtype."""
        return F.one_hot(labels, self.classes).to(self.label.weight)

    def drive(self, x: BatchInput) -> Drive:
        """The data's part of the first layer's current: once, whatever the number of labels tried."""
        data = without_first(x, self.classes) if self.embedding == "overwrite" else x
        return Drive(self.first.synapses(data), squared_length(data, self.label.weight))

    def layers(self, drive: Drive, labels: Sequence[Tensor]) -> Iterator[list[Tensor]]:
        """Layer by layer, the spikes `[T, B, N]` under each of the labels `[B, classes]` (one-hot).

        A layer runs when it is asked for, on detached spikes of the one before: learning may happen in between.
        """
        sent = []
        for label in labels:
            current = drive.current + self.label(Repeated(label, len(drive.current)))
            sent.append(self.first.fire(current, drive.squared + label.square().sum(-1)[None, :, None]))
        yield sent
        for layer in self.stack[1:]:
            below = [spikes.detach() for spikes in sent]
            sent = [cast("Layer", layer).fire(cast("Layer", layer).synapses(s), s.sum(-1, keepdim=True)) for s in below]
            yield sent

    def scores(self, x: BatchInput) -> Tensor:
        """Each layer's own logits `[layers, T, B, classes]`."""
        drive = self.drive(x)
        steps, batch = drive.squared.shape[:2]
        found = drive.current.new_empty(len(self.stack), steps, batch, self.classes)
        for label in range(self.classes):
            tried = self.one_hot(torch.full((batch,), label, device=drive.current.device))
            for k, (spikes,) in enumerate(self.layers(drive, [tried])):
                found[k, :, :, label] = self._logits(spikes)
        return found

    def _logits(self, spikes: Tensor) -> Tensor:
        if self.cut:
            return (goodness(spikes) / (1 if self.reads == "last" else len(spikes))).expand(len(spikes), -1)
        running = running_goodness(spikes)
        return running if self.reads == "last" else torch.diff(running, dim=0, prepend=torch.zeros_like(running[:1]))

    def forward(self, x: BatchInput) -> Tensor:
        """Logits per step `[T, B, classes]`."""
        return self.scores(x).sum(0)

    @torch.no_grad()
    def calibrate(self, x: BatchInput, labels: Tensor, rate: float) -> None:
        """Bisect each layer's gain (2^-6 to 2^6 times what it is) until the layer fires at `rate` on a batch under its
        true labels. Where the largest gain stays below, half of what it reaches is the target, as for other networks."""
        for k, layer in enumerate(cast("Sequence[Layer]", self.stack)):
            gain = layer.length.gain.clone()

            def rate_at(exponent: float, k: int = k, layer: Layer = layer, gain: Tensor = gain) -> float:
                layer.length.gain.copy_(gain * 2.0**exponent)
                return self.rates(x, labels)[k]

            low, high = -_REACH, _REACH
            target = min(rate, rate_at(high) / 2) if rate_at(high) < rate else rate
            for _ in range(_TRIALS):
                middle = (low + high) / 2
                found = rate_at(middle)
                if abs(found - target) <= 0.03 * target:
                    break
                low, high = (middle, high) if found < target else (low, middle)

    @torch.no_grad()
    def rates(self, x: BatchInput, labels: Tensor) -> list[float]:
        """Mean spike rate of each layer, in spikes per neuron and step, on a batch under its true labels."""
        layers = self.layers(self.drive(x), [self.one_hot(labels)])
        return [spikes.mean(dtype=torch.float64).item() for (spikes,) in layers]
