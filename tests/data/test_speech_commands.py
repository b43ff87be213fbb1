"""Speech Commands: splits by list or by speaker, the sound's form, and the real test set where it is at hand."""

from __future__ import annotations

import wave
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from snn5bench.data.speech_commands import TEN, THIRTY_FIVE, SpeechCommands, listen, read_wav
from snn5bench.errors import BenchError
from tests.data.making import real, samples


def write_wav(path: Path, sound: np.ndarray, rate: int = 16_000, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(sound.astype("<i2").tobytes())


@pytest.fixture
def spoken(tmp_path, monkeypatch):
    """Five speakers who say each of ten words once, for 50 ms."""
    monkeypatch.setenv("SNN5BENCH_DATA", str(tmp_path))
    rng, folder = np.random.default_rng(0), tmp_path / "speech-commands"
    for word in TEN:
        for speaker in ("aa11", "bb22", "cc33", "dd44", "ee55"):
            write_wav(folder / word / f"{speaker}_nohash_0.wav", rng.normal(0, 3000, 800))
    (folder / "_background_noise_").mkdir()
    return folder


def dataset(**params):
    return SpeechCommands(SpeechCommands.Params.model_validate(params))


def test_the_words_are_the_published_35():
    assert len(set(THIRTY_FIVE)) == 35 and THIRTY_FIVE[:10] == TEN


def test_without_lists_whole_speakers_are_held_out(spoken):
    takes = dataset().takes()
    assert len(takes) == 50
    splits = defaultdict(set)
    for take in takes:
        splits[take.speaker].add(take.split)
    assert sorted(map(sorted, splits.values())) == [["test"], *[["train"]] * 4]


def test_with_lists_the_splits_are_the_official_ones(spoken):
    (spoken / "testing_list.txt").write_text("".join(f"{word}/ee55_nohash_0.wav\n" for word in TEN))
    (spoken / "validation_list.txt").write_text("yes/aa11_nohash_0.wav\n")
    takes = dataset().takes()
    assert Counter(t.split for t in takes) == {"train": 39, "val": 1, "test": 10}
    assert {t.path.name for t in takes if t.split == "test"} == {"ee55_nohash_0.wav"}


def test_samples_are_what_the_ear_hears(spoken):
    made_by, made = samples(SpeechCommands, limit=2)
    takes = made_by.takes()
    assert len(made) == len(takes) == 20
    assert all((s.label, s.split, s.group) == (t.label, t.split, t.speaker) for s, t in zip(made, takes, strict=True))
    times, channel = listen(takes[3].path, 140)
    assert made[3].step.tolist() == np.floor(times * 100).astype(int).tolist()
    assert made[3].channel.tolist() == channel.tolist() and len(times) > 20


def test_a_missing_word_and_a_bad_file_are_named(spoken):
    assert "bed/*.wav" in dataset(words="all").available().reason
    path = spoken / "no" / "bb22_nohash_0.wav"
    path.write_bytes(path.read_bytes()[:-100])
    write_wav(spoken / "go" / "aa11_nohash_0.wav", np.zeros(800), channels=2)
    write_wav(spoken / "up" / "aa11_nohash_0.wav", np.zeros(800), rate=8000)
    bad = {f"{Path(f.path).parent.name}": f.problem for f in dataset().check() if f.problem}
    assert bad == {
        "no": "announces 800 samples and has 750",
        "go": "has 2 channels of 16 bits, expected one of 16",
        "up": "800 samples at 8000 Hz",
    }
    with pytest.raises(BenchError, match="announces 800 samples and has 750"):
        read_wav(path)
    path.write_bytes(b"RIFF")
    with pytest.raises(BenchError, match="no whole wav file"):
        read_wav(path)


@pytest.mark.real_data
def test_the_real_test_set_is_whole_and_its_words_are_heard(monkeypatch):
    monkeypatch.setenv("SNN5BENCH_DATA", str(real("speech_commands_test").parent))
    takes = dataset().takes()
    assert len(takes) == 4074 and {t.label for t in takes} == set(range(10))
    by_split = {split: {t.speaker for t in takes if t.split == split} for split in ("train", "test")}
    assert not by_split["train"] & by_split["test"]
    assert 0.15 < sum(t.split == "test" for t in takes) / 4074 < 0.25
    counts = [len(listen(t.path, 140)[0]) for t in takes[::1000]]
    assert all(200 < n < 5000 for n in counts)
