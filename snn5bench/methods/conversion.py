"""ANN-to-SNN conversion: rate coding, QCFS, error compensation, Scale-and-Fire. All train on the mean over time."""

from __future__ import annotations

import math
from abc import abstractmethod
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Literal, cast

from pydantic import Field

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.method import Method
from snn5bench.contracts.params import MethodParams
from snn5bench.record import Fidelity

if TYPE_CHECKING:
    from torch import Tensor, nn

    from snn5bench.contracts.method import Task
    from snn5bench.neurons.conversion import Convertible
    from snn5bench.neurons.converted import ConvertedNet, Present

_CALIBRATION = 1000
"""Training samples on which thresholds are set."""


class ConversionParams(MethodParams):
    """What every conversion has."""

    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field((128, 128), min_length=1)
    """Neurons of each hidden layer."""


class Conversion(Method):
    """An artificial network trained on the input's mean over time, `[B, C] -> [B, classes]`, run as a spiking one.

    Each epoch ends with a conversion, and validation judges the spiking network: the epoch that is chosen is the best
    one after conversion, not before. The T of inference is the dataset's. Not causal
    where it is shown the mean, which needs the whole input.
    """

    causal = False
    present: Present = "mean"
    one_step = False
    params: ConversionParams

    @abstractmethod
    def neuron(self) -> Convertible:
        """One layer's neurons."""

    def begin(self, net: ConvertedNet, rates: Tensor) -> None:
        """Set thresholds before training, from the mean inputs `[B, C]` of some training samples."""

    def convert(self, net: ConvertedNet, rates: Tensor, labels: Tensor) -> None:
        """Set thresholds after an epoch of training."""

    def remarks(self, net: ConvertedNet) -> list[str]:
        """Sentences about the converted network."""
        return []

    def build(self, data: DatasetSpec) -> nn.Module:
        """The network with freshly drawn weights."""
        from snn5bench.neurons.converted import ConvertedNet

        return ConvertedNet(
            data.channels,
            self.params.hidden,
            data.n_classes,
            self.neuron,
            present=self.present,
            one_step=self.one_step,
            readout=data.readout,
        )

    def fit(self, task: Task) -> nn.Module:
        """Train the artificial network; after each epoch convert it and report the spiking one."""
        import torch
        from torch.nn.functional import cross_entropy

        from snn5bench.methods.adam import Adam

        net = cast("ConvertedNet", task.prepare(self.build(task.spec)))
        with torch.no_grad():
            batches = list(islice(task.train.epoch(), max(1, _CALIBRATION // task.budget.batch_size)))
            rates, labels = torch.cat([net.rates(x) for x, _ in batches]), torch.cat([y for _, y in batches])
            self.begin(net, rates)
        optimiser = Adam(net.parameters(), self.params, task)
        best = -1.0
        for epoch in range(task.budget.epochs):
            total, seen = 0.0, 0
            for x, y in task.train.epoch():
                net.train()
                loss = cross_entropy(net.ann(net.rates(x)), y)
                optimiser.step(loss)
                total, seen = total + loss.item() * len(y), seen + len(y)
            with torch.no_grad():
                self.convert(net, rates, labels)
                accuracy = task.report(net, epoch, total / seen)
                if accuracy > best:
                    best = accuracy
                    source = f"the artificial network before conversion: validation accuracy {_ann(net, task):.3f}"
                    net.notes = [*self._input(task.spec), *self.remarks(net), source]
        return net

    def _input(self, data: DatasetSpec) -> list[str]:
        if data.coding == "repeated":
            return []
        shown = "the mean is what it is shown" if self.present == "mean" else "it is shown the steps as they come"
        return [f"trained on the input's mean over the {data.T} steps, blind to their order; at inference {shown}"]


def _ann(net: ConvertedNet, task: Task) -> float:
    right, seen = 0, 0
    net.eval()
    for x, y in task.val.epoch():
        right, seen = right + int((net.ann(net.rates(x)).argmax(1) == y).sum()), seen + len(y)
    return right / seen


class RateCoding(Conversion):
    """Rate coding of a ReLU network, `[T, B, C] -> [T, B, classes]`.

    theta = the given percentile of a layer's activations on training samples (Rueckauer et al. 2017, robust
    normalisation; 100 is the maximum of Diehl et al. 2015); integrate-and-fire with soft reset, v(0) = start * theta.
    spikingjelly's `RateCodingRecipe` is the same with scaled weights and theta = 1. Fully connected layers with biases.
    """

    name = "conversion"
    summary = "ANN-SNN conversion by rate coding: ReLU network, thresholds by percentile"
    fidelity = Fidelity.faithful("threshold balancing by percentile; equal to spikingjelly's recipe at the maximum")

    class Params(ConversionParams):
        """Parameters of rate coding."""

        percentile: float = Field(99.9, gt=50, le=100)
        """Percentile of a layer's activations that becomes its threshold."""
        start: float = Field(0.5, ge=0, lt=1)
        """Potential before the first step, in thresholds."""
        present: Literal["mean", "steps"] = "mean"
        """At inference: the mean input at every step, or the steps as they come."""

    params: Params

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.present, self.causal = params.present, params.present == "steps"

    def neuron(self) -> Convertible:
        """Integrate-and-fire behind a ReLU."""
        from snn5bench.neurons.conversion import IntegrateFire

        return IntegrateFire(start=self.params.start)

    def convert(self, net: ConvertedNet, rates: Tensor, labels: Tensor) -> None:
        """Thresholds by percentile."""
        balance(net, rates, self.params.percentile)


class QCFS(Conversion):
    """Quantised clip-floor-shift conversion, `[T, B, C] -> [T, B, classes]`.

    a(x) = lambda / L * clip(floor(x L / lambda + 1/2), 0, L), lambda learned; then integrate-and-fire with
    theta = lambda, v(0) = theta/2, soft reset. Exact for a constant input where T = L, unbiased elsewhere.

    Bu et al., ICLR 2022 (arXiv 2303.04347); equations only, their repositories have no licence. Ours: fully connected
    layers, Adam, and lambda starting at the largest activation of the untrained network (theirs: 8).
    """

    name = "qcfs"
    summary = "ANN-SNN conversion with the QCFS activation and a half-threshold start"
    fidelity = Fidelity.faithful(
        "activation, gradients and spiking neuron of the paper, the identity at T = L checked; the network, the "
        "optimiser and the start of lambda are ours"
    )

    class Params(ConversionParams):
        """Parameters of QCFS."""

        levels: int = Field(8, ge=1, le=256)
        """Quantisation steps L of the activation."""
        present: Literal["mean", "steps"] = "mean"
        """At inference: the mean input at every step, or the steps as they come."""

    params: Params

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.present, self.causal = params.present, params.present == "steps"

    def neuron(self) -> Convertible:
        """QCFS, then integrate-and-fire from half the threshold."""
        from snn5bench.neurons.conversion import IntegrateFire

        return IntegrateFire(self.params.levels)

    def begin(self, net: ConvertedNet, rates: Tensor) -> None:
        """Each threshold at the largest activation of the untrained network."""
        balance(net, rates, 100.0)


class ErrorCompensation(QCFS):
    """Error-compensated conversion, a reconstruction, `[T, B, C] -> [T, B, classes]`.

    QCFS training (the learned clip), a signed neuron that can take spikes back (the second threshold), half-threshold
    start. Liu et al., ICML 2025 (arXiv 2506.01968) name these three parts; their equations were out of reach. The
    signed neuron with memory is that of SNM (IJCAI 2022): -1 where the potential is below `-negative` thresholds and
    more spikes were sent than taken back. Published: 94.75 % (CIFAR-10, ResNet-18, T = 2), not reproduced here.
    """

    name = "ecl"
    summary = "Error-compensated ANN-SNN conversion: learned clip, signed neuron with memory, half-threshold start"
    fidelity = Fidelity.reconstruction(
        "partial: clip = QCFS, second threshold = the signed neuron with memory, start = theta/2; the paper's equations "
        "were out of reach"
    )

    class Params(QCFS.Params):
        """Parameters of error compensation."""

        negative: float = Field(0.0, ge=0, le=1)
        """How far under zero, in thresholds, the potential must fall before a spike is taken back."""

    params: Params

    def neuron(self) -> Convertible:
        """QCFS, then the signed neuron."""
        from snn5bench.neurons.conversion import IntegrateFire

        return IntegrateFire(self.params.levels, negative=self.params.negative)


class ScaleFire(Conversion):
    """Scale-and-Fire: one step of multi-threshold neurons, a reconstruction, `[T, B, C] -> [T, B, classes]`.

    k = clip(floor((x + step/2) / step), 0, N), step = lambda theta / N, message step * k; theta a percentile of a
    layer's ReLU activations, lambda one factor for all layers, chosen on training samples from a fixed grid.

    "One-Timestep is Enough" (arXiv 2510.23383, a preprint; body out of reach). Its density-aware spacing of thresholds
    and its Bayesian search for lambda are not known: here thresholds are evenly spaced and the search is a grid. The
    neuron is then rounding to N levels: the network is bit for bit the ANN with its activations so quantised.
    """

    name = "sfn"
    summary = "Scale-and-Fire: conversion to one step of neurons with N levels"
    one_step = True
    fidelity = Fidelity.reconstruction(
        "evenly spaced thresholds and a grid for lambda stand in for parts that were out of reach"
    )

    class Params(ConversionParams):
        """Parameters of Scale-and-Fire."""

        levels: int = Field(32, ge=1, le=65536)
        """Levels N of a message."""
        percentile: float = Field(99.9, gt=50, le=100)
        """Percentile of a layer's activations that becomes theta."""
        factors: tuple[Annotated[float, Field(gt=0, le=4)], ...] = Field(
            (1.0, 0.6, 0.7, 0.8, 0.9, 1.1, 1.2), min_length=1
        )
        """Values of lambda to try, by cross-entropy on up to 1,000 training samples; the first one wins a tie."""

    params: Params

    def neuron(self) -> Convertible:
        """Multi-threshold neurons behind a ReLU."""
        from snn5bench.neurons.conversion import ScaleAndFire

        return ScaleAndFire(self.params.levels)

    def convert(self, net: ConvertedNet, rates: Tensor, labels: Tensor) -> None:
        """Thresholds by percentile, then the best of the factors for all of them."""
        from torch.nn.functional import cross_entropy

        balance(net, rates, self.params.percentile)
        percentiles = [neuron.threshold.clone() for neuron in net.layers]

        def loss(factor: float) -> float:
            for neuron, theta in zip(net.layers, percentiles, strict=True):
                neuron.threshold.copy_(theta * factor)
            return float(cross_entropy(net(rates[None])[0], labels))

        self.factor = min(self.params.factors, key=loss)
        loss(self.factor)

    def remarks(self, net: ConvertedNet) -> list[str]:
        """Levels, bits, and how the messages are counted."""
        n = self.params.levels
        return [
            f"one inference step of {n} levels, {math.ceil(math.log2(n + 1))} bits a message: the same as an ANN with its "
            "activations quantised to these levels; a graded message counts as one multiply-accumulate a synapse, sent "
            f"as unary spikes it would be up to {n} accumulates",
            f"lambda {self.factor:g}, by cross-entropy on training samples among {len(self.params.factors)} values from "
            f"{min(self.params.factors):g} to {max(self.params.factors):g}",
        ]


def balance(net: ConvertedNet, rates: Tensor, percentile: float) -> None:
    """Set every threshold to a percentile of the layer's ReLU activations under the mean inputs `[B, C]`.

    A layer that is silent throughout keeps its threshold. Layers see what the artificial network's layers see.
    """
    import numpy as np
    from torch import relu

    below = rates
    for synapses, neuron in zip(net.synapses, net.layers, strict=False):
        current = synapses(below)
        top = float(np.percentile(relu(current).cpu().numpy(), percentile))
        if top > 0:
            neuron.threshold.fill_(top)
        below = neuron.activate(current)
