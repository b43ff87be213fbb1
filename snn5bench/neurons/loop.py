"""A neuron given by one step: the base of the models without a compiled kernel."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from snn5bench.neurons.neuron import Memory, Neuron
from snn5bench.neurons.surrogate import Surrogate

State = tuple[Tensor, ...]
"""What a step leaves to the next: the spikes first, then the model's own variables, each `[..., N]`."""


class LoopNeuron(Neuron):
    """Runs `step` over the sequence in plain torch operations, differentiated by autograd.

    A subclass sets `states` (its own state variables), and implements `coefficients` and `step`. `recurrent` is the number
    of neurons of a recurrent layer: V s[t-1] is then added to the current; V starts orthogonal times 0.2.

    Time modes: `sdbp` detaches the state before each step. `notd` gives every step the state of rest, zeros, and cuts the
    recurrence; all steps are then computed at once.
    """

    states = 1

    def __init__(self, surrogate: Surrogate, recurrent: int | None = None) -> None:
        super().__init__()
        self.surrogate = surrogate
        self.recurrent_weight: nn.Parameter | None = None
        if recurrent is not None:
            self.recurrent_weight = nn.Parameter(nn.init.orthogonal_(torch.empty(recurrent, recurrent), gain=0.2))

    def coefficients(self) -> tuple[Tensor, ...]:
        """What `step` needs of the parameters, computed once a call."""
        raise NotImplementedError

    def step(self, x: Tensor, before: State, coefficients: tuple[Tensor, ...]) -> State:
        """The state after the current `x` `[..., N]`, given the state before it."""
        raise NotImplementedError

    def rest(self, x: Tensor) -> State:
        """The state before the first step, for a current like `x`."""
        return (torch.zeros_like(x),) * (self.states + 1)

    def forward(self, x: Tensor, memory: Memory | None = None) -> Tensor:
        """Spikes for the input current `x`, both `[T, B, N]`."""
        memory = memory if memory is not None else Memory()
        memory.step += len(x)
        coefficients = self.coefficients()
        if self.time == "notd":
            return self.step(x, self.rest(x), coefficients)[0]
        state = memory.state or self.rest(x[0])
        spikes = []
        for current in x:
            if self.time == "sdbp":
                state = tuple(part.detach() for part in state)
            if self.recurrent_weight is not None:
                current = current + state[0] @ self.recurrent_weight.t()
            state = self.step(current, state, coefficients)
            spikes.append(state[0])
        memory.state = tuple(part.detach() for part in state) if self.time == "sdbp" else state
        return torch.stack(spikes)


def uniform(neurons: int, low: float, high: float) -> nn.Parameter:
    """One parameter a neuron, uniform in a range."""
    return nn.Parameter(low + (high - low) * torch.rand(neurons))


@torch.no_grad()
def keep(parameter: nn.Parameter, low: float, high: float) -> Tensor:
    """`parameter` itself, put back into its range first (projected descent: as if after each optimiser step). Written to
    only where it left the range, so that a second call leaves the graph of the first valid."""
    if parameter.min() < low or parameter.max() > high:
        parameter.clamp_(low, high)
    return parameter


class MultiGaussian(Surrogate):
    """g ((1 + h) N(u; 0, w) - h N(u; w, s w) - h N(u; -w, s w)), h = 0.15, s = 6: the surrogate of Yin et al. (2021).

    N is the normal density, w the width, g the scale. For models without a compiled kernel."""

    def __init__(self, width: float = 0.5, scale: float = 0.5) -> None:
        super().__init__(width=width, scale=scale)

    @property
    def id(self) -> int:
        """None: no compiled kernel knows this shape."""
        raise ValueError("the multi-Gaussian surrogate has no compiled kernel")

    def extra_repr(self) -> str:
        """Width and scale."""
        return f"multi-Gaussian, width={self.width.item():g}, scale={self.scale.item():g}"

    def derivative(self, u: Tensor) -> Tensor:
        """The stand-in for dH/du at `u`."""
        w = self.width.to(u.dtype)

        def density(mean: Tensor | float, deviation: Tensor) -> Tensor:
            return torch.exp(-(((u - mean) / deviation) ** 2) / 2) / (deviation * math.sqrt(2 * math.pi))

        return self.scale.to(u.dtype) * (1.15 * density(0.0, w) - 0.15 * density(w, 6 * w) - 0.15 * density(-w, 6 * w))
