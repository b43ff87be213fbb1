"""The surrogate gradients as a Triton function; formulas in `surrogate`. Imported only where tensors are on a GPU."""

# mypy: disallow-incomplete-defs=False

from __future__ import annotations

from functools import cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from snn5bench.neurons.surrogate import Surrogate

BLOCK = 64
"""Columns of one program: few, so that many programs share a small layer."""


@triton.jit
def slope_at(u, width, scale, SHAPE: tl.constexpr):
    """The stand-in for the derivative of the step at `u`, the distance from the threshold; shapes are numbered as in
    `surrogate.SHAPES`."""
    inv = 1.0 / width
    peak = scale * inv
    if SHAPE == 0:
        d = tl.where(tl.abs(u) < 0.5 * width, peak, peak * 0.0)
    elif SHAPE == 1:
        d = peak * tl.maximum(1.0 - tl.abs(u) * inv, 0.0)
    elif SHAPE == 2:
        z = 1.5707963267948966 * u * inv
        d = 0.5 * peak / (1.0 + z * z)
    elif SHAPE == 3:
        s = 1.0 / (1.0 + tl.exp(-u * inv))
        d = peak * s * (1.0 - s)
    elif SHAPE == 4:
        d = 0.5 * peak * tl.exp(-tl.abs(u) * inv)
    else:
        z = 1.0 + tl.abs(u) * inv
        d = scale / (z * z)
    return d


@cache
def on_device(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Constants of a layer as a small tensor, sent over once: a Python float would reach a kernel as float32."""
    return torch.tensor(values, dtype=dtype, device=device)


def shape_of(surrogate: Surrogate, like: Tensor) -> tuple[Tensor, Tensor, int]:
    """Width and scale where `like` is and of its type, read by the kernel itself, and the number of the shape."""
    return surrogate.width.to(like), surrogate.scale.to(like), surrogate.id


def grid(cells: int) -> tuple[int]:
    """Programs for so many columns."""
    return (triton.cdiv(cells, BLOCK),)


def each_step(g: Tensor) -> tuple[Tensor, bool]:
    """The gradient of the spikes `[T, B, N]` contiguous, and whether it differs from step to step: one frame expanded over
    time (a summed read-out's gradient) is read as the one frame."""
    if g.stride(0) == 0:
        return g[:1].contiguous(), False
    return g.contiguous(), True
