"""PMSN: parallel multi-compartment spiking neurons (Chen et al., 2024, arXiv 2408.14917)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.methods.neuron_stack import NeuronMethod, NeuronParams
from snn5bench.record import Fidelity

if TYPE_CHECKING:
    from torch import nn

    from snn5bench.neurons.neuron import Neuron
    from snn5bench.neurons.surrogate import Surrogate


class PMSN(NeuronMethod):
    """PMSN network, `[T, B, C] -> [T, B, classes]`.

        h_k[t] = exp(A_k dt) h_k[t-1] + b_k z[t],   y[t] = Re sum_k C_k h_k[t] + D z[t]       z: batch norm of the current
        v[t] = (v[t-1] mod 1) + max(y[t], 0),   s[t] = 1 if v[t] >= 1

    four complex compartments a neuron; see `snn5bench.neurons.pmsn`. All steps are computed at once, which is the point of
    the paper. The price, by the published reset: a step worth several thresholds sends one spike, and the rest is lost. The
    record counts the crossings and the lost ones for each layer.

    Departures: a linear read-out per step; the batch norms are scaled on the first batch until each layer starts at `rate`;
    cumulative sums in float64, since a long sum in float32 has no digits left for the remainder. neuroseqbench's streaming
    form adds the last output to the next input, which is another function: here h and v are carried.
    """

    name = "pmsn"
    summary = "Complex state-space neuron of four compartments, computed in parallel over time"
    fidelity = Fidelity.faithful(
        "recurrence, start, reset and surrogate as published, against loops in a test; the reset drops all but one of the "
        "thresholds crossed in a step, as published, and the record counts them; the network around the neuron is ours"
    )

    class Params(NeuronParams):
        """Parameters of PMSN."""

        lr: float = Field(0.02, gt=0, le=10)
        """Learning rate of Adam; of 0.005, 0.01 and 0.02 the best on the validation split of delayed-cue."""

    params: Params

    def neuron(self, n: int, surrogate: Surrogate | None) -> Neuron:
        """A layer of `n`."""
        from snn5bench.neurons import pmsn

        return pmsn.PMSN(n, surrogate)

    def build(self, data: DatasetSpec) -> nn.Module:
        """The network with freshly drawn weights."""
        from snn5bench.neurons import pmsn

        def layer(n: int) -> Neuron:
            return self.neuron(n, self.surrogate())

        return pmsn.PMSNNet(data.channels, self.params.hidden, data.n_classes, layer, data.readout)
