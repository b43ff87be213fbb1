"""`fsdd`: the Free Spoken Digit Dataset through our inner ear. Six speakers who stand in train and test alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from snn5bench.contracts.dataset import DatasetSpec, Progress, Sample, Write
from snn5bench.contracts.params import DatasetParams
from snn5bench.data.brought import Brought, Finding
from snn5bench.data.speech_commands import read_wav
from snn5bench.data.spike_times import to_steps
from snn5bench.errors import BenchError
from snn5bench.seeds import stream

_NAME = re.compile(r"(?P<digit>\d)_(?P<speaker>[^_]+)_(?P<index>\d+)")
TEST_INDICES = range(5)
"""The official test split: the first five recordings of each speaker and digit."""


class FSDD(Brought):
    """The Free Spoken Digit Dataset (Jackson and others), 3,000 recordings at 8 kHz of six speakers saying ten digits.

    The official split: recordings 0 to 4 of each speaker and digit are the test split. Speakers are therefore the same in
    train and test, and no group is told: holding speakers out of six measures the shift of speaker, not time. Recordings
    longer than the window lose what lies beyond it, counted. The ear is `ear.hear`, its noise seeded by the recording's
    name.
    """

    name = "fsdd"
    summary = "ten digits said by six speakers, through an inner-ear model; the same speakers in the test"
    licence = "CC BY-SA 4.0"
    places = (
        "fsdd",
        "free-spoken-digit-dataset/recordings",
        "free-spoken-digit-dataset-master/recordings",
        "recordings",
    )
    expects = "the recordings, DIGIT_SPEAKER_INDEX.wav"
    how = "github.com/Jakobovski/free-spoken-digit-dataset, folder `recordings` (about 25 MB)"

    class Params(DatasetParams):
        """How finely it is heard."""

        channels: Literal[140, 700] = 140
        """Places along the basilar membrane."""
        T: int = Field(100, ge=1, le=10_000)
        """Timesteps."""
        window_s: float = Field(1.0, gt=0)
        """Seconds that the T steps share."""

    params: Params

    def spec(self) -> DatasetSpec:
        return DatasetSpec(
            name=self.name,
            n_classes=10,
            T=self.params.T,
            channels=self.params.channels,
            coding="events",
            temporal=True,
            bin_ms=1000 * self.params.window_s / self.params.T,
        )

    def files(self) -> list[Path]:
        found = sorted(path for path in self.folder().glob("*.wav") if _NAME.fullmatch(path.stem))
        if not found:
            raise BenchError("DIGIT_SPEAKER_INDEX.wav not found", where=str(self.folder()), do=self.how)
        return found

    def generate(self, write: Write, progress: Progress) -> None:
        """Recordings are heard on all cores and written in their order; the samples do not depend on the cores."""
        from loky import ProcessPoolExecutor, cpu_count

        paths, p = self.files(), self.params
        pool = ProcessPoolExecutor(max_workers=min(cpu_count(), len(paths)))
        try:
            heard = pool.map(listen, paths, [p.channels] * len(paths), chunksize=16)
            for done, (path, (times, channel)) in enumerate(zip(paths, heard, strict=True), start=1):
                where = f"{path}, sample {done - 1}"
                step, place = to_steps(times, channel, p.T, p.window_s, p.channels, where, self.counted)
                digit, _, index = path.stem.split("_")
                write(Sample(int(digit), "test" if int(index) in TEST_INDICES else "train", step=step, channel=place))
                progress(done, len(paths))
        finally:
            pool.shutdown(wait=True, kill_workers=True)

    def check_file(self, path: Path) -> Iterator[Finding]:
        try:
            _, rate = read_wav(path)
        except BenchError as error:
            yield Finding(str(path), error.problems[0].what, "16-bit mono sound")
            return
        yield Finding(str(path), "" if rate == 8_000 else f"is at {rate} Hz", "" if rate == 8_000 else "8,000 Hz")


def listen(path: Path, channels: Literal[140, 700]) -> tuple:
    """Spike times in seconds and channels of one recording."""
    from snn5bench.data.ear import EarParams, hear

    sound, rate = read_wav(path)
    return hear(sound, rate, EarParams(channels=channels), stream("fsdd", path.stem) % 2**32)
