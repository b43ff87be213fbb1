"""The packed form of a dataset: sorted event indices (or static frames) in memory maps, with labels and split."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from pydantic import BaseModel, ConfigDict

from snn5bench.contracts.dataset import DatasetSpec, Sample
from snn5bench.data.splits import SPLITS, TEST, VAL, carve_validation, refuse_overlap
from snn5bench.errors import BenchError

FORMAT = 1
_GRID = 1 << 22
"""Largest grid of steps and channels that is sorted by marking its cells."""


class Meta(BaseModel):
    """`meta.json` of a packed dataset; written last, so that its presence means that the folder is whole."""

    model_config = ConfigDict(extra="forbid")

    format: int = FORMAT
    spec: DatasetSpec
    transform: dict[str, Any]
    fingerprint: str
    """SHA-256 over every sample's content, label, group and split."""
    split_rule: str
    samples: dict[str, int]
    """Samples in each split."""
    events: int
    merged_events: int
    """Events that fell on an already set (step, channel) of their sample."""
    counted: dict[str, int] = {}
    """What the reader repaired, dropped or found empty, by a name in words."""


class Writer:
    """Streams samples to disk; the memory it needs does not grow with the events."""

    def __init__(self, folder: Path, spec: DatasetSpec, transform: dict[str, Any]) -> None:
        self.folder, self.spec, self.transform = folder, spec, transform
        folder.mkdir(parents=True, exist_ok=True)
        self._indptr = [0]
        self._labels: list[int] = []
        self._groups: list[int] = []
        self._splits: list[int] = []
        self._digests: list[bytes] = []
        self._merged = 0
        cells = spec.T * spec.channels
        self._marks = np.zeros(cells, dtype=bool) if spec.coding == "events" and cells <= _GRID else None
        names = ("step", "channel") if spec.coding == "events" else ("frame",)
        self._files: dict[str, BinaryIO] = {name: (folder / f"{name}.bin").open("wb") for name in names}

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for file in self._files.values():
            file.close()

    def __call__(self, sample: Sample) -> None:
        """Append one sample. Raises `BenchError` with the sample's index where it does not fit the spec."""
        index = len(self._labels)
        if not 0 <= sample.label < self.spec.n_classes:
            self._refuse(index, f"label {sample.label} is not in 0..{self.spec.n_classes - 1}")
        content = self._events(index, sample) if self.spec.coding == "events" else self._frame(index, sample)
        self._labels.append(int(sample.label))
        self._groups.append(int(sample.group))
        self._splits.append(SPLITS.index(sample.split))
        self._digests.append(content)

    def _refuse(self, index: int, what: str) -> None:
        raise BenchError(what, where=f"dataset {self.spec.name}, sample {index}", do="mend the file or its reader")

    def _events(self, index: int, sample: Sample) -> bytes:
        if sample.step is None or sample.channel is None or len(sample.step) != len(sample.channel):
            self._refuse(index, "an event sample needs `step` and `channel` of one length")
        step, channel = np.asarray(sample.step), np.asarray(sample.channel)
        for name, values, bound in (("step", step, self.spec.T), ("channel", channel, self.spec.channels)):
            if len(values) and not np.issubdtype(values.dtype, np.integer):
                self._refuse(index, f"{name} has dtype {values.dtype}, expected integers")
            if len(values) and (values.min() < 0 or values.max() >= bound):
                self._refuse(index, f"{name} {values.min()}..{values.max()} leaves 0..{bound - 1}")
        flat = self._sorted(step.astype(np.int64) * self.spec.channels + channel)
        self._merged += len(step) - len(flat)
        packed_step = (flat // self.spec.channels).astype("<u2")
        packed_channel = (flat % self.spec.channels).astype("<u4")
        self._files["step"].write(packed_step.tobytes())
        self._files["channel"].write(packed_channel.tobytes())
        self._indptr.append(self._indptr[-1] + len(flat))
        return hashlib.sha256(flat.astype("<i8").tobytes()).digest() if len(flat) else b""

    def _sorted(self, cells: np.ndarray) -> np.ndarray:
        """`np.unique`, by marking cells where the grid is small enough: linear, and many times faster."""
        if self._marks is None:
            return np.unique(cells)
        self._marks[cells] = True
        flat = np.flatnonzero(self._marks)
        self._marks[flat] = False
        return flat

    def _frame(self, index: int, sample: Sample) -> bytes:
        if sample.frame is None or np.shape(sample.frame) != (self.spec.channels,):
            self._refuse(index, f"a static sample needs a `frame` of {self.spec.channels} values")
        frame = np.ascontiguousarray(sample.frame, dtype="<f4")
        if not np.isfinite(frame).all():
            self._refuse(index, "the frame has values that are not finite")
        self._files["frame"].write(frame.tobytes())
        return hashlib.sha256(frame.tobytes()).digest()

    def finish(self, counted: Mapping[str, int] | None = None) -> Meta:
        """Carve validation where there is none, check the splits, fingerprint, and write `meta.json`, with what the reader
        `counted`."""
        name = self.spec.name
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        split = np.array(self._splits, dtype="u1")
        label, group = np.array(self._labels, dtype="<i4"), np.array(self._groups, dtype="<i4")
        rule = "official validation split"
        if not (split == VAL).any():
            rule = carve_validation(name, split, label, group)
        refuse_overlap(name, self._digests, split)
        counts = {word: int((split == code).sum()) for code, word in enumerate(SPLITS)}
        if min(counts.values()) == 0:
            raise BenchError(f"a split is empty: {counts}", where=f"dataset {name}", do="check the dataset's reader")
        arrays = {"label": label, "group": group, "split": split, "indptr": np.array(self._indptr, dtype="<i8")}
        whole = hashlib.sha256(json.dumps([FORMAT, self.spec.model_dump(mode="json")], sort_keys=True).encode())
        for part in (*self._digests, label.tobytes(), group.tobytes(), split.tobytes()):
            whole.update(part)
        for key, values in arrays.items():
            np.save(self.folder / f"{key}.npy", values)
        meta = Meta(
            spec=self.spec,
            transform=self.transform,
            fingerprint=whole.hexdigest()[:32],
            split_rule=rule,
            samples=counts,
            events=self._indptr[-1],
            merged_events=self._merged,
            counted={name: n for name, n in (counted or {}).items() if n},
        )
        (self.folder / "meta.json").write_text(meta.model_dump_json(indent=1))
        return meta


class Packed:
    """A packed dataset opened for reading: memory maps, shared by all processes that open it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meta = Meta.model_validate_json((folder / "meta.json").read_bytes())
        self.spec = self.meta.spec
        self.label: np.ndarray = np.load(folder / "label.npy")
        self.split: np.ndarray = np.load(folder / "split.npy")
        self.indptr: np.ndarray = np.load(folder / "indptr.npy")
        if self.spec.coding == "events":
            self.step = self._map("step", "<u2")
            self.channel = self._map("channel", "<u4")
        else:
            self.frame = self._map("frame", "<f4").reshape(len(self.label), self.spec.channels)

    def _map(self, name: str, dtype: str) -> np.ndarray:
        path = self.folder / f"{name}.bin"
        if path.stat().st_size == 0:
            return np.empty(0, dtype=dtype)
        return np.memmap(path, dtype=dtype, mode="r")

    def indices(self, split: int) -> np.ndarray:
        """Sample numbers of a split (`splits.TRAIN`, `VAL` or `TEST`), ascending."""
        return np.flatnonzero(self.split == split)

    @property
    def n_test(self) -> int:
        """Samples in the test split."""
        return int((self.split == TEST).sum())
