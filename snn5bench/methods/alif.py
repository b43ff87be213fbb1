"""ALIF: a threshold that rises with each spike and falls slowly back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from snn5bench.methods.neuron_stack import NeuronMethod, RecurrentNeuronParams
from snn5bench.record import Fidelity

if TYPE_CHECKING:
    from snn5bench.neurons.neuron import Neuron
    from snn5bench.neurons.surrogate import Surrogate


class ALIF(NeuronMethod):
    """ALIF network (Yin, Corradi and Bohte, 2021), `[T, B, C] -> [T, B, classes]`.

        eta[t] = rho eta[t-1] + (1 - rho) s[t-1],   theta[t] = b0 + beta eta[t]
        u[t] = alpha u[t-1] + (1 - alpha) I[t] - theta[t] s[t-1],   s[t] = 1 if u[t] > theta[t]

    The authors' networks are recurrent (`recurrent`). Departures: the membrane starts at zero, a linear read-out per step
    instead of a leaky integrator, and the rescaling of weights to a start rate.
    """

    name = "alif"
    summary = "LIF with an adaptive threshold and learned time constants"
    fidelity = Fidelity.faithful(
        "update order, constants and multi-Gaussian surrogate of the official code, by hand in a test; the membrane "
        "starts at zero, and the network around the neuron is the benchmark's"
    )

    class Params(RecurrentNeuronParams):
        """Parameters of ALIF."""

        b0: float = Field(0.01, gt=0)
        """Threshold at rest; the authors' for SHD (1.6 for speech commands)."""
        beta: float = Field(1.8, ge=0)
        """How much a spike raises the threshold."""

    params: Params

    def neuron(self, n: int, surrogate: Surrogate | None) -> Neuron:
        """A layer of `n`."""
        from snn5bench.neurons import alif

        return alif.ALIF(n, self.params.b0, self.params.beta, surrogate, self.params.recurrent)
