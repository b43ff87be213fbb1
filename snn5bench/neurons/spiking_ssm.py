"""SpikingSSM blocks and the network of them (Shen et al., AAAI 2025, arXiv 2408.14909, eq. 8-9 and figure 2)."""

from __future__ import annotations

import math
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snn5bench.contracts.inputs import BatchInput
from snn5bench.neurons.lif import LIF
from snn5bench.neurons.neuron import Neuron, Time, checked_time
from snn5bench.neurons.norms import StepBatchNorm, adopting
from snn5bench.neurons.sdn import SDN
from snn5bench.neurons.sdn_weights import TAU
from snn5bench.neurons.ssm import S4D
from snn5bench.neurons.surrogate import Surrogate
from snn5bench.neurons.synapses import Synapses

Norm = Literal["layer", "batch", "none"]
NeuronKind = Literal["lif", "sdn"]


class Gate(nn.Module):
    """Gated linear unit: the first half of the channels times the logistic of the second."""

    def forward(self, x: Tensor) -> Tensor:
        """`[..., 2 H] -> [..., H]`"""
        return F.glu(x)

    def operations(self, inputs: tuple[Any, ...], output: Tensor) -> dict[str, Tensor]:
        """One product of two real activations for each output."""
        return {"matmul_macs": torch.full(output.shape[:2], output.shape[2])}


def norm_of(kind: Norm, channels: int) -> nn.Module:
    """A normalisation of `[T, B, channels]`."""
    if kind == "layer":
        return nn.LayerNorm(channels)
    return StepBatchNorm(channels) if kind == "batch" else nn.Identity()


class Block(nn.Module):
    """`[T, B, H] -> [T, B, H]`: S4D, division by the learned threshold, spikes, linear map to 2 H, gate, residual.

        z = x + GLU(W s + b),   s = LIF(S4D(norm(x)) / exp(ln_vth))        pre-norm
        z = norm(x + GLU(W s + b)),   s = LIF(S4D(x) / exp(ln_vth))        post-norm

    The residual stream is real. Spikes of the LIF for current I and threshold v are those for k I and k v, so the
    threshold stays 1 and the current is scaled, per channel. A second path of time beside the state of S4D is the
    membrane (leak 0.125, hard reset); both are cut in mode `notd`.
    """

    def __init__(
        self, ssm: S4D, neuron: NeuronKind = "lif", norm: Norm = "layer", prenorm: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        channels = ssm.channels
        self.ssm = ssm
        self.ln_vth = nn.Parameter(torch.zeros(channels))
        self.neuron: Neuron = SDN() if neuron == "sdn" else LIF(TAU, 1.0, "hard", Surrogate("triangle", 1.0))
        self.dropout = nn.Dropout(dropout)
        self.out = Synapses(channels, 2 * channels, spiking=dropout == 0)
        self.gate = Gate()
        self.before = norm_of(norm if prenorm else "none", channels)
        self.after = norm_of("none" if prenorm else norm, channels)

    def current(self, x: Tensor) -> Tensor:
        """Input of the neurons, in units of their threshold."""
        return self.ssm(self.before(x), torch.exp(-self.ln_vth))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        spikes = self.dropout(self.neuron(self.current(x)))
        return self.after(x + self.gate(self.out(spikes)))

    def set_time(self, mode: str) -> None:
        """Choose `full`, `sdbp` or `notd`."""
        self.ssm.set_time(mode)
        self.neuron.set_time(mode)

    @torch.no_grad()
    def calibrate(self, x: Tensor, rate: float) -> None:
        """One threshold for all channels, at which a neuron without memory would spike at `rate` on the input `x`."""
        current = self.current(x).flatten()
        rank = min(len(current) - 1, math.floor((1 - rate) * len(current)))
        threshold = current.kthvalue(rank + 1).values
        if threshold > 0:
            self.ln_vth.add_(threshold.log())


class SpikingSSMNet(nn.Module):
    """`[T, B, C]` (or `Events`, `Repeated`) to logits per step: linear encoder, blocks, linear read-out."""

    takes_events = True

    def __init__(self, channels: int, classes: int, blocks: list[Block], readout: str = "sum") -> None:
        super().__init__()
        width = blocks[0].ssm.channels
        self.time: Time = "full"
        self.reads = readout
        self.encoder = Synapses(channels, width)
        self.blocks = nn.Sequential(*blocks)
        self.readout = Synapses(width, classes)

    def forward(self, x: BatchInput) -> Tensor:
        """Logits per step `[T, B, classes]`."""
        return self.readout(self.blocks(self.encoder(x)))

    def set_time(self, mode: str) -> None:
        """Choose `full`, `sdbp` or `notd`."""
        self.time = checked_time(mode)
        for block in self.blocks:
            cast("Block", block).set_time(mode)

    @torch.no_grad()
    def calibrate(self, x: BatchInput, rate: float) -> None:
        """Set each layer's first threshold for a spike rate near `rate` on the batch `x`, then scale the read-out so that
        the logits as read out have a standard deviation of 1. Batch norms take over the batch's statistics."""
        with adopting(self):
            hidden = self.encoder(x)
            for block in self.blocks:
                cast("Block", block).calibrate(hidden, rate)
                hidden = block(hidden)
            logits = self.readout(hidden)
        deviation = (logits[-1] if self.reads == "last" else logits.sum(0)).std().item()
        if deviation > 0:
            self.readout.rescale(1 / deviation)
