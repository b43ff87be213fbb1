"""SpikingSSM: state-space layers that talk in spikes (Shen et al., AAAI 2025, arXiv 2408.14909)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, cast

from pydantic import Field, model_validator

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.method import Method
from snn5bench.contracts.params import MethodParams
from snn5bench.record import Fidelity

if TYPE_CHECKING:
    from torch import nn

    from snn5bench.contracts.method import Task
    from snn5bench.neurons.spiking_ssm import SpikingSSMNet


class SpikingSSM(Method):
    """SpikingSSM network, `[T, B, C] -> [T, B, classes]`. In each block

        I = S4D(norm(x)) / exp(ln_vth)                      linear, learns when; `snn5bench.neurons.ssm`
        u'[t] = 0.125 u[t-1] + I[t],  s[t] = H(u'[t] - 1),  u[t] = u'[t] (1 - s[t])
        x <- x + GLU(W s + b)

    `neuron = "lif"` runs the neuron step by step in a compiled loop, with its gradient through time; `"sdn"` predicts the
    membrane by the frozen surrogate dynamic network, whose gradient stays within a step. On a GPU the network is what
    makes the method fast; on a CPU the loop is faster, and exact.

    Departures: one direction by default, since the benchmark's models are causal (the paper's long-range models look both
    ways: `bidirectional`); the read-out is linear per step and summed by the harness (theirs averages, then maps); widths
    are small; thresholds start where a layer spikes at `rate`, theirs at 1; the weights of the surrogate dynamic network
    are our own. The official code's post-norm branch normalises a temporary that it throws away: its "post-norm" models
    are those without normalisation, here `norm = "none"`; `prenorm = false` here really is post-norm.
    """

    name = "spikingssm"
    summary = "S4D state-space layers with spiking outputs; exact LIF or the surrogate dynamic network"
    fidelity = Fidelity.faithful(
        "S4D-Lin, hard-reset LIF, learned threshold, gate and residual as published; one direction, small widths, the "
        "start thresholds and the predictor's weights are ours"
    )

    class Params(MethodParams):
        """Parameters of SpikingSSM."""

        lr: float = Field(0.01, gt=0, le=10)
        """Learning rate of Adam."""
        d_model: int = Field(64, ge=1, le=4096)
        """Channels of each block."""
        layers: int = Field(2, ge=1, le=64)
        """Blocks."""
        states: int = Field(16, ge=2, le=1024, multiple_of=2)
        """Real states N of a channel: N/2 conjugate pairs."""
        dt_min: float = Field(1e-3, gt=0)
        """Smallest initial step of the state-space model."""
        dt_max: float = Field(0.1, gt=0)
        """Largest initial step."""
        train_b: bool = False
        """Train the input vector B, which else is 1."""
        bidirectional: bool = False
        """A second system that runs backwards: not causal."""
        neuron: Literal["lif", "sdn"] = "lif"
        """The exact neuron, or its membrane predicted by the surrogate dynamic network."""
        norm: Literal["layer", "batch", "none"] = "layer"
        """Normalisation; `none` is what the official post-norm configurations train."""
        prenorm: bool = True
        """Normalise before the state-space layer, or after the residual."""
        train_threshold: bool = True
        """Learn a threshold for each channel (VT), or keep the start's (VF)."""
        dropout: float = Field(0.0, ge=0, lt=1)
        """On the spikes."""
        ssm_lr: float = Field(1e-3, gt=0)
        """Largest learning rate of dt, A and B; they take no weight decay."""
        rate: float = Field(0.1, gt=0, lt=1)
        """Spike rate of a layer before training, in spikes per neuron and step."""

        @model_validator(mode="after")
        def _ordered(self) -> SpikingSSM.Params:
            if self.dt_max < self.dt_min:
                raise ValueError(f"dt_max ({self.dt_max}) must be at least dt_min ({self.dt_min})")
            return self

    params: Params

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.causal = not params.bidirectional

    def build(self, data: DatasetSpec) -> nn.Module:
        """The network with freshly drawn weights."""
        from snn5bench.neurons.spiking_ssm import Block, SpikingSSMNet
        from snn5bench.neurons.ssm import S4D

        p = self.params
        slower = min(p.ssm_lr / p.lr, math.nextafter(1.0, 0.0))  # below 1: exempt from weight decay
        blocks = []
        for _ in range(p.layers):
            ssm = S4D(p.d_model, p.states, p.dt_min, p.dt_max, p.train_b, p.bidirectional)
            for parameter in ssm.slow_parameters():
                parameter.lr_scale = slower  # type: ignore[attr-defined]
            block = Block(ssm, p.neuron, p.norm, p.prenorm, p.dropout)
            block.ln_vth.requires_grad_(p.train_threshold)
            blocks.append(block)
        return SpikingSSMNet(data.channels, data.n_classes, blocks, data.readout)

    def fit(self, task: Task) -> nn.Module:
        """Set thresholds and the read-out's scale on the first training batch, then backpropagation through time."""
        net = cast("SpikingSSMNet", task.prepare(self.build(task.spec)))
        inputs, _ = next(iter(task.train.epoch()))
        net.calibrate(inputs, self.params.rate)
        return task.bptt(net, self.params)
