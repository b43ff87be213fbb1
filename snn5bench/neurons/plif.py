"""Parametric LIF (Fang et al., ICCV 2021): the leak is learned, one for a layer."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from snn5bench.neurons.loop import LoopNeuron, State
from snn5bench.neurons.surrogate import Surrogate


class PLIF(LoopNeuron):
    """PLIF layer, one leak for all its neurons.

        v[t] = v[t-1] + k (x[t] - v[t-1]),  k = logistic(w)
        s[t] = H(v[t] - 1),   hard reset to 0, detached

    w = -ln(tau - 1) for a first tau = 1/k of 2. The same neuron as spikingjelly's ParametricLIFNode (checked).
    """

    def __init__(self, tau: float = 2.0, surrogate: Surrogate | None = None, recurrent: int | None = None) -> None:
        super().__init__(surrogate or Surrogate("atan", 0.5), recurrent)
        if tau <= 1:
            raise ValueError(f"tau must be above 1, got {tau}")
        self.w = nn.Parameter(torch.tensor(-math.log(tau - 1)))

    def coefficients(self) -> tuple[Tensor, ...]:
        """k."""
        return (torch.sigmoid(self.w),)

    def step(self, x: Tensor, before: State, coefficients: tuple[Tensor, ...]) -> State:
        """(s, v after reset)."""
        (_, v), (k,) = before, coefficients
        v = v + (x - v) * k
        s = self.surrogate(v - 1)
        return s, v * (1 - s.detach())
