"""An epoch of events against tonic with ToFrame, and building the packed data, on one file in SHD's layout.

Both sides read the same 320 recordings of about 8,000 spikes on 700 units, 100 steps. The clock is
the process's. Where tonic leaves the file system's cache warm, so do we.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tonic
from conftest import Versus

from snn5bench.contracts.inputs import Events
from snn5bench.data.batches import SplitBatches
from snn5bench.data.cache import folder_of, prepare
from snn5bench.data.heidelberg import SHD
from snn5bench.data.splits import TEST, TRAIN, VAL

SAMPLES, SPIKES, UNITS, T = 320, 8000, 700, 100


class Local(tonic.datasets.SHD):
    """tonic's, without its search for the archive that the file came in."""

    def _check_exists(self) -> bool:
        return True


@pytest.fixture(scope="module")
def shd(tmp_path_factory: pytest.TempPathFactory) -> SHD:
    """SHD's two files; tonic finds them under the same folder."""
    root = tmp_path_factory.mktemp("bench")
    (root / "SHD").mkdir()
    (root / Local.__name__).symlink_to(root / "SHD")
    rng = np.random.default_rng(0)
    for name, samples in (("train", SAMPLES - 64), ("test", 64)):
        with h5py.File(root / "SHD" / f"shd_{name}.h5", "w") as file:
            times = file.create_dataset("spikes/times", (samples,), dtype=h5py.vlen_dtype(np.dtype("f2")))
            units = file.create_dataset("spikes/units", (samples,), dtype=h5py.vlen_dtype(np.dtype("u2")))
            for i in range(samples):
                times[i] = np.sort(rng.uniform(0, 1.39, SPIKES)).astype("f2")
                units[i] = rng.integers(0, UNITS, SPIKES).astype("u2")
            file["labels"] = (np.arange(samples) % 20).astype("u2")
            file["extra/speaker"] = (np.arange(samples) % 5 + (5 if name == "test" else 0)).astype("u2")
            file["extra/keys"] = np.array([str(i) for i in range(20)], dtype="S")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SNN5BENCH_DATA", str(root))
        patch.setenv("SNN5BENCH_CACHE", str(root / "cache"))
        yield SHD(SHD.Params(T=T))


def tonics(shd: SHD) -> list[Any]:
    """tonic's two datasets, framed as ours is binned."""
    frame = tonic.transforms.ToFrame(sensor_size=tonic.datasets.SHD.sensor_size, time_window=1.4e6 / T)
    root = str(shd.folder().parent)
    return [Local(save_to=root, train=train, transform=frame) for train in (True, False)]


def read_all(datasets: list[Any]) -> None:
    for dataset in datasets:
        for i in range(len(dataset)):
            dataset[i]


@pytest.mark.benchmark(group="data")
def test_an_epoch_of_events(versus: Versus, shd: SHD) -> None:
    packed = prepare(shd)
    splits = [SplitBatches(packed, split, 32, order_seed=0) for split in (TRAIN, VAL, TEST)]

    def epoch() -> int:
        total = 0
        for split in splits:
            for x, _ in split.epoch():
                assert isinstance(x, Events)
                total += len(x.step)
        return total

    assert epoch() == packed.meta.events
    versus(epoch, lambda: read_all(tonics(shd)), 100.0, rounds=3, repeat=10, clock=time.process_time)


@pytest.mark.benchmark(group="data")
@pytest.mark.parametrize("peer", ["read", "disk cache"])
def test_building(versus: Versus, shd: SHD, tmp_path: Path, peer: str) -> None:
    """Against tonic reading and framing everything once, and against filling its disk cache, its way to build once."""

    def build() -> None:
        shutil.rmtree(folder_of(shd), ignore_errors=True)
        prepare(shd)

    def fill() -> None:
        shutil.rmtree(tmp_path / "disk", ignore_errors=True)
        caches = [
            tonic.DiskCachedDataset(dataset, cache_path=str(tmp_path / "disk" / str(i)))
            for i, dataset in enumerate(tonics(shd))
        ]
        read_all(caches)

    theirs = fill if peer == "disk cache" else lambda: read_all(tonics(shd))
    versus(build, theirs, 5.0, rounds=3, clock=time.process_time)
