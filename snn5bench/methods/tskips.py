"""TSkips-style: skip connections with an explicit temporal delay, forward and backward (after arXiv 2411.16711)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.method import Method
from snn5bench.contracts.verdict import Verdict
from snn5bench.methods.stack import StackParams, fit_calibrated
from snn5bench.record import Fidelity

if TYPE_CHECKING:
    from torch import nn

    from snn5bench.contracts.method import Task
    from snn5bench.neurons.network import SpikingNet
    from snn5bench.neurons.skip_search import Connection


class TSkips(Method):
    """LIF network with delayed skips, `[T, B, C] -> [T, B, classes]`.

        I_dst[t] = W s_{dst-1}[t] + sum_c alpha_c W_c s_src(c)[t - delay_c]              mix = add
        I_dst[t] <- (1 - alpha_c) I_dst[t] + alpha_c W_c s_src(c)[t - delay_c]           mix = convex, c by c

    A forward connection (src < dst) has delay >= 0, a backward one (src >= dst) delay >= 1; alpha_c is learned.

    `skips: search` draws `search_candidates` random sets of `search_connections` connections into hidden layers with
    delays from `search_delays`, scores each untrained, calibrated network on the inputs of the first training batch by
    log |det K| with the sparsity-aware Hamming distance (SNASNet, arXiv 2201.10355; see `snn5bench.neurons.search`), and
    trains the best. Candidates and weights follow from the seed; the choice stands in the record's notes. A twin without
    time gets the connections that the network itself gets.

    Malettira et al., TMLR 2025 (arXiv 2411.16711). The full text and code were out of reach: forward and backward
    connections with searched delays, a learned alpha and the SAHD search score are theirs; the form of the mix, the
    sizes, the delays, LIF constants and training are ours. They train with batch normalisation per step (BNTT), this
    does not. Any number produced with it is one of a TSkips-style network.
    """

    name = "tskips"
    summary = "Skip connections with explicit delays, forward and backward, learned mixing"
    fidelity = Fidelity.reconstruction(
        "TSkips-style: the full text and code were out of reach; the form of the mix, delays, sizes, LIF constants and "
        "training are ours, without BNTT; delays are fixed, or searched by the SAHD score with `skips: search`"
    )

    class Params(StackParams):
        """Parameters of the TSkips-style network."""

        skips: tuple[tuple[int, int, int], ...] | Literal["search"] = ((1, 2, 5), (1, 2, 10), (2, 1, 5))
        """Connections (src, dst, delay in steps): layer 0 is the input, 1..L the hidden layers, L + 1 the read-out. Or
        `search`: chosen by the training-free score."""
        search_candidates: int = Field(16, ge=2, le=10_000)
        """Random configurations that `skips: search` scores."""
        search_connections: int = Field(3, ge=1, le=64)
        """Connections of each of them."""
        search_delays: tuple[Annotated[int, Field(ge=1)], ...] = Field((1, 2, 5, 10, 15, 20, 25), min_length=1)
        """Delays that it may give them, in steps; those that do not arrive within the data's T are left out."""
        mix: Literal["add", "convex"] = "add"
        """Add the delayed current, or mix it convexly with the present one."""
        project: bool = True
        """A weight matrix for each connection, or the identity (hidden layers of equal size only)."""
        decay: float = Field(0.95, ge=0, le=1)
        """Factor of the membrane potential per step."""
        threshold: float = Field(1.0, gt=0)
        """Firing threshold."""
        reset: Literal["hard", "soft"] = "soft"
        """Hard: to zero. Soft: by subtracting the threshold."""

        @field_validator("skips")
        @classmethod
        def _exist(cls, skips: tuple[tuple[int, int, int], ...] | str) -> tuple[tuple[int, int, int], ...] | str:
            for src, dst, delay in () if isinstance(skips, str) else skips:
                least = 1 if src >= dst else 0
                if src < 0 or dst < 1 or delay < least:
                    raise ValueError(
                        f"skip ({src}, {dst}, {delay}): src must be at least 0, dst at least 1, and the delay at least "
                        f"{least} for a {'backward' if least else 'forward'} connection"
                    )
            return skips

    params: Params

    def supports(self, data: DatasetSpec) -> Verdict:
        """No where a delay never arrives within the T steps, or a connection names a layer that is not there."""
        if self.params.skips == "search":
            have, wanted = len(self._space(data)), self.params.search_connections
            if have < wanted:
                return Verdict.no(
                    f"skips: search: {wanted} connections asked for, {have} exist within T = {data.T} steps"
                )
            return Verdict.yes()
        layers = len(self.params.hidden)
        for src, dst, delay in self.params.skips:
            if src > layers or dst > layers + 1:
                return Verdict.no(f"skip ({src}, {dst}, {delay}) names a layer beyond the {layers} hidden ones")
            if delay >= data.T:
                return Verdict.no(f"skip ({src}, {dst}, {delay}): nothing arrives within T = {data.T} steps")
            sizes = (data.channels, *self.params.hidden, data.n_classes)
            if not self.params.project and (src == 0 or sizes[src] != sizes[dst]):
                return Verdict.no(
                    f"skip ({src}, {dst}, {delay}): without projection it must join two hidden layers of equal size"
                )
        return Verdict.yes()

    def _space(self, data: DatasetSpec) -> list[tuple[int, int, int]]:
        """Every connection into a hidden layer whose delay arrives: those that the score can see."""
        p = self.params
        sizes = (data.channels, *p.hidden)
        return [
            (src, dst, delay)
            for src in range(0 if p.project else 1, len(sizes))
            for dst in range(1, len(sizes))
            for delay in sorted(set(p.search_delays))
            if delay < data.T and (p.project or sizes[src] == sizes[dst])
        ]

    def build(self, data: DatasetSpec) -> nn.Module:
        """The network with freshly drawn weights; under `search`, with freshly drawn connections as well."""
        from snn5bench.neurons.skip_search import draw

        p = self.params
        if p.skips == "search":
            return self._net(data, draw(self._space(data), p.search_connections))
        return self._net(data, p.skips)

    def _net(self, data: DatasetSpec, skips: tuple[Connection, ...]) -> SpikingNet:
        from snn5bench.neurons.lif import LIF
        from snn5bench.neurons.network import SpikingNet
        from snn5bench.neurons.skip_search import SearchedNet
        from snn5bench.neurons.skips import SkipSpec
        from snn5bench.neurons.surrogate import Surrogate

        p = self.params
        kind = SearchedNet if p.skips == "search" else SpikingNet
        return kind(
            data.channels,
            p.hidden,
            data.n_classes,
            lambda n: LIF(p.decay, p.threshold, p.reset, Surrogate(p.surrogate, p.width)),
            skips=[SkipSpec(*skip) for skip in skips],
            project=p.project,
            mix=p.mix,
            readout=data.readout,
        )

    def fit(self, task: Task) -> nn.Module:
        """Scale the weights on the first training batch, then backpropagation through time; under `search`, choose the
        connections on the inputs of that batch first."""
        if self.params.skips == "search":
            return self._fit_searched(task)
        return fit_calibrated(self, task, self.params.rate)

    def _fit_searched(self, task: Task) -> nn.Module:
        from snn5bench.neurons.skip_search import SearchedNet, choose

        p, data = self.params, task.spec
        inputs, labels = next(iter(task.train.epoch()))
        found = choose(
            lambda skips: self._net(data, skips).to(task.device),
            self._space(data), p.search_connections, p.search_candidates, inputs, p.rate,
        )  # fmt: skip
        net = task.prepare(self._net(data, found.skips))
        assert isinstance(net, SearchedNet)
        net.calibrate(inputs, p.rate)
        net.notes.append(
            f"connections (src, dst, delay) {', '.join(map(str, found.skips))}: the best of "
            f"{len(found.scores)} by the training-free score on {len(labels)} training inputs, {max(found.scores):.4g} "
            f"(the others from {min(found.scores):.4g})"
        )
        return task.bptt(net, p)
