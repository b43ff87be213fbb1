"""Samples of a dataset in memory, and where the real recordings are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from snn5bench.contracts.dataset import Dataset, Sample

D = TypeVar("D", bound=Dataset)


def samples(cls: type[D], **params: object) -> tuple[D, list[Sample]]:
    """The dataset under `params`, and all its samples."""
    dataset = cls(cls.Params.model_validate(params))
    out: list[Sample] = []
    dataset.generate(out.append, lambda done, total: None)
    return dataset, out


def frames(dataset: Dataset, sample: Sample) -> np.ndarray:
    """[T, channels] bool."""
    spec = dataset.spec()
    dense = np.zeros((spec.T, spec.channels), dtype=bool)
    dense[sample.step, sample.channel] = True
    return dense


def same(a: list[Sample], b: list[Sample]) -> bool:
    """Whether two lists hold the same bits."""
    return len(a) == len(b) and all(
        (x.label, x.split, x.group) == (y.label, y.split, y.group)
        and np.array_equal(x.step, y.step)
        and np.array_equal(x.channel, y.channel)
        for x, y in zip(a, b, strict=True)
    )


def real(name: str) -> Path:
    """A file or folder of the real recordings; skips the test, with the reason, where it is absent."""
    root = Path(os.environ.get("SNN5BENCH_REAL_DATA") or "../shared/data")
    if not (root / name).exists():
        pytest.skip(
            f"{root / name} is not here: unpack the real recordings and name their folder in SNN5BENCH_REAL_DATA"
        )
    return root / name
