"""The records behind one row, and what a row must know of its neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from snn5bench.record import Record, Status, TwinKind
from snn5bench.report.table import Claimed, Value


@dataclass(frozen=True)
class Cells:
    """The records of one row: one for each twin and seed."""

    twins: Mapping[TwinKind, Mapping[int, Record]]
    dropped: int
    """Older records of the same cells that were left out."""

    @property
    def own(self) -> Mapping[int, Record]:
        """Seed to the record of the method itself."""
        return self.twins.get("none", {})

    def done(self, twin: TwinKind) -> dict[int, Record]:
        """Seed to record, of those that are done."""
        return {seed: record for seed, record in self.twins.get(twin, {}).items() if record.status is Status.DONE}

    @property
    def all(self) -> list[Record]:
        """Every record, the method's own before its twins', by seed."""
        order: tuple[TwinKind, ...] = ("none", "notd", "sdbp", "shuffled")
        return [record for twin in order for _, record in sorted(self.twins.get(twin, {}).items())]


@dataclass(frozen=True)
class Context:
    """What the rows of one dataset share."""

    dataset: str
    seeds: list[int]
    """Every seed that some row of the dataset has."""
    fingerprints: Mapping[int, str]
    """Seed to the digest of the samples that most rows were fed."""
    selection_rule: str
    correct: Mapping[str, NDArray[np.bool_]]
    claims: Mapping[tuple[str, str], Sequence[Claimed]]
    files: Mapping[str, str]


def mean_of(name: str, records: Mapping[int, Record]) -> Value:
    """Mean over the seeds of a metric; a single seed without it makes it `n/a`, with that record's reason."""
    for seed, record in records.items():
        value = getattr(record, name)
        if value is None:
            return Value(reason=record.missing.get(name) or f"not recorded for seed {seed}")
        if not isfinite(value):
            return Value(reason=f"not a finite number for seed {seed}")
    if not records:
        return Value(reason="no seed is done")
    return Value(value=fmean(getattr(record, name) for record in records.values()))


def same_of(name: str, records: Mapping[int, Record]) -> Value:
    """A count that must not depend on the seed (T, parameters); `n/a` where it does."""
    value = mean_of(name, records)
    seen = sorted({getattr(record, name) for record in records.values()} - {None})
    if value.value is not None and len(seen) > 1:
        return Value(reason=f"differs between seeds: {', '.join(map(str, seen))}")
    return value


def plural(seeds: list[int]) -> str:
    """`seed 0` or `seeds 0, 1`."""
    return f"seed{'s' if len(seeds) != 1 else ''} {', '.join(map(str, seeds))}"
