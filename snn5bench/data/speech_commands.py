"""`speech-commands`: real spoken words through our inner ear, tested on speakers never heard."""

from __future__ import annotations

import wave
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from snn5bench.contracts.dataset import DatasetSpec, Progress, Sample, SplitName, Write
from snn5bench.contracts.params import DatasetParams
from snn5bench.data.brought import Brought, Download, Finding, decoding, text_of, whole
from snn5bench.data.holdout import held_out
from snn5bench.data.spike_times import to_steps
from snn5bench.errors import BenchError
from snn5bench.seeds import stream

TEN = tuple("yes no up down left right on off stop go".split())
THIRTY_FIVE = (
    *TEN,
    *"zero one two three four five six seven eight nine bed bird cat dog happy house marvin sheila tree wow "
    "backward forward follow learn visual".split(),
)
_LONGEST_S = 10
"""The recordings last one second; the ear needs time and memory in proportion."""
_LISTS: dict[SplitName, str] = {"val": "validation_list.txt", "test": "testing_list.txt"}


class Take(NamedTuple):
    """One recording to be heard."""

    path: Path
    label: int
    split: SplitName
    speaker: int


class SpeechCommands(Brought):
    """Speech Commands v0.02 (Warden 2018): one-second recordings of single words by thousands of people.

    With the official lists the splits are the official ones. Where they are absent (as in the official test set, which
    is published as an archive of its own), a fifth of the speakers, chosen by hash, is the test split. Speakers are never
    shared between splits either way. The ear is `ear.hear`, its noise seeded by the recording's name.
    """

    name = "speech-commands"
    summary = "real spoken words through an inner-ear model, test on speakers never heard"
    licence = "CC BY 4.0"
    places = (
        "speech-commands",
        "speech_commands_v0.02",
        "SpeechCommands/speech_commands_v0.02",
        "speech_commands_test",
    )
    expects = "a folder of .wav files for each word, and validation_list.txt and testing_list.txt where there are"
    how = "`snn5bench data get speech-commands` (2.4 GB packed), or download.tensorflow.org/data"
    downloads = (
        Download(
            "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
            "speech_commands_v0.02.tar.gz",
            "sha256:af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
            unpack=True,
        ),
    )

    class Params(DatasetParams):
        """What is heard, and how finely."""

        words: Literal["ten", "all"] = "ten"
        """The ten commands, or all 35 words."""
        limit: int = Field(0, ge=0)
        """At most so many recordings of each word, the first by name; 0 is all."""
        channels: Literal[140, 700] = 140
        """Places along the basilar membrane."""
        T: int = Field(100, ge=1, le=10_000)
        """Timesteps."""
        window_s: float = Field(1.0, gt=0)
        """Seconds that the T steps share."""

    params: Params

    def vocabulary(self) -> tuple[str, ...]:
        """The words, by class."""
        return TEN if self.params.words == "ten" else THIRTY_FIVE

    def spec(self) -> DatasetSpec:
        return DatasetSpec(
            name=self.name,
            n_classes=len(self.vocabulary()),
            T=self.params.T,
            channels=self.params.channels,
            coding="events",
            temporal=True,
            bin_ms=1000 * self.params.window_s / self.params.T,
        )

    def files(self) -> list[Path]:
        folder = self.folder()
        found = {word: sorted(folder.glob(f"{word}/*_nohash_*.wav")) for word in self.vocabulary()}
        absent = [f"{word}/*.wav" for word, paths in found.items() if not paths]
        if absent:
            raise BenchError(f"{', '.join(absent)} not found", where=str(folder), do=self.how)
        stop = self.params.limit or None
        lists = [folder / name for name in _LISTS.values() if (folder / name).is_file()]
        return [*lists, *(path for paths in found.values() for path in paths[:stop])]

    def takes(self) -> list[Take]:
        """Every recording with its class, split and speaker (numbered in the order of their names)."""
        paths = [path for path in self.files() if path.suffix == ".wav"]
        names = [path.name.partition("_")[0] for path in paths]
        numbers = {name: number for number, name in enumerate(sorted(set(names)))}
        speaker = np.array([numbers[name] for name in names])
        label = {word: number for number, word in enumerate(self.vocabulary())}
        return [
            Take(path, label[path.parent.name], split, int(who))
            for path, who, split in zip(paths, speaker, self._splits(paths, speaker), strict=True)
        ]

    def _splits(self, paths: list[Path], speaker: np.ndarray) -> list[SplitName]:
        lists = {split: self.folder() / name for split, name in _LISTS.items()}
        if not all(path.is_file() for path in lists.values()):
            return ["test" if held else "train" for held in held_out(self.name, speaker)]
        listed = {line: split for split, path in lists.items() for line in text_of(path).split()}
        return [listed.get(f"{path.parent.name}/{path.name}", "train") for path in paths]

    def generate(self, write: Write, progress: Progress) -> None:
        """Recordings are heard on all cores and written in their order; the samples do not depend on the cores."""
        from loky import ProcessPoolExecutor, cpu_count

        takes, p = self.takes(), self.params
        pool = ProcessPoolExecutor(max_workers=min(cpu_count(), len(takes)))
        try:
            heard = pool.map(listen, [take.path for take in takes], [p.channels] * len(takes), chunksize=16)
            for done, (take, (times, channel)) in enumerate(zip(takes, heard, strict=True), start=1):
                where = f"{take.path}, sample {done - 1}"
                step, place = to_steps(times, channel, p.T, p.window_s, p.channels, where, self.counted)
                write(Sample(take.label, take.split, take.speaker, step=step, channel=place))
                progress(done, len(takes))
        finally:
            pool.shutdown(wait=True, kill_workers=True)

    def check_file(self, path: Path) -> Iterator[Finding]:
        if path.suffix != ".wav":
            return
        try:
            sound, rate = read_wav(path)
        except BenchError as error:
            yield Finding(str(path), error.problems[0].what, "16-bit mono sound")
            return
        odd = rate != 16_000 or len(sound) > 16_000
        yield Finding(
            str(path), f"{len(sound)} samples at {rate} Hz" if odd else "", "at most 1 s at 16 kHz" if odd else ""
        )

    def check(self) -> Iterator[Finding]:
        """As for all, and how many recordings there are of each word."""
        yield from super().check()
        if self.available():
            counts = Counter(take.split for take in self.takes())
            yield Finding(str(self.folder()), "", ", ".join(f"{n} {split}" for split, n in sorted(counts.items())))


def read_wav(path: Path) -> tuple[np.ndarray, int]:
    """Samples (int16) and rate of a mono 16-bit file; raises `BenchError` where it is anything else, or cut off."""
    with decoding(path, "is no whole wav file"), wave.open(str(whole(path)), "rb") as file:
        form = file.getnchannels(), file.getsampwidth()
        announced, rate, raw = file.getnframes(), file.getframerate(), file.readframes(file.getnframes())
    if form != (1, 2):
        raise BenchError(f"has {form[0]} channels of {8 * form[1]} bits, expected one of 16", where=str(path))
    if len(raw) != 2 * announced:
        raise BenchError(f"announces {announced} samples and has {len(raw) // 2}", where=str(path), do="get it again")
    if not 8_000 <= rate <= 48_000 or announced > _LONGEST_S * rate:
        raise BenchError(
            f"has {announced} samples at {rate} Hz, expected at most {_LONGEST_S} s at 8 to 48 kHz", where=str(path)
        )
    return np.frombuffer(raw, dtype="<i2"), rate


def listen(path: Path, channels: Literal[140, 700]) -> tuple[np.ndarray, np.ndarray]:
    """Spike times in seconds and channels of one recording."""
    from snn5bench.data.ear import EarParams, hear

    sound, rate = read_wav(path)
    seed = stream("speech-commands", path.parent.name, path.name) % 2**32
    return hear(sound, rate, EarParams(channels=channels), seed)
