"""CE-LIF: a LIF neuron whose threshold is moved by a learned number for each step (Chen et al., 2023, arXiv 2308.15150).

    theta[t] = theta[t-1] + E[t] u[t-1] - gamma (theta[t-1] - theta_0)       first, from the u before its reset
    u[t]     = lambda u[t-1] (1 - s[t-1]) + x[t]                             hard reset
    s[t]     = 1 if u[t] > theta[t] (strict); the gradient goes through theta too

E, the "contextual embedding", is a table of one number per neuron and *absolute* step: **a position code**. It tells the
network which step it is, costs N x T parameters, and ends at T.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from snn5bench.neurons.loop import LoopNeuron, State
from snn5bench.neurons.neuron import Memory
from snn5bench.neurons.surrogate import Surrogate

Embedding = Literal["step", "constant"]


class CELIF(LoopNeuron):
    """A layer of CE-LIF neurons for sequences of at most `T` steps, currents `[T, B, N]` to spikes of the same shape.

    `embedding`: `step` as published; `constant` is the control without a position code, one number a neuron for all steps.
    E starts at zero, where the layer is a hard-reset LIF with threshold theta_0; how the authors start it is not known.
    `notd` sees u = 0 and theta = theta_0 before every step, so that E plays no part. Raises ValueError beyond T steps.
    """

    states = 2

    def __init__(
        self,
        neurons: int,
        T: int,
        decay: float = 0.9,
        threshold: float = 1.0,
        gamma: float = 0.02,
        embedding: Embedding = "step",
        surrogate: Surrogate | None = None,
        recurrent: bool = False,
    ) -> None:
        super().__init__(surrogate or Surrogate("atan", 0.5), neurons if recurrent else None)
        self.T, self.decay, self.threshold, self.gamma = T, decay, threshold, gamma
        self.table = nn.Parameter(torch.zeros(1 if embedding == "constant" else T, neurons))

    def coefficients(self) -> tuple[Tensor, ...]:
        """E `[T, N]`."""
        return (self.table.expand(self.T, -1),)

    def rest(self, x: Tensor) -> State:
        """(s, u, theta, t): t counts the steps, for the whole layer."""
        zero = torch.zeros_like(x)
        return zero, zero, zero + self.threshold, torch.zeros((), dtype=torch.long, device=x.device)

    def step(self, x: Tensor, before: State, coefficients: tuple[Tensor, ...]) -> State:
        """(s, u, theta, t)."""
        (s, u, theta, t), (table,) = before, coefficients
        theta = theta + table.index_select(0, t.view(1))[0] * u - self.gamma * (theta - self.threshold)
        u = self.decay * u * (1 - s) + x
        return self.surrogate(u - theta, strict=True), u, theta, t + 1

    def forward(self, x: Tensor, memory: Memory | None = None) -> Tensor:
        """Spikes for the input current `x`, both `[T, B, N]`."""
        last = len(x) + (memory.step if memory is not None else 0)
        if last > self.T and self.time != "notd":
            raise ValueError(f"this CE-LIF layer has an embedding for {self.T} steps, it was given {last}")
        return super().forward(x, memory)

    def operations(self, inputs: tuple[Any, ...], output: Tensor) -> dict[str, Tensor]:
        """A number of the table is read for each neuron and step; none where time is cut."""
        steps, batch, neurons = output.shape
        return {"weight_reads": torch.full((steps, batch), 0 if self.time == "notd" else neurons)}

    def extra_repr(self) -> str:
        """Constants and time mode."""
        return f"T={self.T}, decay={self.decay}, threshold={self.threshold}, gamma={self.gamma}, time={self.time}"
