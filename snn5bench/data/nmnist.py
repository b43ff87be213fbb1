"""`n-mnist`: MNIST seen by an event camera during three saccades. A control: its counts say nearly all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pydantic import Field

from snn5bench.contracts.dataset import DatasetSpec, Progress, Sample, SplitName, Write
from snn5bench.contracts.params import DatasetParams
from snn5bench.data.aer import read_five_byte
from snn5bench.data.brought import Brought, Download, Finding
from snn5bench.data.spike_times import to_steps
from snn5bench.errors import BenchError

SIDE = 34
_SITE = "https://data.mendeley.com/public-files/datasets/468j46mzdv/files/"
_OFFICIAL = {"Train": 60_000, "Test": 10_000}


class NMnist(Brought):
    """N-MNIST (Orchard et al. 2015), 34 x 34 pixels of two polarities, three saccades of 100 ms.

    Any number of recordings is read; tonic refuses fewer than 10,000. Nothing of the time is lost or stretched: events
    keep their microseconds and those after the window are counted.
    """

    name = "n-mnist"
    summary = "MNIST through an event camera, 60,000 + 10,000 recordings; a control, counts say nearly all"
    licence = "CC BY-SA 4.0"
    places = ("n-mnist", "NMNIST", "N-MNIST")
    expects = "Train/0..9/*.bin and Test/0..9/*.bin"
    how = "`snn5bench data get n-mnist`, or garrickorchard.com/datasets/n-mnist (about 1.2 GB packed)"
    downloads = (
        Download(
            f"{_SITE}39c25547-014b-4137-a934-9d29fa53c7a0/file_downloaded",
            "train.zip",
            "md5:20959b8e626244a1b502305a9e6e2031",
            unpack=True,
        ),
        Download(
            f"{_SITE}05a4d654-7e03-4c15-bdfa-9bb2bcbea494/file_downloaded",
            "test.zip",
            "md5:69ca8762b2fe404d9b9bad1103e97832",
            unpack=True,
        ),
    )

    class Params(DatasetParams):
        """Bins."""

        T: int = Field(20, ge=1, le=1000)
        """Timesteps."""
        window_ms: float = Field(320.0, gt=0)
        """Milliseconds that the T steps share."""

    params: Params

    def spec(self) -> DatasetSpec:
        return DatasetSpec(
            name=self.name,
            n_classes=10,
            T=self.params.T,
            channels=2 * SIDE * SIDE,
            shape=(2, SIDE, SIDE),
            coding="events",
            temporal=False,
            bin_ms=self.params.window_ms / self.params.T,
        )

    def files(self) -> list[Path]:
        folder = self.folder()
        found = {part: sorted(folder.glob(f"{part}/[0-9]/*.bin")) for part in _OFFICIAL}
        absent = [f"{part}/0..9/*.bin" for part, paths in found.items() if not paths]
        if absent:
            raise BenchError(f"{', '.join(absent)} not found", where=str(folder), do=self.how)
        return [path for paths in found.values() for path in paths]

    def generate(self, write: Write, progress: Progress) -> None:
        paths, p = self.files(), self.params
        splits: dict[str, SplitName] = {word.capitalize(): word for word in get_args(SplitName)}
        for done, path in enumerate(paths, start=1):
            events = read_five_byte(path)
            try:
                pixel = events.channel(SIDE, SIDE)
            except ValueError as error:
                raise BenchError(str(error), where=str(path), do="is this an N-MNIST file?") from error
            where = f"{path}, sample {done - 1}"
            step, channel = to_steps(events.t, pixel, p.T, 1000 * p.window_ms, 2 * SIDE * SIDE, where, self.counted)
            write(Sample(int(path.parent.name), splits[path.parents[1].name], step=step, channel=channel))
            progress(done, len(paths))

    def check(self) -> Iterator[Finding]:
        """The number of recordings of each split, then each file that cannot be read whole."""
        try:
            paths = self.files()
        except BenchError as error:
            yield Finding(str(self.folder()), error.problems[0].what, self.expects)
            return
        counts = Counter(path.parents[1].name for path in paths)
        for part, official in _OFFICIAL.items():
            short = counts[part] != official
            problem = f"has {counts[part]:,} recordings" if short else ""
            yield Finding(str(self.folder() / part), problem, f"{official:,} recordings" if short else "")
        for path in paths:
            try:
                read_five_byte(path).channel(SIDE, SIDE)
            except (BenchError, ValueError) as error:
                what = error.problems[0].what if isinstance(error, BenchError) else str(error)
                yield Finding(str(path), what, "5-byte events on 34 x 34 pixels")
