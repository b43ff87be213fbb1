"""`randman`: each neuron fires once, and when it does is a smooth random function of a hidden position."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from snn5bench.contracts.dataset import Dataset, DatasetSpec, Progress, Sample, SplitName, Write
from snn5bench.contracts.params import DatasetParams
from snn5bench.seeds import stream

_GRID = 2000


class Manifold:
    """A smooth random map of the unit cube into firing times, after Zenke and Vogels (2021, Neural Computation 33).

    Unit i at position s: the product over the dimensions d of sum_k theta_idk / k^alpha * sin(2 pi (k s_d + phi_idk)),
    k = 1..cutoff, with theta and phi uniform in 0..1; then scaled so that the unit's values fill 0..1 (measured on
    2,000 random positions and clipped).
    """

    def __init__(self, units: int, dimensions: int, alpha: float, cutoff: int, rng: np.random.Generator) -> None:
        k = np.arange(1, cutoff + 1)
        self._k = k
        self._theta = rng.random((units, dimensions, cutoff)) / k**alpha
        self._phi = rng.random((units, dimensions, cutoff))
        raw = self._raw(rng.random((_GRID, dimensions)))
        self._low, self._span = raw.min(0), np.ptp(raw, axis=0)

    def _raw(self, position: np.ndarray) -> np.ndarray:
        out = np.ones((len(position), len(self._theta)))
        for d in range(position.shape[1]):
            waves = np.sin(2 * np.pi * (position[:, d, None, None] * self._k + self._phi[None, :, d]))
            out *= (self._theta[:, d] * waves).sum(-1)
        return out

    def __call__(self, position: np.ndarray) -> np.ndarray:
        """Firing times [samples, units] in 0..1 at `position` [samples, dimensions] in 0..1."""
        return np.clip((self._raw(position) - self._low) / self._span, 0.0, 1.0)


class Randman(Dataset):
    """A manifold for each class; a sample is a random position on it. Every unit fires exactly once.

    Counts are the same for all samples. What remains without order is which units share a step, and with many units
    that alone tells the classes apart. A perceptron on single frames, its logits summed, reached with five classes
    (chance 0.20; 1,500 training samples): 50 units in 50 steps 0.97, 20 in 100 0.46, 12 in 50 0.38, 12 in 100 0.28, where
    gated recurrent units reached 1.00, 0.98, 1.00 and 0.87. Hence the default: few units, many steps.
    """

    name = "randman"
    summary = "smooth random manifolds, one spike per neuron: counts say nothing, times everything"
    licence = "generated"

    class Params(DatasetParams):
        """Size and difficulty."""

        classes: int = Field(5, ge=2, le=100)
        """Manifolds."""
        units: int = Field(12, ge=1, le=2000)
        """Channels; each fires once."""
        T: int = Field(100, ge=2, le=5000)
        """Timesteps."""
        dimensions: int = Field(1, ge=1, le=4)
        """Of a manifold."""
        alpha: float = Field(2.0, gt=0)
        """Smoothness: the larger, the smoother and the easier."""
        cutoff: int = Field(100, ge=1, le=1000)
        """Terms of the Fourier sum; at alpha 2 those above 100 add less than a hundredth."""
        train: int = Field(1500, ge=1)
        """Samples of the train split."""
        val: int = Field(250, ge=1)
        """Samples of the validation split."""
        test: int = Field(500, ge=1)
        """Samples of the test split."""

    params: Params

    def spec(self) -> DatasetSpec:
        return DatasetSpec(
            name=self.name,
            n_classes=self.params.classes,
            T=self.params.T,
            channels=self.params.units,
            coding="events",
            temporal=True,
        )

    def generate(self, write: Write, progress: Progress) -> None:
        p = self.params
        manifolds = [
            Manifold(p.units, p.dimensions, p.alpha, p.cutoff, np.random.default_rng(stream("randman", label)))
            for label in range(p.classes)
        ]
        sizes: dict[SplitName, int] = {"train": p.train, "val": p.val, "test": p.test}
        total, done, seen = sum(sizes.values()), 0, set[bytes]()
        for split, size in sizes.items():
            rng = np.random.default_rng(stream("randman", split))
            for number in range(size):
                label = number % p.classes
                step = self._new(manifolds[label], rng, seen)
                write(Sample(label, split, step=step, channel=np.arange(p.units)))
                done += 1
                progress(done, total)

    def _new(self, manifold: Manifold, rng: np.random.Generator, seen: set[bytes]) -> np.ndarray:
        """Firing steps [units] of a position whose spikes no sample had before, as far as there are any left."""
        for _ in range(100):
            times = manifold(rng.random((1, self.params.dimensions)))[0]
            step = np.minimum((times * self.params.T).astype(np.int64), self.params.T - 1)
            if step.tobytes() not in seen:
                break
        seen.add(step.tobytes())
        return step
