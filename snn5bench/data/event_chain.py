"""`event-chain`: two recordings of another dataset, one after the other; the class is which came first and which second."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from snn5bench import registry
from snn5bench.contracts.dataset import Dataset, DatasetSpec, Progress, Sample, SplitName, Write
from snn5bench.contracts.params import DatasetParams
from snn5bench.contracts.verdict import Verdict
from snn5bench.errors import BenchError
from snn5bench.seeds import stream


class EventChain(Dataset):
    """Chains of two, after DVS-Gesture-Chain (Vicente-Sola et al., arXiv 2209.14915), over any dataset of events.

    The first `classes` classes of `base` give `classes * (classes - 1)` ordered pairs of different ones. Two recordings
    a and b of one split always give both samples, a then b and b then a. These have the same multiset of frames, so a
    classifier that ignores order is right on one half of the samples at most. Departures: pairs for longer chains, no
    pair of a class with itself, a fixed silent `gap`.
    """

    name = "event-chain"
    summary = "two recordings of another event dataset in a row: which came first? at most one half without order"
    licence = "that of the base dataset (digits: CC BY 4.0)"

    class Params(DatasetParams):
        """What is chained."""

        base: str = "digits"
        """Name of a registered dataset whose coding is events."""
        base_params: dict[str, Any] = Field(default_factory=lambda: {"coding": "poisson", "T": 8})
        """Its parameters."""
        classes: int = Field(4, ge=2)
        """Classes of the base that are used: 0 to `classes` - 1."""
        gap: int = Field(4, ge=0)
        """Silent steps between the two."""
        train: int = Field(750, ge=1)
        """Unordered pairs in the train split; each gives two samples."""
        val: int = Field(150, ge=1)
        """Pairs in the validation split."""
        test: int = Field(400, ge=1)
        """Pairs in the test split."""

    params: Params

    def base(self) -> Dataset:
        """The dataset whose recordings are chained."""
        cls: type[Dataset] = registry.load("datasets", self.params.base)
        return cls(cls.Params.model_validate(self.params.base_params))

    def spec(self) -> DatasetSpec:
        under, p = self.base().spec(), self.params
        where = f"event-chain: base '{p.base}'"
        if under.coding != "events":
            raise BenchError(f"its coding is '{under.coding}'", where, "choose a dataset of events")
        if p.classes > under.n_classes:
            raise BenchError(f"it has {under.n_classes} classes, {p.classes} are asked for", where, "lower `classes`")
        return DatasetSpec(
            name=self.name,
            n_classes=p.classes * (p.classes - 1),
            T=2 * under.T + p.gap,
            channels=under.channels,
            shape=under.shape,
            coding="events",
            temporal=True,
            bin_ms=under.bin_ms,
        )

    def available(self) -> Verdict:
        return self.base().available()

    def transform(self) -> dict[str, object]:
        """The parameters, and the packed base by its digest of code and parameters."""
        from snn5bench.data.cache import folder_of

        return {**super().transform(), "base_packed": folder_of(self.base()).name}

    def generate(self, write: Write, progress: Progress) -> None:
        from snn5bench.data.cache import prepare
        from snn5bench.data.splits import SPLITS

        p, packed = self.params, prepare(self.base())
        shift = packed.spec.T + p.gap
        sizes: dict[SplitName, int] = {"train": p.train, "val": p.val, "test": p.test}
        total, done = sum(sizes.values()), 0
        pairs = [(a, b) for a in range(p.classes) for b in range(a + 1, p.classes)]
        for split, size in sizes.items():
            chosen = packed.indices(SPLITS.index(split))
            members = [chosen[packed.label[chosen] == cls] for cls in range(p.classes)]
            self._refuse_empty(split, members)
            rng = np.random.default_rng(stream("event-chain", split))
            for number in range(size):
                a, b = pairs[number % len(pairs)]
                first, second = rng.choice(members[a]), rng.choice(members[b])
                for x, y, i, j in ((a, b, first, second), (b, a, second, first)):
                    label = x * (p.classes - 1) + y - (y > x)
                    left, right = slice(*packed.indptr[i : i + 2]), slice(*packed.indptr[j : j + 2])
                    step = np.concatenate([packed.step[left].astype(int), packed.step[right].astype(int) + shift])
                    channel = np.concatenate([packed.channel[left], packed.channel[right]])
                    write(Sample(label, split, step=step, channel=channel))
                done += 1
                progress(done, total)

    def _refuse_empty(self, split: str, members: list[np.ndarray]) -> None:
        for cls, found in enumerate(members):
            if not len(found):
                raise BenchError(f"class {cls} has no {split} sample", f"event-chain: base '{self.params.base}'")
