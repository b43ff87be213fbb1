"""A neuron written as one step: the subclass says what happens at step t, the base runs it over the sequence."""

from __future__ import annotations

import torch
from torch import Tensor

from snn5bench.neurons.neuron import Memory, Neuron
from snn5bench.neurons.surrogate import Surrogate


class StepNeuron(Neuron):
    """`[T, B, N]` in, spikes `[T, B, N]` out, from a subclass's `step`.

        class Leaky(StepNeuron):
            def step(self, x, v):
                v = 0.9 * v + x
                spikes = self.fire(v - 1.0)
                return spikes, v * (1 - spikes)

    `states` says how many state variables `step` takes and returns, each `[B, N]` and zero at rest. The time modes come
    for free: `sdbp` detaches the states before each step, `notd` sets them to zero. A subclass that carries anything
    else from step to step must answer for it in `set_time`. Plain torch, hence slower than the compiled neurons.
    """

    states: int = 1

    def __init__(self, surrogate: Surrogate | None = None) -> None:
        super().__init__()
        self.fire = surrogate if surrogate is not None else Surrogate("atan", 0.5)

    def step(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Spikes `[B, N]`, then the new states, from the current `x` `[B, N]` and the states."""
        raise NotImplementedError

    def forward(self, x: Tensor, memory: Memory | None = None) -> Tensor:
        """Spikes for the input current `x`, both `[T, B, N]`."""
        memory = memory if memory is not None else Memory()
        rest = tuple(torch.zeros_like(x[0]) for _ in range(self.states))
        state = memory.state or rest
        spikes = []
        for current in x:
            if self.time == "notd":
                state = rest
            elif self.time == "sdbp":
                state = tuple(s.detach() for s in state)
            fired, *after = self.step(current, *state)
            if len(after) != self.states:
                raise ValueError(
                    f"{type(self).__name__}.step returned {len(after)} states, `states` says {self.states}"
                )
            state = tuple(after)
            spikes.append(fired)
        memory.state, memory.step = state, memory.step + len(x)
        return torch.stack(spikes)
