"""Parametric LIF (Fang et al., ICCV 2021): the leak is learned, one for a layer."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from snn5bench.neurons.backend import compiled, on_triton
from snn5bench.neurons.loop import LoopNeuron, MultiGaussian, State
from snn5bench.neurons.neuron import Memory
from snn5bench.neurons.plif_scan import plif_scan
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

    def forward(self, x: Tensor, memory: Memory | None = None) -> Tensor:
        """Spikes for the input current `x`, both `[T, B, N]`; compiled where the layer is not recurrent."""
        (k,) = self.coefficients()
        plain = self.time == "notd" or self.recurrent_weight is not None or isinstance(self.surrogate, MultiGaussian)
        if plain or not (compiled(x, k) or on_triton(x, k)):
            return super().forward(x, memory)
        memory = memory if memory is not None else Memory()
        memory.step += len(x)
        _, state = memory.state or self.rest(x[0])
        spikes, state = plif_scan(x, state, k, self.surrogate, self.time == "full")
        memory.state = (spikes[-1], state) if self.time == "full" else (spikes[-1].detach(), state.detach())
        return spikes

    def coefficients(self) -> tuple[Tensor, ...]:
        """k."""
        return (torch.sigmoid(self.w),)

    def step(self, x: Tensor, before: State, coefficients: tuple[Tensor, ...]) -> State:
        """(s, v after reset)."""
        (_, v), (k,) = before, coefficients
        v = v + (x - v) * k
        s = self.surrogate(v - 1)
        return s, v * (1 - s.detach())
