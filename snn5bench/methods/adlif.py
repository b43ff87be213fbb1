"""adLIF and SE-adLIF: neurons whose membrane drives their adaptation, so that they resonate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from snn5bench.methods.neuron_stack import NeuronMethod, RecurrentNeuronParams
from snn5bench.record import Fidelity

if TYPE_CHECKING:
    from snn5bench.neurons.neuron import Neuron
    from snn5bench.neurons.surrogate import Surrogate


class AdLIF(NeuronMethod):
    """adLIF network (Bittar and Garner, 2022), `[T, B, C] -> [T, B, classes]`.

        w[t] = beta w[t-1] + a u[t-1] + b s[t-1]
        u[t] = alpha (u[t-1] - s[t-1]) + (1 - alpha) (I[t] - w[t]),   s[t] = 1 if u[t] > 1

    with `recurrent` their RadLIF. Departures: states start at zero, a linear read-out per step instead of a leaky integrator
    with a softmax per step, no batch norm or dropout, and the rescaling of weights to a start rate.
    """

    name = "adlif"
    summary = "Adaptive LIF with sub-threshold coupling (RadLIF where recurrent), learned time constants"
    fidelity = Fidelity.faithful(
        "update order, ranges and surrogate of the official code, by hand in a test; states start at zero, and the "
        "network around the neuron is the benchmark's"
    )

    class Params(RecurrentNeuronParams):
        """Parameters of adLIF."""

        lr: float = Field(0.04, gt=0, le=10)
        """Learning rate of Adam; the best of 0.005 to 0.04 on the validation splits of pulse-order and digits."""

    params: Params

    def neuron(self, n: int, surrogate: Surrogate | None) -> Neuron:
        """A layer of `n`."""
        from snn5bench.neurons import adlif

        return adlif.AdLIF(n, surrogate, self.params.recurrent)


class SEAdLIF(NeuronMethod):
    """SE-adLIF network (Baronig et al., 2025, arXiv 2408.07517), `[T, B, C] -> [T, B, classes]`.

        v[t] = alpha u[t-1] + (1 - alpha) (I[t] - w[t-1]),   s[t] = 1 if v[t] > 1,   u[t] = v[t] (1 - s[t])
        w[t] = beta w[t-1] + (1 - beta) q (a u[t] + b s[t])

    `discretisation = "ef"` takes u[t-1] and s[t-1] in the last line. The paper's networks are recurrent (`recurrent`).
    Departures: a linear read-out per step, no dropout, the rescaling of weights to a start rate. The authors' code has a
    share-alike text licence: written from the equations alone.
    """

    name = "se-adlif"
    summary = "Adaptive LIF discretised by the symplectic Euler method: stable, resonating"
    fidelity = Fidelity.faithful(
        "published equations, ranges and surrogate, by hand in a test; the network around the neuron is the benchmark's"
    )

    class Params(RecurrentNeuronParams):
        """Parameters of SE-adLIF."""

        lr: float = Field(0.04, gt=0, le=10)
        """Learning rate of Adam; the best of 0.005 to 0.04 on the validation splits of pulse-order and digits."""

        discretisation: Literal["se", "ef"] = "se"
        """Symplectic Euler, or Euler forward."""
        q: float | None = Field(None, gt=0)
        """Strength of the adaptation; by default 120 for SE and 60 for EF (120 is unstable there)."""

    params: Params

    def neuron(self, n: int, surrogate: Surrogate | None) -> Neuron:
        """A layer of `n`."""
        from snn5bench.neurons import adlif

        p = self.params
        return adlif.SEAdLIF(n, p.discretisation == "se", p.q, surrogate, p.recurrent)
