"""Synapses and batch norm from spikes that are kept as bits, with a backward pass of their own; `spike_blocks` joins them to
layers. What lies between synapses, norm and neurons is written once and read as few times as there are sums to wait for:

    z = W s,   n = a z + b,   a = gamma / sqrt(var + eps),   b = beta - a mean
    dL/dz = a (g - mean(g) - n' mean(g n')),   n' = (z - mean) / sqrt(var + eps),   g = dL/dn
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from snn5bench.neurons.norms import StepBatchNorm
from snn5bench.neurons.spike_kernels import (
    add_normed,
    column_sums,
    current_and_sums,
    current_of_spikes,
    norm_backward,
    scatter_spikes,
)
from snn5bench.neurons.synapses import Synapses

_ROWS = 2048
"""Rows whose gradients go through norm and synapses together: they stay in the second-level cache."""


class Normed:
    """z `[R, N]` of the spikes `bits` `[R, words]` through `synapses`, side by side, and the coefficients of their `norms`.

    In training the statistics are those of all rows, and the norms' running ones are updated; else they are the running
    ones, and z is not computed (`z` is empty).
    """

    def __init__(self, bits: np.ndarray, synapses: Sequence[Synapses], norms: Sequence[StepBatchNorm]) -> None:
        self.bits = bits
        self.weight = torch.cat([part.weight.detach() for part in synapses])
        self.by_channel = np.ascontiguousarray(self.weight.numpy().T)
        self.training = norms[0].training
        width = len(self.weight)
        self.z = self.weight.new_empty(len(bits) if self.training else 0, width)
        if self.training:
            mean, variance = self._statistics(norms)
        else:
            mean, variance = (_joined(norms, name) for name in ("running_mean", "running_var"))
        self.mean = mean
        self.inverse = 1 / np.sqrt(variance + norms[0].eps)
        self.factor = _joined(norms, "weight") * self.inverse
        self.a = self.factor.astype(self.by_channel.dtype)
        self.b = (_joined(norms, "bias") - mean * self.factor).astype(self.by_channel.dtype)

    def _statistics(self, norms: Sequence[StepBatchNorm]) -> tuple[np.ndarray, np.ndarray]:
        rows, width = self.z.shape
        sums = np.zeros((2, width))
        current_and_sums(self.bits, self.by_channel, np.zeros(width, self.by_channel.dtype), self.z.numpy(), sums)
        mean = sums[0] / rows
        variance = np.maximum(sums[1] / rows - mean**2, 0)
        at = 0
        for norm in norms:
            part = slice(at, at + norm.num_features)
            at = part.stop
            assert norm.running_mean is not None and norm.running_var is not None
            assert norm.num_batches_tracked is not None and norm.momentum is not None
            norm.num_batches_tracked.add_(1)
            unbiased = variance[part] * rows / (rows - 1)
            for running, seen in ((norm.running_mean, mean[part]), (norm.running_var, unbiased)):
                running.lerp_(torch.from_numpy(seen).to(running), norm.momentum)
        return mean, variance

    def added(self, x: Tensor) -> Tensor:
        """x + n, all `[R, N]`."""
        z, out = self.z, torch.empty_like(x)
        if not self.training:
            z = torch.empty_like(x)
            none = np.zeros(x.shape[1], self.by_channel.dtype)
            current_of_spikes(self.bits, self.by_channel, none, z.numpy())
        add_normed(z.numpy(), self.a, self.b, x.numpy(), out.numpy())
        return out

    def sums(self, g: Tensor) -> np.ndarray:
        """What `backward` needs of the gradient `g` of n."""
        sums = np.zeros((2, g.shape[1]))
        column_sums(g.numpy(), self.z.numpy(), sums)
        return sums

    def backward(self, g: Tensor, sums: np.ndarray) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Gradients of the spikes `[R, C]`, of the weight `[N, C]`, of gamma and of beta `[N]`, from that of n, `g`
        `[R, N]`, and `sums` `[2, N]`, of each column the sum of g and of g z."""
        rows, width = g.shape
        real = self.by_channel.dtype
        g_gamma = self.inverse * (sums[1] - self.mean * sums[0])
        by_z = -self.factor * self.inverse * g_gamma / rows
        rest = -self.factor * sums[0] / rows - by_z * self.mean
        factors = self.a, by_z.astype(real), rest.astype(real)
        g_spikes, g_weight = g.new_empty(rows, len(self.by_channel)), np.zeros_like(self.by_channel)
        g_z = g.new_empty(min(_ROWS, rows), width)
        for low in range(0, rows, _ROWS):
            part = slice(low, min(rows, low + _ROWS))
            here = g_z[: part.stop - low]
            norm_backward(g[part].numpy(), self.z[part].numpy(), *factors, here.numpy())
            scatter_spikes(self.bits[part], here.numpy(), g_weight)
            torch.mm(here, self.weight, out=g_spikes[part])
        g_gamma, g_beta = g_gamma.astype(real), sums[0].astype(real)
        return g_spikes, torch.from_numpy(g_weight.T), torch.from_numpy(g_gamma), torch.from_numpy(g_beta)


def _joined(norms: Sequence[StepBatchNorm], name: str) -> np.ndarray:
    """One of the norms' vectors side by side, in double precision."""
    return np.concatenate([getattr(norm, name).detach().numpy() for norm in norms]).astype(np.float64)
