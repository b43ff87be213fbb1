"""SGLFormer (Zhang et al., Frontiers in Neuroscience 18:1371290, 2024): local and global spiking attention, convolutions
between them. After its published code (MIT; written anew from a description of it), since the paper's text was out of reach.

    unit(k)    convolution k x k without bias -> batch norm -> [maximum 3, stride 2] -> LIF          pool before the neurons
    tokens     unit3 to D/6;  unit3 to D/4, D/2, D, D, the last `pools` of them with a pool
    block      x += Local(x);  x += LSSA(x);  x += MLP(x);  twice: x += GSSA(x);  x += MLP(x)
    Local(x)   a = x + dw3(x);  a + pw(dw3(pw(a)))            dw3 depth-wise 3 x 3, pw 1 x 1 to 4 D and back, units all
    SSA(x)     Q, K, V = unit1(x);  unit1(LIF_0.5(0.125 (Q K^T) V))
    head       mean over tokens, linear at each step; or "STB": a depth-wise convolution over all tokens and steps

LSSA is SSA within groups of tokens. **The published "local" is not a window**: the code takes tokens of the same row and
column parity, which lie all over the map. Residuals add spikes, so that whole numbers run between the parts.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snn5bench.contracts.inputs import BatchInput
from snn5bench.neurons.lif import LIF
from snn5bench.neurons.neuron import Neuron, Time, checked_time
from snn5bench.neurons.snn_vit import ChannelTokens
from snn5bench.neurons.spike_attention import SpikeProduct, TokenMean, start
from snn5bench.neurons.surrogate import Surrogate

Groups = Literal["parity", "window", "one"]
MakeNeuron = Callable[[], Neuron]


def lif(tau: float = 2.0, threshold: float = 1.0) -> LIF:
    """spikingjelly's LIF with time constant `tau` (input divided by it, hard reset, detached, its sigmoid surrogate), in
    units of tau times the potential."""
    return LIF(1 - 1 / tau, tau * threshold, "hard", Surrogate("sigmoid", tau / 4), detach_reset=True)


class Unit(nn.Module):
    """Convolution, batch norm, a pool on request, neurons: `[T, B, C, H, W]` to spikes `[T, B, D, H', W']`. The pool stands
    before the neurons, so that its gradient goes to the largest potential and not to the first of several equal spikes."""

    def __init__(
        self, channels: int, outputs: int, kernel: int, neuron: Neuron, pool: bool = False, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.pool = nn.MaxPool2d(3, 2, 1) if pool else nn.Identity()
        self.neuron = neuron

    def forward(self, x: Tensor) -> Tensor:
        """Spikes."""
        return self.neuron(self.pool(self.norm(self.conv(x.flatten(0, 1)))).unflatten(0, x.shape[:2]))


def grouped(x: Tensor, groups: Groups) -> Tensor:
    """Tokens `[..., H, W]` as groups `[..., G, N / G]`: of one row and column parity, of one quarter of the map, or all in
    one. A side of length 1 is not divided; any other must be even."""
    sides = [1 if groups == "one" or size == 1 else 2 for size in x.shape[-2:]]
    for size, parts in zip(x.shape[-2:], sides, strict=True):
        if size % parts:
            raise ValueError(
                f"a map of {x.shape[-2]} x {x.shape[-1]} tokens has no {groups} groups: sides must be even"
            )
    (a, b), (h, w) = sides, x.shape[-2:]
    if groups == "parity":
        x = x.unflatten(-1, (w // b, b)).unflatten(-3, (h // a, a)).movedim((-3, -1), (-4, -3))
    else:
        x = x.unflatten(-1, (b, w // b)).unflatten(-3, (a, h // a)).movedim((-4, -2), (-4, -3))
    return x.flatten(-2).flatten(-3, -2)


def merged(x: Tensor, groups: Groups, h: int, w: int) -> Tensor:
    """Groups `[..., G, N / G]` back on their map `[..., H, W]`."""
    a, b = (1 if groups == "one" or size == 1 else 2 for size in (h, w))
    x = x.unflatten(-2, (a, b)).unflatten(-1, (h // a, w // b))
    if groups == "parity":
        return x.movedim((-4, -3), (-3, -1)).flatten(-2).flatten(-3, -2)
    return x.movedim((-4, -3), (-4, -2)).flatten(-2).flatten(-3, -2)


class SSA(nn.Module):
    """Spiking self-attention within groups of tokens, `[T, B, D, H, W]` to spikes of the same shape; `groups = "one"` is
    GSSA. Scale 0.125 whatever the head size, as published; `gain` multiplies it."""

    gain: Tensor

    def __init__(self, width: int, heads: int, groups: Groups, neuron: MakeNeuron, attn_lif: Neuron) -> None:
        super().__init__()
        self.heads, self.groups = heads, groups
        self.q, self.k, self.v = (Unit(width, width, 1, neuron()) for _ in range(3))
        self.product = SpikeProduct()
        self.register_buffer("gain", torch.ones(()))
        self.attn_lif = attn_lif
        self.project = Unit(width, width, 1, neuron())

    def attend(self, x: Tensor) -> Tensor:
        """Spikes of the attention, before their projection."""
        parts = [
            grouped(part(x).unflatten(2, (self.heads, -1)), self.groups).transpose(3, 4)
            for part in (self.q, self.k, self.v)
        ]
        seen = merged(self.product(*parts).transpose(3, 4), self.groups, *x.shape[-2:])
        return self.attn_lif(seen.flatten(2, 3).contiguous() * (0.125 * self.gain))

    def forward(self, x: Tensor) -> Tensor:
        """What the attention adds."""
        return self.project(self.attend(x))

    def sources(self) -> list[nn.Module]:
        """The neurons that send Q, K and V."""
        return [self.q.neuron, self.k.neuron, self.v.neuron]


class Local(nn.Module):
    """Depth-wise convolutions, `[T, B, D, H, W]`: what they add to the stream."""

    def __init__(self, width: int, wide: int, neuron: MakeNeuron) -> None:
        super().__init__()
        self.near = Unit(width, width, 3, neuron(), groups=width)
        self.widen = Unit(width, wide, 1, neuron())
        self.across = Unit(wide, wide, 3, neuron(), groups=wide)
        self.narrow = Unit(wide, width, 1, neuron())

    def forward(self, x: Tensor) -> Tensor:
        """a + pw(dw3(pw(a)))."""
        near = x + self.near(x)
        return near + self.narrow(self.across(self.widen(near)))


class MLP(nn.Sequential):
    """Two units of 1 x 1."""

    def __init__(self, width: int, wide: int, neuron: MakeNeuron) -> None:
        super().__init__(Unit(width, wide, 1, neuron()), Unit(wide, width, 1, neuron()))


class Block(nn.Sequential):
    """Its parts one after another, each added to the stream."""

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        for part in self:
            x = x + part(x)
        return x


def block(width: int, heads: int, mlp: int, groups: Groups | None, tau: float) -> Block:
    """A block for maps of `width` channels; without attention where `groups` is None (the ablation)."""

    def neuron() -> Neuron:
        return lif(tau)

    def ssa(kind: Groups) -> list[nn.Module]:
        return [] if groups is None else [SSA(width, heads, kind, neuron, lif(tau, 0.5))]

    def perceptron() -> MLP:
        return MLP(width, mlp * width, neuron)

    local = Local(width, 4 * width, neuron)
    first = ssa(groups or "one")
    return Block(local, *first, perceptron(), *ssa("one"), perceptron(), *ssa("one"), perceptron())


class PictureMap(nn.Module):
    """Tokens of an image `[T, B, C * H * W] -> [T, B, D, H', W']`, filled up with zeros to sides that can be halved once
    more than there are pools."""

    def __init__(self, shape: tuple[int, int, int], width: int, pools: int, tau: float = 2.0) -> None:
        super().__init__()
        self.shape = shape
        step = 2 ** (pools + 1)
        self.fill = (0, -shape[2] % step, 0, -shape[1] % step)
        self.size = tuple(-(-side // step) * 2 for side in shape[1:])
        widths = [shape[0], width // 6, width // 4, width // 2, width, width]
        self.units = nn.Sequential(
            *(Unit(a, b, 3, lif(tau), pool=k >= 5 - pools) for k, (a, b) in enumerate(pairwise(widths)))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Spikes."""
        return self.units(F.pad(x.unflatten(2, self.shape), self.fill))


class LineMap(nn.Module):
    """Tokens of a sequence, our own: at each step, groups of channels as a map of height 1, `[T, B, C] -> [T, B, D, 1, N]`;
    where their number is odd, an empty token is added."""

    def __init__(self, channels: int, tokens: int, width: int, tau: float = 2.0) -> None:
        super().__init__()
        self.groups = ChannelTokens(channels, tokens, width)
        self.neuron = lif(tau)
        count = self.groups.tokens
        self.fill = count % 2 if count > 1 else 0
        self.size = (1, count + self.fill)

    def forward(self, x: Tensor) -> Tensor:
        """Spikes."""
        return F.pad(self.neuron(self.groups(x)).transpose(2, 3), (0, self.fill)).unsqueeze(3)


class MeanHead(nn.Module):
    """The mean over tokens and a linear map, at each step: `[T, B, D, H, W] -> [T, B, classes]`."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.mean = TokenMean()
        self.readout = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.readout(self.mean(x))


class STBHead(nn.Module):
    """The published head: a depth-wise convolution as large as all tokens and steps, batch norm, a linear map. It has one
    answer, given in the last step; the logits of the others are zero. It works for its own T and size only, and has no
    spiking neuron."""

    def __init__(self, width: int, tokens: int, T: int, classes: int) -> None:
        super().__init__()
        self.tokens, self.T = tokens, T
        self.conv = nn.Conv2d(width, width, (tokens, T), groups=width)
        self.norm = nn.BatchNorm2d(width)
        self.readout = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits. Raises ValueError for another number of steps or tokens."""
        tokens = x.shape[3] * x.shape[4]
        if (tokens, len(x)) != (self.tokens, self.T):
            raise ValueError(
                f"this STB head has weights for {self.tokens} tokens and T = {self.T}, "
                f"it was given {tokens} tokens and T = {len(x)}"
            )
        answer = self.readout(self.norm(self.conv(x.flatten(3).permute(1, 2, 3, 0))).flatten(1)).unsqueeze(0)
        return torch.cat([torch.zeros_like(answer).expand(self.T - 1, -1, -1), answer])


class SGLFormerNet(nn.Module):
    """`[T, B, C]` to logits per step `[T, B, classes]`. Without the STB head the membranes are the only path of time."""

    def __init__(
        self, tokens: PictureMap | LineMap, blocks: list[Block], head: MeanHead | STBHead, readout: str = "sum"
    ) -> None:
        super().__init__()
        self.time: Time = "full"
        self.reads = readout
        self.tokens = tokens
        self.blocks = nn.Sequential(*blocks)
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        """Logits per step."""
        return self.head(self.blocks(self.tokens(x)))

    def set_time(self, mode: str) -> None:
        """Choose `full`, `sdbp` or `notd` for every neuron. Raises ValueError for `notd` with the STB head."""
        if mode == "notd" and isinstance(self.head, STBHead):
            raise ValueError("the STB head has a weight for each step")
        self.time = checked_time(mode)
        for module in self.modules():
            if isinstance(module, Neuron):
                module.set_time(mode)

    def calibrate(self, x: BatchInput, rate: float) -> None:
        """Start from scales at which each layer spikes at `rate` at least on the batch `x`: see `spike_attention.start`."""
        start(self, x, rate, Neuron, self.head.readout, self.reads)
