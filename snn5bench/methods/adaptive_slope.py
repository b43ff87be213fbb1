"""LIF trained with a surrogate gradient whose slope changes during training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal, cast

from pydantic import Field

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.method import Method
from snn5bench.contracts.params import MethodParams
from snn5bench.methods.epochs import after_each_epoch
from snn5bench.record import Fidelity

if TYPE_CHECKING:
    from torch import nn

    from snn5bench.contracts.method import Task
    from snn5bench.neurons.adaptive_slope import SlopedNet


class AdaptiveSlope(Method):
    """LIF network with an adaptive surrogate slope (after Van den Berghe et al., NeurIPS 2025, arXiv 2510.24461),
    `[T, B, C] -> [T, B, classes]`.

        ds/dv = 1 / (1 + k |v - theta|)^2                                           `fast_sigmoid`, any other of width 1/k
        k_t = (1/10) sum_{i=0..9} (r_{t-i} + r'_{t-i}) / 2,  kept in 1..100         adaptive (eq. 7)
        k = k_first (k_last / k_first)^share of the training done                   interval

    The rule is made for reinforcement learning: r is a reward, r' a series derived from it. Ours, for supervised learning:
    r = 100 exp(-training loss) of each epoch (the geometric mean of the probability of the right class, in percent), r' its
    change, rewards before the first epoch 0. Larger reward, steeper surrogate; k starts at 1. The paper finds no clear
    preference of a slope in supervised learning. k stands in a tensor buffer, so that `state_dict`, moves to a device,
    compiled kernels and `torch.compile` follow it; the record's notes say where it ended.
    """

    name = "adaptive-slope"
    summary = "LIF whose surrogate gradient steepens during training, by schedule or by success"
    fidelity = Fidelity.inspired(
        "surrogate, range and moving average of the paper, which adapts to a reward; here the reward is made of the "
        "training loss"
    )

    class Params(MethodParams):
        """Parameters of the adaptive slope."""

        lr: float = Field(0.01, gt=0, le=10)
        """Learning rate of Adam; the best of 0.005 and 0.01 on validation splits of pulse-order and delayed-cue."""
        hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field((128, 128), min_length=1)
        """Neurons of each hidden layer."""
        rate: float = Field(0.08, gt=0, lt=1)
        """Mean spike rate of each hidden layer before training, in spikes per neuron and step."""
        surrogate: Literal["rectangle", "triangle", "atan", "sigmoid", "exponential", "fast_sigmoid"] = "fast_sigmoid"
        """Shape of the surrogate gradient; theirs is the fast sigmoid."""
        rule: Literal["fixed", "interval", "adaptive"] = "adaptive"
        """What the slope follows: nothing, the share of the training done, or success."""
        slope: float = Field(10.0, ge=1, le=100)
        """Slope k where it is fixed; its start for an interval."""
        last_slope: float = Field(100.0, ge=1, le=100)
        """Slope at the end of an interval."""
        decay: float = Field(0.95, ge=0, le=1)
        """Factor of the membrane potential per step."""
        threshold: float = Field(1.0, gt=0)
        """Firing threshold."""
        reset: Literal["hard", "soft"] = "soft"
        """Hard: to zero. Soft: by subtracting the threshold."""

    params: Params

    def build(self, data: DatasetSpec) -> nn.Module:
        """The network with freshly drawn weights."""
        from snn5bench.neurons.adaptive_slope import Slope, SlopedNet
        from snn5bench.neurons.lif import LIF
        from snn5bench.neurons.surrogate import Surrogate

        p = self.params
        return SlopedNet(
            data.channels,
            p.hidden,
            data.n_classes,
            lambda n: LIF(p.decay, p.threshold, p.reset, Surrogate(p.surrogate)),
            Slope(p.rule, p.slope, p.last_slope),
            data.readout,
        )

    def fit(self, task: Task) -> nn.Module:
        """Scale the weights on the first training batch, then backpropagation through time, with a new slope by epoch."""
        net = cast("SlopedNet", task.prepare(self.build(task.spec)))
        inputs, _ = next(iter(task.train.epoch()))
        net.calibrate(inputs, self.params.rate)
        slopes = [net.slope.value.item()]

        def follow(share: float, loss: float | None) -> None:
            slopes.append(net.learned(share, 0.0 if loss is None else 100 * math.exp(-loss)))

        with after_each_epoch(task, follow):
            task.bptt(net, self.params)
        used = slopes[:-1]
        net.notes.append(f"surrogate slope k from {used[0]:.3g} in the first epoch to {used[-1]:.3g} in the last")
        return net
