"""Fan-out: how many non-zero weights a value at each input position meets. Exact at borders, strides, groups, zeros."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

SYNAPTIC = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class FanOut(NamedTuple):
    """The reach of one item (a row for `Linear`, a picture for a convolution) through the weights."""

    sparse: np.ndarray
    """int64 [n]: non-zero weights that each of the n input values meets."""
    even: int | None
    """The same number, where it is one for all values."""
    dense: int
    """Multiplications of a dense pass over one item; products with the zeros of the padding are left out."""
    padded: int
    """The same with the padding multiplied too, as a dense kernel does."""
    outputs: int
    """Output values of one item."""


def trailing(module: nn.Module) -> int:
    """Dimensions of one item: 1 for `Linear`, 2 to 4 for `Conv1d` to `Conv3d` (channels first)."""
    return 1 if isinstance(module, nn.Linear) else 1 + len(module.kernel_size)  # type: ignore[arg-type]


def weight_of(module: nn.Module) -> Tensor:
    """The matrix that the forward pass uses: `effective_weight` (a tensor or a method) where a module masks or
    quantises its weights on the way, else `weight`."""
    effective = getattr(module, "effective_weight", None)
    if effective is None:
        return module.weight.detach()  # type: ignore[operator]
    return (effective() if callable(effective) else effective).detach()


def fan_out(module: nn.Module, item: tuple[int, ...]) -> FanOut:
    """The fan-out of a `Linear` or convolution for items of the given shape."""
    weight = weight_of(module)
    if isinstance(module, nn.Linear):
        n_out, n_in = weight.shape
        sparse = row_fan_out(weight)
        return FanOut(sparse, even(sparse), n_in * n_out, n_in * n_out, n_out)
    ones = torch.ones_like(weight)
    sparse, outputs = _reach(module, (weight != 0).to(weight.dtype), item)
    dense, _ = _reach(module, ones, item)
    return FanOut(sparse, even(sparse), int(dense.sum()), outputs * math.prod(weight.shape[1:]), outputs)


def even(fan_out: np.ndarray) -> int | None:
    """The one number that an array consists of; None where it holds several."""
    return int(fan_out[0]) if (fan_out == fan_out[0]).all() else None


def row_fan_out(weight: Tensor) -> np.ndarray:
    """int64 `[in]`: non-zero entries in each column of an `[out, in]` matrix."""
    return (weight != 0).sum(0, dtype=torch.int64).cpu().numpy()


def _reach(module: nn.Module, weight: Tensor, item: tuple[int, ...]) -> tuple[np.ndarray, int]:
    """The gradient of the summed output of a convolution with 0/1 weights is, at each input, its fan-out."""
    with torch.inference_mode(False), torch.enable_grad():
        x = torch.zeros(1, *item, dtype=torch.float64, device=weight.device, requires_grad=True)
        kind: Any = next(kind for kind in SYNAPTIC[1:] if isinstance(module, kind))
        out = kind._conv_forward(module, x, weight.clone().double(), None)
        (reach,) = torch.autograd.grad(out.sum(), x)
    return reach.reshape(-1).round().long().cpu().numpy(), out.numel()
