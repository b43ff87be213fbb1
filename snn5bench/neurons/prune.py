"""Which weights stay: magnitude in each layer, magnitude over all layers, LAMP.

LAMP (Lee et al., ICLR 2021): with the weights of a layer sorted by magnitude, score(u) = w[u]^2 / sum_{v >= u} w[v]^2.
The largest weight of each layer scores 1, so that no layer vanishes; a layer's scale does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Pruning = Literal["magnitude", "global", "lamp"]


def _ascending(values: Tensor) -> Tensor:
    """Positions that sort flat `values`. Equal values come in a fixed random order: by their place in memory, coarsely
    quantised weights would be pruned neuron by neuron."""
    order = torch.randperm(len(values), generator=torch.Generator().manual_seed(len(values))).to(values.device)
    return order[values[order].argsort(stable=True)]


def lamp(w: Tensor) -> Tensor:
    """LAMP scores of one layer's weights, float64, of its shape; zero for weights that are zero."""
    square = w.detach().double().flatten().square()
    order = _ascending(square)
    ascending = square[order]
    rest = ascending.flip(0).cumsum(0).flip(0)
    scores = torch.empty_like(square)
    scores[order] = torch.where(ascending > 0, ascending / rest.clamp(min=torch.finfo(torch.float64).tiny), 0.0)
    return scores.view(w.shape)


def keep_largest(scores: Tensor, count: int) -> Tensor:
    """Boolean mask of the `count` highest scores; of equal ones, a fixed random choice stays."""
    mask = torch.zeros(scores.numel(), dtype=torch.bool, device=scores.device)
    mask[_ascending(scores.flatten())[len(mask) - count :]] = True
    return mask.view(scores.shape)


def masks(weights: Sequence[Tensor], sparsity: float, pruning: Pruning) -> list[Tensor]:
    """A boolean mask for each tensor, so that the share `sparsity` of all weights goes. `magnitude` takes this share of
    every tensor, `global` the smallest of all, `lamp` the lowest LAMP scores of all."""
    if pruning == "magnitude":
        return [keep_largest(w.detach().abs(), round((1 - sparsity) * w.numel())) for w in weights]
    scores = [lamp(w) if pruning == "lamp" else w.detach().abs().double() for w in weights]
    flat = torch.cat([s.flatten() for s in scores])
    kept = keep_largest(flat, round((1 - sparsity) * len(flat)))
    parts = kept.split([w.numel() for w in weights])
    return [part.view(w.shape) for part, w in zip(parts, weights, strict=True)]


def ties(w: Tensor, mask: Tensor) -> int:
    """How many weights share the magnitude at the cut while some of them stay and some go: the choice was arbitrary."""
    size, kept = w.detach().abs(), mask.bool()
    if not kept.any() or kept.all():
        return 0
    at_cut = size == size[kept].min()
    return int(at_cut.sum()) if (at_cut & ~kept).any() else 0
