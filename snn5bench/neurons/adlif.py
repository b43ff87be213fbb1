"""Adaptive LIF neurons whose membrane drives their adaptation: adLIF (Bittar and Garner, 2022) and SE-adLIF
(Baronig et al., Nature Communications 16:5776, 2025, arXiv 2408.07517). They are different models under like names."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from snn5bench.neurons.adlif_scan import adlif_scan
from snn5bench.neurons.backend import compiled, on_triton
from snn5bench.neurons.loop import LoopNeuron, MultiGaussian, State, keep, uniform
from snn5bench.neurons.neuron import Memory
from snn5bench.neurons.surrogate import Surrogate


class Coupled(LoopNeuron):
    """The step of adLIF and SiLIF, whose membrane drives their adaptation; a subclass says what alpha, beta, a, b are."""

    states = 2

    def forward(self, x: Tensor, memory: Memory | None = None) -> Tensor:
        """Spikes for the input current `x`, both `[T, B, N]`; compiled where the layer is not recurrent."""
        coefficients = self.coefficients()
        plain = self.time == "notd" or self.recurrent_weight is not None or isinstance(self.surrogate, MultiGaussian)
        if plain or not (compiled(x, *coefficients) or on_triton(x, *coefficients)):
            return super().forward(x, memory)
        memory = memory if memory is not None else Memory()
        memory.step += len(x)
        s, u, w = memory.state or self.rest(x[0])
        spikes, after = adlif_scan(x, (s, u, w), coefficients, self.surrogate, self.time == "full")
        memory.state = tuple(part.detach() for part in after) if self.time == "sdbp" else after
        return spikes

    def step(self, x: Tensor, before: State, coefficients: tuple[Tensor, ...]) -> State:
        """(s, u, w)."""
        (s, u, w), (alpha, beta, a, b) = before, coefficients
        w = beta * w + a * u + b * s
        u = alpha * (u - s) + (1 - alpha) * (x - w)
        return self.surrogate(u - 1, strict=True), u, w


class AdLIF(Coupled):
    """Bittar and Garner (2022), as in their code (sparch):

        w[t] = beta w[t-1] + a u[t-1] + b s[t-1]                        first, from the old u and s
        u[t] = alpha (u[t-1] - s[t-1]) + (1 - alpha) (x[t] + V s[t-1] - w[t])
        s[t] = 1 if u[t] > 1 (strict)

    Per neuron, learned and kept in range: alpha in [e^(-1/5), e^(-1/25)], beta in [e^(-1/30), e^(-1/120)], a in [-1, 1],
    b in [0, 2]; each starts uniform in its range. Surrogate: 1 within 0.5 of the threshold. Departures: states start at
    zero (theirs are random in U(0, 1), at test time too), V keeps its diagonal.
    """

    ALPHA = (math.exp(-1 / 5), math.exp(-1 / 25))
    BETA = (math.exp(-1 / 30), math.exp(-1 / 120))

    def __init__(self, neurons: int, surrogate: Surrogate | None = None, recurrent: bool = False) -> None:
        super().__init__(surrogate or Surrogate("rectangle", 1.0), neurons if recurrent else None)
        self.alpha, self.beta = uniform(neurons, *self.ALPHA), uniform(neurons, *self.BETA)
        self.a, self.b = uniform(neurons, -1, 1), uniform(neurons, 0, 2)

    def coefficients(self) -> tuple[Tensor, ...]:
        """alpha, beta, a, b."""
        return keep(self.alpha, *self.ALPHA), keep(self.beta, *self.BETA), keep(self.a, -1, 1), keep(self.b, 0, 2)


class SEAdLIF(LoopNeuron):
    """Baronig et al. (2025):

        v[t] = alpha u[t-1] + (1 - alpha) (I[t] - w[t-1])
        s[t] = 1 if v[t] > 1 (strict),   u[t] = v[t] (1 - s[t])          hard reset, s detached in it
        w[t] = beta w[t-1] + (1 - beta) q (a u[t] + b s[t])              symplectic Euler (SE)
        w[t] = beta w[t-1] + (1 - beta) q (a u[t-1] + b s[t-1])          Euler forward (EF)

    alpha = e^(-1/tau_u), beta = e^(-1/tau_w); per neuron, learned and kept in range: a in [0, 1], b in [0, 2],
    tau_u in [5, 25] and tau_w in [60, 300] steps, by a weight in [0, 1] between the ends. q = 120 for SE; EF is unstable
    there (spectral radius up to 1.08) and uses 60. Surrogate: 0.4 * 5/2 exp(-5 |v - 1|).
    """

    states = 2
    TAU_U = (5.0, 25.0)
    TAU_W = (60.0, 300.0)

    def __init__(
        self,
        neurons: int,
        symplectic: bool = True,
        q: float | None = None,
        surrogate: Surrogate | None = None,
        recurrent: bool = False,
    ) -> None:
        super().__init__(surrogate or Surrogate("exponential", 0.2, 0.4), neurons if recurrent else None)
        self.symplectic = symplectic
        self.q = q if q is not None else 120.0 if symplectic else 60.0
        self.place_u, self.place_w = uniform(neurons, 0, 1), uniform(neurons, 0, 1)
        self.a, self.b = uniform(neurons, 0, 1), uniform(neurons, 0, 2)

    def coefficients(self) -> tuple[Tensor, ...]:
        """alpha, beta, (1 - beta) q a, (1 - beta) q b."""

        def decay(place: Tensor, ends: tuple[float, float]) -> Tensor:
            return torch.exp(-1 / (ends[0] + (ends[1] - ends[0]) * place))

        alpha, beta = decay(keep(self.place_u, 0, 1), self.TAU_U), decay(keep(self.place_w, 0, 1), self.TAU_W)
        gain = (1 - beta) * self.q
        return alpha, beta, gain * keep(self.a, 0, 1), gain * keep(self.b, 0, 2)

    def step(self, x: Tensor, before: State, coefficients: tuple[Tensor, ...]) -> State:
        """(s, u, w)."""
        (s_old, u_old, w), (alpha, beta, a, b) = before, coefficients
        v = alpha * u_old + (1 - alpha) * (x - w)
        s = self.surrogate(v - 1, strict=True)
        u = v * (1 - s.detach())
        return s, u, beta * w + (a * u + b * s if self.symplectic else a * u_old + b * s_old)
