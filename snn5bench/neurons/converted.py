"""A network with two lives: an artificial one on mean rates that trains, and the spiking one that it becomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snn5bench.contracts.inputs import BatchInput, Events, Repeated
from snn5bench.neurons.conversion import Convertible
from snn5bench.neurons.synapses import Synapses

Present = Literal["mean", "steps"]


def mean_over_time(x: BatchInput, like: Tensor) -> Tensor:
    """The mean input `[B, C]` over the steps, in the dtype of `like`."""
    if isinstance(x, Repeated):
        return x.frame.to(like)
    if isinstance(x, Events):
        sample = np.repeat(np.arange(x.batch, dtype=np.int64), np.diff(x.indptr))
        count = np.bincount(sample * x.channels + x.channel, minlength=x.batch * x.channels)
        return torch.from_numpy(count).to(like).view(x.batch, x.channels) / x.T
    return x.to(like).mean(0)


class Folded(Synapses):
    """Synapses whose weights take on the scale of the spikes that they read."""

    def forward(self, x: BatchInput, scale: Tensor | None = None) -> Tensor:
        """Current `[T, B, N]` for inputs of which one unit stands for `scale`."""
        if scale is None:
            return super().forward(x)
        assert isinstance(x, Tensor)
        return F.linear(x, self.weight * scale, self.bias)


class ConvertedNet(nn.Module):
    """`[T, B, C]` (or `Events`, `Repeated`) to logits per step `[T, B, classes]`, by the spiking network.

    `present="mean"`: the input is averaged over its T steps, and the mean shown at each of T inference steps (not
    causal, and blind to order). `present="steps"`: the input is fed as it comes. With `one_step` a single inference step
    is run on the mean, and its logits hold for all T. The logits of a step are the read-out of its spikes: their mean
    over steps is what the artificial network's logits are compared with. Where the dataset reads the last step, each is
    the sum so far.

    Time modes: under `present="mean"` nothing of the input's order is there to be cut: `notd` is the same network, whose
    inference steps share one logit. Under `steps` it cuts the neurons' potentials. `sdbp` changes nothing: no gradient
    goes through time.
    """

    takes_events = True

    def __init__(
        self,
        channels: int,
        hidden: Sequence[int],
        classes: int,
        neuron: Callable[[], Convertible],
        present: Present = "mean",
        one_step: bool = False,
        readout: str = "sum",
    ) -> None:
        super().__init__()
        if one_step and present != "mean":
            raise ValueError("one inference step needs the mean of the input")
        self.present, self.one_step, self.reads = present, one_step, readout
        self.cut = False
        self.notes: list[str] = []
        self.synapses = nn.ModuleList(Folded(a, b) for a, b in pairwise([channels, *hidden, classes]))
        self.neurons = nn.ModuleList(neuron() for _ in hidden)

    @property
    def layers(self) -> list[Convertible]:
        """The hidden layers' neurons."""
        return cast("list[Convertible]", list(self.neurons))

    def set_time(self, mode: str) -> None:
        """Choose `full`, `sdbp` or `notd`."""
        self.cut = mode == "notd"
        if self.present == "steps":
            for neuron in self.layers:
                neuron.set_time(mode)

    def rates(self, x: BatchInput) -> Tensor:
        """What the artificial network sees: the mean input `[B, C]`."""
        return mean_over_time(x, cast("Synapses", self.synapses[0]).weight)

    def ann(self, rates: Tensor) -> Tensor:
        """Logits `[B, classes]` of the artificial network."""
        return self.ann_layers(rates)[-1]

    def ann_layers(self, rates: Tensor) -> list[Tensor]:
        """The artificial network's activations layer by layer, and its logits."""
        found = [rates]
        for synapses, neuron in zip(self.synapses, self.layers, strict=False):
            found.append(neuron.activate(synapses(found[-1])))
        return [*found[1:], self.synapses[-1](found[-1])]

    def forward(self, x: BatchInput) -> Tensor:
        """Logits per step `[T, B, classes]`."""
        steps = x.shape[0] if isinstance(x, Tensor) else x.T
        inference = 1 if self.one_step else steps
        sent = self.synapses[0](Repeated(self.rates(x), inference) if self.present == "mean" else x)
        for neuron, synapses in zip(self.layers, self.synapses[1:], strict=True):
            sent = synapses(neuron(sent), neuron.scale)
        if self.one_step or (self.cut and self.present == "mean"):
            sent = sent.mean(0, keepdim=True).expand(steps, -1, -1)
        return sent.cumsum(0) if self.reads == "last" else sent
