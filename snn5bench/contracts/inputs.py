"""What a batch may look like before anything densifies it: sparse events, or one frame repeated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Events:
    """A batch of binary spike trains as index lists.

    Sample b owns the slice `indptr[b]:indptr[b+1]` of `step` and `channel`, sorted by step, then channel, without
    duplicates: an event is a one in the dense `[T, B, C]` tensor.
    """

    indptr: np.ndarray
    """int64 [B + 1]"""
    step: np.ndarray
    """int32 [events], each in 0..T-1"""
    channel: np.ndarray
    """int32 [events], each in 0..C-1"""
    T: int
    channels: int

    @property
    def batch(self) -> int:
        """Number of samples B."""
        return len(self.indptr) - 1

    def dense(self) -> Tensor:
        """The float32 `[T, B, C]` tensor of zeros and ones."""
        sample = np.repeat(np.arange(self.batch, dtype=np.int64), np.diff(self.indptr))
        flat = (self.step.astype(np.int64) * self.batch + sample) * self.channels + self.channel
        out = torch.zeros(self.T * self.batch * self.channels)
        out[torch.from_numpy(flat)] = 1.0
        return out.view(self.T, self.batch, self.channels)


@dataclass(frozen=True)
class Repeated:
    """A batch of static frames, each shown unchanged at all T steps (direct coding)."""

    frame: Tensor
    """float32 [B, C]"""
    T: int

    @property
    def batch(self) -> int:
        """Number of samples B."""
        return int(self.frame.shape[0])

    @property
    def channels(self) -> int:
        """Number of inputs C."""
        return int(self.frame.shape[1])

    def dense(self) -> Tensor:
        """The float32 `[T, B, C]` tensor."""
        return self.frame.unsqueeze(0).expand(self.T, -1, -1)


BatchInput = Tensor | Events | Repeated


def dense(x: BatchInput) -> Tensor:
    """`[T, B, C]` whatever the form."""
    return x if isinstance(x, Tensor) else x.dense()
