"""ASRC: recurrence that skips steps, by a learned number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.verdict import Verdict
from snn5bench.methods.epochs import fit_annealed
from snn5bench.methods.neuron_method import NeuronMethod
from snn5bench.methods.stack import StackParams
from snn5bench.record import Fidelity

if TYPE_CHECKING:
    from torch import nn

    from snn5bench.contracts.method import Task
    from snn5bench.neurons.neuron import Neuron


class ASRC(NeuronMethod):
    """Adaptive skip recurrent connections (Xu et al., 2025, arXiv 2505.11455), `[T, B, C] -> [T, B, classes]`.

        v[t] = d v[t-1] - theta s[t-1] + x[t] + V sum_{k=1..skip} softmax(p / tau)_k s[t-k],   s[t] = H(v[t] - theta)

    At evaluation only the k of the largest p remains. p is one vector for each layer, tau falls from 1 by 0.96 for each
    hundredth of the training (theirs: each of 100 epochs). With `adaptive = false` it is SRC: V s[t - skip].

    Decay 0.5, threshold 1, soft reset, triangle surrogate, orthogonal V and the learning rate of p are theirs. Departures:
    a linear read-out per step, no dropout, the rescaling of input weights to a start rate, Adam with a cosine.
    """

    name = "asrc"
    summary = "Recurrent spikes that come back a learned number of steps later, one number a layer"
    fidelity = Fidelity.faithful(
        "published recurrence, softmax, cooling and neuron, against numpy loops in a test; the network around the neuron "
        "is the benchmark's"
    )

    class Params(StackParams):
        """Parameters of ASRC."""

        lr: float = Field(0.02, gt=0, le=10)
        """Learning rate of Adam; the best of 0.005, 0.01 and 0.02 on validation splits of pulse-order and delayed-cue."""
        surrogate: Literal["rectangle", "triangle", "atan", "sigmoid", "exponential", "fast_sigmoid"] = "triangle"
        """Shape of the surrogate gradient; theirs is the triangle of width 1."""
        width: float = Field(1.0, gt=0)
        """Width of the surrogate, in units of the membrane potential."""
        skip: int = Field(24, ge=1, le=1000)
        """Longest lag in steps (with `adaptive = false`: the lag); at most T - 1 are used. Theirs: 3 to 51, by task."""
        adaptive: bool = True
        """Learn which lag, or keep `skip`."""
        lag_rate: float = Field(10.0, gt=0, le=1000)
        """Learning rate of p, as a multiple of `lr`; theirs is 100 (0.1 beside 1e-3)."""
        cooling: float = Field(0.96, gt=0, le=1)
        """Factor of the temperature for each hundredth of the training."""
        decay: float = Field(0.5, ge=0, le=1)
        """Factor of the membrane potential per step."""
        threshold: float = Field(1.0, gt=0)
        """Firing threshold."""

    params: Params

    def supports(self, data: DatasetSpec) -> Verdict:
        """No where nothing can come back within the T steps."""
        p = self.params
        if data.T < 2:
            return Verdict.no("nothing comes back within one step")
        if not p.adaptive and p.skip >= data.T:
            return Verdict.no(f"skip = {p.skip}: nothing comes back within T = {data.T} steps")
        return Verdict.yes()

    def neuron(self, neurons: int, data: DatasetSpec) -> Neuron:
        """A layer of `neurons`."""
        from snn5bench.neurons.delayed_recurrence import ASRC
        from snn5bench.neurons.surrogate import Surrogate

        p = self.params
        skip = min(p.skip, data.T - 1)
        surrogate = Surrogate(p.surrogate, p.width)
        layer = ASRC(neurons, skip, p.adaptive, p.cooling, p.decay, p.threshold, surrogate)
        if layer.p is not None:
            layer.p.lr_scale = p.lag_rate  # type: ignore[attr-defined]
        return layer

    def fit(self, task: Task) -> nn.Module:
        """Scale the weights on the first training batch, then backpropagation through time, cooling by epoch."""
        return fit_annealed(self, task, self.params.rate)
