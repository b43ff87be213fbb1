"""A training-free score of a spiking network: NASWOT with the sparsity-aware Hamming distance (SNASNet).

For a batch of S samples and the binary output c_i of a layer of N neurons at one step, with r_i the share of ones:

    d_H(i, j)   = sum |c_i - c_j|
    d_SAH(i, j) = a d_H / (N (r_i (1 - r_j) + (1 - r_i) r_j) + 1e-3),   a = 0.5
    K(i, j)     = mean over layers and steps of (N - d_SAH(i, j))
    score       = log |det K|        the larger, the better the untrained network tells the samples apart

Kim et al., ECCV 2022, arXiv 2201.10355; constants and the mean over every call of a layer as in their code. K is nearly
constant, so that the score lives in small deviations: float64 throughout.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from snn5bench.contracts.inputs import BatchInput
from snn5bench.neurons.network import SpikingNet

_SCALE, _GUARD = 0.5, 1e-3


def sparsity_aware_hamming(codes: Tensor) -> Tensor:
    """d_SAH `[S, S]` between the binary codes `[S, N]` of S samples."""
    codes = codes.to(torch.float64)
    zeros = 1 - codes
    hamming = codes @ zeros.t() + zeros @ codes.t()
    rate = codes.mean(1)
    expected = codes.shape[1] * (rate[:, None] * (1 - rate)[None, :] + (1 - rate)[:, None] * rate[None, :])
    return _SCALE * hamming / (expected + _GUARD)


def separation_score(layers: Iterable[Tensor]) -> float:
    """log |det K| for the spikes `[T, S, N]` of each layer; minus infinity where two samples are never told apart."""
    total, calls = torch.zeros((), dtype=torch.float64), 0
    for spikes in layers:
        for codes in spikes:
            total = total.to(codes.device) + codes.shape[1] - sparsity_aware_hamming(codes)
            calls += 1
    if not calls:
        raise ValueError("the score needs at least one layer of spikes")
    return torch.linalg.slogdet(total / calls).logabsdet.item()


@torch.no_grad()
def score(net: SpikingNet, x: BatchInput) -> float:
    """The score of `net` on the batch `x`."""
    return separation_score(net.activity(x, net.depth))
