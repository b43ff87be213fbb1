"""A stack of one kind of neuron: what the methods that are a neuron model share."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.method import Method
from snn5bench.contracts.params import MethodParams
from snn5bench.methods.stack import fit_calibrated

if TYPE_CHECKING:
    from torch import nn

    from snn5bench.contracts.method import Task
    from snn5bench.neurons.neuron import Neuron
    from snn5bench.neurons.surrogate import Surrogate


class NeuronParams(MethodParams):
    """Parameters of every stack of one kind of neuron."""

    lr: float = Field(0.01, gt=0, le=10)
    """Learning rate of Adam."""
    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field((128, 128), min_length=1)
    """Neurons of each hidden layer."""
    surrogate: Literal["paper", "rectangle", "triangle", "atan", "sigmoid", "exponential", "fast_sigmoid"] = "paper"
    """Shape of the surrogate gradient; `paper` is the one published with the neuron, at its published width."""
    width: float = Field(0.5, gt=0)
    """Width of any other surrogate, in units of the membrane potential."""
    rate: float = Field(0.08, gt=0, lt=1)
    """Mean spike rate of each hidden layer before training, in spikes per neuron and step."""


class RecurrentNeuronParams(NeuronParams):
    """The same for neurons that may have recurrent weights."""

    recurrent: bool = False
    """All-to-all recurrent weights inside each hidden layer."""


class NeuronMethod(Method):
    """Layers of synapses and one kind of neuron, a linear read-out per step. A subclass says which neuron."""

    params: NeuronParams

    @abstractmethod
    def neuron(self, n: int, surrogate: Surrogate | None) -> Neuron:
        """A layer of `n` neurons; `surrogate` None is the published one."""

    def surrogate(self) -> Surrogate | None:
        """What the parameters ask for."""
        from snn5bench.neurons.surrogate import Surrogate

        shape = self.params.surrogate
        return None if shape == "paper" else Surrogate(shape, self.params.width)

    def build(self, data: DatasetSpec) -> nn.Module:
        """The network with freshly drawn weights."""
        from snn5bench.neurons.network import SpikingNet

        def layer(n: int) -> Neuron:
            return self.neuron(n, self.surrogate())

        return SpikingNet(data.channels, self.params.hidden, data.n_classes, layer, readout=data.readout)

    def fit(self, task: Task) -> nn.Module:
        """Scale the weights on the first training batch, then backpropagation through time."""
        return fit_calibrated(self, task, self.params.rate)
