"""DH-LIF: neurons with dendritic branches of their own time constants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.verdict import Verdict
from snn5bench.methods.neuron_stack import NeuronMethod, NeuronParams
from snn5bench.record import Fidelity

if TYPE_CHECKING:
    from torch import nn

    from snn5bench.neurons import dh_lif
    from snn5bench.neurons.surrogate import Surrogate


class DHLIF(NeuronMethod):
    """DH-LIF network (Zheng et al., Nature Communications 15, 2024), `[T, B, C] -> [T, B, classes]`.

        d_b[t] = beta_b d_b[t-1] + (1 - beta_b) (W_b x[t] + c_b)         branch b sees its own part of the inputs
        u[t] = alpha u[t-1] + (1 - alpha) sum_b d_b[t] - theta s[t-1],   s[t] = 1 if u[t] > theta

    The mask is applied in every forward pass (the authors apply it after each step of the optimiser: the same function).
    Departures: feed-forward only (theirs adds the layer's own spikes to the inputs of the branches), states start at zero, a
    linear read-out per step instead of a leaky integrator, and the rescaling of weights to a start rate.
    """

    name = "dh-lif"
    summary = "Dendritic branches with learned time constants, each on its own part of the inputs"
    fidelity = Fidelity.faithful(
        "feed-forward form of the official code, by hand in a test; states start at zero, and the network around the "
        "neuron is the benchmark's"
    )

    class Params(NeuronParams):
        """Parameters of DH-LIF."""

        lr: float = Field(0.1, gt=0, le=10)
        """Learning rate of Adam; high, as weights into a branch are large (0.08 and 0.2 beat 0.005 and 0.02 on
        the validation splits of pulse-order and digits)."""

        branches: int = Field(4, ge=1, le=64)
        """Branches of each neuron; at most one an input."""
        threshold: float = Field(1.0, gt=0)
        """Firing threshold."""

    params: Params

    def supports(self, data: DatasetSpec) -> Verdict:
        """No where there are more branches than inputs."""
        least = min(data.channels, *self.params.hidden)
        if self.params.branches > least:
            return Verdict.no(f"{self.params.branches} branches need as many inputs, a layer has {least}")
        return Verdict.yes()

    def neuron(self, n: int, surrogate: Surrogate | None) -> dh_lif.DHLIF:
        """A layer of `n`."""
        from snn5bench.neurons import dh_lif

        return dh_lif.DHLIF(n, self.params.branches, self.params.threshold, surrogate)

    def build(self, data: DatasetSpec) -> nn.Module:
        """The network with freshly drawn weights and masks."""
        from snn5bench.neurons import dh_lif

        p = self.params
        return dh_lif.DendriticNet(
            data.channels,
            p.hidden,
            data.n_classes,
            p.branches,
            lambda n: self.neuron(n, self.surrogate()),
            data.readout,
        )
