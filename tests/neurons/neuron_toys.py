"""Toy tasks with known answers, and a short training loop without validation or selection."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from snn5bench.contracts.inputs import BatchInput, Repeated
from snn5bench.neurons.network import SpikingNet


def pulses(samples: int, T: int, seed: int, order: bool, noise: float = 0.02, group: int = 10) -> tuple[Tensor, Tensor]:
    """`[T, B, 2 group + 1]` and labels. `order`: two groups of channels pulse once each, the class is which came first.
    Else the class is which of the two groups pulses more often (2 against 4 times). The last channel is always on."""
    rng = np.random.default_rng(seed)
    x = rng.random((samples, T, 2 * group + 1)) < noise
    y = rng.integers(0, 2, samples)
    for sample, label in enumerate(y):
        if order:
            events = list(zip(sorted(rng.choice(T, 2, replace=False)), (label, 1 - label), strict=True))
        else:
            events = [(t, label) for t in rng.choice(T, 4, replace=False)]
            events += [(t, 1 - label) for t in rng.choice(T, 2, replace=False)]
        for t, which in events:
            x[sample, t, which * group : (which + 1) * group] |= rng.random(group) < 0.8
    x[:, :, -1] = True
    return torch.from_numpy(x.transpose(1, 0, 2).astype(np.float32)).contiguous(), torch.from_numpy(y)


def first_pulse(samples: int, T: int, seed: int, noise: float = 0.05) -> tuple[Tensor, Tensor]:
    """Four classes: one pulse on channel y (of 4) at step 0, noise on four distractor channels at every later step."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, samples)
    x = np.zeros((T, samples, 8), np.float32)
    x[0, np.arange(samples), y] = 1
    x[1:, :, 4:] = rng.random((T - 1, samples, 4)) < noise
    return torch.from_numpy(x), torch.from_numpy(y)


def gaps(samples: int, T: int, seed: int, width: int) -> tuple[Tensor, Tensor]:
    """Channel 0 pulses, channel 1 pulses 2 (class 0) or 6 steps (class 1) later, channel 2 is always on; in bins of `width`
    steps. As many samples of each class."""
    rng = np.random.default_rng(seed)
    y = np.arange(samples) % 2
    x = np.zeros((T, samples, 3), np.float32)
    start = rng.integers(0, T - 8, samples)
    x[start, np.arange(samples), 0] = 1
    x[start + np.where(y == 0, 2, 6), np.arange(samples), 1] = 1
    binned = x.reshape(T // width, width, samples, 3).max(1)
    binned[..., 2] = 1
    return torch.from_numpy(binned), torch.from_numpy(y)


ASKED = (12, 16, 20, 24)
"""Steps at which `delayed_xor` shows a second bit."""


def delayed_xor(samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """One bit in the first three steps of 28, and four later ones; the labels `[4, B]` are the exclusive or of the first
    with each. Eight channels a bit, four that mark a question, four always on."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.randint(0, 2, (samples,), generator=generator)
    later = torch.randint(0, 2, (len(ASKED), samples), generator=generator)
    x = torch.zeros(28, samples, 24)
    x[:3, :, :8] = first[:, None].float()
    for bit, t in zip(later, ASKED, strict=True):
        x[t : t + 2, :, 8:16] = bit[:, None].float()
        x[t : t + 2, :, 16:20] = 1
    x[..., 20:] = 1
    return x, first ^ later


def train(
    net: SpikingNet, x: Tensor, y: Tensor, epochs: int, seed: int = 0, T: int | None = None, lr: float = 5e-3
) -> None:
    """Calibrate on the first 64 samples, then Adam with a cosine schedule, batch 64, for exactly `epochs` epochs. With
    `T`, `x` is `[B, C]` and shown at T steps."""
    order = torch.Generator().manual_seed(seed)
    net.calibrate(batch(x, slice(64), T))
    optimiser = torch.optim.Adam(net.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * math.ceil(len(y) / 64))
    for _ in range(epochs):
        for index in torch.randperm(len(y), generator=order).split(64):
            loss = F.cross_entropy(read(net, batch(x, index, T)), y[index])
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            schedule.step()


def batch(x: Tensor, index: Tensor | slice, T: int | None) -> BatchInput:
    """Some samples."""
    return x[:, index] if T is None else Repeated(x[index], T)


def read(net: SpikingNet, x: BatchInput) -> Tensor:
    """Logits as the harness reads them."""
    out = net(x)
    return out[-1] if net.reads == "last" else out.sum(0)


@torch.no_grad()
def accuracy(net: SpikingNet, x: Tensor, y: Tensor, T: int | None = None) -> float:
    """Share of right answers."""
    return (read(net, batch(x, slice(None), T)).argmax(1) == y).float().mean().item()
