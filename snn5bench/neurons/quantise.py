"""Weight quantisers, with a straight-through gradient inside their range.

    max       gamma round(y L) / L,                 L = 2^(bits-1) - 1,   gamma = max |w|      symmetric, zero on the grid
    rescaw    gamma (2/s round(s/2 (y + 1)) - 1),   s = 2^bits - 1,       gamma = mean |w|     QP-SNN, zero off the grid
    vanilla   the same with gamma = 1

with y = clip(w / gamma, -1, 1), one gamma for a tensor. `rescaw` (Wei et al., ICLR 2025, arXiv 2502.05905) is the
default of its ablation; the mean is over the weights that are not zero, so that pruning does not shrink the range. The
gradient is 1 where |w| <= gamma and 0 beyond; none goes through gamma.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Quantiser = Literal["max", "rescaw", "vanilla"]


def span(w: Tensor, quantiser: Quantiser) -> Tensor:
    """gamma: half the range of the grid; 1 for a tensor of zeros."""
    size = w.detach().abs()
    if quantiser == "vanilla":
        return torch.ones((), dtype=w.dtype, device=w.device)
    gamma = size.max() if quantiser == "max" else size.sum() / (size > 0).sum().clamp(min=1)
    return torch.where(gamma > 0, gamma, torch.ones_like(gamma))


def quantise(w: Tensor, bits: int, quantiser: Quantiser = "max") -> Tensor:
    """`w` on a grid of at most 2^bits levels, any shape; `bits` from 2."""
    if bits < 2:
        raise ValueError(f"a quantiser needs at least 2 bits, got {bits}")
    gamma = span(w, quantiser)
    y = (w / gamma).clamp(-1, 1)
    if quantiser == "max":
        top = 2 ** (bits - 1) - 1
        grid = torch.round(y * top) / top
    else:
        s = 2**bits - 1
        grid = torch.round((y + 1) * s / 2) * 2 / s - 1
    return gamma * (y + (grid - y).detach())
