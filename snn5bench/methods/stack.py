"""What the methods built on `SpikingNet` share: their common parameters and their way to train."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, cast

from pydantic import Field

from snn5bench.contracts.params import MethodParams

if TYPE_CHECKING:
    from torch import nn

    from snn5bench.contracts.method import Method, Task
    from snn5bench.neurons.network import SpikingNet


class StackParams(MethodParams):
    """Parameters of every stack of synapses and neurons."""

    lr: float = Field(5e-3, gt=0, le=10)
    """Learning rate of Adam."""
    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field((128, 128), min_length=1)
    """Neurons of each hidden layer."""
    surrogate: Literal["rectangle", "triangle", "atan", "sigmoid", "exponential", "fast_sigmoid"] = "atan"
    """Shape of the surrogate gradient; formulas in `snn5bench.neurons.surrogate`."""
    width: float = Field(0.5, gt=0)
    """Width of the surrogate, in units of the membrane potential."""
    rate: float = Field(0.08, gt=0, lt=1)
    """Mean spike rate of each hidden layer before training, in spikes per neuron and step."""


def fit_calibrated(method: Method, task: Task, rate: float) -> nn.Module:
    """Build, cut time as the cell asks, scale the weights on the first training batch, then train through time."""
    net = cast("SpikingNet", task.prepare(method.build(task.spec)))
    inputs, _ = next(iter(task.train.epoch()))
    net.calibrate(inputs, rate)
    return task.bptt(net, method.params)
