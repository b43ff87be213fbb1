"""DCLS delays: every synapse has a learned delay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.method import Method
from snn5bench.contracts.params import MethodParams
from snn5bench.contracts.verdict import Verdict
from snn5bench.methods.epochs import fit_annealed
from snn5bench.record import Fidelity

if TYPE_CHECKING:
    from torch import nn

    from snn5bench.contracts.method import Task


class DCLS(Method):
    """Feed-forward LIF network with learned delays (Hammouamri et al., ICLR 2024, arXiv 2306.17670),
    `[T, B, C] -> [T, B, classes]`.

        I_i[t] = BN(sum_j w_ij sum_d K_ij[d] s_j[t - d]),   K_ij a Gaussian over the lags d around P_ij, of sum 1
        v[t] = (1 - 1/tau) v[t-1] (1 - s[t-1]) + I[t],   s[t] = H(v[t] - 1)

    The width of K goes from half the lags to 0.23 over the first quarter of the training; at evaluation each P is rounded to
    a whole step. The read-out is linear, of each step; with `readout_delays` it has delays too, as theirs.

    From the published equations and the SHD recipe (their repository has no licence): tau = 1.005 steps (practically no
    membrane memory: the delays are the memory), hard reset, ATan(5), batch norm, no bias. Departures: no steps are added at
    the end ((lags - 1)/2 a layer in the recipe, so that late arrivals count), hence T out is T in, and the read-out has no
    delays, or what comes last would hardly be heard; delays longer than T - 1 are left out; Adam with one cosine for all;
    logits are summed over the steps without a softmax.
    """

    name = "dcls"
    summary = "A learned delay on every synapse: convolutions over time with learned spacings"
    fidelity = Fidelity.faithful(
        "published kernel, annealing, rounding and neuron, against numpy loops in a test; without the recipe's right "
        "padding and without delays in the read-out, and trained by the benchmark's loop"
    )

    class Params(MethodParams):
        """Parameters of DCLS delays."""

        lr: float = Field(0.01, gt=0, le=10)
        """Learning rate of Adam; the best of 0.002, 0.005 and 0.01 on validation splits of pulse-order and delayed-cue."""
        hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field((64, 64), min_length=1)
        """Neurons of each hidden layer."""
        max_delay: int = Field(24, ge=0, le=1000)
        """Longest delay in steps; at most T - 1 are used."""
        position_rate: float = Field(20.0, gt=0, le=1000)
        """Learning rate of the delays, as a multiple of `lr`; theirs is 20 (0.1 beside 5e-3 at its highest)."""
        tau: float = Field(1.005, ge=1, le=10_000)
        """Membrane time constant in steps; the potential keeps 1 - 1/tau of itself."""
        surrogate: Literal["rectangle", "triangle", "atan", "sigmoid", "exponential", "fast_sigmoid"] = "atan"
        """Shape of the surrogate gradient."""
        width: float = Field(0.2, gt=0)
        """Width of the surrogate; their ATan(5) is 1/5."""
        readout_delays: bool = False
        """Give the read-out learned delays as well."""
        dropout: float = Field(0.0, ge=0, lt=1)
        """Share of the hidden spikes left out in training; theirs is 0.4 on SHD."""

    params: Params

    def supports(self, data: DatasetSpec) -> Verdict:
        """No where there is a single step."""
        return Verdict.yes() if data.T > 1 else Verdict.no("a delay needs at least two steps, T is 1")

    def build(self, data: DatasetSpec) -> nn.Module:
        """The network with freshly drawn weights and delays."""
        from snn5bench.neurons.dcls import DelayNet
        from snn5bench.neurons.lif import LIF
        from snn5bench.neurons.surrogate import Surrogate

        p = self.params
        net = DelayNet(
            data.channels,
            p.hidden,
            data.n_classes,
            lambda n: LIF(1 - 1 / p.tau, 1.0, "hard", Surrogate(p.surrogate, p.width)),
            min(p.max_delay, data.T - 1) + 1,
            p.dropout,
            data.readout,
            p.readout_delays,
        )
        for synapses in net.connections():
            if synapses.position is not None:
                synapses.position.lr_scale = p.position_rate  # type: ignore[attr-defined]
        return net

    def fit(self, task: Task) -> nn.Module:
        """Norms and read-out on the first training batch, then backpropagation through time, kernels narrowing by epoch."""
        return fit_annealed(self, task)
