"""Synthetic data for the checks: a small packed dataset of each form, a pure function of constants."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from snn5bench.contracts.dataset import DatasetSpec, Sample, SplitName
from snn5bench.contracts.inputs import BatchInput, Events, Repeated
from snn5bench.data.packed import Packed, Writer
from snn5bench.seeds import stream

CLASSES = 3
SIZES: dict[SplitName, int] = {"train": 24, "val": 9, "test": 12}
RATE = 0.25
"""Spikes per channel and step of a healthy input."""


def _spec(coding: str, T: int, shape: tuple[int, ...] = (), channels: int = 24) -> DatasetSpec:
    return DatasetSpec.model_validate(
        {
            "name": "synthetic",
            "n_classes": CLASSES,
            "T": T,
            "channels": math.prod(shape) if shape else channels,
            "shape": shape,
            "coding": coding,
            "temporal": coding == "events",
        }
    )


FORMS = (
    _spec("events", 12),
    _spec("events", 12, (2, 8, 8)),
    _spec("repeated", 8),
    _spec("repeated", 8, (1, 8, 8)),
    _spec("repeated", 4, (3, 32, 32)),
    _spec("events", 64),
)
"""Tried in this order: a method is checked on the first one that it supports."""


def write(folder: Path, spec: DatasetSpec, relabel_test: bool = False) -> Packed:
    """Pack the dataset of `spec`: each class drives a third of the channels more. `relabel_test` gives every test sample
    another label than its own, and changes nothing else."""
    with Writer(folder, spec, {}) as writer:
        for split, size in SIZES.items():
            rng = np.random.default_rng(stream("conformance", split))
            for i in range(size):
                label = i % CLASSES
                drive = np.full(spec.channels, RATE / 2)
                drive[label::CLASSES] *= 4
                shown = (label + 1) % CLASSES if relabel_test and split == "test" else label
                if spec.coding == "events":
                    step, channel = np.nonzero(rng.random((spec.T, spec.channels)) < drive)
                    writer(Sample(label=shown, split=split, step=step, channel=channel))
                else:
                    frame = np.clip(drive + 0.2 * rng.random(spec.channels), 0, 1).astype(np.float32)
                    writer(Sample(label=shown, split=split, frame=frame))
        writer.finish()
    return Packed(folder)


def spikes(spec: DatasetSpec, batch: int, salt: str = "", rate: float = RATE) -> Tensor:
    """Random binary input, float64 `[T, B, C]`, at `rate` spikes per channel and step."""
    rng = np.random.default_rng(stream("conformance-input", salt))
    return torch.from_numpy((rng.random((spec.T, batch, spec.channels)) < rate).astype(np.float64))


def native(spec: DatasetSpec, x: Tensor) -> BatchInput:
    """`x` `[T, B, C]` in the form that the harness feeds: `Events`, or the first step as a repeated frame."""
    if spec.coding == "repeated":
        return Repeated(x[0].float(), spec.T)
    sample, step, channel = x.transpose(0, 1).nonzero().numpy().T
    indptr = np.searchsorted(sample, np.arange(x.shape[1] + 1)).astype(np.int64)
    return Events(indptr, step.astype(np.int32), channel.astype(np.int32), spec.T, spec.channels)
