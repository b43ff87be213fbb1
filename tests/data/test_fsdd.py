"""FSDD: the official split, what the ear hears, and the real recordings where they are at hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from snn5bench.data.fsdd import FSDD, listen
from tests.data.making import real, samples
from tests.data.test_speech_commands import write_wav


@pytest.fixture
def spoken(tmp_path, monkeypatch):
    """Two speakers who say two digits seven times, for 50 ms at 8 kHz."""
    monkeypatch.setenv("SNN5BENCH_DATA", str(tmp_path))
    rng, folder = np.random.default_rng(0), tmp_path / "fsdd"
    for digit in (0, 7):
        for speaker in ("ann", "bob"):
            for index in range(7):
                write_wav(folder / f"{digit}_{speaker}_{index}.wav", rng.normal(0, 3000, 400), rate=8000)
    write_wav(folder / "readme.wav", np.zeros(400), rate=8000)
    return folder


def test_the_first_five_of_each_are_the_test_split(spoken):
    dataset, made = samples(FSDD)
    assert Counter((s.label, s.split) for s in made) == {
        (d, s): n for d in (0, 7) for s, n in (("test", 10), ("train", 4))
    }
    times, channel = listen(spoken / "7_bob_6.wav", 140)
    assert made[-1].step.tolist() == np.floor(times * 100).astype(int).tolist()
    assert made[-1].channel.tolist() == channel.tolist()
    assert len(dataset.files()) == 28, "a file of another name is none of its recordings"


def test_a_bad_file_and_an_empty_folder_are_named(spoken, tmp_path, monkeypatch):
    write_wav(spoken / "0_ann_0.wav", np.zeros(400), rate=16_000)
    (spoken / "0_ann_1.wav").write_bytes(b"RIFF")
    bad = [f.problem for f in FSDD(FSDD.Params()).check() if f.problem]
    assert bad[0] == "is at 16000 Hz" and "no whole wav file" in bad[1] and len(bad) == 2
    monkeypatch.setenv("SNN5BENCH_DATA", str(tmp_path / "elsewhere"))
    assert "DIGIT_SPEAKER_INDEX.wav not found" in FSDD(FSDD.Params()).available().reason


@pytest.mark.real_data
def test_the_real_recordings_are_whole(monkeypatch):
    monkeypatch.setenv("SNN5BENCH_DATA", str(real("recordings").parent))
    dataset = FSDD(FSDD.Params())
    assert len(dataset.files()) == 3000 and not [f for f in dataset.check() if f.problem]
    assert 200 < len(listen(dataset.files()[0], 140)[0]) < 5000
