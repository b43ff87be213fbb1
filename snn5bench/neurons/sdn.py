"""The surrogate dynamic network of SpikingSSMs: spikes of a LIF layer at all steps at once, the membrane predicted.

    mhat[t] = SDN(x[t-8..t-1]),   v[t] = mhat[t] + x[t] - 1,   s[t] = H(v[t])
    ds[t]/dx[t] = max(1 - |v[t]|, 0),   no other gradient

(Shen et al., AAAI 2025, arXiv 2408.14909). One small frozen network serves every neuron, channel and task, since the
threshold is always 1 and the inputs are scaled instead. The weights are ours, made by `sdn_training`.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snn5bench.neurons.neuron import Memory, Neuron
from snn5bench.neurons.sdn_training import WINDOW, SurrogateNet, from_text
from snn5bench.neurons.sdn_weights import TAU, WEIGHTS
from snn5bench.neurons.surrogate import Surrogate


class Folded(NamedTuple):
    """The network with encoder and batch norms folded away: 153 numbers."""

    taps: Tensor
    """`[8, 8]`: filters, over the window from its oldest step on."""
    taps_bias: Tensor
    mix: Tensor
    mix_bias: Tensor
    decode: Tensor
    """`[1, 8]`"""
    decode_bias: Tensor


@torch.no_grad()
def fold(net: SurrogateNet) -> Folded:
    """The same function in float64 arithmetic on fewer weights; `net` must be in evaluation mode."""

    def affine(norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        gain = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        return gain, norm.bias.double() - gain * norm.running_mean.double()

    gain, shift = affine(net.taps_norm)
    taps = gain.unsqueeze(1) * net.taps.weight.double() * net.encode.double().unsqueeze(1)
    taps_bias = gain * net.taps.bias.double() + shift
    gain, shift = affine(net.mix_norm)
    mix, mix_bias = gain.unsqueeze(1) * net.mix.weight.double(), gain * net.mix.bias.double() + shift
    parts = (taps, taps_bias, mix, mix_bias, net.decode.weight.double(), net.decode.bias.double())
    return Folded(*(part.detach().float() for part in parts))


@cache
def pretrained() -> Folded:
    """The stored network."""
    return fold(from_text(WEIGHTS))


class SDN(Neuron):
    """LIF layer whose membrane is predicted, `[T, B, N] -> [T, B, N]`: threshold 1, hard reset, leak `TAU` = 0.125.

    A predictor for one leak does not serve another: `tau` must be the one that the weights were made for. Time modes:
    `notd` predicts nothing, s[t] = H(x[t] - 1), the memoryless neuron; `sdbp` is the neuron itself, which has no
    gradient through time.
    """

    def __init__(self, tau: float = TAU) -> None:
        super().__init__()
        if tau != TAU:
            raise ValueError(f"the surrogate dynamic network was made for tau = {TAU}, not for tau = {tau}")
        self.surrogate = Surrogate("triangle", 1.0)
        for name, value in pretrained()._asdict().items():
            self.register_buffer(name, value.clone())

    @torch.no_grad()
    def membrane(self, x: Tensor, before: Tensor | None = None) -> Tensor:
        """mhat `[T, B, N]` for `x` `[T, B, N]`; `before` `[8, B, N]` are the steps before it (None: zero)."""
        if before is None:
            before = x.new_zeros(WINDOW, *x.shape[1:])
        seen = torch.cat([before, x[:-1]]).flatten(1).t().unsqueeze(1)
        weights = [self.get_buffer(name) for name in Folded._fields]
        taps, taps_bias, mix, mix_bias, decode, decode_bias = weights
        z = torch.relu(F.conv1d(seen, taps.unsqueeze(1), taps_bias))
        z = torch.relu(z + F.conv1d(z, mix.unsqueeze(-1), mix_bias))
        return F.conv1d(z, decode.unsqueeze(-1), decode_bias)[:, 0].t().view_as(x)

    def forward(self, x: Tensor, memory: Memory | None = None) -> Tensor:
        """Spikes for the input current `x`, both `[T, B, N]`."""
        if self.time == "notd":
            return self.surrogate(x - 1)
        memory = memory if memory is not None else Memory()
        before = memory.state[0] if memory.state else x.new_zeros(WINDOW, *x.shape[1:])
        spikes = self.surrogate(self.membrane(x, before) + x - 1)
        memory.state, memory.step = (torch.cat([before, x.detach()])[-WINDOW:],), memory.step + len(x)
        return spikes

    def operations(self, inputs: tuple[Tensor, ...], output: Tensor) -> dict[str, Tensor]:
        """136 MACs a neuron and step: what runs here. (A device would run the LIF neuron that this stands for.)"""
        steps, batch, neurons = output.shape
        cost = 0 if self.time == "notd" else neurons * (2 * WINDOW * WINDOW + WINDOW)
        macs = torch.full((steps, batch), cost)
        return {"macs": macs, "dense_macs": macs}
