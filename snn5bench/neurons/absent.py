"""Gradients that autograd leaves out: what a whole-sequence function's backward gives its kernel in their place."""

from __future__ import annotations

import torch
from torch import Tensor


def spikes_or_zero(g: Tensor | None, like: Tensor) -> Tensor:
    """The gradient of the spikes `[T, B, N]`; absent, one zero expanded to the shape of `like`."""
    return like.new_zeros(()).expand(like.shape) if g is None else g


def state_or_zero(g: Tensor | None, like: Tensor) -> Tensor:
    """The gradient of a last state `[B, N]` as a tensor that the kernel may write to; absent, zeros like `like`."""
    if g is None:
        return torch.zeros_like(like, memory_format=torch.contiguous_format)
    return g.clone(memory_format=torch.contiguous_format)
