"""`shd` and `ssc`: the Heidelberg spiking data; and `spike-file`, any file in their layout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from snn5bench.contracts.dataset import DatasetSpec, Progress, Sample, SplitName, Write
from snn5bench.contracts.params import DatasetParams
from snn5bench.data.brought import Brought, Download, Finding, decoding, there
from snn5bench.data.hdf5_spikes import opened
from snn5bench.data.holdout import held_out
from snn5bench.data.spike_times import to_steps
from snn5bench.errors import BenchError

UNITS = 700
_SITE = "https://zenkelab.org/datasets/"
_FORMS = ("", ".gz", ".zip")


class Part(NamedTuple):
    """One official file."""

    file: str
    split: SplitName
    samples: int


class _Spiking(Brought):
    """What both have in common."""

    parts: ClassVar[tuple[Part, ...]]
    classes: ClassVar[int]
    licence = "CC BY 4.0"

    class Params(DatasetParams):
        """Bins."""

        T: int = Field(100, ge=1, le=10_000)
        """Timesteps."""
        window_s: float = Field(1.4, gt=0)
        """Seconds that the T steps share; later spikes are dropped and counted."""
        channels: Literal[700, 350, 140, 70] = 700
        """Inputs: the 700 units, or sums over 2, 5 or 10 neighbours (a step of a sum is one spike at most)."""

    params: Params

    def spec(self) -> DatasetSpec:
        return DatasetSpec(
            name=self.name,
            n_classes=self.classes,
            T=self.params.T,
            channels=self.params.channels,
            coding="events",
            temporal=True,
            bin_ms=1000 * self.params.window_s / self.params.T,
        )

    def files(self) -> list[Path]:
        found = []
        for part in self.parts:
            forms = [self.folder() / f"{part.file}{form}" for form in _FORMS]
            found.append(next((path for path in forms if there(path)), forms[0]))
        return self.need([path.name for path in found])

    def generate(self, write: Write, progress: Progress) -> None:
        p, total, done = self.params, sum(part.samples for part in self.parts), 0
        for part, path in zip(self.parts, self.files(), strict=True):
            with opened(path) as spikes:
                for row in spikes.rows():
                    where = f"{path}, sample {row.number}"
                    label = int(spikes.label[row.number])
                    if not 0 <= label < self.classes:
                        raise BenchError(
                            f"label {label} is not in 0..{self.classes - 1}", where, "is this the right file?"
                        )
                    step, unit = to_steps(row.times, row.units, p.T, p.window_s, UNITS, where, self.counted)
                    group = int(spikes.speaker[row.number])
                    write(Sample(label, part.split, group, step=step, channel=unit // (UNITS // p.channels)))
                    done += 1
                    progress(done, max(done, total))

    def check_file(self, path: Path) -> Iterator[Finding]:
        """Readable to the end, its number of samples, labels and units; says so where it looks like another part."""
        part = next(part for part in self.parts if path.name.startswith(part.file))
        try:
            with opened(path) as spikes:
                samples, labels = len(spikes.label), spikes.label
                with decoding(path, "has units that are not numbers"):
                    highest = max((int(row.units.max()) for row in spikes.rows() if len(row.units)), default=-1)
        except BenchError as error:
            yield Finding(str(path), error.problems[0].what, f"{part.samples:,} samples")
            return
        problem = ""
        if samples != part.samples:
            twin = next((other.file for other in self.parts if other.samples == samples), "")
            problem = f"has {samples:,} samples" + (f": this is {twin} under another name" if twin else "")
        elif len(labels) and (labels.min() < 0 or labels.max() >= self.classes):
            problem = f"has labels {labels.min()}..{labels.max()}: another dataset?"
        elif highest >= UNITS:
            problem = f"has unit {highest}"
        expected = f"{part.samples:,} samples, labels below {self.classes}, units below {UNITS}"
        yield Finding(str(path), problem, expected if problem else "")


class SHD(_Spiking):
    """Spiking Heidelberg Digits (Cramer et al. 2020): zero to nine in English and German, twelve speakers, two of them
    only in the test split. No official validation split: whole speakers are carved out of train."""

    name = "shd"
    summary = "spoken digits as spikes of an inner-ear model, 8,156 + 2,264 samples"
    places = ("shd", "SHD", "hsd")
    expects = "shd_train.h5 and shd_test.h5 (or .h5.gz, .h5.zip)"
    how = "`snn5bench data get shd`, or zenkelab.org/datasets (about 0.17 GB packed)"
    classes = 20
    parts = (Part("shd_train.h5", "train", 8156), Part("shd_test.h5", "test", 2264))
    downloads = (
        Download(f"{_SITE}shd_train.h5.zip", "shd_train.h5.zip", "md5:f3252aeb598ac776c1b526422d90eecb"),
        Download(f"{_SITE}shd_test.h5.zip", "shd_test.h5.zip", "md5:1503a5064faa34311c398fb0a1ed0a6f"),
    )


class SSC(_Spiking):
    """Spiking Speech Commands (Cramer et al. 2020): 35 English words by many speakers, with a validation split."""

    name = "ssc"
    summary = "35 spoken words as spikes of an inner-ear model, 75,466 + 9,981 + 20,382 samples"
    places = ("ssc", "SSC", "hsd")
    expects = "ssc_train.h5, ssc_valid.h5 and ssc_test.h5 (or .h5.gz, .h5.zip)"
    how = "`snn5bench data get ssc`, or zenkelab.org/datasets (about 1.7 GB packed)"
    classes = 35
    parts = (
        Part("ssc_train.h5", "train", 75466),
        Part("ssc_valid.h5", "val", 9981),
        Part("ssc_test.h5", "test", 20382),
    )
    downloads = (
        Download(f"{_SITE}ssc_train.h5.zip", "ssc_train.h5.zip", "md5:d102be95e7144fcc0553d1f45ba94170"),
        Download(f"{_SITE}ssc_valid.h5.zip", "ssc_valid.h5.zip", "md5:b4eee3516a4a90dd0c71a6ac23a8ae43"),
        Download(f"{_SITE}ssc_test.h5.zip", "ssc_test.h5.zip", "md5:a35ff1e9cffdd02a20eb850c17c37748"),
    )


class SpikeFile(Brought):
    """Any recordings in SHD's layout, one file. The test split is whole speakers, chosen by hash, about a fifth of the
    samples; validation is carved by speaker as well. A file without speakers is refused: nothing would keep the same
    voice out of both sides."""

    name = "spike-file"
    summary = "your own spikes in SHD's HDF5 layout, test on speakers never heard"
    licence = "yours"
    places = ("spike-file", ".")
    expects = "the file that `file` names, with spikes/times, spikes/units, labels and extra/speaker"
    how = "Write it with h5py."

    class Params(DatasetParams):
        """Which file, and its bins."""

        file: str = "spikes.h5"
        """Its name in the folder."""
        classes: int = Field(10, ge=2)
        """Labels are 0 to `classes` - 1."""
        channels: int = Field(140, ge=1)
        """Units are 0 to `channels` - 1."""
        T: int = Field(100, ge=1, le=10_000)
        """Timesteps."""
        window_s: float = Field(1.0, gt=0)
        """Seconds that the T steps share; later spikes are dropped and counted."""

    params: Params

    def spec(self) -> DatasetSpec:
        p = self.params
        return DatasetSpec(
            name=self.name, n_classes=p.classes, T=p.T, channels=p.channels, coding="events", temporal=True,
            bin_ms=1000 * p.window_s / p.T,
        )  # fmt: skip

    def folder(self) -> Path:
        named = [folder for folder in self.folders() if there(folder / self.params.file)]
        return named[0] if named else super().folder()

    def files(self) -> list[Path]:
        if Path(self.params.file).name != self.params.file or self.params.file in ("", ".."):
            raise BenchError(f"'{self.params.file:.80}' is no plain file name", where=f"{self.name}: file")
        return self.need([self.params.file])

    def generate(self, write: Write, progress: Progress) -> None:
        p, (path,) = self.params, self.files()
        with opened(path) as spikes:
            if len(spikes.speaker) == 0 or spikes.speaker.min() < 0 or len(np.unique(spikes.speaker)) < 3:
                raise BenchError("needs three speakers or more in extra/speaker, numbered from 0", where=str(path))
            test = held_out(f"{self.name} {p.file}", spikes.speaker)
            for row in spikes.rows():
                where, label = f"{path}, sample {row.number}", int(spikes.label[row.number])
                if not 0 <= label < p.classes:
                    raise BenchError(f"label {label} is not in 0..{p.classes - 1}", where, "set `classes`")
                step, channel = to_steps(row.times, row.units, p.T, p.window_s, p.channels, where, self.counted)
                split: SplitName = "test" if test[row.number] else "train"
                write(Sample(label, split, int(spikes.speaker[row.number]), step=step, channel=channel))
                progress(row.number + 1, len(spikes.label))

    def check_file(self, path: Path) -> Iterator[Finding]:
        try:
            with opened(path) as spikes:
                read = sum(1 for _ in spikes.rows())
        except BenchError as error:
            yield Finding(str(path), error.problems[0].what, self.expects)
            return
        yield Finding(str(path), "" if read else "has no samples", "" if read else self.expects)
