"""What every neuron layer shares: `[T, B, N]` in, spikes `[T, B, N]` out, and how its time is cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor, nn

Time = Literal["full", "sdbp", "notd"]


def checked_time(mode: str) -> Time:
    """`mode`, if it is one of `full`, `sdbp`, `notd`."""
    for known in get_args(Time):
        if mode == known:
            return known
    raise ValueError(f"time mode '{mode}' is not one of {', '.join(get_args(Time))}")


@dataclass
class Memory:
    """What a neuron layer carries from one chunk of a sequence to the next. A fresh one is rest at step 0."""

    state: tuple[Tensor, ...] = ()
    step: int = 0
    """Steps seen so far."""


class Neuron(nn.Module):
    """A layer of spiking neurons.

    A call without `memory` is a whole sequence from rest, and nothing is kept. A call with `memory` continues where
    that memory stands, and leaves it at the end of the chunk.

    `set_time`: `full` is the neuron; `sdbp` keeps the forward pass and lets no gradient cross a step (spatial-domain
    backpropagation); `notd` cuts the state itself, so that each step is a feed-forward binary layer.
    """

    time: Time = "full"
    spiking = True
    states: int = 1
    """State variables of a neuron: what counters read."""

    def set_time(self, mode: str) -> None:
        """Choose `full`, `sdbp` or `notd`."""
        self.time = checked_time(mode)

    def forward(self, x: Tensor, memory: Memory | None = None) -> Tensor:
        """Spikes for the input current `x`, both `[T, B, N]`."""
        raise NotImplementedError
