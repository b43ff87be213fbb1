"""What spiking Transformers share: the product of spikes without a softmax, and the mean over tokens."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class SpikeProduct(nn.Module):
    """Spiking self-attention (Zhou et al., ICLR 2023): spikes Q, K, V `[..., D, N]` (channels, tokens) to whole numbers
    `[..., D, N]`

        Y = V (K^T Q) = (V K^T) Q

    each token's Q against all keys, summed over the values. Both orders give the same to the bit below 2^24; the cheaper one
    runs: the first where there are fewer tokens than channels of a head. No causal mask: tokens see each other, steps do
    not.
    """

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Y."""
        if by_tokens(q):
            return v @ (k.transpose(-2, -1) @ q)
        return (v @ k.transpose(-2, -1)) @ q

    def operations(self, inputs: tuple[Any, ...], output: Tensor) -> dict[str, Tensor]:
        """Additions only, since one side of each product holds spikes: one for each pair of spikes that meet in the first
        product, one for each spike and non-zero number that meet in the second."""
        q, k, v = inputs
        if by_tokens(q):
            first = k.sum(-1) * q.sum(-1)
            between = (k.transpose(-2, -1) @ q != 0).sum(-1)
            second = between * v.sum(-2)
        else:
            first = v.sum(-2) * k.sum(-2)
            between = (v @ k.transpose(-2, -1) != 0).sum(-2)
            second = between * q.sum(-1)
        return {"matmul_acs": (first.flatten(2).sum(-1) + second.flatten(2).sum(-1)).long()}


def by_tokens(q: Tensor) -> bool:
    """Whether K^T Q `[N, N]` is smaller than V K^T `[D, D]`."""
    return q.shape[-1] < q.shape[-2]


class TokenMean(nn.Module):
    """`[T, B, D, ...]` to its mean over all but the first three dimensions, `[T, B, D]`."""

    def forward(self, x: Tensor) -> Tensor:
        """The mean."""
        return x.flatten(3).mean(-1)

    def operations(self, inputs: tuple[Any, ...], output: Tensor) -> dict[str, Tensor]:
        """One addition for each value but the first of each mean; the division goes into the next weights."""
        adds = inputs[0][0, 0].numel() - output[0, 0].numel()
        return {"pool_adds": torch.full(output.shape[:2], adds)}


@torch.no_grad()
def scale_to_unit(readout: nn.Linear, logits: Tensor, reads: str) -> None:
    """Rescale a read-out so that its `logits` `[T, B, classes]`, as the harness reads them, have a deviation of 1."""
    deviation = (logits[-1] if reads == "last" else logits.sum(0)).std().item()
    if deviation > 0:
        readout.weight.div_(deviation)
        readout.bias.div_(deviation)
