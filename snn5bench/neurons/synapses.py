"""Synapses: a linear layer on spike trains that does no work where there is no spike."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snn5bench.contracts.inputs import BatchInput, Events, Repeated
from snn5bench.neurons.backend import compiled
from snn5bench.neurons.gather import gather_events, gather_spikes, gather_spikes_onto


class Synapses(nn.Linear):
    """An `nn.Linear` over `[T, B, C] -> [T, B, N]` that also takes `Events` and `Repeated`.

    * `Events`: weight rows are gathered in the forward pass and the weight gradient scattered in the backward pass;
      the dense input never exists. Events carry no gradient.
    * `Repeated`: the frame is multiplied once and the current expanded over the steps.
    * `spiking=True` promises that a tensor input holds zeros and ones only (the spikes of a layer before): it is then
      gathered as well, whatever its density, so that a sample's result does not depend on its batch.
    * any other tensor: a matrix product.

    `weight` is `[N, C]` as in any linear layer, but lies in memory by channel, so that gathering copies nothing.
    """

    def __init__(self, channels: int, neurons: int, bias: bool = True, spiking: bool = False) -> None:
        super().__init__(channels, neurons, bias=bias)
        self.weight = nn.Parameter(self.weight.detach().t().contiguous().t())
        self.spiking = spiking

    def forward(self, x: BatchInput) -> Tensor:
        """Current `[T, B, N]`."""
        return self.through(x, self.weight)

    def through(self, x: BatchInput, weight: Tensor) -> Tensor:
        """The same with `weight` in place of the layer's own."""
        if isinstance(x, Repeated):
            return F.linear(x.frame.to(weight.dtype), weight, self.bias).expand(x.T, -1, -1)
        if isinstance(x, Events):
            if compiled(weight):
                return gather_events(x, weight, self.bias)
            x = x.dense().to(weight)
        if self.spiking and compiled(x, weight):
            return gather_spikes(x, weight, self.bias)
        return F.linear(x, weight, self.bias)

    @torch.no_grad()
    def rescale(self, factor: float) -> None:
        """Multiply weights and bias by `factor`."""
        self.weight.mul_(factor)
        if self.bias is not None:
            self.bias.mul_(factor)

    def extra_repr(self) -> str:
        """Sizes, and whether inputs are spikes."""
        return f"{super().extra_repr()}, spiking={self.spiking}"


class Projection(Synapses):
    """Synapses of a skip connection, without bias."""

    def __init__(self, channels: int, neurons: int, spiking: bool) -> None:
        super().__init__(channels, neurons, bias=False, spiking=spiking)

    def forward(self, x: BatchInput, weight: Tensor | None = None, onto: Tensor | None = None) -> Tensor:
        """Current `[T, B, N]` through `weight`, if given, in place of the layer's own; where there is `onto` `[T', B, N]`,
        T' >= T, `onto` with that current added to its last T steps."""
        weight = self.weight if weight is None else weight
        if onto is None:
            return self.through(x, weight)
        if self.spiking and isinstance(x, Tensor) and compiled(x, weight, onto):
            return gather_spikes_onto(onto, x, weight)
        return add_late(onto, self.through(x, weight))


def add_late(current: Tensor, late: Tensor) -> Tensor:
    """`current` `[T', B, N]` with `late` `[T, B, N]`, T <= T', added to its last steps."""
    missing = len(current) - len(late)
    return current + (F.pad(late, (0, 0, 0, 0, missing, 0)) if missing else late)
