"""SHD, SSC and files in their layout: small files written as the real ones are, real ones where they are at hand."""

from __future__ import annotations

import gzip
import zipfile
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snn5bench.data.cache import prepare
from snn5bench.data.heidelberg import SHD, SSC, SpikeFile
from snn5bench.data.spike_times import EMPTY, LATE, UNSORTED, to_steps
from snn5bench.data.splits import TEST, TRAIN, VAL
from snn5bench.errors import BenchError
from tests.data.making import real, samples


def write_h5(path: Path, rows, labels, speakers=None, time_type="f2", unit_type="u2"):
    """`rows`: a list of (times, units)."""
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (len(rows),), dtype=h5py.vlen_dtype(np.dtype(time_type)))
        units = file.create_dataset("spikes/units", (len(rows),), dtype=h5py.vlen_dtype(np.dtype(unit_type)))
        for i, (t, u) in enumerate(rows):
            times[i], units[i] = np.asarray(t, dtype=time_type), np.asarray(u, dtype=unit_type)
        file["labels"] = np.asarray(labels, dtype="u2")
        if speakers is not None:
            file["extra/speaker"] = np.asarray(speakers, dtype="u2")


def random_rows(rng, count, events=30):
    return [(np.sort(rng.uniform(0, 1.3, events)), rng.integers(0, 700, events)) for _ in range(count)]


@pytest.fixture
def shd(tmp_path, monkeypatch):
    """A folder with a small SHD; returns its path and the rows by split."""
    monkeypatch.setenv("SNN5BENCH_DATA", str(tmp_path))
    rng, folder = np.random.default_rng(0), tmp_path / "shd"
    folder.mkdir()
    made = {"train": random_rows(rng, 24), "test": random_rows(rng, 8)}
    write_h5(folder / "shd_train.h5", made["train"], np.arange(24) % 20, np.arange(24) % 4)
    write_h5(folder / "shd_test.h5", made["test"], np.arange(8), np.arange(8) % 2 + 3)
    return folder, made


def test_float16_seconds_fall_into_the_right_bins(shd):
    _, made = shd
    dataset, got = samples(SHD)
    for sample, (times, units) in zip(got, made["train"] + made["test"], strict=True):
        seconds = np.asarray(times, dtype="f2").astype("f8")
        assert sample.step.tolist() == np.floor(seconds * 100 / 1.4).astype(int).tolist()
        assert sample.channel.tolist() == units.tolist()
    assert [s.split for s in got] == ["train"] * 24 + ["test"] * 8
    assert not dataset.counted[LATE]


def test_every_event_is_in_the_packed_data_or_counted(shd):
    _, made = shd
    dataset = SHD(SHD.Params(T=50, window_s=0.7, channels=140))
    packed = prepare(dataset)
    total = sum(len(t) for t, _ in made["train"] + made["test"])
    late = sum(int((np.asarray(t, dtype="f2").astype("f8") >= 0.7).sum()) for t, _ in made["train"] + made["test"])
    meta = packed.meta
    assert meta.counted[LATE] == late > 0
    assert meta.events + meta.merged_events + late == total
    assert packed.channel.max() < 140
    assert set(packed.split[24:]) == {TEST} and {TRAIN, VAL} == set(packed.split[:24])
    assert "by group" in meta.split_rule


@pytest.mark.parametrize("form", ["gz", "zip"])
def test_packed_files_are_read_as_they_come(shd, form):
    folder, _ = shd
    plain = samples(SHD)[1]
    for path in list(folder.iterdir()):
        if form == "gz":
            Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes()))
        else:
            with zipfile.ZipFile(f"{path}.zip", "w") as archive:
                archive.write(path, path.name)
        path.unlink()
    again = samples(SHD)[1]
    assert all(np.array_equal(a.step, b.step) for a, b in zip(plain, again, strict=True))


def test_integer_and_float_units_and_times_are_all_read(tmp_path, monkeypatch):
    monkeypatch.setenv("SNN5BENCH_DATA", str(tmp_path))
    (tmp_path / "SHD").mkdir()
    for name in ("train", "test"):
        write_h5(tmp_path / "SHD" / f"shd_{name}.h5", [([0, 0.5], [1, 699])] * 2, [0, 1], None, "f8", "i2")
    assert [s.channel.tolist() for s in samples(SHD)[1]] == [[1, 699]] * 4


def test_what_is_missing_is_said_with_the_folder_and_the_way_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("SNN5BENCH_DATA", str(tmp_path))
    verdict = SHD(SHD.Params()).available()
    assert not verdict
    for word in ("shd_train.h5", str(tmp_path / "shd"), "SNN5BENCH_DATA", "zenkelab.org"):
        assert word in verdict.reason
    assert "ssc_valid.h5" in SSC(SSC.Params()).available().reason


def _only(dataset_class, part):
    (found,) = [f for f in dataset_class(dataset_class.Params()).check() if f.path.endswith(part)]
    return found


def test_check_names_a_swapped_truncated_or_foreign_file(shd, monkeypatch):
    folder, _ = shd
    assert "has 24 samples" in _only(SHD, "shd_train.h5").problem
    monkeypatch.setattr(SHD, "parts", tuple(p._replace(samples=n) for p, n in zip(SHD.parts, (24, 8), strict=True)))
    assert [f.problem for f in SHD(SHD.Params()).check()] == ["", ""]

    train, test = folder / "shd_train.h5", folder / "shd_test.h5"
    good = train.read_bytes()
    train.write_bytes(test.read_bytes())
    found = _only(SHD, "shd_train.h5")
    assert "this is shd_test.h5 under another name" in found.problem and "24 samples" in found.expected

    train.write_bytes(good[: len(good) // 2])
    assert "not a whole HDF5 file" in _only(SHD, "shd_train.h5").problem
    train.write_bytes(b"")
    assert "empty" in _only(SHD, "shd_train.h5").problem
    train.unlink()
    train.mkdir()
    assert "is a folder, expected a file" in _only(SHD, "shd_train.h5").problem
    train.rmdir()
    assert "shd_train.h5 not found" in next(iter(SHD(SHD.Params()).check())).problem

    write_h5(train, random_rows(np.random.default_rng(1), 24), np.full(24, 34))
    assert "labels 34..34: another dataset" in _only(SHD, "shd_train.h5").problem
    with pytest.raises(BenchError, match=r"label 34 is not in 0..19") as caught:
        samples(SHD)
    assert "sample 0" in caught.value.problems[0].where


def test_missing_or_uneven_columns_are_named(shd):
    folder, _ = shd
    with h5py.File(folder / "shd_train.h5", "a") as file:
        del file["labels"]
    with pytest.raises(BenchError, match="has no labels"):
        samples(SHD)
    with h5py.File(folder / "shd_train.h5", "a") as file:
        file["labels"] = np.zeros(3)
    with pytest.raises(BenchError, match="different lengths"):
        samples(SHD)


def test_the_same_folder_with_another_file_is_another_dataset(shd):
    folder, made = shd
    before = SHD(SHD.Params()).transform()
    write_h5(folder / "shd_test.h5", made["train"], np.arange(24) % 20, np.arange(24) % 2 + 3)
    assert SHD(SHD.Params()).transform() != before


def bin_of(times, units, window=1.0, T=10, channels=5, counted=None):
    return to_steps(
        np.asarray(times),
        np.asarray(units),
        T,
        window,
        channels,
        "file, sample 7",
        Counter() if counted is None else counted,
    )


@given(
    st.lists(st.tuples(st.floats(0, 3, width=16), st.integers(0, 4)), max_size=40),
    st.sampled_from(["f2", "f4", "f8"]),
    st.sampled_from(["u1", "u2", "i8", "f4"]),
)
@settings(max_examples=60, deadline=None)
def test_events_in_are_events_out_or_counted(events, time_type, unit_type):
    times = np.array([t for t, _ in events], dtype=time_type)
    units = np.array([u for _, u in events], dtype=unit_type)
    counted: Counter[str] = Counter()
    step, channel = bin_of(times, units, counted=counted)
    assert len(step) + counted[LATE] == len(events)
    assert counted[EMPTY] == (not events)
    assert counted[UNSORTED] == (times.tolist() != sorted(times.tolist()))
    kept = [(int(t * 10), u) for t, u in events if int(t * 10) < 10]
    assert list(zip(step.tolist(), channel.tolist(), strict=True)) == kept


@given(st.lists(st.floats(0, 0.9), min_size=1, max_size=20), st.data())
@settings(max_examples=60, deadline=None)
def test_one_bad_event_is_refused_wherever_it_stands(times, data):
    at = data.draw(st.integers(0, len(times) - 1))
    units = [0] * len(times)
    which = data.draw(st.sampled_from(["negative", "nan", "inf", "high", "low", "half"]))
    if which in ("negative", "nan", "inf"):
        times[at] = {"negative": -1e-3, "nan": np.nan, "inf": np.inf}[which]
    else:
        units[at] = {"high": 5, "low": -1, "half": 0.5}[which]
    with pytest.raises(BenchError) as caught:
        bin_of(times, units)
    assert caught.value.problems[0].where == "file, sample 7"


def test_lists_that_do_not_match_or_are_no_numbers_are_refused():
    with pytest.raises(BenchError, match="not two lists of one length"):
        bin_of([0.1, 0.2], [1])
    with pytest.raises(BenchError, match="expected numbers"):
        bin_of(np.array(["a"]), [1])


def test_a_single_event_is_enough():
    step, channel = bin_of([0.95], [4])
    assert (step.tolist(), channel.tolist()) == ([9], [4])


@pytest.mark.real_data
def test_real_speech_as_spikes_with_speakers_held_out(monkeypatch):
    path = real("sc10_140ch.h5")
    monkeypatch.setenv("SNN5BENCH_DATA", str(path.parent))
    dataset = SpikeFile(SpikeFile.Params(file=path.name))
    packed = prepare(dataset)
    assert sum(packed.meta.samples.values()) == 4074
    with h5py.File(path) as file:
        total = sum(len(row) for row in file["spikes/times"])
        speaker = file["extra/speaker"][:]
    assert packed.meta.events + packed.meta.merged_events + packed.meta.counted.get(LATE, 0) == total
    by_split = [set(speaker[packed.indices(split)]) for split in (TRAIN, VAL, TEST)]
    assert sum(map(len, by_split)) == len(set.union(*by_split)), "no speaker in two splits"
    assert 0.1 < packed.meta.samples["test"] / 4074 < 0.3


def test_a_file_without_speakers_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("SNN5BENCH_DATA", str(tmp_path))
    write_h5(tmp_path / "spikes.h5", [([0.1], [1])] * 4, [0, 1, 2, 3])
    with pytest.raises(BenchError, match="needs three speakers"):
        samples(SpikeFile)
