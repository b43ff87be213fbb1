"""Learnable delays: dilated convolutions with learnable spacings over time (Hammouamri et al., ICLR 2024)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snn5bench.contracts.inputs import BatchInput, dense
from snn5bench.neurons.network import SpikingNet
from snn5bench.neurons.neuron import Neuron, Time, checked_time
from snn5bench.neurons.norms import StepBatchNorm, adopting
from snn5bench.neurons.synapses import Synapses

LAST_SIGMA = 0.23
ANNEALING = 0.25
"""Share of the training over which the kernels narrow."""


class DelaySynapses(Synapses):
    """Synapses with one weight at a learned delay each, `[T, B, C] -> [T, B, N]`.

        x_i[t] = sum_j w_ij sum_d K_ij[d] s_j[t - d],   d = 0..lags - 1
        K_ij[d] = exp(-((d - P_ij) / sigma)^2 / 2) / (its sum over d)          in training
        K_ij[d] = 1 at P_ij rounded, 0 elsewhere                               at evaluation

    P starts uniform in -1/2..lags - 1/2, clamped (each whole delay as likely as any), and is kept in 0..lags - 1. sigma
    starts at half the number of lags and shrinks to 0.23 exponentially over the first quarter of the training. Then, where
    asked, batch norm over steps and samples.

    `sdbp` lets no gradient reach the spikes of earlier steps; `notd` sets every delay to 0. As for any synapses, an
    operation is counted for each non-zero weight that a spike meets when it is sent, also where it would arrive after the
    last step.
    """

    sigma: Tensor

    def __init__(self, channels: int, neurons: int, lags: int, normed: bool, dropout: float = 0.0) -> None:
        super().__init__(channels, neurons, bias=False)
        if lags < 1:
            raise ValueError(f"at least one lag (a delay of 0) is needed, got {lags}")
        self.lags, self.time = lags, cast("Time", "full")
        self.position: nn.Parameter | None = None
        if lags > 1:
            self.position = nn.Parameter((lags * torch.rand(neurons, channels) - 0.5).clamp(0, lags - 1))
        self.register_buffer("sigma", torch.tensor(max(lags / 2, LAST_SIGMA)))
        self.norm = StepBatchNorm(neurons) if normed else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def anneal(self, share: float) -> None:
        """The width for a training of which `share` (0 to 1) is done."""
        first = max(self.lags / 2, LAST_SIGMA)
        self.sigma.fill_(first * (LAST_SIGMA / first) ** min(1.0, share / ANNEALING))

    def set_time(self, mode: str) -> None:
        """Choose `full`, `sdbp` or `notd`."""
        self.time = checked_time(mode)

    @property
    def delays(self) -> Tensor:
        """Whole delays in steps, int64 `[N, C]`: those of evaluation."""
        if self.position is None:
            return torch.zeros_like(self.weight, dtype=torch.int64)
        return self.position.detach().clamp(0, self.lags - 1).round().long()

    @property
    def delay_bits(self) -> int:
        """Bits of the ring buffer that holds the inputs of the last steps, for one sample."""
        return 0 if self.time == "notd" else int(self.delays.max()) * self.in_features

    def kernel(self) -> Tensor:
        """K as the forward pass uses it now, `[N, C, lags]`."""
        lag = torch.arange(self.lags, device=self.weight.device)
        if self.position is None or not self.training:
            return (lag == self.delays[..., None]).to(self.weight.dtype)
        with torch.no_grad():
            if self.position.min() < 0 or self.position.max() > self.lags - 1:
                self.position.clamp_(0, self.lags - 1)
        return torch.softmax(-(((lag - self.position[..., None]) / self.sigma) ** 2) / 2, -1)

    def forward(self, x: BatchInput) -> Tensor:
        """Current `[T, B, N]`, normalised where asked."""
        spikes = self.dropout(dense(x).to(self.weight.dtype))
        if self.time == "notd" or self.position is None:
            return self.norm(F.linear(spikes, self.weight))
        weight = self.weight[..., None] * self.kernel()
        sent = (spikes.detach() if self.time == "sdbp" else spikes).permute(1, 2, 0)
        current = F.conv1d(F.pad(sent, (self.lags - 1, 0)), weight.flip(-1)).permute(2, 0, 1)
        if self.time == "sdbp":
            current = current + F.linear(spikes - spikes.detach(), weight[..., 0])
        return self.norm(current)

    def extra_repr(self) -> str:
        """Sizes and lags."""
        return f"in_features={self.in_features}, out_features={self.out_features}, lags={self.lags}"


class DelayNet(SpikingNet):
    """`SpikingNet` of delay synapses, with batch norm before each hidden layer; the read-out has no norm, and delays only
    where `readout_delays` says so."""

    def __init__(
        self,
        channels: int,
        hidden: Sequence[int],
        classes: int,
        neuron: Callable[[int], Neuron],
        lags: int,
        dropout: float = 0.0,
        readout: str = "sum",
        readout_delays: bool = False,
    ) -> None:
        super().__init__(channels, hidden, classes, neuron, readout=readout)
        self.synapses = nn.ModuleList(
            DelaySynapses(a, b, lags, True, dropout if k else 0.0)
            for k, (a, b) in enumerate(pairwise([channels, *hidden]))
        )
        self.readout = DelaySynapses(hidden[-1], classes, lags if readout_delays else 1, False, dropout)

    def connections(self) -> list[DelaySynapses]:
        """Every layer's synapses, the read-out's last."""
        return [cast("DelaySynapses", self.feed(layer)) for layer in range(1, self.depth + 2)]

    def set_time(self, mode: str) -> None:
        """Choose `full`, `sdbp` or `notd` for the whole network."""
        super().set_time(mode)
        for synapses in self.connections():
            synapses.set_time(mode)

    @torch.no_grad()
    def calibrate(self, x: BatchInput, rate: float = 0.0) -> dict[int, float]:
        """Batch norms take over the statistics of the batch `x`; then the read-out is scaled so that the logits as read out
        have a standard deviation of 1. `rate` has no say: the norms decide. Returns the rate of each hidden layer."""
        with adopting(self):
            *hidden, logits = self.activity(x)
        deviation = (logits[-1] if self.reads == "last" else logits.sum(0)).std().item()
        if deviation > 0:
            self.readout.rescale(1 / deviation)
        return {layer: spikes.mean(dtype=torch.float64).item() for layer, spikes in enumerate(hidden, start=1)}
