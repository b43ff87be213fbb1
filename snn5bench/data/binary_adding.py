"""`binary-adding`: count the ones among the marked bits of a long stream."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import Field, model_validator

from snn5bench.contracts.dataset import Dataset, DatasetSpec, Progress, Sample, SplitName, Write
from snn5bench.contracts.params import DatasetParams
from snn5bench.seeds import stream


class BinaryAdding(Dataset):
    """Channel 0 carries random bits, channel 1 marks `marks` steps; the class is the number of ones among the marked.

    The binary adding problem of Ma et al. (2025, arXiv 2502.09449; BSD-3 code neuroseqbench): 9 marks, 10 classes of
    equal size, the last step is read out. There classes are balanced by drawing 80 times too many and choosing; here the
    class is drawn first and its ones are placed, which gives the same distribution. The size is ours (theirs: 50,000 train,
    2,000 test, no validation). Marked ones are frames of their own kind, so only the read-out at the last step makes
    the task need memory: with its time cut, a network sees one frame. It needs no order: with its steps shuffled it is the
    same task.
    """

    name = "binary-adding"
    summary = "count the ones among nine marked bits of a stream, answer at the last step"
    licence = "generated"

    class Params(DatasetParams):
        """Size and difficulty."""

        T: int = Field(100, ge=2, le=10_000)
        """Timesteps."""
        marks: int = Field(9, ge=1)
        """Marked steps; there is one class more."""
        train: int = Field(4000, ge=1)
        """Samples of the train split."""
        val: int = Field(500, ge=1)
        """Samples of the validation split."""
        test: int = Field(1000, ge=1)
        """Samples of the test split."""

        @model_validator(mode="after")
        def _marks_fit(self) -> Self:
            if self.marks > self.T:
                raise ValueError(f"{self.marks} marks do not fit into T={self.T} steps")
            return self

    params: Params

    def spec(self) -> DatasetSpec:
        return DatasetSpec(
            name=self.name,
            n_classes=self.params.marks + 1,
            T=self.params.T,
            channels=2,
            coding="events",
            readout="last",
            temporal=True,
        )

    def generate(self, write: Write, progress: Progress) -> None:
        p = self.params
        sizes: dict[SplitName, int] = {"train": p.train, "val": p.val, "test": p.test}
        total, done = sum(sizes.values()), 0
        for split, size in sizes.items():
            rng = np.random.default_rng(stream("binary-adding", split))
            for number in range(size):
                label = number % (p.marks + 1)
                marked = rng.permutation(p.T)[: p.marks]
                bits = rng.random(p.T) < 0.5
                bits[marked] = np.arange(p.marks) < label
                step = np.concatenate([np.flatnonzero(bits), marked])
                write(Sample(label, split, step=step, channel=np.repeat([0, 1], [int(bits.sum()), p.marks])))
                done += 1
                progress(done, total)
