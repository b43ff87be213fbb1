"""Does a dataset need time? Classifiers that see less and less of it, on the same samples, with intervals."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from snn5bench.cell import digest
from snn5bench.closure import closure
from snn5bench.contracts.dataset import Dataset
from snn5bench.data.cache import folder_of, meta_of, prepare
from snn5bench.data.packed import Meta, Packed
from snn5bench.data.splits import TEST, TRAIN
from snn5bench.data.stored import damaged

if TYPE_CHECKING:
    from torch import nn

WHAT = {
    "counts, logistic": "logistic regression on the number of events of each channel",
    "counts, mlp": "a perceptron with one hidden layer on the same",
    "frames, mlp": "the same perceptron on each step by itself, read out as the dataset is: a network with its time cut",
    "shuffled, gru": "gated recurrent units on the sequence, the steps of each sample permuted",
    "sequence, gru": "gated recurrent units on the sequence as it is",
}
"""The probes, by what they can see, least first."""


class Line(BaseModel):
    """One probe's accuracy on the test split with its 95 % interval, or the reason why there is none."""

    model_config = ConfigDict(extra="forbid")

    accuracy: float | None = None
    low: float | None = None
    high: float | None = None
    seeds: int = 0
    reason: str = ""


class Probe(BaseModel):
    """What the probes found; kept beside the packed data."""

    model_config = ConfigDict(extra="forbid")

    key: str
    """Digest of the probe's code, the data's fingerprint and the seeds."""
    dataset: str
    params: dict[str, Any]
    fingerprint: str
    T: int
    readout: str
    samples: dict[str, int]
    chance: float
    """Share of the test samples in the class that is most frequent in train."""
    lines: dict[str, Line]
    seconds: float


def key_of(meta: Meta, seeds: Sequence[int]) -> str:
    """Identity of a probe's result."""
    return digest({"code": closure("snn5bench.data.probe"), "data": meta.fingerprint, "seeds": list(seeds)})[:16]


def stored(dataset: Dataset, seeds: Sequence[int]) -> Probe | None:
    """The result beside the packed data, where there is one that still holds. Imports no torch. Raises `BenchError` where
    the file is damaged."""
    meta, path = meta_of(dataset), folder_of(dataset) / "probe.json"
    if meta is None or not path.is_file():
        return None
    try:
        found = Probe.model_validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        raise damaged(path, error) from error
    return found if found.key == key_of(meta, seeds) else None


def probe(dataset: Dataset, seeds: Sequence[int] = (0,), say: Callable[[str], None] = lambda name: None) -> Probe:
    """Measure, or read what was measured before. `say` is told the name of each probe before it starts."""
    known = stored(dataset, seeds)
    if known is not None:
        return known
    begin, packed = time.perf_counter(), prepare(dataset)
    lines = {}
    for name in WHAT:
        say(name)
        lines[name] = _measure(name, packed, seeds)
    most = np.bincount(packed.label[packed.indices(TRAIN)]).argmax()
    found = Probe(
        key=key_of(packed.meta, seeds),
        dataset=dataset.name,
        params=dataset.params.model_dump(mode="json"),
        fingerprint=packed.meta.fingerprint,
        T=packed.spec.T,
        readout=packed.spec.readout,
        samples=packed.meta.samples,
        chance=float((packed.label[packed.indices(TEST)] == most).mean()),
        lines=lines,
        seconds=round(time.perf_counter() - begin, 1),
    )
    partial = packed.folder / "probe.json.partial"
    partial.write_text(found.model_dump_json(indent=1))
    partial.replace(packed.folder / "probe.json")
    return found


def _measure(name: str, packed: Packed, seeds: Sequence[int]) -> Line:
    from snn5bench.data import probe_models as models
    from snn5bench.stats import mean_interval

    if packed.spec.coding == "repeated" and not name.startswith("counts"):
        return Line(reason="every step shows the same frame")
    if name == "counts, logistic":
        correct = models.logistic_on_counts(packed)[None]
    else:
        build: type[nn.Module] = models.Gru if name.endswith("gru") else models.Frames
        see = models.as_counts if name.startswith("counts") else models.as_sequence
        shuffle = name.startswith("shuffled")
        correct = np.stack([models.trained(packed, build, see, seed, shuffle) for seed in seeds])
    interval = mean_interval(correct)
    return Line(accuracy=interval.mean, low=interval.low, high=interval.high, seeds=interval.seeds)
