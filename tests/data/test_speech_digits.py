"""Synthetic speech: the same bits every time, no voice in two splits, events as the contract wants them."""

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest
from pydantic import ValidationError

import snn5bench
from snn5bench.contracts.dataset import Sample
from snn5bench.data import espeak
from snn5bench.data.espeak import RATE_HZ, SEEDED_ON_TIME, Utterance, speak
from snn5bench.data.speech_digits import (
    SPEAKERS,
    WORDS,
    SpeechDigits,
    SpeechDigitsParams,
    perform,
    script,
    speakers,
)
from snn5bench.errors import BenchError

needs_espeak = pytest.mark.skipif(not espeak.available(), reason=espeak.available().reason)
ROOT = str(Path(snn5bench.__file__).parents[1])


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": ROOT}, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


@needs_espeak
def test_an_utterance_does_not_depend_on_what_was_said_before():
    said = Utterance("sieben", "de+Alex", pitch=60)
    before = speak(said)
    for voice in ("en-us+caleb", "de+announcer", "en-029+UniRobot"):
        speak(Utterance("four", voice, pitch=20, words_per_minute=240))
    np.testing.assert_array_equal(speak(said), before)
    assert before.dtype == np.int16 and 0.2 < len(before) / RATE_HZ < 1.0


@needs_espeak
def test_an_utterance_is_the_same_in_another_process():
    code = (
        "import hashlib; from snn5bench.data.espeak import *; speak(Utterance('one', 'en-us+steph2'));"
        "print(hashlib.sha256(speak(Utterance('nine', 'en-us+klatt3', 40, 150)).tobytes()).hexdigest())"
    )
    import hashlib

    assert python(code) == hashlib.sha256(speak(Utterance("nine", "en-us+klatt3", 40, 150)).tobytes()).hexdigest()


@needs_espeak
def test_pitch_speed_and_variant_are_obeyed():
    base = Utterance("three", "en-us+Alex")
    slow, fast = (speak(base._replace(words_per_minute=w)) for w in (120, 240))
    assert len(slow) > 1.3 * len(fast)
    for other in (base._replace(pitch=80), base._replace(voice="en-us+m2"), base._replace(voice="de+Alex")):
        assert speak(other).tobytes() != speak(base).tobytes()


@needs_espeak
def test_an_unknown_voice_is_an_error_that_names_the_known_ones():
    with pytest.raises(BenchError, match="'xx-nowhere'") as caught:
        speak(Utterance("one", "xx-nowhere"))
    assert "en-us-nyc" in str(caught.value)


@needs_espeak
def test_a_voice_that_has_died_is_an_error_once_and_the_next_utterance_has_the_same_bits():
    said = Utterance("zwei", "de+Alex")
    before = speak(said)
    voice = espeak._voice(os.getpid())
    voice.process.kill()
    voice.process.wait()
    with pytest.raises(BenchError, match="has ended"):
        speak(said)
    np.testing.assert_array_equal(speak(said), before)


@needs_espeak
def test_the_voice_ends_with_a_process_that_is_killed():
    code = (
        "import os; from snn5bench.data import espeak; espeak.speak(espeak.Utterance('one', 'en-us+Alex'));"
        "print(espeak._voice(os.getpid()).process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": ROOT}, capture_output=True)
    voice = int(done.stdout)
    for _ in range(200):
        if not psutil.pid_exists(voice) or psutil.Process(voice).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.05)
    pytest.fail("it is still there after 10 s")


def test_without_the_package_the_dataset_says_what_to_install(monkeypatch):
    monkeypatch.setattr(espeak, "find_spec", lambda name: None)
    verdict = SpeechDigits(SpeechDigitsParams()).available()
    assert not verdict and "pip install espeakng-loader" in verdict.reason


def test_no_speaker_is_in_two_splits_and_none_is_seeded_on_time():
    names = [name for split in SPEAKERS.values() for name in split]
    assert len(names) == len(set(names)) == len({group for _, group, _ in speakers()}) == 77
    assert not set(names) & SEEDED_ON_TIME
    assert len(speakers()) == 77


def test_every_variant_is_one_that_the_library_has():
    loader = pytest.importorskip("espeakng_loader")
    there = {path.name for path in (Path(loader.get_data_path()) / "voices" / "!v").iterdir()}
    assert {name for split in SPEAKERS.values() for name in split} <= there


def test_the_script_of_the_default_size():
    lines = [line for number in range(112) for line in script(number)]
    assert Counter(line.split for line in lines) == {"train": 1280, "val": 320, "test": 640}
    assert set(Counter(line.label for line in lines).values()) == {112}
    assert len({line.seed for line in lines}) == len(lines)
    assert Counter(line.split for line in lines[:140]) == {"train": 80, "val": 20, "test": 40}
    by_split = {split: {line.group for line in lines if line.split == split} for split in SPEAKERS}
    assert not (by_split["train"] & by_split["test"] or by_split["train"] & by_split["val"])
    assert not by_split["val"] & by_split["test"]
    assert all(0 <= line.pitch <= 99 and 80 <= line.words_per_minute <= 450 for line in lines)
    assert all((line.label >= 10) == line.voice.startswith("de+") for line in lines)


@needs_espeak
def test_generate_writes_the_rounds_in_order_whoever_performs_them():
    data = SpeechDigits(SpeechDigitsParams.model_construct(utterances=40))  # two rounds, fewer than users may ask for
    written: list[Sample] = []
    steps: list[tuple[int, int]] = []
    data.generate(written.append, lambda done, total: steps.append((done, total)))
    assert [s.label for s in written] == list(range(20)) * 2
    assert steps == [(20, 40), (40, 40)]

    spec = data.spec()
    for sample in written:
        assert sample.step.dtype == sample.channel.dtype == np.int32
        flat = sample.step.astype(np.int64) * spec.channels + sample.channel
        assert np.all(np.diff(flat) > 0)
        assert sample.step.min() >= 0 and sample.step.max() < spec.T
        assert sample.channel.min() >= 0 and sample.channel.max() < spec.channels
    assert 400 < np.mean([len(s.step) for s in written]) < 1500
    assert data.tally.events == sum(len(s.step) for s in written)
    assert data.tally.spikes == data.tally.events + data.tally.merged + data.tally.dropped

    here, _ = perform(1, data.params)
    for mine, theirs in zip(here, written[20:], strict=True):
        assert (mine.label, mine.split, mine.group) == (theirs.label, theirs.split, theirs.group)
        np.testing.assert_array_equal(mine.step, theirs.step)
        np.testing.assert_array_equal(mine.channel, theirs.channel)


@needs_espeak
def test_a_short_window_drops_spikes_and_counts_them():
    samples, short = perform(0, SpeechDigitsParams(duration_s=0.2, T=20))
    _, whole = perform(0, SpeechDigitsParams(duration_s=2.0, T=200))
    assert short.dropped > 0 and whole.dropped == 0
    assert short.spikes == whole.spikes
    assert max(s.step.max() for s in samples) == 19


def test_spec_and_refusals():
    spec = SpeechDigits(SpeechDigitsParams(channels=700, T=50)).spec()
    assert (spec.n_classes, spec.T, spec.channels, spec.bin_ms, spec.coding) == (20, 50, 700, 16.0, "events")
    assert len(set(WORDS)) == 20
    for wrong in ({"utterances": 150}, {"utterances": 120}, {"channels": 64}, {"speakers": 3}):
        with pytest.raises(ValidationError):
            SpeechDigitsParams(**wrong)


def test_planning_loads_nothing_heavy():
    code = (
        "import sys; from snn5bench.data.speech_digits import *; d = SpeechDigits(SpeechDigitsParams());"
        "d.spec(); d.transform(); d.available();"
        "print([m for m in ('torch', 'numba', 'scipy', 'loky', 'espeakng_loader') if m in sys.modules])"
    )
    assert python(code) == "[]"
