"""One layer's running sums over samples, resolved by step, and their average as `LayerCounts`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from snn5bench.contracts.inputs import SpikeBits
from snn5bench.measure.frames import Look
from snn5bench.record import LayerCounts

_FIELDS = ("macs", "acs", "bias_adds", "neuron_updates", "dense_macs")


class Clock:
    """Where the evaluation stands: T and B of the running batch, samples seen so far, calls of each layer in it."""

    def __init__(self) -> None:
        self.T = 0
        self.B = 0
        self.samples = 0
        self.latest: tuple[Tensor | SpikeBits, int, Look] | None = None
        """The last output that was looked at, its version, and what was seen: it is the next layer's input."""

    def tick(self, T: int, B: int) -> None:
        """A batch begins."""
        self.T, self.B = T, B
        self.samples += B
        self.latest = None


class Tally:
    """Sums of one layer over samples and steps. Whole numbers are Python's own, and never overflow or round."""

    def __init__(self, name: str, kind: str, clock: Clock) -> None:
        self.name = name
        self.kind = kind
        self.clock = clock
        self.spiking = False
        self.facts: dict[str, float] = {}
        self.sums: dict[str, int | float] = {}
        self.by_step: dict[str, np.ndarray] = {}
        """`synops` and `spikes` at each step: int64 (float64 where a module reports floats) `[T]`."""
        self.fired: np.ndarray | None = None
        """int64 [n]: frames in which each output was not zero."""
        self.frames = 0
        self.last: Tensor | None = None
        """`[1, B, n]`: the output of the step before, within one batch; kept for recurrent layers."""
        self._batch = 0
        self._cursor = 0

    def step(self, steps: int) -> int:
        """The step at which a call over `steps` steps begins: calls on parts of a sequence come in its order."""
        if self._batch != self.clock.samples:
            self._batch, self._cursor, self.last = self.clock.samples, 0, None
        start = self._cursor if self._cursor + steps <= self.clock.T else 0
        self._cursor = start + steps
        return start

    def add(self, key: str, count: int | float | np.ndarray) -> None:
        """Add a count over a batch (an array is summed)."""
        self.sums[key] = self.sums.get(key, 0) + (count.sum().item() if isinstance(count, np.ndarray) else count)

    def trace(self, key: str, by_step: np.ndarray, start: int) -> None:
        """Add counts `[steps]` over a batch to the profile, from step `start`."""
        have = self.by_step.get(key)
        if have is not None and len(have) == len(by_step) and start == 0 and have.dtype == by_step.dtype:
            have += by_step
            return
        have = np.zeros(0, by_step.dtype) if have is None else have
        end, kind = max(len(have), start + len(by_step)), np.result_type(have, by_step)
        if len(have) < end or have.dtype != kind:
            self.by_step[key] = np.zeros(end, kind)
            self.by_step[key][: len(have)] = have
        self.by_step[key][start : start + len(by_step)] += by_step

    def add_reported(self, counts: Mapping[str, Tensor]) -> None:
        """Add what a module's `operations` returned: `[B]` or `[T, B]` tensors by name."""
        for key, value in counts.items():
            array = value.detach().cpu().numpy()
            if array.shape not in ((self.clock.B,), (self.clock.T, self.clock.B)):
                raise ValueError(f"operations()['{key}'] has shape {array.shape}, expected [B] or [T, B]")
            array = array.astype(np.int64 if array.dtype.kind in "biu" else np.float64, copy=False)
            self.add(key, array)
            if key in ("acs", "macs") and array.ndim == 2:
                self.trace("synops", array.sum(1), 0)

    def saw(self, fired: np.ndarray, frames: int) -> None:
        """Add firing counts `[n]` over some frames."""
        self.fired = fired.copy() if self.fired is None else self.fired + fired
        self.frames += frames

    def total(self, key: str) -> float:
        """Sum over all samples and steps."""
        return self.sums.get(key, 0)

    def layer(self) -> LayerCounts:
        """Averages per sample."""
        n = max(self.clock.samples, 1)
        detail = self.facts | {key: self.total(key) / n for key in self.sums if key not in _FIELDS}
        counts = {key: self.total(key) / n for key in _FIELDS}
        if self.fired is None or not self.frames:
            return LayerCounts(name=self.name, kind=self.kind, detail=detail, **counts)
        share = int(self.fired.sum()) / (self.frames * len(self.fired))
        return LayerCounts(
            name=self.name,
            kind=self.kind,
            neurons=len(self.fired),
            activation_sparsity=1.0 - share,
            spike_rate=share if self.spiking else None,
            silent_neurons=int((self.fired == 0).sum()) if self.spiking else None,
            saturated_neurons=int((self.fired == self.frames).sum()) if self.spiking else None,
            detail=detail,
            **counts,
        )
