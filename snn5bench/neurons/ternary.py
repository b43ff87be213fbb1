"""A LIF neuron whose membrane potential is stored in a few levels (SpQuant-SNN, Hasssan et al., Frontiers 2024).

    m[t] = d q[t-1] + x[t];   y[t] = H(m[t] - theta);   m[t] <- (1 - y[t]) m[t];   q[t] = Q(m[t])

Q clips to [lowest, theta] and rounds to the nearest of the whole numbers from `lowest` up to theta: with lowest = -1 and
theta = 1 the state is one of -1, 0, 1. The gradient of Q is a sum of logistic bumps of temperature 2 half-way between
neighbouring levels, that of the spike a triangle. `mask_negative` stores 0 in place of every negative level.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from snn5bench.neurons.neuron import Memory, Neuron
from snn5bench.neurons.surrogate import Surrogate

_TEMPERATURE = 2.0


def stacked_gradient(m: Tensor, lowest: int, highest: int) -> Tensor:
    """The stand-in for dQ/dm: for each pair of neighbouring levels a logistic bump of area 1 at their middle."""
    total = torch.zeros_like(m)
    for level in range(lowest, highest):
        s = torch.sigmoid(_TEMPERATURE * (m - (level + 0.5)))
        total += _TEMPERATURE * s * (1 - s)
    return total


class _Levels(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, m: Tensor, lowest: int, highest: int) -> Tensor:
        ctx.save_for_backward(m)
        ctx.span = (lowest, highest)
        return m.clamp(lowest, highest).round()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (m,) = ctx.saved_tensors
        return grads[0] * stacked_gradient(m, *ctx.span), None, None


def stored(m: Tensor, lowest: int = -1, highest: int = 1, mask_negative: bool = False) -> Tensor:
    """Q(m), any shape: whole numbers from `lowest` to `highest`."""
    q = _Levels.apply(m, lowest, highest)
    return q * (q >= 0) if mask_negative else q


class TernaryLIF(Neuron):
    """LIF layer with a quantised state and a hard reset; threshold 1, so that the levels are whole numbers.

    Time modes: `sdbp` detaches the state before the next step, `notd` forgets it: y[t] = H(x[t] - 1).
    """

    def __init__(
        self, decay: float = 0.5, lowest: int = -1, mask_negative: bool = False, surrogate: Surrogate | None = None
    ) -> None:
        super().__init__()
        if lowest > -1:
            raise ValueError(f"the lowest level must be -1 or less, got {lowest}")
        self.decay, self.lowest, self.mask_negative = decay, lowest, mask_negative
        self.surrogate = surrogate if surrogate is not None else Surrogate("triangle", 1.0)

    @property
    def levels(self) -> int:
        """Number of values that the state can take."""
        return 2 if self.mask_negative else 2 - self.lowest

    def forward(self, x: Tensor, memory: Memory | None = None) -> Tensor:
        """Spikes for the input current `x`, both `[T, B, N]`."""
        spikes, _ = self.run(x, memory)
        return spikes

    def run(self, x: Tensor, memory: Memory | None = None) -> tuple[Tensor, Tensor]:
        """Spikes and stored states, both `[T, B, N]`."""
        q = memory.state[0] if memory is not None and memory.state else torch.zeros_like(x[0])
        spikes, states = [], []
        for x_t in x:
            if self.time == "notd":
                q = torch.zeros_like(x_t)
            m = self.decay * (q.detach() if self.time == "sdbp" else q) + x_t
            y = self.surrogate(m - 1)
            q = stored((1 - y) * m, self.lowest, 1, self.mask_negative)
            spikes.append(y)
            states.append(q)
        if memory is not None:
            memory.state = (q,)
            memory.step += len(x)
        return torch.stack(spikes), torch.stack(states)
