"""CE-LIF: the context-embedded LIF neuron, with the control that tells its position code (Chen et al., 2023)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.verdict import Verdict
from snn5bench.methods.neuron_method import NeuronMethod
from snn5bench.methods.stack import StackParams
from snn5bench.record import Fidelity

if TYPE_CHECKING:
    from torch import nn

    from snn5bench.neurons.neuron import Neuron

_LARGEST = 10_000_000


class CELIF(NeuronMethod):
    """CE-LIF network (arXiv 2308.15150), `[T, B, C] -> [T, B, classes]`.

        theta[t] = theta[t-1] + E[t] u[t-1] - gamma (theta[t-1] - theta_0)
        u[t] = lambda u[t-1] (1 - s[t-1]) + W x[t],   s[t] = 1 if u[t] > theta[t]

    **E is a position code**: a learned number for each neuron and absolute step. Where a thing always arrives at the same
    step (the pixels of a sequential image), it tells the network most of what a rival has to find out: 97.8 % on permuted
    sequential MNIST against 57.5 % for LIF, and middling on text, where position means nothing. It costs neurons x T
    parameters (451,584 there, which the published comparison at "85K" leaves out), and cannot run past T. So read a row of
    it beside `embedding = "constant"`, the same neuron without the code, and beside datasets that begin at a random step
    (pulse-order). The notes of each record say how large the table is.

    Departures: start value and learning rate of E, lambda, theta_0 and surrogate are not known of the authors' networks; E
    starts at zero, the rest is the benchmark's.
    """

    name = "ce-lif"
    summary = "LIF with a threshold that a learned number for each absolute time step moves: a position code"
    fidelity = Fidelity.faithful(
        "update order and reset as in neuroseqbench, by hand in a test; it learns a position code, neurons x T numbers that "
        "tell the absolute step (compare embedding=constant); start of the table and constants are ours"
    )

    class Params(StackParams):
        """Parameters of CE-LIF."""

        lr: float = Field(0.01, gt=0, le=10)
        """Learning rate of Adam; with `decay`, of 0.005 to 0.02 and 0.2 to 0.95 the best on the validation split of
        pulse-order."""
        embedding: Literal["step", "constant"] = "step"
        """A number for each step, as published, or one for all: the control without a position code."""
        decay: float = Field(0.5, ge=0, le=1)
        """Factor lambda of the membrane potential per step."""
        threshold: float = Field(1.0, gt=0)
        """Threshold theta_0 at rest."""
        gamma: float = Field(0.02, ge=0, le=1)
        """Share of the way back to theta_0 at each step."""
        recurrent: bool = False
        """All-to-all recurrent weights inside each hidden layer."""

    params: Params

    def supports(self, data: DatasetSpec) -> Verdict:
        """No where the table of the position code would be out of all proportion."""
        size = sum(self.params.hidden) * data.T
        if self.params.embedding == "step" and size > _LARGEST:
            return Verdict.no(
                f"its position code would have {size:,} numbers, one for each neuron and each of {data.T:,} steps"
            )
        return Verdict.yes()

    def neuron(self, neurons: int, data: DatasetSpec) -> Neuron:
        """A layer of `neurons` for the steps of `data`."""
        from snn5bench.neurons import ce_lif
        from snn5bench.neurons.surrogate import Surrogate

        p = self.params
        surrogate = Surrogate(p.surrogate, p.width)
        return ce_lif.CELIF(neurons, data.T, p.decay, p.threshold, p.gamma, p.embedding, surrogate, p.recurrent)

    def build(self, data: DatasetSpec) -> nn.Module:
        """The network with freshly drawn weights."""
        net = super().build(data)
        if self.params.embedding == "step":
            size = sum(self.params.hidden) * data.T
            note = (
                f"CE-LIF learns a position code: {size:,} parameters tell each neuron which of the {data.T} steps it is"
            )
            net.notes = [note]  # type: ignore[assignment]
        return net
