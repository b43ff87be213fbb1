"""A method that is a neuron model: the benchmark's stack of layers and its training, with a neuron of one's own."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.method import Method
from snn5bench.methods.stack import StackParams, fit_calibrated

if TYPE_CHECKING:
    from torch import nn

    from snn5bench.contracts.method import Task
    from snn5bench.neurons.neuron import Neuron


class NeuronMethod(Method):
    """`[T, B, C] -> [T, B, classes]`: synapses and neurons, layer by layer, then a linear read-out.

    A subclass sets `name`, `fidelity`, a `Params` derived from `StackParams`, and implements `neuron`.
    """

    Params = StackParams
    params: StackParams

    @abstractmethod
    def neuron(self, neurons: int, data: DatasetSpec) -> Neuron:
        """A fresh layer of `neurons` neurons, `[T, B, neurons]` to spikes of the same shape. Import torch in here."""

    def build(self, data: DatasetSpec) -> nn.Module:
        """The network with freshly drawn weights."""
        from snn5bench.neurons.network import SpikingNet

        hidden, classes = self.params.hidden, data.n_classes
        return SpikingNet(data.channels, hidden, classes, lambda n: self.neuron(n, data), readout=data.readout)

    def fit(self, task: Task) -> nn.Module:
        """Scale the weights on the first training batch, then backpropagation through time."""
        return fit_calibrated(self, task, self.params.rate)
