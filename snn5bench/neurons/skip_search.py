"""Choosing delayed skips without training: random candidates, each scored on a few inputs by `search.score`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from snn5bench.contracts.inputs import BatchInput
from snn5bench.neurons.network import SpikingNet
from snn5bench.neurons.neuron import Neuron
from snn5bench.neurons.search import score
from snn5bench.neurons.skips import Mix, Skip, SkipSpec

Connection = tuple[int, int, int]
"""Source, target and delay, as in `SkipSpec`."""
Skips = tuple[Connection, ...]


class SearchedNet(SpikingNet):
    """A `SpikingNet` whose connections are part of its state: `state_dict` holds their ends and delays, and loading it
    gives the network the connections that were saved, whatever they were."""

    def __init__(
        self,
        channels: int,
        hidden: Sequence[int],
        classes: int,
        neuron: Callable[[int], Neuron],
        skips: Sequence[SkipSpec],
        project: bool = True,
        mix: Mix = "add",
        readout: str = "sum",
    ) -> None:
        super().__init__(channels, hidden, classes, neuron, skips, project, mix, readout)
        self.notes: list[str] = []
        self._sizes, self._project, self._mix = (channels, *hidden, classes), project, mix

    def get_extra_state(self) -> Tensor:
        """The connections, int64 `[connections, 3]`: source, target, delay."""
        return torch.tensor([list(skip.spec) for skip in self._connections()], dtype=torch.int64).view(-1, 3)

    def set_extra_state(self, state: Tensor) -> None:
        """Have these connections, with fresh weights where they differ from the present ones."""
        specs = [SkipSpec(*row) for row in state.tolist()]
        if specs == [skip.spec for skip in self._connections()]:
            return
        sizes = self._sizes
        made = [Skip(spec, sizes[spec.src], sizes[spec.dst], self._project, self._mix) for spec in specs]
        self.skips = nn.ModuleList(made).to(self.readout.weight)
        self.set_time(self.time)


def draw(space: Sequence[Connection], size: int) -> Skips:
    """`size` different connections from `space`, uniform, by torch's global stream."""
    return tuple(space[k] for k in sorted(torch.randperm(len(space))[:size].tolist()))


class Found(NamedTuple):
    """The best candidate, and the scores of all in the order drawn."""

    skips: Skips
    scores: list[float]


def choose(
    make: Callable[[Skips], SpikingNet],
    space: Sequence[Connection],
    size: int,
    candidates: int,
    x: BatchInput,
    rate: float,
) -> Found:
    """The configuration of the highest score among at most `candidates` different random ones; the first on a tie.

    `make` builds a network. Every candidate starts from the same point of torch's global stream, so that the weights which
    two of them share are equal, and is calibrated to `rate` on `x` before it is scored on `x`. The stream is left where
    it stands after drawing the candidates.
    """
    drawn = list(dict.fromkeys(draw(space, size) for _ in range(candidates)))
    scores = []
    for skips in drawn:
        with torch.random.fork_rng(devices=[]):
            net = make(skips)
        net.calibrate(x, rate)
        scores.append(score(net, x))
    best = max(range(len(drawn)), key=lambda k: scores[k])
    return Found(drawn[best], scores)
