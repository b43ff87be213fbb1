"""Small data of every form that users bring, laid out as published; and the dataset under parameters that make it quick."""

from __future__ import annotations

import gzip
import pickle
import struct
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

Event = tuple[int, int, int, int]


class Plant(NamedTuple):
    """One form of data."""

    dataset: str
    params: dict[str, object]
    lay: Callable[[Path], None]


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def write_h5(path: Path, rows: int, classes: int, speakers: int = 4, unit: int = 700) -> None:
    """Ragged rows of float16 seconds and uint16 units, a label and a speaker each."""
    import h5py

    rng = np.random.default_rng(rows)
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (rows,), dtype=h5py.vlen_dtype(np.dtype("f2")))
        units = file.create_dataset("spikes/units", (rows,), dtype=h5py.vlen_dtype(np.dtype("u2")))
        for i in range(rows):
            times[i] = np.sort(rng.uniform(0, 1, 12)).astype("f2")
            units[i] = rng.integers(0, unit, 12).astype("u2")
        file["labels"] = (np.arange(rows) % classes).astype("u2")
        file["extra/speaker"] = (np.arange(rows) % speakers + 5 * (classes == 7)).astype("u2")


def _shd(form: str) -> Callable[[Path], None]:
    def lay(root: Path) -> None:
        folder = root / "shd"
        folder.mkdir(parents=True)
        for name, rows in (("shd_train.h5", 12), ("shd_test.h5", 5)):
            path = folder / name
            write_h5(path, rows, 10)
            if form == ".gz":
                Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes()))
            elif form == ".zip":
                with zipfile.ZipFile(f"{path}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
                    archive.write(path, name)
            if form:
                path.unlink()

    return lay


def _spike_file(root: Path) -> None:
    root.mkdir(parents=True)
    write_h5(root / "spikes.h5", 12, 3, 6, 20)


def five_byte(events: list[Event]) -> bytes:
    """x, y, polarity, microseconds; one bit string an event, most significant first."""
    return b"".join(int(f"{x:08b}{y:08b}{p:01b}{t:023b}", 2).to_bytes(5, "big") for x, y, p, t in events)


def _events(rng: np.random.Generator, side: int, count: int, until: int) -> list[Event]:
    times = np.sort(rng.integers(0, until, count))
    return [
        (int(x), int(y), int(t % 2), int(t)) for x, y, t in zip(*rng.integers(0, side, (2, count)), times, strict=True)
    ]


def _n_mnist(root: Path) -> None:
    rng = _rng()
    for part, each in (("Train", 2), ("Test", 1)):
        for digit in range(3):
            for i in range(each):
                path = root / "n-mnist" / part / str(digit) / f"{i:05d}.bin"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(five_byte(_events(rng, 34, 8, 300_000)))


def aedat31(events: list[Event], per_packet: int = 20) -> bytes:
    """A file of polarity packets, with a packet of another type in front."""
    out = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#!END-HEADER\r\n"
    out += struct.pack("<HHIIIIII", 2, 0, 16, 0, 0, 1, 1, 1) + b"\xff" * 16
    for start in range(0, len(events), per_packet):
        part = events[start : start + per_packet]
        out += struct.pack("<HHIIIIII", 1, 0, 8, 4, 0, len(part), len(part), len(part))
        out += b"".join(struct.pack("<II", x << 17 | y << 2 | p << 1 | 1, t) for x, y, p, t in part)
    return out


LABELS = "class,startTime_usec,endTime_usec\n1,0,1000000\n9,1000000,100\n2,2000000,2900000\n"


def _gestures(root: Path) -> None:
    folder = root / "dvs-gesture"
    folder.mkdir(parents=True)
    for split, user in (("train", 1), ("train", 2), ("test", 24)):
        name = f"user{user:02d}_led"
        (folder / f"{name}.aedat").write_bytes(aedat31(_events(np.random.default_rng(user), 128, 60, 3_000_000)))
        (folder / f"{name}_labels.csv").write_text(LABELS)
        with (folder / f"trials_to_{split}.txt").open("a") as file:
            file.write(f"{name}.aedat\n")


def _tonic(root: Path) -> None:
    rng = _rng()
    for part, users in (("Train", (1, 2)), ("Test", (24,))):
        for user in users:
            for label in range(2):
                path = root / "dvs-gesture" / f"ibmGesture{part}" / f"user{user:02d}_led" / f"{label}.npy"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(
                    path, np.array([(x, y, p, t // 1000) for x, y, p, t in _events(rng, 128, 30, 900_000)], dtype="f8")
                )


def _cifar10_dvs(root: Path) -> None:
    from snn5bench.data.cifar10_dvs import CLASSES

    rng = _rng()
    for word in CLASSES:
        for i in range(2):
            path = root / "cifar10-dvs" / word / f"cifar10_{word}_{i}.aedat"
            path.parent.mkdir(parents=True, exist_ok=True)
            body = b"".join(
                struct.pack(">II", y << 8 | x << 1 | p, t) for x, y, p, t in _events(rng, 128, 20, 1_200_000)
            )
            path.write_bytes(b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n" + body)


LISTOPS = {
    "train": "( ( ( [MAX 2 ) 9 ) ] )\t9\n[MED 1 2 4 ]\t2\n[SM 7 8 ]\t5\n[MIN 1 5 ]\t1\n",
    "val": "[MIN 4 3 ]\t3\n",
    "test": "[SM 1 1 [MAX 3 4 ] ]\t6\n",
}


def _lra_listops(root: Path) -> None:
    folder = root / "lra-listops"
    folder.mkdir(parents=True)
    for name, text in LISTOPS.items():
        (folder / f"basic_{name}.tsv").write_text(f"Source\tTarget\n{text}")


def _lra_text(root: Path) -> None:
    for split in ("train", "test"):
        for mood in ("pos", "neg"):
            for i in range(3):
                path = root / "lra-text" / split / mood / f"{i}_{3 + i}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"A {mood} film, number {i} of {split}.")


def _lra_retrieval(root: Path) -> None:
    folder = root / "lra-retrieval"
    folder.mkdir(parents=True)
    for name in ("train", "eval", "test"):
        rows = (f'{i % 2}.0\ta{i}\tb{i}\tpaper "{i} {name}\tother {i}\n' for i in range(4))
        (folder / f"new_aan_pairs.{name}.tsv").write_text("".join(rows))


def _cifar(folder: str, names: tuple[str, ...], key: str) -> Callable[[Path], None]:
    def lay(root: Path) -> None:
        rng = _rng()
        (root / folder).mkdir(parents=True)
        for name in names:
            content = {b"data": rng.integers(0, 256, (3, 3072), dtype=np.uint8), key.encode(): [0, 1, 2]}
            (root / folder / name).write_bytes(pickle.dumps(content, protocol=2))

    return lay


def _pathfinder(arrays: bool) -> Callable[[Path], None]:
    def lay(root: Path) -> None:
        from PIL import Image

        home, rng = root / "lra-pathfinder" / "pathfinder32" / "curv_contour_length_14", _rng()
        (home / "metadata").mkdir(parents=True)
        (home / "imgs" / "0").mkdir(parents=True)
        rows = [["imgs/0", f"sample_{i}.png", str(i), str(i % 2), "1.8", "6"] for i in range(24)]
        for row in rows:
            Image.fromarray(rng.integers(0, 256, (32, 32), dtype=np.uint8)).save(home / row[0] / row[1])
        path = home / "metadata" / "0.npy"
        if arrays:
            np.save(path, np.array(rows))
        else:
            path.write_text("\n".join(" ".join(row) for row in rows) + "\n")

    return lay


def _speech(root: Path) -> None:
    from snn5bench.data.speech_commands import TEN

    rng = _rng()
    for number, word in enumerate(TEN):
        for speaker in ("aa11", "bb22", "cc33")[: 3 if number < 2 else 1]:
            path = root / "speech-commands" / word / f"{speaker}_nohash_0.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            with wave.open(str(path), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(16_000)
                file.writeframes(rng.normal(0, 3000, 160).astype("<i2").tobytes())
    (root / "speech-commands" / "validation_list.txt").write_text("yes/bb22_nohash_0.wav\n")
    (root / "speech-commands" / "testing_list.txt").write_text("yes/cc33_nohash_0.wav\nno/cc33_nohash_0.wav\n")


def _idx(folder: str, form: str) -> Callable[[Path], None]:
    def lay(root: Path) -> None:
        rng = _rng()
        (root / folder).mkdir(parents=True)
        for name, n in (("train", 12), ("t10k", 4)):
            pixels, labels = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8), np.arange(n, dtype=np.uint8) % 10
            for kind, values in (("images-idx3", pixels), ("labels-idx1", labels)):
                raw = (
                    bytes([0, 0, 8, values.ndim])
                    + b"".join(struct.pack(">I", k) for k in values.shape)
                    + values.tobytes()
                )
                packed = gzip.compress(raw) if form else raw
                (root / folder / f"{name}-{kind}-ubyte{form}").write_bytes(packed)

    return lay


_TEN = ("test_batch", *(f"data_batch_{i}" for i in range(1, 6)))
PLANTS = {
    "shd": Plant("shd", {"T": 20}, _shd("")),
    "shd gz": Plant("shd", {"T": 20}, _shd(".gz")),
    "shd zip": Plant("shd", {"T": 20}, _shd(".zip")),
    "spike-file": Plant("spike-file", {"T": 20, "classes": 3, "channels": 20}, _spike_file),
    "n-mnist": Plant("n-mnist", {}, _n_mnist),
    "dvs-gesture aedat": Plant("dvs-gesture", {"T": 10}, _gestures),
    "dvs-gesture tonic": Plant("dvs-gesture", {"T": 10}, _tonic),
    "cifar10-dvs": Plant("cifar10-dvs", {}, _cifar10_dvs),
    "lra-listops": Plant("lra-listops", {"T": 20}, _lra_listops),
    "lra-text": Plant("lra-text", {"T": 40}, _lra_text),
    "lra-retrieval": Plant("lra-retrieval", {"T": 40}, _lra_retrieval),
    "lra-image": Plant("lra-image", {}, _cifar("cifar10", _TEN, "labels")),
    "lra-pathfinder text": Plant("lra-pathfinder", {}, _pathfinder(False)),
    "lra-pathfinder npy": Plant("lra-pathfinder", {}, _pathfinder(True)),
    "speech-commands": Plant("speech-commands", {"T": 20}, _speech),
    "mnist gz": Plant("mnist", {}, _idx("mnist", ".gz")),
    "fashion-mnist": Plant("fashion-mnist", {}, _idx("fashion-mnist", "")),
    "cifar10": Plant("cifar10", {}, _cifar("cifar10", _TEN, "labels")),
    "cifar100": Plant("cifar100", {}, _cifar("cifar100", ("test", "train"), "fine_labels")),
}  # fmt: skip
