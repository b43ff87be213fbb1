"""What a batch may look like before anything densifies it: sparse events, one frame repeated, or spikes as bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


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
    device: str = "cpu"
    """Where the dense tensor is made. The indices stay numpy arrays: they are what goes over to a GPU."""

    @property
    def batch(self) -> int:
        """Number of samples B."""
        return len(self.indptr) - 1

    def dense(self) -> Tensor:
        """The float32 `[T, B, C]` tensor of zeros and ones, on `device`."""
        if self.device != "cpu":
            return self._dense_there()
        sample = np.repeat(np.arange(self.batch, dtype=np.int64), np.diff(self.indptr))
        flat = (self.step.astype(np.int64) * self.batch + sample) * self.channels + self.channel
        out = torch.zeros(self.T * self.batch * self.channels)
        out[torch.from_numpy(flat)] = 1.0
        return out.view(self.T, self.batch, self.channels)

    def _dense_there(self) -> Tensor:
        """The same, with the places of the ones computed on the device, for which nothing waits: the indices go over as they
        are, from pinned memory."""
        step, channel, indptr = (
            self._pinned(part).to(self.device, non_blocking=True) for part in (self.step, self.channel, self.indptr)
        )
        sample = torch.repeat_interleave(indptr.diff(), output_size=len(step))
        out = torch.zeros(self.T * self.batch * self.channels, device=self.device)
        out.index_fill_(0, (step * self.batch + sample) * self.channels + channel, 1.0)
        return out.view(self.T, self.batch, self.channels)

    def _pinned(self, part: np.ndarray) -> Tensor:
        found = torch.from_numpy(part)
        return found.pin_memory() if torch.cuda.is_available() else found


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


@dataclass(frozen=True, eq=False)
class SpikeBits:
    """The spikes of a layer that ran inside a fused stack, where they are never written as numbers."""

    words: np.ndarray
    """uint64 [B, T, ceil(C / 64)]: word w of a row holds neurons 64 w to 64 w + 63, the lowest bit first; the rest is 0"""
    channels: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """That of the dense tensor, (T, B, C)."""
        batch, steps, _ = self.words.shape
        return steps, batch, self.channels

    def dense(self) -> Tensor:
        """The float32 `[T, B, C]` tensor of zeros and ones."""
        bits = np.unpackbits(self.words.view(np.uint8), axis=-1, count=self.channels, bitorder="little")
        return torch.from_numpy(np.ascontiguousarray(bits.transpose(1, 0, 2), np.float32))


@dataclass(frozen=True)
class BitsHook:
    """A forward hook that leaves a stack of layers fused: register it without options.

    It must also take `SpikeBits` for the spikes that a layer sends or receives, and None for a current, which a fused
    stack does not write. All other hooks see dense tensors: the stack then runs layer by layer.
    """

    look: Callable[[nn.Module, tuple[Any, ...], Any], None]

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        """What torch or the fused stack calls after the layer."""
        self.look(module, inputs, output)


BatchInput = Tensor | Events | Repeated


def dense(x: BatchInput | SpikeBits) -> Tensor:
    """`[T, B, C]` whatever the form."""
    return x if isinstance(x, Tensor) else x.dense()
