"""Building a packed store: memory that does not grow with the events, and builds that are killed and done again."""

from __future__ import annotations

import json
import os
import random
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn5bench.data.cache import folder_of, meta_of
from snn5bench.data.whole import check_packed
from tests.data.endless import EACH, Endless

ROOT = Path(__file__).parents[2]
GIB = 1024


def start(events: int, cache: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from tests.data.endless import main; main()", str(events)]
    environment = {**os.environ, "SNN5BENCH_CACHE": str(cache)}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def build(events: int, cache: Path) -> dict[str, Any]:
    """Build to the end in a process of its own; what that took."""
    out, _ = start(events, cache).communicate(timeout=3600)
    return json.loads(out.splitlines()[-1])


def test_memory_does_not_grow_with_the_events(tmp_path):
    small, large = (build(events, tmp_path / str(events)) for events in (2_000_000, 20_000_000))
    assert large["events"] == 20_000_000
    assert large["peak_mib"] < GIB
    assert large["peak_mib"] - small["peak_mib"] < 32, "18 million events more, 108 MB on the disk"


@pytest.mark.slow
def test_two_hundred_million_events_take_less_than_a_gibibyte(tmp_path):
    took = build(200_000_000, tmp_path)
    assert took["events"] == 200_000_000
    assert took["peak_mib"] < GIB, took


def kill(events: int, cache: Path, share: float) -> None:
    """Kill -9 a build once `share` of it is done."""
    process = start(events, cache)
    assert process.stdout is not None
    for line in process.stdout:
        said = json.loads(line)
        if "fingerprint" in said or said["done"] >= share * said.get("total", 1e18):
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


def killed_and_redone(shares: list[float], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = 500 * EACH
    whole = build(events, folder / "whole")
    cache = folder / "killed"
    monkeypatch.setenv("SNN5BENCH_CACHE", str(cache))
    dataset = Endless(Endless.Params(events=events))
    for share in shares:
        kill(events, cache, share)
        if (folder_of(dataset) / "meta.json").exists():
            assert not check_packed(folder_of(dataset)).problem, "what counts is whole"
        else:
            assert meta_of(dataset) is None
    again = build(events, cache)
    assert again["fingerprint"] == whole["fingerprint"]
    assert not check_packed(folder_of(dataset)).problem
    left = {path.name for path in (cache / "datasets").iterdir()} - {folder_of(dataset).name}
    assert left <= {f"{folder_of(dataset).name}.lock"}, "nothing half-built stays"


def test_a_build_that_is_killed_is_done_again(tmp_path, monkeypatch):
    killed_and_redone([0.0, 0.5, 1.0], tmp_path, monkeypatch)


@pytest.mark.slow
def test_builds_killed_at_many_instants(tmp_path, monkeypatch):
    rng = random.Random(0)
    killed_and_redone([rng.uniform(0, 1.02) for _ in range(30)], tmp_path, monkeypatch)


def test_a_build_killed_between_its_last_steps_does_not_count(tmp_path, monkeypatch):
    """`meta.json` is written, the folder not yet renamed; or the old folder is gone and the new one not there."""
    monkeypatch.setenv("SNN5BENCH_CACHE", str(tmp_path))
    from snn5bench.data.cache import prepare

    dataset = Endless(Endless.Params(events=30 * EACH))
    folder = folder_of(dataset)

    class Killed(BaseException):
        pass

    def dies(self: Path, target: Path) -> Path:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Path, "rename", dies)
        prepare(dataset)
    assert (folder.with_name(f"{folder.name}.partial") / "meta.json").exists() and meta_of(dataset) is None
    folder.mkdir()
    (folder / "step.bin").write_bytes(b"half")
    assert not check_packed(prepare(dataset).folder).problem
    assert not folder.with_name(f"{folder.name}.partial").exists()


PACK_GESTURES = """
import json, resource
from snn5bench.data.cache import prepare
from snn5bench.data.dvs_gesture import DvsGesture
meta = prepare(DvsGesture(DvsGesture.Params())).meta
print(json.dumps({"events": meta.events, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
"""


def write_recording(path: Path, events: int) -> None:
    """AEDAT 3.1, 5,000 events a packet, over a hundred seconds; eleven gestures of eight seconds."""
    rng = np.random.default_rng(events)
    time = np.sort(rng.integers(0, 100_000_000, events)).astype("<u4")
    x, y = rng.integers(0, 128, (2, events))
    words = np.stack([(x << 17 | y << 2 | 1).astype("<u4"), time], axis=1)
    with path.open("wb") as out:
        out.write(b"#!AER-DAT3.1\r\n#!END-HEADER\r\n")
        for start in range(0, events, 5000):
            part = words[start : start + 5000]
            out.write(struct.pack("<HHIIIIII", 1, 0, 8, 4, 0, len(part), len(part), len(part)) + part.tobytes())
    spans = "".join(f"{c + 1},{c * 9_000_000},{c * 9_000_000 + 8_000_000}\n" for c in range(11))
    path.with_name(f"{path.stem}_labels.csv").write_text(f"class,startTime_usec,endTime_usec\n{spans}")


@pytest.mark.slow
def test_a_recording_of_fifteen_million_events_takes_less_than_a_gibibyte(tmp_path):
    folder = tmp_path / "dvs-gesture"
    folder.mkdir()
    for split, user, events in (("train", 1, 15_000_000), ("train", 2, 10_000), ("test", 24, 10_000)):
        write_recording(folder / f"user{user:02d}_led.aedat", events)
        with (folder / f"trials_to_{split}.txt").open("a") as file:
            file.write(f"user{user:02d}_led.aedat\n")
    environment = {**os.environ, "SNN5BENCH_DATA": str(tmp_path), "SNN5BENCH_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", PACK_GESTURES], cwd=ROOT, env=environment, capture_output=True, check=True
    )
    assert json.loads(done.stdout)["peak_mib"] < GIB
