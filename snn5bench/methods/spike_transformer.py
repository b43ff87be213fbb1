"""What methods with spike products in place of attention share: parameters, and the start of training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self, cast

from pydantic import Field, model_validator

from snn5bench.contracts.method import Method
from snn5bench.contracts.params import MethodParams

if TYPE_CHECKING:
    from torch import nn

    from snn5bench.contracts.method import Task


class TransformerParams(MethodParams):
    """Parameters of a spiking Transformer."""

    lr: float = Field(5e-3, gt=0, le=10)
    """Learning rate of Adam; for Spikformer, of 0.001 and 0.005 the better on the validation split of digits."""
    width: int = Field(64, ge=8, le=4096, multiple_of=8)
    """Channels of a token."""
    heads: int = Field(4, ge=1, le=64)
    """Attention heads; must divide `width`."""
    blocks: int = Field(1, ge=1, le=48)
    """Blocks of attention and perceptron."""
    mlp: int = Field(4, ge=1, le=16)
    """Hidden neurons of a perceptron, in multiples of `width`."""
    tokens: int = Field(8, ge=1, le=1024)
    """Groups of channels of a sequence."""
    attention: Literal["on", "off"] = "on"
    """Off: the ablation."""
    tau: float = Field(2.0, gt=1, le=10_000)
    """Time constant of every membrane, in steps: 2 as published, which forgets half in a step."""
    rate: float = Field(0.05, ge=0, lt=1)
    """Least mean spike rate of each layer before training, in spikes per neuron and step."""

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide width ({self.width})")
        return self


class SpikeTransformer(Method):
    """A method whose network can `calibrate(inputs, rate)` itself."""

    params: TransformerParams

    def fit(self, task: Task) -> nn.Module:
        """Scale the batch norms and the read-out on the first training batch, then backpropagation through time."""
        net = cast("Any", task.prepare(self.build(task.spec)))
        inputs, _ = next(iter(task.train.epoch()))
        net.calibrate(inputs, self.params.rate)
        return task.bptt(net, self.params)
