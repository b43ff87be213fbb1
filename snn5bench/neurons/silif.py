"""SiLIF and C-SiLIF (Fabre et al., 2025, arXiv 2506.06374): LIF neurons with the decays of state-space models."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from snn5bench.neurons.adlif import Coupled
from snn5bench.neurons.loop import LoopNeuron, State, keep, uniform
from snn5bench.neurons.surrogate import Surrogate


class SiLIF(Coupled):
    """SiLIF layer: real decays.

        alpha = exp(-e^p_alpha e^delta),   beta = exp(-e^p_beta e^delta)
        w[t] = beta w[t-1] + a u[t-1] + b s[t-1]                         first, from the old u and s
        u[t] = alpha (u[t-1] - s[t-1]) + (1 - alpha) (x[t] - w[t])
        s[t] = 1 if u[t] > 1 (strict)

    The adLIF of Bittar and Garner with decays that stay in (0, 1) whatever the optimiser does. Per neuron: delta = ln 0.004,
    p_alpha in [ln 10, ln 250], p_beta in [ln 2.5, ln 10], a in [0, 1] and b in [0, 2] (kept in range), uniform at the start.
    Surrogate: 1 within 0.5 of the threshold. Departure: states start at zero (theirs are random).
    """

    def __init__(self, neurons: int, surrogate: Surrogate | None = None) -> None:
        super().__init__(surrogate or Surrogate("rectangle", 1.0))
        self.p_alpha = uniform(neurons, math.log(10), math.log(250))
        self.p_beta = uniform(neurons, math.log(2.5), math.log(10))
        self.delta = nn.Parameter(torch.full((neurons,), math.log(0.004)))
        self.a, self.b = uniform(neurons, 0, 1), uniform(neurons, 0, 2)

    def coefficients(self) -> tuple[Tensor, ...]:
        """alpha, beta, a, b."""
        alpha, beta = (torch.exp(-torch.exp(p + self.delta)) for p in (self.p_alpha, self.p_beta))
        return alpha, beta, keep(self.a, 0, 1), keep(self.b, 0, 2)


class CSiLIF(LoopNeuron):
    """C-SiLIF layer: one complex, rotating state.

        alpha = exp((-e^p + i omega) e^delta)
        u[t] = alpha (u[t-1] - 0.5 s[t-1]) + b x[t]                      u complex
        s[t] = H(2 Re u[t] - 1)

    Per neuron, learned: p = ln 0.5, omega = pi, delta uniform in [ln dt_min, ln dt_max], b uniform in [0, 1]. |alpha| < 1
    always. Surrogate: 1 within 0.5 of the threshold.
    """

    states = 2

    def __init__(
        self, neurons: int, dt_min: float = 0.01, dt_max: float = 0.5, surrogate: Surrogate | None = None
    ) -> None:
        super().__init__(surrogate or Surrogate("rectangle", 1.0))
        if not 0 < dt_min <= dt_max:
            raise ValueError(f"dt_min must be above 0 and at most dt_max, got {dt_min} and {dt_max}")
        self.p = nn.Parameter(torch.full((neurons,), math.log(0.5)))
        self.omega = nn.Parameter(torch.full((neurons,), math.pi))
        self.delta = uniform(neurons, math.log(dt_min), math.log(dt_max))
        self.b = uniform(neurons, 0, 1)

    def coefficients(self) -> tuple[Tensor, ...]:
        """Real and imaginary part of alpha, b."""
        dt = torch.exp(self.delta)
        size = torch.exp(-torch.exp(self.p) * dt)
        return size * torch.cos(self.omega * dt), size * torch.sin(self.omega * dt), self.b

    def step(self, x: Tensor, before: State, coefficients: tuple[Tensor, ...]) -> State:
        """(s, Re u, Im u)."""
        (s, re, im), (a_re, a_im, b) = before, coefficients
        re = re - 0.5 * s
        re, im = a_re * re - a_im * im + b * x, a_re * im + a_im * re
        return self.surrogate(2 * re - 1), re, im
