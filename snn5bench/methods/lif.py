"""The baseline: a feed-forward network of leaky integrate-and-fire neurons trained with surrogate gradients."""

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


class LIF(Method):
    """Leaky integrate-and-fire network, `[T, B, C] -> [T, B, classes]`.

        v[t] = d v[t-1] (1 - y[t-1]) + W x[t]          hard reset
        v[t] = d v[t-1] - theta y[t-1] + W x[t]        soft reset
        y[t] = H(v[t] - theta)

    after Ma et al. (2025, arXiv 2502.09449) and their neuroseqbench; the read-out is a linear layer on the last spikes,
    its logits summed over the steps by the harness. Our own: weights are rescaled on the first training batch so that
    each layer starts at `rate`, for the network and for its twins alike (the reference tunes theta for each twin).
    """

    name = "lif"
    summary = "Leaky integrate-and-fire, feed-forward or recurrent, surrogate-gradient BPTT"
    fidelity = Fidelity.faithful(
        "the update of neuroseqbench, equal to spikingjelly's LIFNode for the hard reset; initial scaling is ours"
    )

    class Params(StackParams):
        """Parameters of the LIF baseline."""

        decay: float = Field(0.95, ge=0, le=1)
        """Factor d of the membrane potential per step."""
        threshold: float = Field(1.0, gt=0)
        """Firing threshold theta."""
        reset: Literal["hard", "soft"] = "soft"
        """Hard: to zero. Soft: by subtracting the threshold."""
        detach_reset: bool = False
        """Let no gradient pass through the reset."""
        recurrent: bool = False
        """All-to-all recurrent weights inside each hidden layer."""

    params: Params

    def build(self, data: DatasetSpec) -> nn.Module:
        """The network with freshly drawn weights."""
        from snn5bench.neurons import lif
        from snn5bench.neurons.network import SpikingNet
        from snn5bench.neurons.surrogate import Surrogate

        p = self.params

        def neuron(n: int) -> lif.LIF:
            surrogate = Surrogate(p.surrogate, p.width)
            return lif.LIF(p.decay, p.threshold, p.reset, surrogate, p.detach_reset, n if p.recurrent else None)

        return SpikingNet(data.channels, p.hidden, data.n_classes, neuron, readout=data.readout)

    def fit(self, task: Task) -> nn.Module:
        """Scale the weights on the first training batch, then backpropagation through time."""
        return fit_calibrated(self, task, self.params.rate)
