"""Batches of a packed dataset: events stay indices until a model asks for a dense tensor."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from snn5bench.contracts.inputs import BatchInput, Events, Repeated
from snn5bench.data.packed import Packed
from snn5bench.seeds import stream


class SplitBatches:
    """One split of a packed dataset, walked in batches."""

    def __init__(
        self,
        packed: Packed,
        split: int,
        batch_size: int,
        order_seed: int | None = None,
        shuffle_time_seed: int | None = None,
        device: str = "cpu",
    ) -> None:
        """`order_seed` reshuffles each epoch; None keeps the order. A pass that is abandoned does not count, so that a
        method which looks at a batch first gets the same order afterwards as one which does not. `shuffle_time_seed`
        permutes the steps of every sample by a permutation of its own, the same in each epoch: the shuffled twin. Frames
        and labels are handed out on `device`; events become dense there."""
        self.packed = packed
        self.index = packed.indices(split)
        self.batch_size = batch_size
        self._order_seed = order_seed
        self.passes = 0
        """Whole passes made so far."""
        self._time_seed = shuffle_time_seed
        self.device = device

    def __len__(self) -> int:
        return len(self.index)

    @property
    def labels(self) -> np.ndarray:
        """Class of each sample, in stored order."""
        return self.packed.label[self.index]

    def epoch(self) -> Iterator[tuple[BatchInput, Tensor]]:
        """One pass over the split."""
        order = self.index
        if self._order_seed is not None:
            order = np.random.default_rng(stream(self._order_seed, self.passes)).permutation(order)
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            labels = torch.from_numpy(self.packed.label[chosen].astype(np.int64))
            yield self.inputs(chosen), labels.to(self.device)
        self.passes += 1

    def inputs(self, chosen: np.ndarray) -> BatchInput:
        """The samples numbered `chosen`, as one batch."""
        spec, packed = self.packed.spec, self.packed
        if spec.coding == "repeated":
            return Repeated(torch.from_numpy(np.array(packed.frame[chosen])).to(self.device), spec.T)
        starts, stops = packed.indptr[chosen], packed.indptr[chosen + 1]
        spans = [slice(a, b) for a, b in zip(starts.tolist(), stops.tolist(), strict=True)]
        # A slice of a plain view costs a tenth of a slice of a memory map, which was a seventh of training.
        steps, channels = np.asarray(packed.step), np.asarray(packed.channel)
        step = np.concatenate([steps[s] for s in spans], dtype=np.int32)
        channel = np.concatenate([channels[s] for s in spans], dtype=np.int32)
        indptr = np.concatenate([[0], np.cumsum(stops - starts)]).astype(np.int64)
        if self._time_seed is not None:
            step, channel = self._shuffled(chosen, indptr, step, channel)
        return Events(indptr, step, channel, spec.T, spec.channels, self.device)

    def _shuffled(
        self, chosen: np.ndarray, indptr: np.ndarray, step: np.ndarray, channel: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        step, channel = step.copy(), channel.copy()
        for row, sample in enumerate(chosen.tolist()):
            span = slice(indptr[row], indptr[row + 1])
            permutation = np.random.default_rng(stream("time", self._time_seed, sample)).permutation(self.packed.spec.T)
            moved = permutation[step[span]].astype(np.int32)
            order = np.argsort(moved, kind="stable")
            step[span], channel[span] = moved[order], channel[span][order]
        return step, channel
