"""`cifar10-dvs`: CIFAR-10 pictures moved before an event camera. A control: nothing in it happens in time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from snn5bench.contracts.dataset import DatasetSpec, Progress, Sample, SplitName, Write
from snn5bench.contracts.params import DatasetParams
from snn5bench.data.aer import read_aedat2
from snn5bench.data.brought import Brought, Finding
from snn5bench.data.holdout import held_out_by_class
from snn5bench.data.spike_times import to_steps
from snn5bench.errors import BenchError

SIDE = 128
CLASSES = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())
_EACH = 1000


class Cifar10Dvs(Brought):
    """CIFAR10-DVS (Li et al. 2017) from its AEDAT 2.0 files, 1,000 recordings a class.

    There is no official split, and papers draw their own, so that their numbers do not compare: here a tenth of each
    class, chosen by hash, is the test split for every method. Times count from a recording's first event. The AEDAT 4
    files of some mirrors are another format and are not read.
    """

    name = "cifar10-dvs"
    summary = "CIFAR-10 pictures moved before an event camera, 10,000 recordings: a control"
    licence = "CC BY 4.0"
    places = ("cifar10-dvs", "CIFAR10DVS", "CIFAR10DVS/extract")
    expects = "airplane/*.aedat to truck/*.aedat (AEDAT 2.0)"
    how = (
        "Download the ten zip files from figshare.com/articles/dataset/CIFAR10-DVS_New/4724671 in a browser "
        "and unpack them here: the site answers programs with an empty file."
    )

    class Params(DatasetParams):
        """Bins."""

        T: int = Field(10, ge=1, le=1000)
        """Timesteps."""
        window_s: float = Field(1.3, gt=0)
        """Seconds from the first event that the T steps share."""
        pool: Literal[1, 2, 4, 8] = 2
        """Side of the squares of pixels that share a channel; 2 gives 64 x 64."""

    params: Params

    def spec(self) -> DatasetSpec:
        side = SIDE // self.params.pool
        return DatasetSpec(
            name=self.name,
            n_classes=10,
            T=self.params.T,
            channels=2 * side * side,
            shape=(2, side, side),
            coding="events",
            temporal=False,
            bin_ms=1000 * self.params.window_s / self.params.T,
        )

    def files(self) -> list[Path]:
        folder = self.folder()
        found = {word: sorted(folder.glob(f"{word}/*.aedat")) for word in CLASSES}
        absent = [f"{word}/*.aedat" for word, paths in found.items() if not paths]
        if absent:
            raise BenchError(f"{', '.join(absent)} not found", where=str(folder), do=self.how)
        return [path for paths in found.values() for path in paths]

    def generate(self, write: Write, progress: Progress) -> None:
        p, paths, channels = self.params, self.files(), self.spec().channels
        label = np.array([CLASSES.index(path.parent.name) for path in paths])
        test = held_out_by_class(self.name, label)
        for number, path in enumerate(paths):
            events = read_aedat2(path)
            pixel = events.channel(SIDE, SIDE, p.pool)
            since = events.t - events.t.min(initial=np.iinfo(np.int64).max)
            step, channel = to_steps(
                since, pixel, p.T, 1e6 * p.window_s, channels, f"{path}, sample {number}", self.counted
            )
            split: SplitName = "test" if test[number] else "train"
            write(Sample(int(label[number]), split, step=step, channel=channel))
            progress(number + 1, len(paths))

    def check(self) -> Iterator[Finding]:
        """As for all, and 1,000 recordings of each class."""
        yield from super().check()
        for word in CLASSES if self.available() else ():
            count = len(list(self.folder().glob(f"{word}/*.aedat")))
            yield Finding(str(self.folder() / word), "" if count == _EACH else f"has {count} recordings", f"{_EACH:,}")

    def check_file(self, path: Path) -> Iterator[Finding]:
        try:
            read_aedat2(path)
        except BenchError as error:
            yield Finding(str(path), error.problems[0].what, "AEDAT 2.0 events")
        else:
            yield Finding(str(path), "")
