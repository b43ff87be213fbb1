"""Event cameras: N-MNIST and DVS128 Gesture, on small files written by an independent encoder, and on real ones."""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snn5bench.data.aer import read_aedat31, read_five_byte
from snn5bench.data.cache import prepare
from snn5bench.data.dvs_gesture import REPAIRED, DvsGesture
from snn5bench.data.nmnist import NMnist
from snn5bench.data.spike_times import EMPTY, LATE
from snn5bench.errors import BenchError
from tests.data.making import frames, real, samples

Event = tuple[int, int, int, int]


def five_byte(events: list[Event]) -> bytes:
    """x, y, polarity, microseconds; one bit string an event, most significant first."""
    return b"".join(int(f"{x:08b}{y:08b}{p:01b}{t:023b}", 2).to_bytes(5, "big") for x, y, p, t in events)


def aedat31(events: list[Event], per_packet: int = 3, other: bool = True) -> bytes:
    """A file of polarity packets, with a packet of another type in front."""
    out = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Start-Time: 2016\r\n#!END-HEADER\r\n"
    if other:
        out += struct.pack("<HHIIIIII", 2, 0, 16, 0, 0, 1, 1, 1) + b"\xff" * 16
    for start in range(0, len(events), per_packet):
        part = events[start : start + per_packet]
        out += struct.pack("<HHIIIIII", 1, 0, 8, 4, 0, len(part), len(part), len(part))
        out += b"".join(struct.pack("<II", x << 17 | y << 2 | p << 1 | 1, t) for x, y, p, t in part)
    return out


pixels = st.tuples(st.integers(0, 33), st.integers(0, 33), st.integers(0, 1), st.integers(0, 2**23 - 1))


@given(st.lists(pixels, min_size=1, max_size=50))
@settings(max_examples=40, deadline=None)
def test_both_forms_decode_to_what_was_written(tmp_path_factory, events):
    folder = tmp_path_factory.mktemp("aer")
    (folder / "a.bin").write_bytes(five_byte(events))
    (folder / "a.aedat").write_bytes(aedat31(events))
    for read in (read_five_byte(folder / "a.bin"), read_aedat31(folder / "a.aedat")):
        assert list(zip(*(column.tolist() for column in read), strict=True)) == events


def test_a_time_beyond_31_bits_uses_the_overflow(tmp_path):
    raw = (
        b"#!AER-DAT3.1\r\n#!END-HEADER\r\n"
        + struct.pack("<HHIIIIII", 1, 0, 8, 4, 1, 1, 1, 1)
        + struct.pack("<II", 1, 7)
    )
    (tmp_path / "a.aedat").write_bytes(raw)
    assert read_aedat31(tmp_path / "a.aedat").t.tolist() == [2**31 + 7]


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_a_file_cut_anywhere_is_refused_or_ends_between_events(tmp_path_factory, data):
    events = [(i, i, 0, i) for i in range(7)]
    path = tmp_path_factory.mktemp("aer") / "a"
    for whole, reader, size in ((five_byte(events), read_five_byte, 5), (aedat31(events), read_aedat31, 0)):
        cut = data.draw(st.integers(0, len(whole) - 1))
        path.write_bytes(whole[:cut])
        try:
            got = reader(path)
        except BenchError as error:
            assert str(path) in error.problems[0].where
        else:
            assert list(zip(*got, strict=True)) == events[: len(got.t)]
            assert size == 0 or cut == size * len(got.t)


def plant(folder: Path, per_class: int = 3) -> dict[str, list[Event]]:
    """A small N-MNIST; returns the events by file name under the folder."""
    rng, out = np.random.default_rng(0), {}
    for part in ("Train", "Test"):
        for cls in range(10):
            for i in range(per_class if part == "Train" else 1):
                events = [
                    (int(x), int(y), int(p), int(t))
                    for x, y, p, t in zip(
                        *rng.integers(0, 34, (2, 20)),
                        rng.integers(0, 2, 20),
                        np.sort(rng.integers(0, 350_000, 20)),
                        strict=True,
                    )
                ]
                path = folder / part / str(cls) / f"{i:05d}.bin"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(five_byte(events))
                out[f"{part}/{cls}/{i:05d}"] = events
    return out


@pytest.fixture
def nmnist(tmp_path, monkeypatch):
    monkeypatch.setenv("SNN5BENCH_DATA", str(tmp_path))
    return tmp_path / "NMNIST", plant(tmp_path / "NMNIST")


def test_small_folders_are_read_and_no_event_is_lost(nmnist):
    _, planted = nmnist
    dataset, made = samples(NMnist)
    assert Counter((s.split, s.label) for s in made) == Counter(
        {("train", c): 3 for c in range(10)} | {("test", c): 1 for c in range(10)}
    )
    for sample, events in zip(made, planted.values(), strict=True):
        want = Counter((t * 20 // 320_000, p * 34 * 34 + y * 34 + x) for x, y, p, t in events if t < 320_000)
        assert Counter(zip(sample.step.tolist(), sample.channel.tolist(), strict=True)) == want
    assert dataset.counted[LATE] == sum(t >= 320_000 for e in planted.values() for *_, t in e)


def test_check_names_short_splits_and_cut_files(nmnist):
    folder, _ = nmnist
    path = folder / "Train" / "3" / "00001.bin"
    path.write_bytes(path.read_bytes()[:-2])
    (folder / "Test" / "0" / "00000.bin").write_bytes(five_byte([(90, 0, 0, 0)]))
    found = {Path(f.path).name: f for f in NMnist(NMnist.Params()).check()}
    assert found["Train"].problem == "has 30 recordings" and "60,000" in found["Train"].expected
    assert "98 bytes, expected a multiple of 5" in found["00001.bin"].problem
    assert "leaves the 34 x 34 sensor" in found["00000.bin"].problem
    with pytest.raises(BenchError, match=r"98 bytes|34 x 34 sensor"):
        samples(NMnist)


@pytest.mark.real_data
def test_real_n_mnist_packs_whole(monkeypatch):
    root = real("nmnist_small")
    monkeypatch.setenv("SNN5BENCH_DATA", str(root))
    meta = prepare(NMnist(NMnist.Params())).meta
    total = sum(path.stat().st_size // 5 for path in root.glob("NMNIST/*/*/*.bin"))
    assert meta.events + meta.merged_events + meta.counted.get(LATE, 0) == total
    assert sum(meta.samples.values()) == 1100 and meta.samples["test"] == 100


@pytest.mark.real_data
def test_real_gestures_decode_within_the_sensor():
    for path in sorted(real("dvsgesture_10").glob("*.bs2")):
        events = read_five_byte(path)
        assert 60_000 < len(events.t) < 190_000
        assert (np.diff(events.t) >= 0).all() and events.t[-1] < 1_450_000
        assert events.channel(128, 128).max() < 2 * 128 * 128


STARTS = [(1, 1000, 2_000_000), (9, 2_500_000, 100), (2, 4_000_000, 9_000_000)]
"""Class from 1, start and end: the second ends before it starts, the third is the last and runs to its end."""


def gesture_events(seed: int) -> list[Event]:
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, 9_500_000, 400))
    return [
        (int(x), int(y), int(p), int(t))
        for x, y, p, t in zip(*rng.integers(0, 128, (2, 400)), times % 2, times, strict=True)
    ]


@pytest.fixture
def gestures(tmp_path, monkeypatch):
    monkeypatch.setenv("SNN5BENCH_DATA", str(tmp_path))
    folder = tmp_path / "DvsGesture"
    folder.mkdir()
    made = {}
    for split, user in (("train", 1), ("train", 2), ("test", 24)):
        name = f"user{user:02d}_led"
        made[name] = gesture_events(user)
        (folder / f"{name}.aedat").write_bytes(aedat31(made[name], 50))
        rows = "".join(f"{c},{a},{b}\n" for c, a, b in STARTS)
        (folder / f"{name}_labels.csv").write_text(f"class,startTime_usec,endTime_usec\n{rows}")
        with (folder / f"trials_to_{split}.txt").open("a") as file:
            file.write(f"{name}.aedat\n")
    return folder, made


def test_recordings_are_cut_at_their_labels(gestures):
    _, made = gestures
    dataset, got = samples(DvsGesture, T=10, window_s=1.0, pool=4)
    assert [s.label for s in got] == [0, 8, 1] * 3
    assert [(s.split, s.group) for s in got[::3]] == [("train", 1), ("train", 2), ("test", 24)]
    assert dataset.counted[REPAIRED] == 3
    spans = [(1000, 2_000_000), (2_500_000, 4_000_000), (4_000_000, 9_000_000)]
    for number, (start, end) in enumerate(spans):
        inside = [e for e in made["user24_led"] if start <= e[3] < end]
        want = np.zeros((10, 2, 32, 32), dtype=bool)
        for x, y, p, t in inside:
            if t - start < 1_000_000:
                want[(t - start) // 100_000, p, y // 4, x // 4] = True
        assert np.array_equal(frames(dataset, got[6 + number]), want.reshape(10, -1))


def test_tonics_form_gives_the_same_clips_to_the_millisecond(gestures, tmp_path):
    folder, made = gestures
    _, by_labels = samples(DvsGesture, T=10, window_s=1.0)
    for path in list(folder.iterdir()):
        path.unlink()
    for name, events in made.items():
        part = "ibmGestureTest" if name.startswith("user24") else "ibmGestureTrain"
        home = folder / part / name
        home.mkdir(parents=True)
        for label, start, end in ((0, 1000, 2_000_000), (8, 2_500_000, 4_000_000), (1, 4_000_000, 9_000_000)):
            first = (127, 127, 0, start)
            rows = [first, *(e for e in events if start <= e[3] < end)]
            np.save(home / f"{label}.npy", np.array([(x, y, p, t // 1000) for x, y, p, t in rows], dtype=np.float64))
    dataset, by_files = samples(DvsGesture, T=10, window_s=1.0)
    key = {(s.split, s.group, s.label): s for s in by_files}
    assert len(key) == len(by_labels)
    for clip in by_labels:
        twin = key[clip.split, clip.group, clip.label]
        plain, theirs = frames(dataset, clip), frames(dataset, twin)
        theirs[0, 31 * 32 + 31] = plain[0, 31 * 32 + 31]
        assert (plain != theirs).sum() <= 2, "an event on a bin's edge may move by the rounding to milliseconds"


def test_bad_labels_and_clips_are_named(gestures):
    folder, _ = gestures
    labels = folder / "user01_led_labels.csv"
    labels.write_text("class,startTime_usec,endTime_usec\n1,0,5\n12,5,9\n")
    with pytest.raises(BenchError, match=r"class 12 is not in 1\.\.11") as caught:
        samples(DvsGesture)
    assert caught.value.problems[0].where.endswith("user01_led_labels.csv:3")
    bad = [f for f in DvsGesture(DvsGesture.Params()).check() if f.problem]
    assert [Path(f.path).name for f in bad] == ["user01_led_labels.csv"]
    labels.unlink()
    verdict = DvsGesture(DvsGesture.Params()).available()
    assert not verdict and "user01_led_labels.csv not found" in verdict.reason


def test_an_empty_clip_is_kept_and_counted(gestures):
    folder, _ = gestures
    (folder / "user01_led_labels.csv").write_text("class,startTime_usec,endTime_usec\n4,9600000,9700000\n")
    dataset, made = samples(DvsGesture)
    assert len(made) == 7 and dataset.counted[EMPTY] == 1
