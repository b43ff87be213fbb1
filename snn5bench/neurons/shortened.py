"""A network that stops early: how many steps its answer needs, and the network run on these steps alone.

    out_t = mean of the logits of steps 1..t
    k_t   = 1e4 KL( softmax(one-hot label) || softmax(out_t) ),  averaged over samples, scaled to 0..1 over t
    T'    = the first t with k_t < threshold

after the official code of dynamic spatio-temporal pruning (Gou et al., Frontiers in Neuroscience 2025).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snn5bench.contracts.inputs import BatchInput, Events, Repeated


def divergence_by_step(logits: Tensor, labels: Tensor) -> Tensor:
    """k_t before scaling, `[T]`, of logits `[T, B, classes]` and labels `[B]`: an average over the batch."""
    target = F.softmax(F.one_hot(labels, logits.shape[2]).to(logits.dtype), -1)
    steps = torch.arange(1, len(logits) + 1, dtype=logits.dtype, device=logits.device)
    running = F.log_softmax(logits.cumsum(0) / steps[:, None, None], -1)
    return 1e4 * (target * (target.log() - running)).sum(-1).mean(-1)


def scaled(divergence: Tensor) -> Tensor:
    """Scaled to 0..1 over the steps; zeros where all are equal."""
    low, high = divergence.min(), divergence.max()
    return (divergence - low) / torch.where(high > low, high - low, torch.ones_like(high))


def fewest_steps(divergence: Tensor, threshold: float = 0.01) -> int:
    """T': the first step, counted from 1, at which the scaled divergence is below the threshold."""
    return int((scaled(divergence) < threshold).nonzero()[0]) + 1


def first_steps(x: BatchInput, steps: int) -> BatchInput:
    """The first `steps` steps of a batch, in the form in which it came."""
    if isinstance(x, Repeated):
        return Repeated(x.frame, steps)
    if isinstance(x, Events):
        keep = x.step < steps
        sample = np.repeat(np.arange(x.batch), np.diff(x.indptr))[keep]
        indptr = np.concatenate([[0], np.cumsum(np.bincount(sample, minlength=x.batch))]).astype(np.int64)
        return replace(x, indptr=indptr, step=x.step[keep], channel=x.channel[keep], T=steps)
    return x[:steps]


class Shortened(nn.Module):
    """A network run on the first `steps` steps. Later logits are zeros, or the last one where the last step is read."""

    def __init__(self, net: nn.Module, steps: int, readout: str) -> None:
        super().__init__()
        self.net, self.steps, self.reads = net, steps, readout
        self.takes_events = bool(getattr(net, "takes_events", False))
        self.notes: list[str] = []

    def get_extra_state(self) -> Tensor:
        """The number of steps: found in training, it is part of what was learned."""
        return torch.tensor(self.steps)

    def set_extra_state(self, state: Tensor) -> None:
        """The number of steps of the network that `state` comes from."""
        self.steps = int(state)

    def forward(self, x: BatchInput) -> Tensor:
        """Logits per step `[T, B, classes]`."""
        total = x.shape[0] if isinstance(x, Tensor) else x.T
        logits = self.net(first_steps(x, min(self.steps, total)))
        missing = total - len(logits)
        if missing == 0:
            return logits
        rest = logits[-1:].expand(missing, -1, -1)
        return torch.cat([logits, rest if self.reads == "last" else torch.zeros_like(rest)])
