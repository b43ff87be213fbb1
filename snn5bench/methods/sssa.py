"""SSSA: saccadic spike self-attention, SNN-ViT (Wang et al., ICLR 2025, arXiv 2502.12677)."""

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
    from snn5bench.neurons.neuron import Neuron
    from snn5bench.neurons.snn_vit import SpikingTransformer

_LONGEST = 1024


class SSSA(Method):
    """Spiking Transformer with saccadic attention, `[T, B, C] -> [T, B, classes]`.

        S = Theta(M_w (Q' K'^T) L - V_th) * V          Q', K': spike counts of the tokens, M_w lower triangular over time

    `form`: `v1` as written; `v2` by associativity, M_w (alpha Q'), equal to the bit and linear in the tokens; `v2-decoupled`
    trains v2 and tests the paper's step-wise inference, which is another function (`snn5bench.neurons.saccade`); how many
    gates differ stands in the record under the layer's `gates_unlike_coupled` of `gates`.

    Tokens. Data laid out as an image: GL-SPS patch splitting, a reconstruction. All else (audio, events on a line): at each
    step, `tokens` groups of neighbouring channels, which is our own. M_w has a row and a column for each step, so that a
    network works at its own T only.

    The paper's full text and code were out of reach: V_th, initial M_w, LIF constants, surrogate, kernels of GL-SPS and
    training are ours, residuals are added before the neurons.
    """

    name = "sssa"
    summary = "Spiking Transformer with saccadic self-attention: a gate on token salience, mixed over time"
    fidelity = Fidelity.reconstruction(
        "attention by the published equations, checked; no official code exists, and GL-SPS, the tokens of sequences, "
        "constants and training are ours"
    )

    class Params(MethodParams):
        """Parameters of SSSA."""

        lr: float = Field(5e-3, gt=0, le=10)
        """Learning rate of Adam."""
        width: int = Field(32, ge=1, le=4096)
        """Channels of a token."""
        heads: int = Field(2, ge=1, le=64)
        """Attention heads; must divide `width`."""
        blocks: int = Field(1, ge=1, le=48)
        """Blocks of attention and perceptron."""
        mlp: int = Field(2, ge=1, le=16)
        """Hidden neurons of the perceptron, in multiples of `width`."""
        tokens: int = Field(8, ge=1, le=1024)
        """Groups of channels of a sequence."""
        stages: int = Field(1, ge=1, le=5)
        """Patch splitting stages of an image, each halving its sides."""
        form: Literal["v1", "v2", "v2-decoupled"] = "v2"
        """How the attention is computed."""
        saccade_decay: float = Field(0.9, ge=0, le=1)
        """Initial M_w[t, s] = saccade_decay^(t - s)."""
        open_gates: float = Field(0.5, gt=0, lt=1)
        """Share of open gates before training."""
        decay: float = Field(0.5, ge=0, le=1)
        """Factor of the membrane potential per step."""
        threshold: float = Field(1.0, gt=0)
        """Firing threshold of the LIF neurons."""

        @model_validator(mode="after")
        def _divides(self) -> SSSA.Params:
            if self.width % self.heads:
                raise ValueError(f"heads ({self.heads}) must divide width ({self.width})")
            if self.width % 2 ** (self.stages - 1):
                raise ValueError(
                    f"width ({self.width}) must be a multiple of 2^(stages - 1) ({2 ** (self.stages - 1)})"
                )
            return self

    params: Params

    def supports(self, data: DatasetSpec) -> Verdict:
        """No where M_w would be too large, or an image too small for the patch splitting."""
        if data.T > _LONGEST:
            return Verdict.no(f"M_w would have T^2 = {data.T**2:,} entries a block (at most T = {_LONGEST})")
        if len(data.shape) == 3 and min(data.shape[1:]) >> self.params.stages == 0:
            return Verdict.no(f"{self.params.stages} stages halve {data.shape[1]} x {data.shape[2]} pixels to nothing")
        return Verdict.yes()

    def build(self, data: DatasetSpec) -> nn.Module:
        """The network for sequences of `data.T` steps, with freshly drawn weights."""
        from snn5bench.neurons.lif import LIF
        from snn5bench.neurons.saccade import Saccade
        from snn5bench.neurons.snn_vit import Attention, ChannelTokens, ImageTokens, Perceptron, SpikingTransformer
        from snn5bench.neurons.surrogate import Surrogate

        p = self.params

        def neuron() -> Neuron:
            return LIF(p.decay, p.threshold, "hard", Surrogate("atan", 0.5))

        tokens: ChannelTokens | ImageTokens
        if len(data.shape) == 3:
            channels, height, width = data.shape
            tokens = ImageTokens((channels, height, width), p.width, p.stages, neuron)
        else:
            tokens = ChannelTokens(data.channels, p.tokens, p.width)
        attentions = [
            Attention(p.width, p.heads, Saccade(data.T, p.form, p.saccade_decay), neuron) for _ in range(p.blocks)
        ]
        perceptrons = [Perceptron(p.width, p.mlp * p.width, neuron) for _ in range(p.blocks)]
        return SpikingTransformer(tokens, p.width, attentions, perceptrons, data.n_classes, neuron, data.readout)

    def fit(self, task: Task) -> nn.Module:
        """Set the gates' thresholds on the first training batch, then backpropagation through time."""
        net = cast("SpikingTransformer", task.prepare(self.build(task.spec)))
        inputs, _ = next(iter(task.train.epoch()))
        net.calibrate(inputs, self.params.open_gates)
        return task.bptt(net, self.params)
