"""A feed-forward stack of synapses and spiking neurons, with optional skip connections in space and time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import cast

from torch import Tensor, nn

from snn5bench.contracts.inputs import BatchInput
from snn5bench.neurons import fused
from snn5bench.neurons.calibration import calibrate
from snn5bench.neurons.lif import LIF
from snn5bench.neurons.neuron import Memory, Neuron, Time, checked_time
from snn5bench.neurons.skips import Mix, Skip, SkipSpec, Track
from snn5bench.neurons.synapses import Synapses


class SpikingNet(nn.Module):
    """`[T, B, C]` (or `Events`, `Repeated`) to logits per step `[T, B, classes]`.

    Layer k is `synapses[k-1]` followed by `neurons[k-1]`, k = 1..L; the read-out is layer L + 1. Without backward
    connections every layer sees the whole sequence in one call; the layers inside a loop run in chunks as long as the
    shortest loop delay, so that whole-sequence kernels serve there too.

    Time modes (`set_time`): the neurons' own. `notd` also removes each connection that has a delay (a convex one with
    its factor 1 - alpha); `sdbp` detaches the delayed spikes.
    """

    takes_events = True

    def __init__(
        self,
        channels: int,
        hidden: Sequence[int],
        classes: int,
        neuron: Callable[[int], Neuron],
        skips: Sequence[SkipSpec] = (),
        project: bool = True,
        mix: Mix = "add",
        readout: str = "sum",
    ) -> None:
        super().__init__()
        for spec in skips:
            spec.check(len(hidden))
        sizes = [channels, *hidden]
        self.time: Time = "full"
        self.reads = readout
        self.synapses = nn.ModuleList(Synapses(a, b, spiking=k > 0) for k, (a, b) in enumerate(pairwise(sizes)))
        self.neurons = nn.ModuleList(neuron(n) for n in hidden)
        self.readout = Synapses(sizes[-1], classes, spiking=bool(hidden))
        for layer in range(1, len(hidden) + 2):
            nn.init.zeros_(self.feed(layer).bias)
        sizes.append(classes)
        self.skips = nn.ModuleList(Skip(spec, sizes[spec.src], sizes[spec.dst], project, mix) for spec in skips)

    @property
    def depth(self) -> int:
        """Number of hidden layers L."""
        return len(self.neurons)

    def feed(self, layer: int) -> Synapses:
        """The synapses between layer `layer - 1` and `layer`; those of layer L + 1 are the read-out."""
        return cast("Synapses", self.synapses[layer - 1] if layer <= self.depth else self.readout)

    def incoming(self, layer: int) -> list[Synapses]:
        """Every weight matrix that feeds `layer`."""
        skips = (skip for skip in self._connections() if skip.spec.dst == layer)
        return [self.feed(layer), *(skip.projection for skip in skips if skip.projection is not None)]

    def _connections(self) -> list[Skip]:
        return cast("list[Skip]", list(self.skips))

    def set_time(self, mode: str) -> None:
        """Choose `full`, `sdbp` or `notd` for the whole network."""
        self.time = checked_time(mode)
        for part in (*self.neurons, *self.skips):
            cast("Neuron | Skip", part).set_time(mode)

    def calibrate(self, x: BatchInput, rate: float = 0.08) -> dict[int, float]:
        """Rescale each layer's incoming weights on the batch `x`; see `calibration.calibrate`."""
        return calibrate(self, x, rate)

    def forward(self, x: BatchInput) -> Tensor:
        """Logits per step `[T, B, classes]`."""
        synapses, neurons = [self.feed(layer) for layer in range(1, self.depth + 2)], list(self.neurons)
        if not any(skip.lives for skip in self._connections()) and fused.fusible(synapses, neurons):
            return fused.run(synapses, cast("list[LIF]", neurons), x)
        return self._sent(x)[-1].whole()

    def activity(self, x: BatchInput, last: int | None = None) -> list[Tensor]:
        """Outputs of layers 1..`last` (default: all; the read-out's are the logits), each `[T, B, N]`."""
        return [track.whole() for track in self._sent(x, last)]

    def _sent(self, x: BatchInput, last: int | None = None) -> list[Track]:
        """The same in chunks: joining those of a layer inside a loop copies all that it sent."""
        steps = x.shape[0] if isinstance(x, Tensor) else x.T
        live = [skip for skip in self._connections() if skip.lives]
        sent = [Track() for _ in range(self.depth + 2)]
        weights = {skip: skip.weight() for skip in live}
        inputs = {skip: Track([skip.project(x, weights[skip])]) for skip in live if skip.spec.src == 0}
        first = Track([self.feed(1)(x)])
        for layers, span in self._blocks(live, steps, self.depth + 1 if last is None else last):
            memories = [Memory() for _ in range(self.depth)] if span < steps else None
            if memories:
                for track in (first, *inputs.values(), *sent):
                    track.cut(span)
            for start in range(0, steps, span):
                stop = min(steps, start + span)
                for layer in layers:
                    current = self._current(layer, first, sent, start, stop)
                    for skip in live:
                        if skip.spec.dst == layer:
                            window = start - skip.spec.delay, stop - skip.spec.delay
                            if skip in inputs:
                                current = skip.mix(current, inputs[skip].window(*window))
                            else:
                                late = sent[skip.spec.src].window(*window)
                                current = skip.mix_spikes(current, late, weights[skip])
                    if layer <= self.depth:
                        memory = memories[layer - 1] if memories else None
                        current = self.neurons[layer - 1](current, memory)
                    sent[layer].append(current)
        return [track for track in sent[1:] if track.chunks]

    def _current(self, layer: int, first: Track, sent: list[Track], start: int, stop: int) -> Tensor:
        if layer == 1:
            current = first.window(start, stop)
            assert current is not None
            return current
        below = sent[layer - 1].window(start, stop)
        assert below is not None
        return self.feed(layer)(below)

    def _blocks(self, live: list[Skip], steps: int, last: int) -> Iterator[tuple[range, int]]:
        """Layers in order of running, with the chunk length of each group: those inside loops run together."""
        loops = [skip.spec for skip in live if skip.spec.backward and skip.spec.delay < steps]
        if not loops:
            yield range(1, last + 1), steps
            return
        low, top = min(spec.dst for spec in loops), max(spec.src for spec in loops)
        if low > 1:
            yield range(1, min(low, last + 1)), steps
        if last >= low:
            yield range(low, top + 1), min(spec.delay for spec in loops)
        if last > top:
            yield range(top + 1, last + 1), steps
