"""TC-LIF: a dendrite and a soma that drive one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from snn5bench.methods.neuron_stack import NeuronMethod, RecurrentNeuronParams
from snn5bench.record import Fidelity

if TYPE_CHECKING:
    from snn5bench.neurons.neuron import Neuron
    from snn5bench.neurons.surrogate import Surrogate


class TCLIF(NeuronMethod):
    """Two-compartment LIF network (Zhang et al., AAAI 2024), `[T, B, C] -> [T, B, classes]`.

        U_D[t] = U_D[t-1] + beta1 U_S[t-1] + I[t] - gamma s[t-1]
        U_S[t] = U_S[t-1] + beta2 U_D[t] - V_th s[t-1],   s[t] = H(U_S[t] - V_th)

    Departures: a linear read-out per step, and the rescaling of weights to a start rate. The authors' code has no licence:
    written from the equations alone.
    """

    name = "tc-lif"
    summary = "Two-compartment neuron without leak: long memory through a lossless rotation"
    fidelity = Fidelity.faithful(
        "published equations, by hand and by their determinant in a test; the network around the neuron is the "
        "benchmark's"
    )

    class Params(RecurrentNeuronParams):
        """Parameters of TC-LIF; the first values are the paper's for SHD and SSC."""

        gamma: float = Field(0.5, ge=0)
        """Reset of the dendrite."""
        threshold: float = Field(1.5, gt=0)
        """Firing threshold, and reset of the soma."""
        beta1: float = Field(-0.5, gt=-1, lt=0)
        """First coupling from soma to dendrite."""
        beta2: float = Field(0.5, gt=0, lt=1)
        """First coupling from dendrite to soma."""

    params: Params

    def neuron(self, n: int, surrogate: Surrogate | None) -> Neuron:
        """A layer of `n`."""
        from snn5bench.neurons import tc_lif

        p = self.params
        return tc_lif.TCLIF(p.gamma, p.threshold, p.beta1, p.beta2, surrogate, n if p.recurrent else None)
