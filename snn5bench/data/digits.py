"""`digits`: scikit-learn's 8x8 handwritten digits, the control that needs no time."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from snn5bench.contracts.dataset import Dataset, DatasetSpec, Progress, Sample, Write
from snn5bench.contracts.params import DatasetParams
from snn5bench.seeds import stream


class Digits(Dataset):
    """1,797 digits of 8x8 pixels in 17 levels, ten classes, shown for T steps.

    `repeat` shows the real-valued frame unchanged at each step (direct coding); `poisson` draws a spike per pixel and step
    with the pixel's value as its probability. Neither has temporal structure. scikit-learn brings no split: a quarter of
    each class, chosen by hash, is the test split.
    """

    name = "digits"
    summary = "static 8x8 digits, repeated or Poisson-coded: the no-temporal-dynamics control"
    licence = "BSD-3-Clause (scikit-learn); UCI optical digits, CC BY 4.0"

    class Params(DatasetParams):
        """Coding over time."""

        T: int = Field(8, ge=1, le=1000)
        """Timesteps."""
        coding: Literal["repeat", "poisson"] = "repeat"
        """How a pixel becomes input."""
        rate: float = Field(0.5, gt=0, le=1)
        """Spike probability of a white pixel per step, for `poisson`."""

    params: Params

    def spec(self) -> DatasetSpec:
        return DatasetSpec(
            name=self.name,
            n_classes=10,
            T=self.params.T,
            channels=64,
            shape=(1, 8, 8),
            coding="repeated" if self.params.coding == "repeat" else "events",
            temporal=False,
        )

    def generate(self, write: Write, progress: Progress) -> None:
        from sklearn.datasets import load_digits

        bunch = load_digits()
        labels = np.asarray(bunch.target)
        test: set[int] = set()
        for cls in range(10):
            members = sorted(np.flatnonzero(labels == cls).tolist(), key=lambda i: stream("digits", "test", i))
            test.update(members[: len(members) // 4])
        for index, pixels in enumerate(np.asarray(bunch.data) / 16.0):
            split: Literal["train", "test"] = "test" if index in test else "train"
            if self.params.coding == "repeat":
                write(Sample(label=int(labels[index]), split=split, frame=pixels.astype(np.float32)))
            else:
                rng = np.random.default_rng(stream("digits", "poisson", index))
                step, channel = np.nonzero(rng.random((self.params.T, 64)) < pixels * self.params.rate)
                write(Sample(label=int(labels[index]), split=split, step=step, channel=channel))
            progress(index + 1, len(labels))
