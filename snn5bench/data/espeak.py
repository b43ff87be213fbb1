"""Spoken text from eSpeak NG 1.52, bit-identical from run to run.

The library comes with the pip package `espeakng-loader` and is called through ctypes. What it says depends on what the
process said before (random state, echo buffer, voice left-overs), so the library is started and seeded once and every
utterance is then spoken in a forked child, which starts from that same state whatever came before.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np

from snn5bench.contracts.verdict import Verdict
from snn5bench.errors import BenchError

RATE_HZ = 22050
"""Sampling rate of everything `speak` returns."""

ENGLISH = ("en", "en-us", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029", "en-us-nyc")
"""The English accents."""

SEEDED_ON_TIME = frozenset("Alicia Demonic f2 f3 f5 sandro victor whisper whisperf".split())
"""Variants whose noise is seeded from the clock inside the library: they never say the same twice."""

_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_PITCH, _SPEED, _RANGE = 3, 1, 4
_UTF8 = 1
_SEED = 20200
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


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


@cache
def _library() -> ctypes.CDLL:
    """The library, started and seeded. Nothing is ever said in this process itself."""
    verdict = available()
    if not verdict:
        raise BenchError("cannot synthesise speech", do=verdict.reason)
    import espeakng_loader

    lib = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = lib.espeak_Initialize(_SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), _DONT_EXIT)
    if rate != RATE_HZ:
        raise BenchError(f"eSpeak NG answered a sampling rate of {rate}, not {RATE_HZ}", do="reinstall espeakng-loader")
    lib.espeak_ng_SetRandSeed(ctypes.c_long(_SEED))
    return lib


def _say(lib: ctypes.CDLL, u: Utterance) -> bytes:
    """The utterance as native int16 samples; only ever called in a forked child."""
    chunks: list[bytes] = []

    def take(samples: ctypes._Pointer[ctypes.c_short], count: int, _events: object) -> int:
        if samples and count > 0:
            chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = _Callback(take)
    lib.espeak_SetSynthCallback(callback)
    if lib.espeak_SetVoiceByName(u.voice.encode()) != 0:
        raise ValueError(f"no voice {u.voice}")
    for parameter, value in ((_SPEED, u.words_per_minute), (_PITCH, u.pitch), (_RANGE, u.pitch_range)):
        lib.espeak_SetParameter(parameter, value, 0)
    text = u.text.encode()
    lib.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, 0, 0, _UTF8, None, None)
    return b"".join(chunks)


def speak(u: Utterance) -> np.ndarray:
    """`u` as mono int16 [samples] at `RATE_HZ`, a function of `u` alone.

    Raises `BenchError` where the library says nothing, as it does for a voice it does not know.
    """
    lib = _library()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reader)
            with os.fdopen(writer, "wb") as pipe:
                pipe.write(_say(lib, u))
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(child, 0)
    if status != 0 or not data:
        raise BenchError(
            f"eSpeak NG could not say '{u.text}'",
            where=f"voice '{u.voice}'",
            do="check the voice's name; the English ones are " + ", ".join(ENGLISH),
        )
    return np.frombuffer(data, dtype=np.int16)
