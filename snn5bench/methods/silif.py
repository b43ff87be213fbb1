"""SiLIF and C-SiLIF: LIF neurons with the decays of state-space models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from snn5bench.methods.neuron_stack import NeuronMethod, NeuronParams
from snn5bench.record import Fidelity

if TYPE_CHECKING:
    from snn5bench.neurons.neuron import Neuron
    from snn5bench.neurons.surrogate import Surrogate


class SiLIF(NeuronMethod):
    """SiLIF network (Fabre et al., 2025, arXiv 2506.06374), `[T, B, C] -> [T, B, classes]`.

        w[t] = beta w[t-1] + a u[t-1] + b s[t-1]
        u[t] = alpha (u[t-1] - s[t-1]) + (1 - alpha) (I[t] - w[t]),   s[t] = 1 if u[t] > 1
        alpha = exp(-e^p_alpha e^delta),   beta = exp(-e^p_beta e^delta)

    Departures: states start at zero, a linear read-out per step instead of a leaky integrator, the rescaling of weights to a
    start rate instead of batch norm, no dropout.
    """

    name = "silif"
    summary = "adLIF with state-space decays, stable whatever the learning rate"
    fidelity = Fidelity.faithful(
        "equations, start and surrogate of the official code, by hand in a test; states start at zero, and the network "
        "around the neuron is the benchmark's"
    )

    class Params(NeuronParams):
        """Parameters of SiLIF."""

        lr: float = Field(0.02, gt=0, le=10)
        """Learning rate of Adam; the best of 0.005 and 0.02 on the validation splits of pulse-order and digits."""

    params: Params

    def neuron(self, n: int, surrogate: Surrogate | None) -> Neuron:
        """A layer of `n`."""
        from snn5bench.neurons import silif

        return silif.SiLIF(n, surrogate)


class CSiLIF(NeuronMethod):
    """C-SiLIF network (Fabre et al., 2025, arXiv 2506.06374), `[T, B, C] -> [T, B, classes]`.

        u[t] = alpha (u[t-1] - 0.5 s[t-1]) + b I[t],   s[t] = H(2 Re u[t] - 1)
        alpha = exp((-e^p + i omega) e^delta)

    Departures: a linear read-out per step instead of a leaky integrator, the rescaling of weights to a start rate instead of
    batch norm, no dropout.
    """

    name = "c-silif"
    summary = "Complex LIF: a resonator with state-space decay"
    fidelity = Fidelity.faithful(
        "equations, start and surrogate of the official code, by hand in a test; the network around the neuron is the "
        "benchmark's"
    )

    class Params(NeuronParams):
        """Parameters of C-SiLIF."""

        lr: float = Field(0.02, gt=0, le=10)
        """Learning rate of Adam; the best of 0.005, 0.01 and 0.02 on the validation splits of pulse-order and digits."""

        dt_min: float = Field(0.01, gt=0)
        """Smallest first step; a step of 0.01 turns once in 200 steps."""
        dt_max: float = Field(0.5, gt=0)
        """Largest first step; 0.5, the authors' for SHD, turns once in 4."""

        @model_validator(mode="after")
        def _ordered(self) -> CSiLIF.Params:
            if self.dt_max < self.dt_min:
                raise ValueError(f"dt_max ({self.dt_max}) must be at least dt_min ({self.dt_min})")
            return self

    params: Params

    def neuron(self, n: int, surrogate: Surrogate | None) -> Neuron:
        """A layer of `n`."""
        from snn5bench.neurons import silif

        return silif.CSiLIF(n, self.params.dt_min, self.params.dt_max, surrogate)
