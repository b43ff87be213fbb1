"""MNIST's and CIFAR's files, CIFAR-10 as a sequence, and CIFAR10-DVS, on small files of the same layout."""

from __future__ import annotations

import gzip
import pickle
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from snn5bench.data.aer import read_aedat2
from snn5bench.data.cache import prepare
from snn5bench.data.cifar10_dvs import CLASSES, Cifar10Dvs
from snn5bench.data.image_files import read_cifar, read_idx
from snn5bench.data.leaks import LEAKED
from snn5bench.data.lra_pictures import LraImage
from snn5bench.data.pictures import Cifar10, Cifar100, FashionMnist, Mnist
from snn5bench.errors import BenchError
from tests.data.making import samples


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("SNN5BENCH_DATA", str(tmp_path))
    return tmp_path


def idx(values: np.ndarray) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + b"".join(struct.pack(">I", n) for n in values.shape) + values.tobytes()


@pytest.mark.parametrize(
    ("cls", "place", "packed"), [(Mnist, "mnist", True), (FashionMnist, "FashionMNIST/raw", False)]
)
def test_idx_files(root, cls, place, packed):
    folder, rng = root / place, np.random.default_rng(0)
    folder.mkdir(parents=True)
    pixels = {name: rng.integers(0, 256, (n, 28, 28), dtype=np.uint8) for name, n in (("train", 30), ("t10k", 10))}
    pixels["train"][4] = pixels["t10k"][2]
    for name, values in pixels.items():
        for kind, content in (("images-idx3", values), ("labels-idx1", np.arange(len(values), dtype=np.uint8) % 10)):
            raw = idx(content)
            file = folder / f"{name}-{kind}-ubyte{'.gz' if packed else ''}"
            file.write_bytes(gzip.compress(raw) if packed else raw)
    dataset, made = samples(cls)
    assert Counter(s.split for s in made) == {"test": 10, "train": 29} and dataset.counted[LEAKED] == 1
    np.testing.assert_allclose(made[3].frame, pixels["t10k"][3].ravel() / 255, rtol=1e-6)
    assert made[3].label == 3
    problems = [f.problem for f in dataset.check()]
    assert problems == ["", "", "has 10 test pictures", "has 30 train pictures"]
    images = folder / f"train-images-idx3-ubyte{'.gz' if packed else ''}"
    images.write_bytes(images.read_bytes()[:-3000])
    assert any(f.problem for f in dataset.check())
    with pytest.raises(BenchError, match=r"announces \d+ bytes|cannot be unpacked"):
        read_idx(images)


def test_what_is_not_idx_is_refused(tmp_path):
    for raw in (b"PNG.", b"\0\0\x08", b"\0\0\x08\x03\0\0"):
        (tmp_path / "x").write_bytes(raw)
        with pytest.raises(BenchError):
            read_idx(tmp_path / "x")


def batches(folder: Path, names: dict[str, int], key: str) -> dict[str, np.ndarray]:
    folder.mkdir(parents=True)
    rng, out = np.random.default_rng(1), {}
    for name, n in names.items():
        out[name] = rng.integers(0, 256, (n, 3072), dtype=np.uint8)
        content = {b"data": out[name], key.encode(): [i % 10 for i in range(n)]}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    return out


TEN = {"test_batch": 10, **{f"data_batch_{i}": 20 for i in range(1, 6)}}


def test_cifar_batches_are_read_whole(root):
    made = batches(root / "cifar-10-batches-py", TEN, "labels")
    dataset, got = samples(Cifar10)
    assert Counter(s.split for s in got) == {"test": 10, "train": 100}
    np.testing.assert_allclose(got[15].frame, made["data_batch_1"][5] / 255, rtol=1e-6)
    meta = prepare(dataset).meta
    assert meta.spec.shape == (3, 32, 32) and sum(meta.samples.values()) == 110
    batches(root / "cifar-100-python", {"test": 5, "train": 20}, "fine_labels")
    assert len(samples(Cifar100)[1]) == 25


def test_a_pickle_that_asks_for_more_than_arrays_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("ran",))

    (tmp_path / "b").write_bytes(pickle.dumps({b"data": Evil()}))
    with pytest.raises(BenchError, match=r"it asks for builtins\.print"):
        read_cifar(tmp_path / "b", "labels")
    (tmp_path / "b").write_bytes(pickle.dumps({b"data": np.zeros((2, 3072), "u1"), b"labels": [1]}))
    with pytest.raises(BenchError, match="2 pictures and 1 labels"):
        read_cifar(tmp_path / "b", "labels")


def test_lra_image_is_grey_and_takes_the_last_tenth_for_validation(root):
    made = batches(root / "cifar-10-batches-py", TEN, "labels")
    dataset, got = samples(LraImage)
    assert [s.split for s in got] == ["test"] * 10 + ["val"] * 10 + ["train"] * 90
    red, green, blue = made["data_batch_5"][10].reshape(3, -1).astype(float)
    assert got[10].channel.tolist() == np.rint(0.299 * red + 0.587 * green + 0.114 * blue).astype(int).tolist()
    assert dataset.spec().T == 1024 and dataset.spec().channels == 256


def aedat2(events: list[tuple[int, int, int, int]]) -> bytes:
    body = b"".join(struct.pack(">II", y << 8 | x << 1 | p, t) for x, y, p, t in events)
    return b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n" + body


def test_cifar10_dvs(root):
    rng = np.random.default_rng(0)
    planted = []
    for word in CLASSES:
        (root / "cifar10-dvs" / word).mkdir(parents=True)
        for i in range(10):
            times = 500 + np.sort(rng.integers(0, 1_200_000, 30))
            events = [
                (int(x), int(y), int(p), int(t))
                for x, y, p, t in zip(*rng.integers(0, 128, (2, 30)), times % 2, times, strict=True)
            ]
            planted.append(events)
            (root / "cifar10-dvs" / word / f"cifar10_{word}_{i}.aedat").write_bytes(aedat2(events))
    first = root / "cifar10-dvs" / "airplane" / "cifar10_airplane_0.aedat"
    assert list(zip(*(c.tolist() for c in read_aedat2(first)), strict=True)) == planted[0]
    _, made = samples(Cifar10Dvs, T=13, pool=4)
    assert Counter((s.label, s.split) for s in made) == Counter(
        {(c, "train"): 9 for c in range(10)} | {(c, "test"): 1 for c in range(10)}
    )
    start = planted[0][0][3]
    want = Counter(((t - start) // 100_000, p * 32 * 32 + y // 4 * 32 + x // 4) for x, y, p, t in planted[0])
    assert Counter(zip(made[0].step.tolist(), made[0].channel.tolist(), strict=True)) == want
    first.write_bytes(first.read_bytes()[:-3])
    with pytest.raises(BenchError, match="expected a multiple of 8"):
        samples(Cifar10Dvs)
