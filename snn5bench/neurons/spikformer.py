"""Spikformer (Zhou et al., ICLR 2023, arXiv 2209.15425) of spikingjelly's pieces, for images and for sequences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from spikingjelly.activation_based.layer import SpikingSelfAttention
from spikingjelly.activation_based.model.spikformer import SpikformerBlock, SpikformerPatchStem
from spikingjelly.activation_based.neuron import LIFNode
from torch import Tensor, nn

from snn5bench.contracts.inputs import BatchInput
from snn5bench.neurons.neuron import Time, checked_time
from snn5bench.neurons.snn_vit import ChannelTokens
from snn5bench.neurons.spike_attention import SpikeProduct, TokenMean, start


class Node(LIFNode):
    """spikingjelly's multi-step LIF with the time modes of this benchmark:

        v[t] = v[t-1] + (x[t] - v[t-1]) / tau,   s[t] = H(v[t] - threshold),   hard reset to 0, detached

    `notd` runs every step from rest; `sdbp` detaches v before each step."""

    def __init__(self, tau: float = 2.0, v_threshold: float = 1.0, detach_reset: bool = True, **more: Any) -> None:
        super().__init__(tau=tau, v_threshold=v_threshold, detach_reset=detach_reset, **{**more, "step_mode": "m"})
        self.time: Time = "full"

    def set_time(self, mode: str) -> None:
        """Choose `full`, `sdbp` or `notd`."""
        self.time = checked_time(mode)

    def multi_step_forward(self, x_seq: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Spikes for the input current, both `[T, B, ...]`."""
        if self.time == "notd":
            self.reset()
            spikes = super().multi_step_forward(x_seq.flatten(0, 1).unsqueeze(0))
            self.reset()
            return cast("Tensor", spikes).view_as(x_seq)
        if self.time == "sdbp":
            spikes = []
            for x in x_seq:
                spikes.append(self.single_step_forward(x))
                self.detach()
            return torch.stack(spikes)
        return cast("Tensor", super().multi_step_forward(x_seq))


class SelfAttention(SpikingSelfAttention):
    """spikingjelly's spiking self-attention, `[T, B, D, N]` to spikes of the same shape, with its product where the counts
    see it. Output threshold 0.5, scale 0.125 whatever the head size, as published; `gain` multiplies it."""

    gain: Tensor

    def __init__(self, width: int, heads: int, tau: float = 2.0) -> None:
        super().__init__(width, heads, spiking_neuron=Node, tau=tau)
        self.attn_lif = Node(tau, 0.5)
        self.product = SpikeProduct()
        self.register_buffer("gain", torch.ones(()))

    def attend(self, x: Tensor) -> Tensor:
        """Spikes of the attention, before their projection."""
        q, k, v = self.qkv_lif(self.qkv_conv_bn(x)).unflatten(2, (3, self.num_heads, -1)).unbind(2)
        return self.attn_lif(self.product(q, k, v) * (self.scale * self.gain)).flatten(2, 3)

    def forward(self, x_seq: Tensor) -> Tensor:
        """What the attention adds."""
        return self.proj_lif(self.proj_conv_bn(self.attend(x_seq)))

    def sources(self) -> list[nn.Module]:
        """The neurons that send Q, K and V."""
        return [self.qkv_lif]


class NoAttention(nn.Module):
    """In place of the attention: nothing. The ablation that shows what the attention is good for."""

    def forward(self, x_seq: Tensor) -> Tensor:
        """Zeros."""
        return torch.zeros_like(x_seq)


class LineTokens(nn.Module):
    """Tokens of a sequence, our own: at each step, groups of channels, `[T, B, C]` to spikes `[T, B, D, 1, N]`."""

    def __init__(self, channels: int, tokens: int, width: int, tau: float = 2.0) -> None:
        super().__init__()
        self.groups = ChannelTokens(channels, tokens, width)
        self.neuron = Node(tau)

    def forward(self, x: Tensor) -> Tensor:
        """Spikes of each token."""
        return self.neuron(self.groups(x)).transpose(2, 3).unsqueeze(3)


class PictureTokens(nn.Module):
    """Tokens of an image by spikingjelly's patch splitting: convolutions, batch norm, maximum, neurons, and a convolution
    for the position, `[T, B, C * H * W] -> [T, B, D, H / patch, W / patch]`; sums of two spikes."""

    def __init__(self, shape: tuple[int, int, int], patch: int, width: int, tau: float = 2.0) -> None:
        super().__init__()
        self.shape = shape
        self.stem = SpikformerPatchStem(shape[1], shape[2], patch, shape[0], width, spiking_neuron=Node, tau=tau)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens."""
        return self.stem(x.unflatten(2, self.shape))


class SpikformerNet(nn.Module):
    """`[T, B, C]` to logits per step `[T, B, classes]`: tokens, blocks (x + attention, x + perceptron), the mean over
    tokens, a linear map. Residuals add spikes, so that whole numbers run between the blocks. A call is a whole sequence from
    rest."""

    def __init__(
        self,
        tokens: LineTokens | PictureTokens,
        width: int,
        heads: int,
        blocks: int,
        mlp: float,
        classes: int,
        attention: bool = True,
        tau: float = 2.0,
        readout: str = "sum",
    ) -> None:
        super().__init__()
        self.time: Time = "full"
        self.reads = readout
        self.tokens = tokens
        made = (SpikformerBlock(width, heads, mlp, spiking_neuron=Node, tau=tau) for _ in range(blocks))
        self.blocks = nn.ModuleList(made)
        for block in self.blocks:
            block.attn = SelfAttention(width, heads, tau) if attention else NoAttention()
        self.mean = TokenMean()
        self.readout = nn.Linear(width, classes)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
                nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(self.readout.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Logits per step."""
        hidden = self.tokens(x)
        for block in self.blocks:
            hidden = block(hidden)
        logits = self.readout(self.mean(hidden))
        self.reset()
        return logits

    def nodes(self) -> Iterator[Node]:
        """Every neuron layer."""
        return (module for module in self.modules() if isinstance(module, Node))

    def reset(self) -> None:
        """Every membrane potential back to rest."""
        for node in self.nodes():
            node.reset()

    def set_time(self, mode: str) -> None:
        """Choose `full`, `sdbp` or `notd`: the membranes are the only path of time."""
        self.time = checked_time(mode)
        for node in self.nodes():
            node.set_time(mode)

    def calibrate(self, x: BatchInput, rate: float) -> None:
        """Start from scales at which each layer spikes at `rate` at least on the batch `x`: see `spike_attention.start`."""
        start(self, x, rate, Node, self.readout, self.reads)
