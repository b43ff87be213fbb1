"""The two-compartment neuron TC-LIF (Zhang et al., AAAI 2024)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from snn5bench.neurons.loop import LoopNeuron, State
from snn5bench.neurons.surrogate import Surrogate


class TCLIF(LoopNeuron):
    """TC-LIF layer.

        U_D[t] = U_D[t-1] + beta1 U_S[t-1] + I[t] - gamma s[t-1]
        U_S[t] = U_S[t-1] + beta2 U_D[t] - V_th s[t-1]                   from the new U_D
        s[t] = H(U_S[t] - V_th)

    beta1 = -logistic(c1) in (-1, 0) and beta2 = logistic(c2) in (0, 1), one pair a layer, learned. No leak: without spikes
    the map has determinant 1, so an input rings for ever. Start (-0.5, 0.5), gamma 0.5, V_th 1.5: the paper's for SHD and
    SSC. Surrogate: max(1 - |U_S - V_th|, 0). Departure: the comparison is >= as written in the equation; no code consulted.
    """

    states = 2

    def __init__(
        self,
        gamma: float = 0.5,
        threshold: float = 1.5,
        beta1: float = -0.5,
        beta2: float = 0.5,
        surrogate: Surrogate | None = None,
        recurrent: int | None = None,
    ) -> None:
        super().__init__(surrogate or Surrogate("triangle", 1.0), recurrent)
        if not (-1 < beta1 < 0 < beta2 < 1):
            raise ValueError(f"beta1 must be in (-1, 0) and beta2 in (0, 1), got {beta1} and {beta2}")
        self.gamma, self.threshold = gamma, threshold
        self.c1 = nn.Parameter(torch.logit(torch.tensor(-beta1)))
        self.c2 = nn.Parameter(torch.logit(torch.tensor(beta2)))

    def coefficients(self) -> tuple[Tensor, ...]:
        """beta1, beta2."""
        return -torch.sigmoid(self.c1), torch.sigmoid(self.c2)

    def step(self, x: Tensor, before: State, coefficients: tuple[Tensor, ...]) -> State:
        """(s, U_D, U_S)."""
        (s, dendrite, soma), (beta1, beta2) = before, coefficients
        dendrite = dendrite + beta1 * soma + x - self.gamma * s
        soma = soma + beta2 * dendrite - self.threshold * s
        return self.surrogate(soma - self.threshold), dendrite, soma
