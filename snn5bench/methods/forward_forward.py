"""Forward-Forward: every layer learns to tell true labels from false ones, without backpropagation between layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, cast

from pydantic import Field

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.method import Method
from snn5bench.contracts.params import MethodParams
from snn5bench.contracts.verdict import Verdict
from snn5bench.errors import BenchError
from snn5bench.record import Fidelity

if TYPE_CHECKING:
    from torch import Tensor, nn

    from snn5bench.contracts.method import Task
    from snn5bench.neurons.forward_forward import ForwardForwardNet

Loss = Literal["threshold", "symba", "swish"]
Negatives = Literal["exclude", "permute"]


class ForwardForward(Method):
    """Spiking Forward-Forward network, `[T, B, C] -> [T, B, classes]`.

    Each sample is shown with its true label (positive) and with a false one (negative), as a one-hot vector at every
    step. A layer's goodness is g = mean_j r_j^2, r_j the spike rate of neuron j. With d = g_neg - g_pos, a layer minimises

        threshold   softplus(a (theta - g_pos)) + softplus(a (g_neg - theta))
        symba       softplus(a d)
        swish       a d / (1 + exp(-a d))

    by its own weights alone; what it sends on is detached. A sample gets the label under which the goodness summed over
    all layers is highest.

    After Ghader et al. (arXiv 2502.20411) and Hinton (2022, arXiv 2212.13345). Known of the first: spike-count goodness,
    normalisation between layers, a "Swish-inspired" loss, one-hot labels, T = 10. Its formulas, constants and the label
    on event data could not be read; those here are ours. Inside a layer the gradient goes through the T steps, with a
    surrogate: peak memory is that of one layer, not zero. Where a first batch leaves a layer silent, training stops with
    an error: a squared rate has no gradient at zero. The published 98.34 % (README) and 98.69 % (v1) are for MNIST.
    """

    name = "ff"
    summary = "Forward-Forward: a local loss for each layer on the goodness of true and false labels"
    fidelity = Fidelity.reconstruction(
        "goodness from spike counts, label embedding and normalisation are described, their formulas were out of reach; "
        "the swish loss is a guess that fits the words, constants and widths are ours"
    )

    class Params(MethodParams):
        """Parameters of Forward-Forward."""

        hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field((256, 256), min_length=1)
        """Neurons of each layer; every layer judges."""
        loss: Loss = "swish"
        """Loss of a layer."""
        alpha: float = Field(10.0, gt=0)
        """Steepness a of the loss."""
        theta: float = Field(0.1, gt=0, lt=1)
        """Goodness that separates positive from negative, for the threshold loss."""
        embedding: Literal["append", "overwrite"] = "append"
        """The label beside the inputs, or in place of the first ones."""
        negatives: Negatives = "exclude"
        """False labels drawn from the wrong ones, or the batch's labels permuted (about one in C then is true)."""
        normalise: bool = True
        """Divide the inputs of a layer, at each step, by their length."""
        gain: float | None = Field(None, gt=0)
        """Fixed gain of the current, times the root of the number of inputs; none: found on the first batch for `rate`."""
        rate: float = Field(0.2, gt=0, lt=1)
        """Mean spike rate of each layer before training, in spikes per neuron and step; without a fixed `gain`. The default
        was the best of 0.05, 0.1 and 0.2 on the validation splits of digits and pulse-order, two seeds."""
        decay: float = Field(0.9, ge=0, le=1)
        """Factor of the membrane potential per step."""
        threshold: float = Field(1.0, gt=0)
        """Firing threshold."""
        reset: Literal["hard", "soft"] = "soft"
        """Hard: to zero. Soft: by subtracting the threshold."""
        surrogate: Literal["rectangle", "triangle", "atan", "sigmoid", "exponential", "fast_sigmoid"] = "fast_sigmoid"
        """Shape of the surrogate gradient; formulas in `snn5bench.neurons.surrogate`."""
        width: float = Field(0.1, gt=0)
        """Width of the surrogate, in units of the membrane potential."""

    params: Params

    def supports(self, data: DatasetSpec) -> Verdict:
        """No where the label would overwrite more inputs than there are."""
        if self.params.embedding == "overwrite" and data.channels < data.n_classes:
            return Verdict.no(
                f"{data.channels} inputs cannot hold a one-hot label of {data.n_classes} classes: append it"
            )
        return Verdict.yes()

    def build(self, data: DatasetSpec) -> nn.Module:
        """The network with freshly drawn weights."""
        from snn5bench.neurons.forward_forward import ForwardForwardNet
        from snn5bench.neurons.lif import LIF
        from snn5bench.neurons.surrogate import Surrogate

        p = self.params
        return ForwardForwardNet(
            data.channels,
            p.hidden,
            data.n_classes,
            lambda: LIF(p.decay, p.threshold, p.reset, Surrogate(p.surrogate, p.width)),
            embedding=p.embedding,
            gain=p.gain if p.gain is not None else 0.3,
            normalise=p.normalise,
            readout=data.readout,
        )

    def fit(self, task: Task) -> nn.Module:
        """Train every layer on its own loss, all in one pass over the data; report after each epoch."""
        from snn5bench.methods.adam import Adam
        from snn5bench.neurons.forward_forward import goodness

        p = self.params
        net = cast("ForwardForwardNet", task.prepare(self.build(task.spec)))
        x, y = next(iter(task.train.epoch()))
        if p.gain is None:
            net.calibrate(x, y, p.rate)
        refuse_silence(net.rates(x, y), task.spec.T)
        optimisers = [Adam(members, p, task) for members in net.members()]
        for epoch in range(task.budget.epochs):
            total, seen = 0.0, 0
            for x, y in task.train.epoch():
                net.train()
                pair = [net.one_hot(y), net.one_hot(false_labels(y, net.classes, p.negatives))]
                for (true, false), optimiser in zip(net.layers(net.drive(x), pair), optimisers, strict=True):
                    loss = contrast(goodness(true), goodness(false), p.loss, p.alpha, p.theta)
                    optimiser.step(loss)
                    total += loss.item() * len(y) / len(optimisers)
                seen += len(y)
            task.report(net, epoch, total / seen)
        net.notes = [self._rule(), _by_layer(layer_accuracies(net, task))]
        if task.spec.temporal:
            net.notes.append("goodness counts the spikes of all steps: their order reaches it through the leak alone")
        return net

    def _rule(self) -> str:
        p = self.params
        anchor = f", theta {p.theta:g}" if p.loss == "threshold" else ""
        return (
            f"Forward-Forward: goodness is the mean squared spike rate, {p.loss} loss with alpha {p.alpha:g}{anchor}, label "
            f"by {p.embedding}, negatives by {p.negatives}; every label is tried, goodness of all {len(p.hidden)} layers "
            "summed"
        )


def _by_layer(accuracies: list[float]) -> str:
    each = ", ".join(f"{accuracy:.3f}" for accuracy in accuracies)
    return f"validation accuracy of each layer's goodness alone, after the last epoch: {each}"


def contrast(positive: Tensor, negative: Tensor, kind: Loss, alpha: float, theta: float) -> Tensor:
    """The loss of one layer from the goodness `[B]` of positive and negative samples, averaged over the batch."""
    from torch.nn.functional import silu, softplus

    if kind == "threshold":
        return (softplus(alpha * (theta - positive)) + softplus(alpha * (negative - theta))).mean()
    gap = alpha * (negative - positive)
    return (softplus(gap) if kind == "symba" else silu(gap)).mean()


def false_labels(labels: Tensor, classes: int, negatives: Negatives) -> Tensor:
    """A label `[B]` for each negative sample, from torch's global stream on the CPU."""
    import torch

    if negatives == "permute":
        return labels[torch.randperm(len(labels)).to(labels.device)]
    return (labels + torch.randint(1, classes, labels.shape).to(labels.device)) % classes


def refuse_silence(rates: list[float], T: int) -> None:
    """Raise where a layer never spikes: the gradient of a squared rate is zero there, whatever the surrogate."""
    for layer, rate in enumerate(rates, start=1):
        if rate == 0:
            raise BenchError(
                f"layer {layer} of the Forward-Forward network never spikes on the first batch, so it cannot learn",
                where=f"ff: gain, rate, threshold (T = {T})",
                do="raise `gain` (or leave it out, so that it is found on the first batch), or lower `threshold`",
            )


def layer_accuracies(net: ForwardForwardNet, task: Task) -> list[float]:
    """Validation accuracy of each layer's goodness alone."""
    import torch

    right, seen = torch.zeros(len(net.stack)), 0
    net.eval()
    with torch.no_grad():
        for x, y in task.val.epoch():
            scores = net.scores(x)
            answer = (scores[:, -1] if task.spec.readout == "last" else scores.sum(1)).argmax(-1)
            right += (answer == y).sum(1).cpu()
            seen += len(y)
    return (right / seen).tolist()
