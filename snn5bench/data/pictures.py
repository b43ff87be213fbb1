"""`mnist`, `fashion-mnist`, `cifar10`, `cifar100`: one picture for T steps. Controls, and ground for conversion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from snn5bench.contracts.dataset import DatasetSpec, Progress, Sample, SplitName, Write
from snn5bench.contracts.params import DatasetParams
from snn5bench.data.brought import Brought, Download, Finding
from snn5bench.data.image_files import read_cifar, read_idx
from snn5bench.data.leaks import Unleaked
from snn5bench.errors import BenchError

_IDX: dict[SplitName, tuple[str, str]] = {
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
}


class _Pictures(Brought):
    """What all have in common. Pictures that stand in both splits are dropped from train and counted."""

    shape: ClassVar[tuple[int, int, int]]
    classes: ClassVar[int]
    official: ClassVar[dict[SplitName, int]]

    class Params(DatasetParams):
        """How long a picture is shown."""

        T: int = Field(8, ge=1, le=1000)
        """Timesteps, each with the same real-valued frame (direct coding)."""

    params: Params

    def spec(self) -> DatasetSpec:
        return DatasetSpec(
            name=self.name,
            n_classes=self.classes,
            T=self.params.T,
            channels=int(np.prod(self.shape)),
            shape=self.shape,
            coding="repeated",
            temporal=False,
        )

    def read(self) -> Iterator[tuple[SplitName, Path, np.ndarray, np.ndarray]]:
        """Split, file, pixels uint8 [n, ...] and labels [n] of each part, test first."""
        raise NotImplementedError

    def generate(self, write: Write, progress: Progress) -> None:
        keep, total, done = Unleaked(write, self.counted), sum(self.official.values()), 0
        for split, path, pixels, labels in self.read():
            if len(pixels) == 0 or pixels[0].size != np.prod(self.shape):
                raise BenchError(f"has pictures of {pixels.shape[1:]}, expected {self.shape}", where=str(path))
            for frame, label in zip(pixels.reshape(len(pixels), -1), labels.tolist(), strict=True):
                keep(Sample(label, split, frame=frame.astype(np.float32) / 255))
                done += 1
                progress(done, max(done, total))

    def check(self) -> Iterator[Finding]:
        """Readable, with the official number of pictures and no label beyond the classes."""
        found = dict.fromkeys(self.official, 0)
        try:
            for split, path, pixels, labels in self.read():
                found[split] += len(pixels)
                wrong = len(labels) and int(labels.max()) >= self.classes
                yield Finding(str(path), f"has label {labels.max()}" if wrong else "", f"labels below {self.classes}")
        except BenchError as error:
            yield Finding(error.problems[0].where or str(self.folder()), error.problems[0].what, self.expects)
            return
        for split, official in self.official.items():
            problem = "" if found[split] == official else f"has {found[split]:,} {split} pictures"
            yield Finding(str(self.folder()), problem, f"{official:,}")


class Mnist(_Pictures):
    """MNIST (LeCun et al. 1998) from its IDX files, 60,000 + 10,000."""

    name = "mnist"
    summary = "handwritten digits, one frame for all steps: a control"
    licence = "CC BY-SA 3.0"
    places = ("mnist", "MNIST/raw")
    expects = (
        "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte (or .gz)"
    )
    how = "`snn5bench data get mnist` (12 MB)"
    shape, classes, official = (1, 28, 28), 10, {"test": 10_000, "train": 60_000}
    downloads = tuple(
        Download(f"https://ossci-datasets.s3.amazonaws.com/mnist/{name}.gz", f"{name}.gz", f"md5:{md5}")
        for name, md5 in (
            ("train-images-idx3-ubyte", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            ("train-labels-idx1-ubyte", "d53e105ee54ea40749a09fcbcd1e9432"),
            ("t10k-images-idx3-ubyte", "9fb629c4189551a2d022fa330f9573f3"),
            ("t10k-labels-idx1-ubyte", "ec29112dd5afa0611ce80d1b7f02629c"),
        )
    )

    def files(self) -> list[Path]:
        plain = [self.folder() / name for pair in _IDX.values() for name in pair]
        return self.need([path.name if path.exists() else f"{path.name}.gz" for path in plain])

    def read(self) -> Iterator[tuple[SplitName, Path, np.ndarray, np.ndarray]]:
        paths = self.files()
        for split, images, labels in zip(_IDX, paths[::2], paths[1::2], strict=True):
            pixels, numbers = read_idx(images), read_idx(labels)
            if len(pixels) != len(numbers) or pixels.ndim != 3 or numbers.ndim != 1:
                raise BenchError(f"has pictures {pixels.shape} and labels {numbers.shape}", where=str(images))
            yield split, images, pixels, numbers.astype(np.int64)


class FashionMnist(Mnist):
    """Fashion-MNIST (Xiao et al. 2017), in MNIST's files."""

    name = "fashion-mnist"
    summary = "pieces of clothing, one frame for all steps: a control"
    licence = "MIT"
    places = ("fashion-mnist", "FashionMNIST/raw")
    how = "`snn5bench data get fashion-mnist` (31 MB)"
    downloads = tuple(
        Download(f"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/{name}.gz", f"{name}.gz", f"md5:{md5}")
        for name, md5 in (
            ("train-images-idx3-ubyte", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            ("train-labels-idx1-ubyte", "25c81989df183df01b3e8a0aad5dffbe"),
            ("t10k-images-idx3-ubyte", "bef4ecab320f06d8554ea6380940ec79"),
            ("t10k-labels-idx1-ubyte", "bb300cfdad3c16e7a12a480ee83cd310"),
        )
    )


class Cifar10(_Pictures):
    """CIFAR-10 (Krizhevsky 2009) from the batches of its Python version, 50,000 + 10,000."""

    name = "cifar10"
    summary = "photographs of ten kinds of thing, one frame for all steps: a control"
    licence = "free for research (Krizhevsky 2009)"
    places = ("cifar10", "cifar-10-batches-py", "cifar10/cifar-10-batches-py")
    expects = "data_batch_1 to data_batch_5 and test_batch"
    how = "`snn5bench data get cifar10` (170 MB)"
    shape, classes, official = (3, 32, 32), 10, {"test": 10_000, "train": 50_000}
    downloads = (
        Download(
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            "cifar-10-python.tar.gz",
            "md5:c58f30108f718f92721af3b95e74349a",
            unpack=True,
        ),
    )
    batches: ClassVar[dict[SplitName, tuple[str, ...]]] = {
        "test": ("test_batch",),
        "train": tuple(f"data_batch_{i}" for i in range(1, 6)),
    }
    label_key: ClassVar[str] = "labels"

    def folder(self) -> Path:
        first = self.batches["test"][0]
        return next((folder for folder in self.folders() if (folder / first).is_file()), super().folder())

    def files(self) -> list[Path]:
        return self.need([name for names in self.batches.values() for name in names])

    def read(self) -> Iterator[tuple[SplitName, Path, np.ndarray, np.ndarray]]:
        self.files()
        for split, names in self.batches.items():
            for name in names:
                path = self.folder() / name
                yield split, path, *read_cifar(path, self.label_key)


class Cifar100(Cifar10):
    """CIFAR-100, its hundred fine classes."""

    name = "cifar100"
    summary = "photographs of a hundred kinds of thing, one frame for all steps: a control"
    places = ("cifar100", "cifar-100-python", "cifar100/cifar-100-python")
    expects = "train and test"
    how = "`snn5bench data get cifar100` (169 MB)"
    classes = 100
    downloads = (
        Download(
            "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
            "cifar-100-python.tar.gz",
            "md5:eb9058c3a382ffc7106e4002c42a8d85",
            unpack=True,
        ),
    )
    batches = {"test": ("test",), "train": ("train",)}  # noqa: RUF012 (typed in the class above)
    label_key = "fine_labels"
