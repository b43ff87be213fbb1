"""Small networks and a loop over spikes that the tests of this folder share."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn


class Lif(nn.Module):
    """A plain multi-step LIF: v += (x - v) / 2, spike at 0.3, soft reset."""

    spiking = True

    def forward(self, x: Tensor) -> Tensor:
        """`[T, B, ...]` currents to `[T, B, ...]` spikes."""
        v = torch.zeros_like(x[0])
        out = torch.empty_like(x)
        for t in range(x.shape[0]):
            v = v + (x[t] - v) / 2
            out[t] = (v >= 0.3).to(x.dtype)
            v = v - 0.3 * out[t]
        return out


class Frames(nn.Module):
    """Runs a picture layer on `[T, B, C, H, W]`."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """Folds time into the batch, and back."""
        return self.layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def mlp(hidden: int = 16, n_in: int = 20, n_out: int = 5, bias: bool = True) -> nn.Sequential:
    """Linear, LIF, Linear, LIF."""
    return nn.Sequential(nn.Linear(n_in, hidden, bias=bias), Lif(), nn.Linear(hidden, n_out, bias=bias), Lif())


def events(T: int, B: int, C: int, rate: float, seed: int) -> Tensor:
    """A binary `[T, B, C]` tensor."""
    return (torch.rand(T, B, C, generator=torch.Generator().manual_seed(seed)) < rate).float()


def loop_linear(x: np.ndarray, w: np.ndarray) -> int:
    """Operations of a linear layer on one frame: a loop over its spikes and their synapses."""
    count = 0
    for i in range(len(x)):
        if x[i] == 0:
            continue
        for j in range(w.shape[0]):
            if w[j, i] != 0:
                count += 1
    return count


def loop_conv(x: np.ndarray, w: np.ndarray, stride: int, padding: int, groups: int, dilation: int) -> int:
    """Operations of a 2-D convolution on one `[C, H, W]` frame: a loop over outputs and taps, no matrix product."""
    c_out, c_group, k, _ = w.shape
    _, height, width = x.shape
    span = dilation * (k - 1) + 1
    count = 0
    for o in range(c_out):
        first = (o // (c_out // groups)) * c_group
        for top in range(-padding, height + padding - span + 1, stride):
            for left in range(-padding, width + padding - span + 1, stride):
                for c in range(c_group):
                    for a in range(k):
                        for b in range(k):
                            i, j = top + a * dilation, left + b * dilation
                            inside = 0 <= i < height and 0 <= j < width
                            count += inside and x[first + c, i, j] != 0 and w[o, c, a, b] != 0
    return int(count)
