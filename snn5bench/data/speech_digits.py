"""Spoken digits of synthetic speakers through an inner-ear model: SHD's task, made on this machine.

The 20 classes are SHD's: zero to nine in English (0-9) and null to neun in German (10-19). A speaker is a variant of
eSpeak NG's voice (vocal tract, breath, roughness). In a round a speaker says all 20 digits once, in one of eight
English accents and in German, at a pitch and speed that differ from round to round and a little from word to word.
Speakers of the validation and the test split are never heard in training.
"""

from __future__ import annotations

import os
from importlib import metadata
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from snn5bench.contracts.dataset import Dataset, DatasetSpec, Progress, Sample, SplitName, Write
from snn5bench.contracts.params import DatasetParams
from snn5bench.contracts.verdict import Verdict
from snn5bench.orphans import end_with

WORDS = (
    *"zero one two three four five six seven eight nine".split(),
    *"null eins zwei drei vier fünf sechs sieben acht neun".split(),
)
"""What is said, by class."""

SPEAKERS: dict[SplitName, tuple[str, ...]] = {
    "train": tuple(
        "Tweaky Storm robosoft6 m7 rob aunty Hugo marcelo adam robosoft pablo klatt4 m3 klatt3 robosoft2 robosoft5 "
        "kaukovalta pedro Mike robosoft3 Andrea m4 anika linda Denis m8 steph2 max zac Lee travis robosoft8 norbert "
        "quincy robosoft4 ian anikaRobot f4 Marco klatt2 shelby f1 miguel grandpa".split()
    ),
    "val": tuple("Reed Andy belinda gustave AnxiousAndy boris Gene Gene2 david Diogo antonio".split()),
    "test": tuple(
        "Annie Nguyen ed UniRobot iven3 announcer iven2 Jacky m6 RicishayMax mike2 m2 RicishayMax3 grandma iven4 Alex "
        "edward Michael RicishayMax2 paul caleb iven".split()
    ),
}
"""eSpeak NG's variants by split: of the 95 that speak the same twice, the 77 that sound least alike (farthest-point
choice on the membrane's log energy in time and place), relatives by name in one split, the odd voices spread evenly."""

_SHARE: dict[SplitName, int] = {"train": 4, "val": 1, "test": 2}
_KEY = 20


class Line(NamedTuple):
    """One utterance of the script."""

    label: int
    split: SplitName
    group: int
    voice: str
    pitch: int
    words_per_minute: int
    pitch_range: int
    seed: int
    """Of the ear's noise."""


class Tally(NamedTuple):
    """What became of the spikes of all samples together."""

    spikes: int = 0
    events: int = 0
    merged: int = 0
    """Second and later spikes of a channel within a step."""
    dropped: int = 0
    """Spikes after the window."""


class SpeechDigitsParams(DatasetParams):
    """How much is said, and how finely it is heard."""

    utterances: int = Field(2240, ge=140, multiple_of=20)
    """Samples of all splits together; a smaller number is a prefix of a larger one. Of each 140, 80 are for training,
    20 for validation and 40 for the test."""
    channels: Literal[140, 700] = 140
    """Places along the basilar membrane; 700 is SHD's number."""
    T: int = Field(100, ge=1)
    """Timesteps."""
    duration_s: float = Field(0.8, gt=0)
    """Window that the T steps share, from the start of the sound; the last spike of 99 in 100 utterances comes before
    0.75 s."""
    hair_cell: Literal["g2000", "g1000"] = "g2000"
    """Parameter set of the hair cell, see `EarParams`."""


def speakers() -> list[tuple[SplitName, int, str]]:
    """Split, group and variant of every speaker, in the order of speaking: each seven mix the splits 4 : 1 : 2."""
    numbered = {
        split: [(split, 100 * k + i, name) for i, name in enumerate(names)]
        for k, (split, names) in enumerate(SPEAKERS.items())
    }
    return [
        speaker
        for block in range(len(SPEAKERS["val"]))
        for split, share in _SHARE.items()
        for speaker in numbered[split][block * share : (block + 1) * share]
    ]


def script(number: int) -> list[Line]:
    """The 20 lines of round `number`: one speaker says every digit once."""
    from snn5bench.data.espeak import ENGLISH

    everyone = speakers()
    split, group, variant = everyone[number % len(everyone)]
    rng = np.random.default_rng([_KEY, number])
    accent = ENGLISH[rng.integers(len(ENGLISH))]
    pitch, speed = rng.uniform(25, 75), rng.uniform(130, 230)
    return [
        Line(
            label=label,
            split=split,
            group=group,
            voice=f"{accent if label < 10 else 'de'}+{variant}",
            pitch=round(pitch + rng.uniform(-10, 10)),
            words_per_minute=round(speed * rng.uniform(0.85, 1.15)),
            pitch_range=round(rng.uniform(20, 80)),
            seed=number * len(WORDS) + label,
        )
        for label in range(len(WORDS))
    ]


def perform(number: int, params: SpeechDigitsParams) -> tuple[list[Sample], Tally]:
    """Speak, hear and bin round `number`; a function of its arguments alone."""
    from snn5bench.data.binning import bin_spikes
    from snn5bench.data.ear import EarParams, hear
    from snn5bench.data.espeak import RATE_HZ, Utterance, speak

    ear = EarParams(channels=params.channels, hair_cell=params.hair_cell)
    samples, totals = [], np.zeros(len(Tally._fields), dtype=np.int64)
    for line in script(number):
        said = Utterance(WORDS[line.label], line.voice, line.pitch, line.words_per_minute, line.pitch_range)
        times, channel = hear(speak(said), RATE_HZ, ear, line.seed)
        events = bin_spikes(times, channel, params.T, params.duration_s)
        samples.append(Sample(line.label, line.split, line.group, events.step, events.channel))
        totals += len(times), len(events.step), events.merged, events.dropped
    return samples, Tally(*map(int, totals))


class SpeechDigits(Dataset):
    """Synthetic spoken digits; see the module. `tally` holds the counts of the last `generate`."""

    name: ClassVar[str] = "speech-digits"
    summary: ClassVar[str] = "spoken digits, English and German, synthetic speakers through an inner-ear model (as SHD)"
    licence: ClassVar[str] = "made here, free of rights; eSpeak NG (GPL-3.0-or-later) is called, not included"
    Params: ClassVar[type[DatasetParams]] = SpeechDigitsParams
    params: SpeechDigitsParams
    tally: Tally | None = None

    def spec(self) -> DatasetSpec:
        """[T, B, channels] of binary events, 20 classes."""
        return DatasetSpec(
            name=self.name,
            n_classes=len(WORDS),
            T=self.params.T,
            channels=self.params.channels,
            coding="events",
            temporal=True,
            bin_ms=1000 * self.params.duration_s / self.params.T,
        )

    def available(self) -> Verdict:
        """Whether speech can be synthesised here."""
        from snn5bench.data import espeak

        return espeak.available()

    def transform(self) -> dict[str, object]:
        """The parameters and the synthesiser's version."""
        try:
            version = metadata.version("espeakng-loader")
        except metadata.PackageNotFoundError:
            version = "not installed"
        return {**super().transform(), "espeakng_loader": version}

    def generate(self, write: Write, progress: Progress) -> None:
        """Rounds are performed on all cores and written in their order; the samples do not depend on the cores."""
        from loky import ProcessPoolExecutor, cpu_count

        rounds = range(self.params.utterances // len(WORDS))
        totals = np.zeros(len(Tally._fields), dtype=np.int64)
        pool = ProcessPoolExecutor(min(cpu_count(), len(rounds)), initializer=end_with, initargs=(os.getpid(),))
        try:
            performed = [pool.submit(perform, number, self.params) for number in rounds]
            for number, result in enumerate(performed, start=1):
                samples, tally = result.result()
                for sample in samples:
                    write(sample)
                totals += tally
                progress(number * len(WORDS), self.params.utterances)
        finally:
            pool.shutdown(wait=True, kill_workers=True)
        self.tally = Tally(*map(int, totals))
