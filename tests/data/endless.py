"""A dataset of any number of events, made as they are asked for; and a process that packs it and says what that took.

`python -c 'from tests.data.endless import main; main()' EVENTS` prints a line of JSON at the start, at each
hundredth, and at the end.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import numpy as np
from pydantic import Field

from snn5bench.contracts.dataset import Dataset, DatasetSpec, Progress, Sample, Write
from snn5bench.contracts.params import DatasetParams

EACH = 8000
"""Events of a sample, as many as SHD has."""
T, CHANNELS = 100, 700


class Endless(Dataset):
    """`events` spikes on SHD's grid; samples differ, and know nothing of each other."""

    name = "endless"
    summary = "as many events as are asked for"
    licence = "none"

    class Params(DatasetParams):
        """How many."""

        events: int = Field(80_000, ge=3 * EACH)
        """In all samples."""

    params: Params

    def spec(self) -> DatasetSpec:
        return DatasetSpec(name=self.name, n_classes=20, T=T, channels=CHANNELS, coding="events", temporal=True)

    def generate(self, write: Write, progress: Progress) -> None:
        total = self.params.events // EACH
        rng = np.random.default_rng(0)
        cells = rng.permutation(T * CHANNELS)[:EACH]
        for number in range(total):
            moved = (cells + number * 7919) % (T * CHANNELS)
            moved[:2] = number % CHANNELS, (CHANNELS + number // CHANNELS) % (T * CHANNELS)
            split = ("train", "train", "test")[number % 3]
            write(Sample(number % 20, split, number % 50, step=moved // CHANNELS, channel=moved % CHANNELS))  # type: ignore[arg-type]
            progress(number + 1, total)


def main() -> None:
    """Pack as many events as the first argument says."""
    from snn5bench.data.cache import prepare

    dataset = Endless(Endless.Params(events=int(sys.argv[1])))
    before = _peak_mib()
    print(json.dumps({"done": 0}), flush=True)

    def progress(done: int, total: int) -> None:
        if done % max(1, total // 100) == 0:
            print(json.dumps({"done": done, "total": total}), flush=True)

    begin = time.perf_counter()
    meta = prepare(dataset, progress).meta
    print(
        json.dumps(
            {
                "fingerprint": meta.fingerprint,
                "events": meta.events + meta.merged_events,
                "peak_mib": _peak_mib(),
                "before_mib": before,
                "seconds": round(time.perf_counter() - begin, 1),
            }
        )
    )


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
