"""GLIF: every neuron learns how it leaks, integrates and resets (Yao et al., NeurIPS 2022, arXiv 2210.13768)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.method import Method
from snn5bench.methods.stack import StackParams, fit_calibrated
from snn5bench.record import Fidelity

if TYPE_CHECKING:
    from torch import nn

    from snn5bench.contracts.method import Task


class GLIF(Method):
    """Gated LIF network, `[T, B, C] -> [T, B, classes]`.

        I[t] = x[t] (1 - beta (1 - g[t]))
        u[t] = (1 - alpha (1 - tau)) u[t-1] (1 - gamma o[t-1]) - (1 - alpha) l + I[t] - (1 - gamma) V_re o[t-1]
        o[t] = 1 if u[t] > V_th

    alpha, beta, gamma gate exponential against linear leak, a time-dependent conductance g[t] against none, and hard
    against soft reset; all eight parameters are learned, through the logistic function. Equations, strict inequality,
    initial values (but tau) and surrogate (a rectangle of width 1) follow the official code. Departures: tau starts at
    0.9 instead of 0.25, fully connected layers without tdBN, the benchmark's Adam for all parameters alike instead of
    SGD with a tenth of the rate for the gates, and the rescaling of weights to a start rate. g has one value a step: a
    network works at its own T only.
    """

    name = "glif"
    summary = "Gated LIF: learned gates between leak, integration and reset forms, per channel or per layer"
    fidelity = Fidelity.faithful(
        "neuron, surrogate and initial values (but a longer tau, for long sequences) of the official code, checked at all "
        "eight corners; the network around it and the optimiser are the benchmark's"
    )

    class Params(StackParams):
        """Parameters of GLIF."""

        surrogate: Literal["rectangle", "triangle", "atan", "sigmoid", "exponential", "fast_sigmoid"] = "rectangle"
        """Shape of the surrogate gradient; the official code's is the rectangle."""
        width: float = Field(1.0, gt=0)
        """Width of the surrogate, in units of the membrane potential."""
        channel_wise: bool = True
        """One parameter set for each neuron, (7 + T) N a layer, instead of one for the layer, 7 + T."""
        hard_gates: bool = False
        """Gates binarised at 0.5, with a straight-through gradient."""
        tau: float = Field(0.9, gt=0, lt=1)
        """Initial tau of the exponential leak. The official 0.25 is for images at T = 2 to 6, and forgets within a step or
        two; it is learned, but slowly."""
        threshold: float = Field(0.5, gt=0, lt=1)
        """Initial V_th, and initial V_re."""
        conductance: float = Field(0.5, gt=0, lt=1)
        """Initial g[t]."""

    params: Params

    def build(self, data: DatasetSpec) -> nn.Module:
        """The network for sequences of `data.T` steps, with freshly drawn weights."""
        from snn5bench.neurons import glif
        from snn5bench.neurons.network import SpikingNet
        from snn5bench.neurons.surrogate import Surrogate

        p = self.params

        def neuron(n: int) -> glif.GLIF:
            return glif.GLIF(
                n,
                data.T,
                channel_wise=p.channel_wise,
                hard_gates=p.hard_gates,
                tau=p.tau,
                threshold=p.threshold,
                conductance=p.conductance,
                surrogate=Surrogate(p.surrogate, p.width),
            )

        return SpikingNet(data.channels, p.hidden, data.n_classes, neuron, readout=data.readout)

    def fit(self, task: Task) -> nn.Module:
        """Scale the weights on the first training batch, then backpropagation through time."""
        return fit_calibrated(self, task, self.params.rate)
