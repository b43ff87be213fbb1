"""Surrogate gradients whose slope changes during training (Van den Berghe et al., NeurIPS 2025, arXiv 2510.24461)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from snn5bench.neurons.network import SpikingNet
from snn5bench.neurons.neuron import Neuron
from snn5bench.neurons.surrogate import Surrogate

Rule = Literal["fixed", "interval", "adaptive"]
LEAST, MOST = 1.0, 100.0
"""Range of the slope k."""
WINDOW = 10


class Slope(nn.Module):
    """The slope k of a network's surrogates, with the rewards that it follows; all of it in tensor buffers.

        fixed       k = `first`
        interval    k = first (last / first)^share, share of the training done
        adaptive    k = (1/10) sum_{i=0..9} (r_{t-i} + r'_{t-i}) / 2,  kept in 1..100                        (their eq. 7)

    r is the reward, r' its change since the time before. Rewards from before the first count as 0 (the paper does not say),
    so that k starts at 1 and rises as the window fills.
    """

    value: Tensor
    window: Tensor

    def __init__(self, rule: Rule = "adaptive", first: float = 10.0, last: float = MOST) -> None:
        super().__init__()
        self.rule, self.first, self.last = rule, first, last
        self.register_buffer("value", torch.tensor(LEAST if rule == "adaptive" else float(first)))
        self.register_buffer("window", torch.zeros(WINDOW + 1))

    def rewarded(self, reward: float) -> None:
        """Take in the reward of one epoch, and follow it where the rule is adaptive."""
        self.window.copy_(torch.cat([self.window[1:], self.window.new_tensor([reward])]))
        if self.rule == "adaptive":
            level, change = self.window[1:], self.window.diff()
            self.value.copy_(((level + change) / 2).mean().clamp(LEAST, MOST))

    def advanced(self, share: float) -> None:
        """Go to where the training is, where the rule is an interval."""
        if self.rule == "interval":
            self.value.fill_(self.first * (self.last / self.first) ** share)


class SlopedNet(SpikingNet):
    """`SpikingNet` whose neurons' surrogates all have the width 1/k of one `Slope`."""

    def __init__(
        self,
        channels: int,
        hidden: Sequence[int],
        classes: int,
        neuron: Callable[[int], Neuron],
        slope: Slope,
        readout: str = "sum",
    ) -> None:
        super().__init__(channels, hidden, classes, neuron, readout=readout)
        self.slope = slope
        self.notes: list[str] = []
        self.follow()

    @torch.no_grad()
    def follow(self) -> None:
        """Give every surrogate the present slope."""
        for module in self.modules():
            if isinstance(module, Surrogate):
                module.width.copy_(1 / self.slope.value)

    def learned(self, share: float, reward: float) -> float:
        """After an epoch that ended at `share` of the training with `reward`: the new slope, in force from now on."""
        self.slope.rewarded(reward)
        self.slope.advanced(share)
        self.follow()
        return cast("float", self.slope.value.item())
