"""`mnist-1d`: ten one-dimensional shapes, moved, stretched, sheared and buried in noise."""

from __future__ import annotations

import random
from importlib.util import find_spec

import numpy as np
from pydantic import Field

from snn5bench.contracts.dataset import Dataset, DatasetSpec, Progress, Sample, SplitName, Write
from snn5bench.contracts.params import DatasetParams
from snn5bench.contracts.verdict import Verdict
from snn5bench.data.coding import place

_EDGE = 2.5


class Mnist1D(Dataset):
    """MNIST-1D (Greydanus and Kobak, arXiv 2011.14439): made by its authors' package with its own settings and seed,
    4,000 + 1,000 samples of 40 steps, mean 0 and standard deviation 1.

    Ours is the coding: a step is one spike, in the one of `cells` equal cells of -2.5..2.5 that holds the value
    (`coding.place`). So counts are the histogram of a sample's values.
    """

    name = "mnist-1d"
    summary = "ten noisy one-dimensional shapes of 40 steps"
    licence = "Apache-2.0"

    class Params(DatasetParams):
        """Coding."""

        cells: int = Field(16, ge=2, le=1000)
        """Channels, one for each range of values."""

    params: Params

    def spec(self) -> DatasetSpec:
        return DatasetSpec(
            name=self.name, n_classes=10, T=40, channels=self.params.cells, coding="events", temporal=True
        )

    def available(self) -> Verdict:
        return Verdict.yes() if find_spec("mnist1d") else Verdict.no("pip install mnist1d")

    def generate(self, write: Write, progress: Progress) -> None:
        from mnist1d.data import get_dataset_args, make_dataset

        before = random.getstate(), np.random.get_state()  # noqa: NPY002 (the package seeds both; they are put back)
        try:
            made = make_dataset(get_dataset_args())
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002
        parts: tuple[tuple[SplitName, str], ...] = (("train", ""), ("test", "_test"))
        total = len(made["x"]) + len(made["x_test"])
        done = 0
        for split, suffix in parts:
            for values, label in zip(made[f"x{suffix}"], made[f"y{suffix}"], strict=True):
                step, channel = place(values, -_EDGE, _EDGE, self.params.cells)
                write(Sample(int(label), split, step=step, channel=channel))
                done += 1
                progress(done, total)
