"""A spiking Transformer around saccadic attention, for images and for sequences (after Wang et al., ICLR 2025).

Known from the paper: patch splitting -> blocks of (attention + residual, MLP + residual) -> average over tokens -> linear.
Ours: residuals are added before the neurons (membrane shortcut), so that every synapse behind the first receives spikes;
projections are linear, batch norm, LIF as in Spikformer; GL-SPS is a reconstruction; tokens of sequences are our own.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snn5bench.contracts.inputs import BatchInput, dense
from snn5bench.neurons import spike_blocks
from snn5bench.neurons.lif import LIF
from snn5bench.neurons.neuron import Neuron, Time, checked_time
from snn5bench.neurons.norms import StepBatchNorm, adopting
from snn5bench.neurons.saccade import Saccade
from snn5bench.neurons.synapses import Synapses

MakeNeuron = Callable[[], Neuron]


class TokenSynapses(Synapses):
    """Synapses shared by the tokens: `[T, B, N, C] -> [T, B, N, M]`."""

    def forward(self, x: BatchInput) -> Tensor:
        """Current of each token."""
        x = dense(x)
        return super().forward(x.flatten(1, 2)).unflatten(1, x.shape[1:3])


class Spiking(nn.Module):
    """Linear, batch norm, neurons: `[T, B, N, C] -> [T, B, N, M]`, spikes to spikes."""

    def __init__(self, channels: int, outputs: int, neuron: Neuron) -> None:
        super().__init__()
        self.synapses = TokenSynapses(channels, outputs, bias=False, spiking=True)
        self.norm = StepBatchNorm(outputs)
        self.neuron = neuron

    def forward(self, x: Tensor) -> Tensor:
        """Spikes."""
        return self.neuron(self.norm(self.synapses(x)))


class Attention(nn.Module):
    """Real currents `[T, B, N, D] -> [T, B, N, D]`: spikes, their Q, K and V, saccadic attention, projection."""

    def __init__(self, width: int, heads: int, saccade: Saccade, neuron: MakeNeuron) -> None:
        super().__init__()
        self.heads = heads
        self.neuron = neuron()
        self.q, self.k, self.v = (Spiking(width, width, neuron()) for _ in range(3))
        self.saccade = saccade
        self.project = TokenSynapses(width, width, bias=False, spiking=True)
        self.norm = StepBatchNorm(width)

    def qkv(self, x: Tensor) -> list[Tensor]:
        """Spikes of queries, keys and values, each `[T, B, heads, N, D / heads]`."""
        spikes = self.neuron(x)
        return [part(spikes).unflatten(-1, (self.heads, -1)).transpose(2, 3) for part in (self.q, self.k, self.v)]

    def forward(self, x: Tensor) -> Tensor:
        """What the attention adds to the residual stream."""
        seen = self.saccade(*self.qkv(x)).transpose(2, 3).flatten(3)
        return self.norm(self.project(seen.contiguous()))

    def added(self, x: Tensor) -> Tensor:
        """The residual stream behind it: `x` plus what the attention adds, in one op where that does the same."""
        return spike_blocks.add_attention(x, self) if spike_blocks.fusible(x, self) else x + self(x)


class Perceptron(nn.Module):
    """Real currents `[T, B, N, D] -> [T, B, N, D]`: spikes, a hidden layer of spikes, a linear map."""

    def __init__(self, width: int, hidden: int, neuron: MakeNeuron) -> None:
        super().__init__()
        self.neuron = neuron()
        self.hidden = Spiking(width, hidden, neuron())
        self.project = TokenSynapses(hidden, width, bias=False, spiking=True)
        self.norm = StepBatchNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """What the perceptron adds to the residual stream."""
        return self.norm(self.project(self.hidden(self.neuron(x))))

    def added(self, x: Tensor) -> Tensor:
        """The residual stream behind it: `x` plus what the perceptron adds, in one op where that does the same."""
        return spike_blocks.add_perceptron(x, self) if spike_blocks.fusible(x, self) else x + self(x)


class ChannelTokens(nn.Module):
    """Tokens of a sequence: at each step, `tokens` groups of neighbouring channels `[T, B, C] -> [T, B, N, D]`.

    One linear map for all groups, a learned offset for each (which group it is), batch norm. The last group is filled up
    with zeros. Ours: the paper treats images only.
    """

    def __init__(self, channels: int, tokens: int, width: int) -> None:
        super().__init__()
        self.tokens = min(tokens, channels)
        size = -(-channels // self.tokens)
        self.tokens = -(-channels // size)
        self.fill = self.tokens * size - channels
        self.embed = TokenSynapses(size, width, bias=False)
        self.offset = nn.Parameter(torch.randn(self.tokens, width) * size**-0.5)
        self.norm = StepBatchNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Currents of the tokens."""
        groups = F.pad(x, (0, self.fill)).unflatten(2, (self.tokens, -1))
        return self.norm(self.embed(groups) + self.offset)

    def operations(self, inputs: tuple[Tensor, ...], output: Tensor) -> dict[str, Tensor]:
        """One addition a token's channel: the offset."""
        return {"bias_adds": torch.full(output.shape[:2], output.shape[2] * output.shape[3])}


class PatchSplit(nn.Module):
    """One stage of GL-SPS, **a reconstruction**: a 3x3 convolution (local) plus a 3x3 convolution of dilation 2 (global),
    batch norm, 2x2 maximum: `[T * B, C, H, W] -> [T * B, D, H / 2, W / 2]`. Kernels, dilation, number of stages and the
    place of the neurons are ours; the paper's equations 12-16 were out of reach."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.local = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.wide = nn.Conv2d(channels, width, 3, padding=2, dilation=2, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        """Currents."""
        current = self.local(x) + self.wide(x)
        return self.pool(self.norm(current.contiguous(memory_format=torch.channels_last)))


class ImageTokens(nn.Module):
    """Tokens of an image: stages of `PatchSplit` with neurons between them, then one token a place, `[T, B, N, D]`."""

    def __init__(self, shape: tuple[int, int, int], width: int, stages: int, neuron: MakeNeuron) -> None:
        super().__init__()
        self.shape = shape
        self.tokens = (shape[1] >> stages) * (shape[2] >> stages)
        widths = [shape[0], *(width >> (stages - 1 - i) for i in range(stages))]
        self.stages = nn.ModuleList(PatchSplit(a, b) for a, b in pairwise(widths))
        self.neurons = nn.ModuleList(neuron() for _ in range(stages - 1))
        self.offset = nn.Parameter(torch.zeros(self.tokens, width))

    def forward(self, x: Tensor) -> Tensor:
        """Currents of the tokens."""
        steps, batch = x.shape[:2]
        x = self.stages[0](x.reshape(steps * batch, *self.shape))
        for neuron, stage in zip(self.neurons, self.stages[1:], strict=True):
            x = stage(neuron(x.unflatten(0, (steps, batch))).flatten(0, 1))
        return x.flatten(2).transpose(1, 2).unflatten(0, (steps, batch)) + self.offset

    def operations(self, inputs: tuple[Tensor, ...], output: Tensor) -> dict[str, Tensor]:
        """One addition a token's channel: the offset."""
        return {"bias_adds": torch.full(output.shape[:2], output.shape[2] * output.shape[3])}


class SpikingTransformer(nn.Module):
    """`[T, B, C]` to logits per step `[T, B, classes]`; `tokens` makes the currents `[T, B, N, D]`."""

    def __init__(
        self,
        tokens: ChannelTokens | ImageTokens,
        width: int,
        attentions: list[Attention],
        perceptrons: list[Perceptron],
        classes: int,
        neuron: MakeNeuron,
        readout: str = "sum",
    ) -> None:
        super().__init__()
        self.time: Time = "full"
        self.reads = readout
        self.tokens = tokens
        self.attentions = nn.ModuleList(attentions)
        self.perceptrons = nn.ModuleList(perceptrons)
        self.neuron = neuron()
        self.readout = TokenSynapses(width, classes, spiking=True)

    def forward(self, x: Tensor) -> Tensor:
        """Logits per step."""
        hidden = self.tokens(x)
        for attention, perceptron in zip(self.attentions, self.perceptrons, strict=True):
            hidden = cast("Attention", attention).added(hidden)
            hidden = cast("Perceptron", perceptron).added(hidden)
        return self._read(hidden)

    def _read(self, hidden: Tensor) -> Tensor:
        """The read-out of the mean over tokens, or the mean of the tokens' read-outs, which is the same."""
        if spike_blocks.fusible(hidden, self.neuron, self.readout):
            mean = spike_blocks.mean_spikes(hidden, cast(LIF, self.neuron))
            return F.linear(mean, self.readout.weight, self.readout.bias)
        return self.readout(self.neuron(hidden)).mean(2)

    def set_time(self, mode: str) -> None:
        """Choose `full`, `sdbp` or `notd` for every neuron and every attention."""
        self.time = checked_time(mode)
        for module in self.modules():
            if isinstance(module, Neuron | Saccade):
                module.set_time(mode)

    @torch.no_grad()
    def calibrate(self, x: BatchInput, share: float) -> None:
        """Set each attention's V_th for a share of open gates on the batch `x`, then scale the read-out so that the
        logits as read out have a standard deviation of 1. Batch norms take over the batch's statistics."""
        with adopting(self):
            hidden = self.tokens(dense(x))
            for attention, perceptron in zip(self.attentions, self.perceptrons, strict=True):
                attention = cast("Attention", attention)
                q, k, _ = attention.qkv(hidden)
                attention.saccade.calibrate(q, k, share)
                hidden = attention.added(hidden)
                hidden = cast("Perceptron", perceptron).added(hidden)
            logits = self._read(hidden)
        deviation = (logits[-1] if self.reads == "last" else logits.sum(0)).std().item()
        if deviation > 0:
            self.readout.rescale(1 / deviation)
