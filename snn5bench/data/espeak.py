"""Spoken text from eSpeak NG 1.52, bit-identical from run to run.

The library comes with the pip package `espeakng-loader` and is called in a small process of its own (`espeak_voice`), which
forks for every utterance: what is said never depends on what was said before.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from threading import Lock
from typing import IO, NamedTuple

import numpy as np

from snn5bench.contracts.verdict import Verdict
from snn5bench.data import espeak_voice
from snn5bench.data.espeak_voice import HEAD
from snn5bench.errors import BenchError

RATE_HZ = 22050
"""Sampling rate of everything `speak` returns."""

ENGLISH = ("en", "en-us", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029", "en-us-nyc")
"""The English accents."""

SEEDED_ON_TIME = frozenset("Alicia Demonic f2 f3 f5 sandro victor whisper whisperf".split())
"""Variants whose noise is seeded from the clock inside the library: they never say the same twice."""

_one_at_a_time = Lock()


class Utterance(NamedTuple):
    """What to say and how."""

    text: str
    voice: str
    """A language or accent of eSpeak NG, with a variant after a plus sign: `de+klatt4`."""
    pitch: int = 50
    """0 to 99, 50 is the voice's own."""
    words_per_minute: int = 175
    """80 to 450."""
    pitch_range: int = 50
    """0 (monotone) to 99."""


def available() -> Verdict:
    """Whether `speak` can run on this machine."""
    if not hasattr(os, "fork"):
        return Verdict.no("speech synthesis forks a process per utterance, which this operating system cannot")
    if find_spec("espeakng_loader") is None:
        return Verdict.no("the package espeakng-loader is not installed: pip install espeakng-loader")
    return Verdict.yes()


class _Voice:
    """The process that speaks; it ends when this one does."""

    def __init__(self) -> None:
        verdict = available()
        if not verdict:
            raise BenchError("cannot synthesise speech", do=verdict.reason)
        import espeakng_loader

        self.process = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", espeak_voice.__file__),
                *(espeakng_loader.get_library_path(), espeakng_loader.get_data_path()),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.requests: IO[bytes] = self.process.stdin
        self.answers: IO[bytes] = self.process.stdout
        rate = self._number()
        if rate != RATE_HZ:
            raise BenchError(
                f"eSpeak NG answered a sampling rate of {rate}, not {RATE_HZ}", do="reinstall espeakng-loader"
            )
        atexit.register(self.process.kill)

    def _number(self) -> int | None:
        """The next eight bytes; None where the process has ended."""
        head = self.answers.read(HEAD.size)
        return HEAD.unpack(head)[0] if len(head) == HEAD.size else None

    def say(self, u: Utterance) -> bytes:
        """Native int16 samples; empty where nothing was said."""
        asked = json.dumps([u.text, u.voice, u.words_per_minute, u.pitch, u.pitch_range])
        try:
            self.requests.write(asked.encode() + b"\n")
            self.requests.flush()
            size = self._number()
        except OSError:
            size = None
        if size is None:
            raise BenchError("the process that runs eSpeak NG has ended", do="run again")
        return self.answers.read(max(size, 0))


@cache
def _voice(process: int) -> _Voice:
    """The voice of the process of that number: a forked child must not speak through its parent's."""
    return _Voice()


def speak(u: Utterance) -> np.ndarray:
    """`u` as mono int16 [samples] at `RATE_HZ`, a function of `u` alone.

    Raises `BenchError` where the library says nothing, as it does for a voice it does not know.
    """
    with _one_at_a_time:
        try:
            data = _voice(os.getpid()).say(u)
        except BenchError:
            _voice.cache_clear()
            raise
    if not data:
        raise BenchError(
            f"eSpeak NG could not say '{u.text}'",
            where=f"voice '{u.voice}'",
            do="check the voice's name; the English ones are " + ", ".join(ENGLISH),
        )
    return np.frombuffer(data, dtype=np.int16)
