"""Neurons that are an activation of an artificial network while it trains, and spike afterwards.

    qcfs(x)            = lambda / L * clip(floor(x L / lambda + 1/2), 0, L)      Bu et al., ICLR 2022 (arXiv 2303.04347)
    integrate-and-fire   m = v + x[t];  y = H(m - theta);  v = m - theta y;  v(0) = start * theta
    signed               also y = -1 where m < -negative * theta and the neuron has spikes left to take back
    multi-threshold      k = clip(floor((x + start * step) / step), 0, N), one step      Scale-and-Fire (arXiv 2510.23383)

For a constant x and v(0) = theta/2 the spike count of T steps is clip(floor(T x / theta + 1/2), 0, T): with T = L and
theta = lambda, the mean of theta y is qcfs(x) exactly. The signed neuron is that of SNM (IJCAI 2022). Neurons send unit
spikes (or whole numbers); what one stands for, `scale`, is folded into the weights that read them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snn5bench.neurons.neuron import Memory, Neuron


def qcfs(x: Tensor, threshold: Tensor, levels: int) -> Tensor:
    """Quantised clip-floor-shift of `x`, any shape; the floor passes gradients straight through, to x and threshold."""
    y = (x / threshold).clamp(0, 1)
    return threshold * (y + (torch.floor(y * levels + 0.5) / levels - y).detach())


def integrate_fire(
    x: Tensor, threshold: Tensor, start: float = 0.5, negative: float | None = None, memory: Memory | None = None
) -> Tensor:
    """Unit spikes `[T, B, N]` of integrate-and-fire neurons with soft reset for the current `x` `[T, B, N]`.

    `start` is v(0) in thresholds. With `negative` the neuron may send -1: where its potential falls below `negative`
    thresholds under zero and it has sent more spikes than it took back. A potential equal to the threshold fires.
    """
    if memory is not None and memory.state:
        v, sent = memory.state
    else:
        v, sent = start * threshold * torch.ones_like(x[0]), torch.zeros_like(x[0])
    out = []
    for x_t in x:
        m = v + x_t
        y = (m >= threshold).to(x.dtype)
        if negative is not None:
            y = y - ((m < -negative * threshold) & (sent > 0)).to(x.dtype)
            sent = sent + y
        v = m - threshold * y
        out.append(y)
    if memory is not None:
        memory.state = (v, sent)
        memory.step += len(x)
    return torch.stack(out)


def multi_threshold(x: Tensor, step: Tensor, levels: int, start: float = 0.5) -> Tensor:
    """How many of `levels` thresholds, `step` apart, the potential `x + start * step` passes: whole numbers 0..levels."""
    return torch.floor((x + start * step) / step).clamp(0, levels)


class Convertible(Neuron):
    """Base: an activation for training (`activate`), spikes for inference (`forward`), one threshold for the layer."""

    threshold: nn.Parameter

    def __init__(self, threshold: float, learned: bool) -> None:
        super().__init__()
        self.threshold = nn.Parameter(torch.tensor(float(threshold)), requires_grad=learned)

    @property
    def scale(self) -> Tensor:
        """What a spike of size one stands for."""
        return self.threshold

    def activate(self, x: Tensor) -> Tensor:
        """The artificial network's activation, any shape."""
        return F.relu(x)


class IntegrateFire(Convertible):
    """Integrate-and-fire, plain or signed. The activation is QCFS with a learned threshold, or ReLU without `levels`."""

    def __init__(
        self, levels: int | None = None, start: float = 0.5, negative: float | None = None, threshold: float = 1.0
    ) -> None:
        super().__init__(threshold, learned=levels is not None)
        self.levels, self.start, self.negative = levels, start, negative
        self.states = 1 if negative is None else 2

    def activate(self, x: Tensor) -> Tensor:
        """QCFS, or ReLU."""
        return super().activate(x) if self.levels is None else qcfs(x, self.threshold, self.levels)

    def forward(self, x: Tensor, memory: Memory | None = None) -> Tensor:
        """Spikes `[T, B, N]`; with time cut, every step begins at the start potential."""
        if self.time == "notd":
            return integrate_fire(x[None], self.threshold, self.start, self.negative)[0]
        return integrate_fire(x, self.threshold, self.start, self.negative, memory)


class ScaleAndFire(Convertible):
    """The multi-threshold neuron: a whole number 0..levels in one step, thresholds evenly spaced up to the layer's own."""

    def __init__(self, levels: int, threshold: float = 1.0) -> None:
        super().__init__(threshold, learned=False)
        self.levels = levels

    @property
    def scale(self) -> Tensor:
        """Distance of two thresholds."""
        return self.threshold / self.levels

    def forward(self, x: Tensor, memory: Memory | None = None) -> Tensor:
        """Levels for the potential `x`, any shape; nothing is carried from step to step."""
        return multi_threshold(x, self.scale, self.levels)
