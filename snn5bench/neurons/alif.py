"""The adaptive-threshold neuron ALIF (Yin, Corradi and Bohte, 2020/2021)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from snn5bench.neurons.loop import LoopNeuron, MultiGaussian, State, keep
from snn5bench.neurons.surrogate import Surrogate


class ALIF(LoopNeuron):
    """ALIF layer.

        eta[t] = rho eta[t-1] + (1 - rho) s[t-1],   theta[t] = b0 + beta eta[t]
        u[t] = alpha u[t-1] + (1 - alpha) x[t] - theta[t] s[t-1]          soft reset by the present threshold
        s[t] = 1 if u[t] > theta[t] (strict)

    alpha = e^(-1/tau_m), rho = e^(-1/tau_adp), tau in steps, per neuron, learned; start N(20, 5) and N(150, 10),
    b0 = 0.01 and beta = 1.8 as in the authors' code for SHD. Departures: the membrane starts at zero (theirs is random);
    tau is kept at 0.1 or above, where e^(-1/tau) is already 5e-5 (theirs is free).
    """

    states = 2

    def __init__(
        self,
        neurons: int,
        b0: float = 0.01,
        beta: float = 1.8,
        surrogate: Surrogate | None = None,
        recurrent: bool = False,
    ) -> None:
        super().__init__(surrogate or MultiGaussian(), neurons if recurrent else None)
        self.b0, self.beta = b0, beta
        self.tau_m = nn.Parameter(20 + 5 * torch.randn(neurons))
        self.tau_adp = nn.Parameter(150 + 10 * torch.randn(neurons))

    def coefficients(self) -> tuple[Tensor, ...]:
        """alpha, rho."""
        return tuple(torch.exp(-1 / keep(tau, 0.1, math.inf)) for tau in (self.tau_m, self.tau_adp))

    def step(self, x: Tensor, before: State, coefficients: tuple[Tensor, ...]) -> State:
        """(s, u, eta)."""
        (s, u, eta), (alpha, rho) = before, coefficients
        eta = rho * eta + (1 - rho) * s
        theta = self.b0 + self.beta * eta
        u = alpha * u + (1 - alpha) * x - theta * s
        return self.surrogate(u - theta, strict=True), u, eta
