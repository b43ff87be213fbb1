"""DH-LIF: neurons with dendritic branches of their own time constants (Zheng et al., Nature Communications 15, 2024)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snn5bench.contracts.inputs import BatchInput, Repeated, dense
from snn5bench.neurons.loop import LoopNeuron, MultiGaussian, State, uniform
from snn5bench.neurons.network import SpikingNet
from snn5bench.neurons.surrogate import Surrogate
from snn5bench.neurons.synapses import Synapses

_GAIN = 16.0
"""First weights of a network are multiplied by this: an input reaches the soma times (1 - alpha) (1 - beta), about 1/60."""


class BranchSynapses(Synapses):
    """Inputs to the branches of each neuron, `[T, B, C] -> [T, B, branches * N]` (branch by branch).

    Each neuron deals the inputs out to its branches by a random permutation, so that it has as many synapses as an ordinary
    neuron (plus a bias a branch). The mask is a part of every forward pass: weights beyond it never act nor learn.
    """

    mask: Tensor

    def __init__(self, channels: int, neurons: int, branches: int) -> None:
        super().__init__(channels, branches * neurons)
        if not 1 <= branches <= channels:
            raise ValueError(f"branches must be between 1 and the {channels} inputs, got {branches}")
        nn.init.zeros_(self.bias)
        part = -(-channels // branches)
        place = torch.rand(neurons, channels).argsort(1).argsort(1)
        mask = torch.stack([place // part == b for b in range(branches)])
        self.register_buffer("mask", mask.flatten(0, 1).float())

    def effective_weight(self) -> Tensor:
        """The weights that act."""
        return self.weight * self.mask

    def forward(self, x: BatchInput) -> Tensor:
        """Current of each branch."""
        if isinstance(x, Repeated):
            return F.linear(x.frame.to(self.weight.dtype), self.effective_weight(), self.bias).expand(x.T, -1, -1)
        return F.linear(dense(x).to(self.weight.dtype), self.effective_weight(), self.bias)


class DHLIF(LoopNeuron):
    """DH-LIF layer, `[T, B, branches * N] -> [T, B, N]`.

        d_b[t] = beta_b d_b[t-1] + (1 - beta_b) i_b[t]                   i_b: current of branch b
        u[t] = alpha u[t-1] + (1 - alpha) sum_b d_b[t] - theta s[t-1]
        s[t] = 1 if u[t] > theta (strict)

    alpha = logistic(m) per neuron, m ~ U(0, 4); beta = logistic(n) per branch and neuron, n ~ U(2, 6): the authors' for
    SHD. neuroseqbench leaves (1 - alpha) out. Departure: u and s start at zero (theirs are random).
    """

    def __init__(self, neurons: int, branches: int, threshold: float = 1.0, surrogate: Surrogate | None = None) -> None:
        super().__init__(surrogate or MultiGaussian())
        self.branches, self.threshold, self.states = branches, threshold, 1 + branches
        self.m = uniform(neurons, 0, 4)
        self.n = uniform(branches * neurons, 2, 6)

    def coefficients(self) -> tuple[Tensor, ...]:
        """alpha `[N]`, beta `[branches, N]`."""
        return torch.sigmoid(self.m), torch.sigmoid(self.n).view(self.branches, -1)

    def rest(self, x: Tensor) -> State:
        """Zeros: s and u `[..., N]`, d `[..., branches, N]`."""
        d = torch.zeros_like(x).unflatten(-1, (self.branches, -1))
        return d[..., 0, :], d[..., 0, :], d

    def step(self, x: Tensor, before: State, coefficients: tuple[Tensor, ...]) -> State:
        """(s, u, d)."""
        (s, u, d), (alpha, beta) = before, coefficients
        d = beta * d + (1 - beta) * x.unflatten(-1, (self.branches, -1))
        u = alpha * u + (1 - alpha) * d.sum(-2) - self.threshold * s
        return self.surrogate(u - self.threshold, strict=True), u, d


class DendriticNet(SpikingNet):
    """`SpikingNet` whose hidden layers are branch synapses and DH-LIF neurons."""

    def __init__(
        self,
        channels: int,
        hidden: Sequence[int],
        classes: int,
        branches: int,
        neuron: Callable[[int], DHLIF],
        readout: str = "sum",
    ) -> None:
        super().__init__(channels, hidden, classes, neuron, readout=readout)
        self.synapses = nn.ModuleList(BranchSynapses(a, b, branches) for a, b in pairwise([channels, *hidden]))
        for synapses in self.synapses:
            cast("BranchSynapses", synapses).rescale(_GAIN)
