"""Spikformer: the plain spiking Transformer (Zhou et al., ICLR 2023, arXiv 2209.15425), of spikingjelly's pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from pydantic import Field, model_validator

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.method import Method
from snn5bench.contracts.params import MethodParams
from snn5bench.contracts.verdict import Verdict
from snn5bench.record import Fidelity

if TYPE_CHECKING:
    from torch import nn

    from snn5bench.contracts.method import Task
    from snn5bench.neurons.spikformer import LineTokens, PictureTokens, SpikformerNet


class Spikformer(Method):
    """Spikformer network, `[T, B, C] -> [T, B, classes]`. With spikes Q, K, V of each token (linear map, batch norm, LIF)

        Y = LIF_0.5(0.125 (V K^T) Q),   x <- x + LIF(BN(W Y)),   x <- x + MLP(x)

    No softmax: V K^T counts the coincidences of values and keys. The membranes are the only path of time; tokens of one step
    see each other, and no other step. Blocks, attention and patch splitting are spikingjelly's own modules.

    Tokens. Data laid out as an image: spikingjelly's patch splitting (in its order: pool, then neurons). All else: at each
    step, `tokens` groups of neighbouring channels with a learned offset for each, which is our own.

    Departures: small widths, no augmentation; batch norms start at the scale, up to 4, at which the layer spikes at `rate`
    on the first batch, since at the published start small networks, and twins without time, are silent and untrained behind
    the attention (`rate = 0` leaves it). `attention = "off"` leaves out the attention: on small images that costs nothing,
    and a report without this row says little of attention.
    """

    name = "spikformer"
    summary = "Plain spiking Transformer: spike products without softmax, spikingjelly's modules"
    fidelity = Fidelity.faithful(
        "spikingjelly's modules, equal to its Spikformer in a test; small widths, the start scale of the batch "
        "norms, the tokens of sequences and training are ours"
    )

    class Params(MethodParams):
        """Parameters of Spikformer."""

        lr: float = Field(5e-3, gt=0, le=10)
        """Learning rate of Adam; of 0.001 and 0.005 the better on the validation split of digits."""
        width: int = Field(64, ge=8, le=4096, multiple_of=8)
        """Channels of a token."""
        heads: int = Field(4, ge=1, le=64)
        """Attention heads; must divide `width`."""
        blocks: int = Field(1, ge=1, le=48)
        """Blocks of attention and perceptron."""
        mlp: int = Field(4, ge=1, le=16)
        """Hidden neurons of the perceptron, in multiples of `width`."""
        patch: Literal[4, 16] = 4
        """Side of an image patch, in pixels."""
        tokens: int = Field(8, ge=1, le=1024)
        """Groups of channels of a sequence."""
        tau: float = Field(2.0, gt=1, le=10_000)
        """Time constant of every membrane, in steps: 2 as published, which forgets half in a step."""
        attention: Literal["on", "off"] = "on"
        """Off: the ablation."""
        rate: float = Field(0.05, ge=0, lt=1)
        """Least mean spike rate of each layer before training, in spikes per neuron and step."""

        @model_validator(mode="after")
        def _divides(self) -> Spikformer.Params:
            if self.width % self.heads:
                raise ValueError(f"heads ({self.heads}) must divide width ({self.width})")
            return self

    params: Params

    def supports(self, data: DatasetSpec) -> Verdict:
        """No where an image is smaller than a patch."""
        if len(data.shape) == 3 and min(data.shape[1:]) < self.params.patch:
            return Verdict.no(f"an image of {data.shape[1]} x {data.shape[2]} holds no patch of {self.params.patch}")
        return Verdict.yes()

    def build(self, data: DatasetSpec) -> nn.Module:
        """The network with freshly drawn weights."""
        from snn5bench.neurons.spikformer import LineTokens, PictureTokens, SpikformerNet

        p = self.params
        tokens: LineTokens | PictureTokens
        if len(data.shape) == 3:
            channels, height, width = data.shape
            tokens = PictureTokens((channels, height, width), p.patch, p.width, p.tau)
        else:
            tokens = LineTokens(data.channels, p.tokens, p.width, p.tau)
        on = p.attention == "on"
        return SpikformerNet(tokens, p.width, p.heads, p.blocks, p.mlp, data.n_classes, on, p.tau, data.readout)

    def fit(self, task: Task) -> nn.Module:
        """Scale the batch norms and the read-out on the first training batch, then backpropagation through time."""
        net = cast("SpikformerNet", task.prepare(self.build(task.spec)))
        inputs, _ = next(iter(task.train.epoch()))
        net.calibrate(inputs, self.params.rate)
        return task.bptt(net, self.params)
