"""What the campaign (and reading for it) found, one of each kind: data files."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import zipfile
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from snn5bench.data.aer import read_five_byte
from snn5bench.data.brought import data_roots
from snn5bench.data.cache import prepare
from snn5bench.data.dvs_gesture import DvsGesture, read_tonic
from snn5bench.data.hdf5_spikes import opened
from snn5bench.data.heidelberg import SHD, SpikeFile
from snn5bench.data.image_files import read_cifar, read_grey, read_idx
from snn5bench.data.lra import LraListOps
from snn5bench.data.lra_pictures import read_metadata
from snn5bench.data.pictures import Mnist
from snn5bench.data.speech_commands import SpeechCommands, read_wav
from snn5bench.data.spike_times import LATE, to_steps
from snn5bench.errors import BenchError
from tests.hostile.formats import _bombs
from tests.hostile.plant import PLANTS, write_h5


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("SNN5BENCH_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def refused(read, path: Path, says: str | None = None) -> None:
    """It is refused, with the file's name."""
    with pytest.raises(BenchError, match=says) as caught:
        read(path)
    assert str(path) in caught.value.problems[0].where


def columns(path: Path):
    with opened(path) as spikes:
        return sum(1 for _ in spikes.rows())


def _replace(name: str, make):
    def change(file: h5py.File) -> None:
        del file[name]
        make(file)

    return change


H5 = {
    "a link to another file": (
        _replace("labels", lambda f: f.__setitem__("labels", h5py.ExternalLink("/dev/zero", "/x"))),
        "link to elsewhere",
    ),
    "a soft link": (_replace("labels", lambda f: f.__setitem__("labels", h5py.SoftLink("/extra/speaker"))), "link to"),
    "raw bytes of another file": (
        _replace("labels", lambda f: f.create_dataset("labels", (6,), "u1", external=[("/etc/passwd", 0, 6)])),
        "no values of its own",
    ),
    "a group": (_replace("labels", lambda f: f.create_group("labels")), "no values of its own"),
    "no shape": (_replace("labels", lambda f: f.__setitem__("labels", h5py.Empty("f4"))), "no values of its own"),
    "flat times": (_replace("spikes/times", lambda f: f.__setitem__("spikes/times", np.zeros(6))), "expected a list"),
    "text": (_replace("labels", lambda f: f.__setitem__("labels", ["x"] * 6)), "of type object"),
    "speakers that no int32 holds": (
        _replace("extra/speaker", lambda f: f.__setitem__("extra/speaker", np.full(6, 2**40))),
        "no whole numbers: 1099511627776 at sample 0",
    ),
    "half a label": (_replace("labels", lambda f: f.__setitem__("labels", np.full(6, 0.5))), "no whole numbers"),
}


@pytest.mark.parametrize("name", H5)
def test_columns_of_hdf5_that_are_none(tmp_path, name):
    change, says = H5[name]
    write_h5(tmp_path / "x.h5", 6, 3)
    with h5py.File(tmp_path / "x.h5", "a") as file:
        change(file)
    refused(columns, tmp_path / "x.h5", says)


def test_an_hdf5_file_that_announces_more_samples_than_it_has_bytes(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, kind in (("spikes/times", "f4"), ("spikes/units", "u2")):
            file.create_dataset(name, (10**9,), h5py.vlen_dtype(np.dtype(kind)), chunks=(1000,))
        file.create_dataset("labels", (10**9,), "u1", chunks=(1000,))
    refused(columns, tmp_path / "x.h5", "announces 1000000000 samples in")


@pytest.mark.parametrize("form", [".h5.gz", ".h5.zip"])
def test_archives_that_grow_or_break(tmp_path, form):
    path, zeros = tmp_path / f"x{form}", b"\0" * (1 << 24)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.h5", zeros)
    raw = gzip.compress(zeros) if form.endswith("gz") else buffer.getvalue()
    path.write_bytes(raw)
    refused(columns, path, "100 times its size")
    broken = bytearray(raw)
    broken[60:100] = b"\xff" * 40
    path.write_bytes(broken)
    refused(columns, path, "cannot be unpacked")


@pytest.mark.parametrize("number", range(len(_bombs())))
def test_pickles_that_grow_or_raise_what_nobody_catches(tmp_path, number):
    (tmp_path / "b").write_bytes(_bombs()[number])
    refused(lambda path: read_cifar(path, "labels"), tmp_path / "b", "is no whole batch")


@pytest.mark.parametrize(
    ("data", "labels"),
    [
        (np.zeros((2, 3072), "f8"), [0, 1]), (np.zeros((2, 3071), "u1"), [0, 1]), ([[0] * 3072] * 2, [0, 1]),
        (np.zeros((2, 3072), "u1"), [0, True]), (np.zeros((2, 3072), "u1"), [0, -1]),
        (np.zeros((2, 3072), "u1"), [0, 10**30]),
        (np.zeros((2, 3072), "u1"), np.array([0, 1])),
    ],
)  # fmt: skip
def test_batches_of_other_types(tmp_path, data, labels):
    (tmp_path / "b").write_bytes(pickle.dumps({b"data": data, b"labels": labels}))
    refused(lambda path: read_cifar(path, "labels"), tmp_path / "b")


@pytest.mark.parametrize(
    "raw",
    [
        b"\0\0\x08\xc8" + b"\xff" * 800,
        b"\0\0\x08\x04" + struct.pack(">4I", *[2**16] * 4),
        b"\0\0\x08\x00x",
        gzip.compress(b"\0" * (1 << 24)),
        gzip.compress(b"x" * 500)[:14] + b"\xff" * 9,
    ],
    ids=["type", "size", "short", "large", "damaged"],
)
def test_idx_files_whose_headers_lie(tmp_path, raw):
    path = tmp_path / ("x.gz" if raw.startswith(b"\x1f") else "x")
    path.write_bytes(raw)
    refused(read_idx, path)


def test_idx_files_without_pictures(root):
    PLANTS["mnist gz"].lay(root)
    images, labels = b"\0\0\x08\x03" + struct.pack(">3I", 0, 28, 28), b"\0\0\x08\x01\0\0\0\0"
    (root / "mnist" / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
    (root / "mnist" / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    with pytest.raises(BenchError, match="has pictures of"):
        prepare(Mnist(Mnist.Params()))


def test_pictures_that_are_none_or_large(tmp_path):
    path = tmp_path / "x.png"
    for form, side, says in (("BMP", 32, "no whole PNG"), ("PNG", 2000, "2000 x 2000 pixels")):
        Image.new("L", (side, side)).save(path, form)
        refused(read_grey, path, says)


@pytest.mark.parametrize(
    ("line", "says"),
    [("/etc passwd 0 1", "no plain path"), ("imgs ../../x 0 1", "no plain path"), ("a\0b x 0 1", "no plain path")],
)
def test_pictures_that_stand_elsewhere(tmp_path, line, says):
    (tmp_path / "0.npy").write_text(line + "\n")
    refused(read_metadata, tmp_path / "0.npy", says)


def test_arrays_that_are_archives_or_objects(tmp_path):
    path = tmp_path / "0.npy"
    with path.open("wb") as file:
        np.savez(file, a=np.zeros(3))
    refused(read_tonic, path, "no whole .npy file")
    for values in (
        np.array([{}], dtype=object),
        np.full((2, 4), 1e300),
        np.full((2, 4), np.nan),
        np.full((2, 4), 2**63 - 1),
    ):
        np.save(path, values, allow_pickle=True)
        refused(read_tonic, path)
    path.write_bytes(b"\x93NUMPY\1\0v\0" + b"{'descr': '<f8', 'fortran_order': False, 'shape': (10**13, 4)}".ljust(118))
    refused(read_tonic, path)
    refused(read_metadata, path, "no whole table")
    letters = np.array([["imgs", "x.png", "0", "1"]])
    raw = letters.tobytes().replace("i".encode("utf-32-le"), b"\xff\xff\xff\x7f")
    np.save(path, np.frombuffer(raw, letters.dtype).reshape(1, 4))
    refused(read_metadata, path)


@pytest.mark.parametrize(
    ("place", "raw", "says"),
    [
        ("trials_to_test.txt", b"\xff\xfe", "no text in UTF-8"),
        ("trials_to_test.txt", b"../user24_led.aedat\n", "no name of an .aedat file"),
        ("trials_to_test.txt", b"x" * 5000, "no name of an .aedat file"),
        ("user24_led_labels.csv", b"\xff\xfe", "no text in UTF-8"),
        ("user24_led_labels.csv", b"class,startTime_usec,endTime_usec\n1,0," + b"9" * 400, "not microseconds"),
        ("user24_led_labels.csv", b'class\n"' + b"x" * 200_000, "no list of labels"),
    ],
)
def test_lists_of_gestures_that_are_none(root, place, raw, says):
    PLANTS["dvs-gesture aedat"].lay(root)
    (root / "dvs-gesture" / place).write_bytes(raw)
    dataset = DvsGesture(DvsGesture.Params())
    assert any(says in finding.problem for finding in dataset.check())
    with pytest.raises(BenchError, match=says):
        prepare(dataset)


def test_gestures_of_nobody_and_of_no_class(root):
    PLANTS["dvs-gesture tonic"].lay(root)
    clip = next((root / "dvs-gesture").rglob("0.npy"))
    for name, says in (("x.npy", "is no class"), ("11.npy", "is no class")):
        moved = clip.rename(clip.with_name(name))
        with pytest.raises(BenchError, match=says):
            prepare(DvsGesture(DvsGesture.Params()))
        moved.rename(clip)
    clip.parent.rename(clip.parent.with_name("user"))
    with pytest.raises(BenchError, match="names no user"):
        prepare(DvsGesture(DvsGesture.Params()))


def _wav(rate: int = 16_000, samples: int = 20, size: int | None = None) -> bytes:
    body = b"\0\0" * samples
    return (
        b"RIFF" + struct.pack("<I", 36 + len(body)) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16)
        + b"data" + struct.pack("<I", len(body) if size is None else size) + body
    )  # fmt: skip


@pytest.mark.parametrize(
    "raw", [_wav(rate=0), _wav(rate=2**30), _wav(samples=200_000), _wav(size=2**31 - 1), b"RIFF\xff" * 9]
)
def test_sounds_that_are_too_much(tmp_path, raw):
    (tmp_path / "x.wav").write_bytes(raw)
    refused(read_wav, tmp_path / "x.wav")
    assert len(read_wav(_written(tmp_path / "y.wav", _wav()))[0]) == 20


def _written(path: Path, raw: bytes) -> Path:
    path.write_bytes(raw)
    return path


def test_a_list_of_speakers_that_is_no_text(root):
    PLANTS["speech-commands"].lay(root)
    (root / "speech-commands" / "testing_list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BenchError, match="no text in UTF-8"):
        SpeechCommands(SpeechCommands.Params()).takes()


def test_texts_that_are_none_or_never_end(root):
    PLANTS["lra-listops"].lay(root)
    path = root / "lra-listops" / "basic_test.tsv"
    for raw, says in ((b"Source\tTarget\n\xff\xfe", "no text in UTF-8"), (b"x" * (1 << 24), "longer than")):
        path.write_bytes(raw)
        with pytest.raises(BenchError, match=says) as caught:
            prepare(LraListOps(LraListOps.Params()))
        assert str(path) in caught.value.problems[0].where


def test_what_is_no_plain_file(tmp_path):
    path = tmp_path / "x.bin"
    path.symlink_to("/dev/zero")
    refused(read_five_byte, path, "no plain file")
    path.unlink()
    os.mkfifo(path)
    refused(read_five_byte, path, "no plain file")
    path.unlink()
    path.symlink_to(path)
    refused(read_five_byte, path, "is not there")
    path.unlink()
    with path.open("wb") as file:
        file.truncate(1 << 40)
    refused(read_five_byte, path, "expected at most")


def test_names_that_no_file_can_have(root, monkeypatch):
    for name in ("x" * 300, "a\0b"):
        assert "not found" in SpikeFile(SpikeFile.Params(file=name)).available().reason
    for name in ("../x", "/etc/passwd", ""):
        assert "no plain file name" in SpikeFile(SpikeFile.Params(file=name)).available().reason
        assert SpikeFile(SpikeFile.Params(file=name)).transform()["files"] == "absent"
    monkeypatch.setenv("SNN5BENCH_DATA", "~nobody-is-called-so/x")
    with pytest.raises(BenchError, match="home directory"):
        data_roots()


def test_times_beyond_all_clocks_are_late():
    counted: Counter[str] = Counter()
    times = np.array([0.1, 1e30, 1e300])
    step, _ = to_steps(times, np.zeros(3, int), 10, 1.0, 2, "x", counted)
    assert step.tolist() == [1] and counted[LATE] == 2
    for channel in (1e300, np.nan, np.inf):
        with pytest.raises(BenchError, match="not a whole number"):
            to_steps(times[:1], np.array([channel]), 10, 1.0, 2, "x", counted)


@pytest.mark.filterwarnings("error")
def test_units_in_float16_are_compared_without_an_overflow():
    """2^31, the bound of a channel, is infinite in float16."""
    _, channel = to_steps(np.zeros(2), np.array([0, 7], np.float16), 10, 1.0, 8, "x", Counter())
    assert channel.tolist() == [0, 7]


def test_a_label_beyond_the_classes_is_named_with_its_file(root):
    PLANTS["spike-file"].lay(root)
    with pytest.raises(BenchError, match=r"label 2 is not in 0\.\.1") as caught:
        prepare(SpikeFile(SpikeFile.Params(classes=2, channels=20)))
    assert "spikes.h5, sample 2" in caught.value.problems[0].where


def test_units_that_are_no_numbers_are_a_finding(root):
    PLANTS["shd"].lay(root)
    with h5py.File(root / "shd" / "shd_test.h5", "a") as file:
        del file["spikes/units"]
        units = file.create_dataset("spikes/units", (5,), h5py.vlen_dtype(np.dtype("f4")))
        for i in range(5):
            units[i] = np.full(12, np.nan, "f4")
    assert any("no numbers" in f.problem or "not numbers" in f.problem for f in SHD(SHD.Params()).check())
