"""PLIF: LIF with one learned leak for each layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from snn5bench.methods.neuron_stack import NeuronMethod, RecurrentNeuronParams
from snn5bench.record import Fidelity

if TYPE_CHECKING:
    from snn5bench.neurons.neuron import Neuron
    from snn5bench.neurons.surrogate import Surrogate


class PLIF(NeuronMethod):
    """Parametric LIF network (Fang et al., ICCV 2021), `[T, B, C] -> [T, B, classes]`.

        v[t] = v[t-1] + k (I[t] - v[t-1]),  k = logistic(w),   s[t] = H(v[t] - 1),  hard reset to 0

    Departures: the first tau, fully connected layers, a linear read-out per step, the rescaling of weights to a start rate.
    """

    name = "plif"
    summary = "LIF with a learned leak, one for each layer"
    fidelity = Fidelity.faithful(
        "equal to spikingjelly's ParametricLIFNode, spikes and gradients; the network around the neuron is the "
        "benchmark's"
    )

    class Params(RecurrentNeuronParams):
        """Parameters of PLIF."""

        lr: float = Field(0.05, gt=0, le=10)
        """Learning rate of Adam; of 0.01, 0.05 and 0.1 the best on the validation splits of pulse-order and speech-digits.
        The leak scales the input down, so weights are larger than those of LIF and need larger steps."""
        tau: float = Field(10.0, gt=1)
        """First time constant 1/k, in steps: that of the LIF baseline. The paper's 2 suits images, and stays at chance where
        the order of events ten steps apart counts."""

    params: Params

    def neuron(self, n: int, surrogate: Surrogate | None) -> Neuron:
        """A layer of `n`."""
        from snn5bench.neurons import plif

        return plif.PLIF(self.params.tau, surrogate, n if self.params.recurrent else None)
