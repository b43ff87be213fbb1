"""Recurrent delays: recurrent spikes come back after a delay that each neuron learns."""

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


class RecDelays(NeuronMethod):
    """Delays in recurrent connections (DelRec, 2025, arXiv 2509.24852), `[T, B, C] -> [T, B, classes]`.

        v[t] = d v[t-1] - theta s[t-1] + x[t] + V r[t],   s[t] = H(v[t] - theta)
        r_j[t] = sum_l max(0, w - |l - (1 + d_j)|) / w^2 s_j[t - l],   l = 1, 2, ...,   w = 1 + sigma

    One delay 1 + d_j for each sending neuron. sigma falls from 10 by 0.95 for each hundredth of the training, so that the
    triangle narrows to the interpolation between two steps.

    Leak, soft reset, triangle surrogate, orthogonal V and half-normal first delays are those of their SSC recipe.
    Departures: one delay a neuron (theirs also one a synapse), no learned width (`use_sig_p`), d rounded at evaluation
    (whether theirs is rounded is not known to us), no feed-forward delays, a linear read-out per step, the rescaling of
    input weights to a start rate, Adam with a cosine.
    """

    name = "rec-delays"
    summary = "Recurrent spikes that come back after a delay which each neuron learns"
    fidelity = Fidelity.reconstruction(
        "published spreading, schedule and neuron, against numpy loops in a test; that delays are rounded at evaluation is "
        "our guess, and delays are per neuron only"
    )

    class Params(StackParams):
        """Parameters of recurrent delays."""

        lr: float = Field(0.02, gt=0, le=10)
        """Learning rate of Adam; the best of 0.005, 0.01 and 0.02 on validation splits of pulse-order and delayed-cue."""
        surrogate: Literal["rectangle", "triangle", "atan", "sigmoid", "exponential", "fast_sigmoid"] = "triangle"
        """Shape of the surrogate gradient; theirs is the triangle of width 1."""
        width: float = Field(1.0, gt=0)
        """Width of the surrogate, in units of the membrane potential."""
        max_delay: int = Field(30, ge=1, le=1000)
        """Longest delay in steps; at most T - 1 are used."""
        spread: float = Field(12.0, ge=0, le=1000)
        """Deviation of the half-normal first delays, in steps."""
        sigma: float = Field(10.0, ge=0, le=100)
        """First width of the triangles beyond one step."""
        delay_rate: float = Field(10.0, gt=0, le=1000)
        """Learning rate of the delays, as a multiple of `lr`; theirs is 10 (5e-2 beside 5e-3)."""
        decay: float = Field(0.5, ge=0, le=1)
        """Factor of the membrane potential per step."""
        threshold: float = Field(1.0, gt=0)
        """Firing threshold."""

    params: Params

    def supports(self, data: DatasetSpec) -> Verdict:
        """No where there is a single step."""
        return Verdict.yes() if data.T > 1 else Verdict.no("nothing comes back within one step")

    def neuron(self, neurons: int, data: DatasetSpec) -> Neuron:
        """A layer of `neurons`."""
        from snn5bench.neurons.delayed_recurrence import RecDelays
        from snn5bench.neurons.surrogate import Surrogate

        p = self.params
        surrogate = Surrogate(p.surrogate, p.width)
        longest = min(p.max_delay, data.T - 1)
        layer = RecDelays(neurons, longest, p.spread, p.sigma, p.decay, p.threshold, surrogate)
        layer.d.lr_scale = p.delay_rate  # type: ignore[attr-defined]
        return layer

    def fit(self, task: Task) -> nn.Module:
        """Scale the weights on the first training batch, then backpropagation through time, triangles narrowing by epoch."""
        return fit_annealed(self, task, self.params.rate)
