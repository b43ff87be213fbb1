"""`pulse-order`: the class is the order in which groups of inputs pulse. Without time, accuracy is chance: a theorem."""

from __future__ import annotations

from itertools import permutations
from math import factorial

import numpy as np
from pydantic import Field

from snn5bench.contracts.dataset import Dataset, DatasetSpec, Progress, Sample, SplitName, Write
from snn5bench.contracts.params import DatasetParams
from snn5bench.errors import BenchError
from snn5bench.seeds import stream


class PulseOrder(Dataset):
    """Each of G groups of channels pulses once; the class is the order of the pulses (G! classes).

    A sample is a list of T frames. A *base* fixes the noise of every frame, the G steps of the pulses, and for each group
    one pulse frame (its noise with the whole group set). The G! samples of a base put these same pulse frames at the same
    steps, each in another order. So all classes of a base have the **identical multiset of frames**: any classifier that
    sees the bag of frames (spike counts, or a network with its time cut and its logits summed) gives them one answer and
    is right on exactly one in G!. All samples of a base stand in the same split.
    """

    name = "pulse-order"
    summary = "the order in which groups of inputs pulse; chance without temporal dynamics"
    licence = "generated"

    class Params(DatasetParams):
        """Size and difficulty."""

        groups: int = Field(2, ge=2, le=4)
        """Pulsing groups G; there are G! classes."""
        group_size: int = Field(8, ge=1, le=256)
        """Channels of a group."""
        T: int = Field(40, ge=4, le=2000)
        """Timesteps."""
        min_gap: int = Field(4, ge=1)
        """Least number of steps from one pulse to the next."""
        max_gap: int = Field(12, ge=1)
        """Greatest number of steps from one pulse to the next: the harder the longer."""
        noise: float = Field(0.02, ge=0, le=0.5)
        """Probability of a spurious spike, per channel and step."""
        train: int = Field(800, ge=1)
        """Bases in the train split; each gives G! samples."""
        val: int = Field(200, ge=1)
        """Bases in the validation split."""
        test: int = Field(500, ge=1)
        """Bases in the test split."""

    params: Params

    def spec(self) -> DatasetSpec:
        p = self.params
        if p.max_gap < p.min_gap or (p.groups - 1) * p.max_gap >= p.T:
            raise BenchError(
                f"{p.groups} pulses up to {p.max_gap} steps apart do not fit into T={p.T}",
                where="pulse-order: min_gap, max_gap, T",
                do="need min_gap <= max_gap and (groups - 1) * max_gap < T",
            )
        return DatasetSpec(
            name=self.name,
            n_classes=factorial(p.groups),
            T=p.T,
            channels=p.groups * p.group_size,
            coding="events",
            temporal=True,
        )

    def generate(self, write: Write, progress: Progress) -> None:
        p = self.params
        sizes: dict[SplitName, int] = {"train": p.train, "val": p.val, "test": p.test}
        total, done = sum(sizes.values()), 0
        self.spec()
        for split, bases in sizes.items():
            rng = np.random.default_rng(stream("pulse-order", split))
            for _ in range(bases):
                self._base(rng, split, write)
                done += 1
                progress(done, total)

    def _base(self, rng: np.random.Generator, split: SplitName, write: Write) -> None:
        p = self.params
        frames, steps, pulses = self._draw(rng)
        while len({pulse.tobytes() for pulse in pulses}) < p.groups:  # noise made two pulses one and the same
            frames, steps, pulses = self._draw(rng)
        for label, order in enumerate(permutations(range(p.groups))):
            frames[steps] = pulses[list(order)]
            step, channel = np.nonzero(frames)
            write(Sample(label=label, split=split, step=step, channel=channel))

    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Noise frames `[T, C]`, the steps of the pulses `[G]`, and the pulse frames `[G, C]`."""
        p = self.params
        frames = rng.random((p.T, p.groups * p.group_size)) < p.noise
        gaps = rng.integers(p.min_gap, p.max_gap + 1, size=p.groups - 1)
        first = rng.integers(0, p.T - int(gaps.sum()))
        steps = first + np.concatenate([[0], np.cumsum(gaps)]).astype(int)
        pulses = frames[steps].copy()
        for group in range(p.groups):
            pulses[group, group * p.group_size : (group + 1) * p.group_size] = True
        return frames, steps, pulses
