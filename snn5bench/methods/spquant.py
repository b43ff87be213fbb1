"""SpQuant-SNN: membrane potentials stored in three levels, negative ones masked on request."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, cast

from pydantic import Field

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.method import Method
from snn5bench.methods.stack import StackParams, fit_calibrated
from snn5bench.record import Fidelity

if TYPE_CHECKING:
    from torch import nn

    from snn5bench.contracts.method import Task
    from snn5bench.neurons.network import SpikingNet


class SpQuant(Method):
    """LIF network with a ternary membrane potential, `[T, B, C] -> [T, B, classes]`.

        m[t] = d q[t-1] + x[t];   y[t] = H(m[t] - 1);   m[t] <- (1 - y[t]) m[t];   q[t] = Q(m[t]) in {-1, 0, 1}

    Hasssan et al., Frontiers in Neuroscience 18:1440000 (2024); neuron, levels and stacked surrogate of the official
    code (MIT). Theirs also prunes pictures with learned spatial and channel masks, left out here. `mask_negative` is the
    mask Bool(Q(u) < 0) that is ascribed to the paper; in its code it is commented out, and could not be checked. With
    low-bit weights: `compressed` over this method.
    """

    name = "spquant"
    summary = "LIF with a membrane potential stored in three levels"
    fidelity = Fidelity.reconstruction(
        "neuron and stacked surrogate of the official code; its learned spatial and channel masks are left out, the "
        "negative mask could not be verified"
    )

    class Params(StackParams):
        """Parameters of SpQuant."""

        surrogate: Literal["rectangle", "triangle", "atan", "sigmoid", "exponential", "fast_sigmoid"] = "triangle"
        """Shape of the spike's surrogate gradient; the official code's is the triangle."""
        width: float = Field(1.0, gt=0)
        """Width of the surrogate, in units of the membrane potential."""
        decay: float = Field(0.5, ge=0, le=1)
        """Factor of the stored potential per step."""
        lowest: int = Field(-1, ge=-127, le=-1)
        """Lowest level; -1 is ternary, the official code's default is -3."""
        mask_negative: bool = False
        """Store 0 in place of every negative level."""

    params: Params

    def build(self, data: DatasetSpec) -> nn.Module:
        """The network with freshly drawn weights."""
        from snn5bench.neurons.network import SpikingNet
        from snn5bench.neurons.surrogate import Surrogate
        from snn5bench.neurons.ternary import TernaryLIF

        p = self.params

        def neuron(n: int) -> TernaryLIF:
            return TernaryLIF(p.decay, p.lowest, p.mask_negative, Surrogate(p.surrogate, p.width))

        return SpikingNet(data.channels, p.hidden, data.n_classes, neuron, readout=data.readout)

    def fit(self, task: Task) -> nn.Module:
        """Scale the weights on the first training batch, then backpropagation through time."""
        net = cast("SpikingNet", fit_calibrated(self, task, self.params.rate))
        levels = 2 if self.params.mask_negative else 2 - self.params.lowest
        bits = f"{math.log2(levels):.2f} bits of information, {math.ceil(math.log2(levels))} as stored"
        notes = [f"membrane potential in {levels} levels: {bits}"]
        kept = forgotten_after(self.params.decay, self.params.lowest, self.params.mask_negative)
        if task.spec.temporal and kept is not None:
            notes.append(f"a stored potential without further input is 0 after {kept} step{'s' * (kept != 1)}")
        net.notes = notes  # type: ignore[assignment]
        return net


def forgotten_after(decay: float, lowest: int, mask_negative: bool) -> int | None:
    """Steps without input after which every stored potential is 0; None where one stays for ever."""
    import torch

    from snn5bench.neurons.ternary import stored

    q, steps = stored(torch.tensor([float(lowest), 1.0]), lowest, 1, mask_negative), 0
    while q.any():
        before, q, steps = q, stored(decay * q, lowest, 1, mask_negative), steps + 1
        if torch.equal(q, before):
            return None
    return steps
