"""A full disk, results that become read-only, a share that stalls."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.holds import after, finished
from tests.faults.world import NIGHT, Tally, World, complete, said, wait_for


def full(world: World, instants: int) -> Tally:
    """The disk is full at a random byte of a run; the run says so and stops."""
    tally = Tally("disk full, for good", "a tmpfs filled up to a random number of free pages")
    suite = world.write("full", f"name: night\nlimits: {{write_minutes: 0}}\n{NIGHT}")
    if not _may_mount():
        tally.skipped = "mounting a tmpfs needs root"
        return tally
    for _ in range(instants):
        with _tmpfs(world, "1m") as disk:
            _fill(disk, keep_kib=world.rng.randrange(0, _needed_kib(world, suite), 4))
            done = world.run(suite, disk, "-j", str(world.rng.choice((1, 2))))
            tally.problems += said(done, 2, "No space left")
            tally.problems += world.orphans()
            after(world, tally, disk, {})
            _rerun_in_place(world, tally, disk)
    return tally


def freed(world: World, instants: int) -> Tally:
    """The disk is full for a while: the record that could not be written is held, and nothing is computed twice."""
    tally = Tally(
        "disk full, then freed", "a tmpfs filled up to a random number of free pages, emptied once the run waits"
    )
    if not _may_mount():
        tally.skipped = "mounting a tmpfs needs root"
        return tally
    for _ in range(instants):
        with _tmpfs(world, "1m") as disk:
            _fill(disk, keep_kib=world.rng.randrange(28, _needed_kib(world, world.suite), 4))
            process = world.start(world.command(world.suite, disk, "-j", str(world.rng.choice((1, 2)))))
            time.sleep(world.rng.uniform(10, 20))
            (disk / "ballast").unlink()
            done = world.finish(process)
            tally.problems += said(done, 0, "8 done")
            after(world, tally, disk, {})
    return tally


def read_only(world: World, instants: int) -> Tally:
    """The results become read-only between two runs, or at a random instant of one."""
    how = "by permission (root without its override), before the run or at a random instant of it"
    tally = Tally("read-only results", how)
    bound = []
    if os.getuid() == 0:
        if not shutil.which("setpriv"):
            tally.skipped = "root may write anything, and there is no setpriv to take that away"
            return tally
        bound = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    for number in range(instants):
        results = world.fresh()
        command = [*bound, *world.command(world.suite, results, "-j", "1")]
        if number % 2:
            complete(world.suite, results)
            _some_gone(world, results)
            before = finished(results)
            _permit(results, False)
            process = world.start(command)
        else:
            before = {}
            process = world.start(command)
            wait_for((results / "night" / ".lock.pid").is_file, process)
            time.sleep(world.rng.uniform(0, 3))
            _permit(results, False)
        done = world.finish(process)
        if "8 done" not in done.stdout:
            tally.problems += said(done, 2, "annot be written" if number % 2 else "written")
        _permit(results, True)
        tally.problems += world.orphans()
        after(world, tally, results, before)
    return tally


def stalled_results(world: World, instants: int) -> Tally:
    """The share with the results stops to answer at a random instant; it comes back, or the driver is killed meanwhile."""
    how = (
        "an ext4 on a loop device, frozen (fsfreeze) for 5 s at a random instant; the driver killed in every other try"
    )
    tally = Tally("results on a share that stalls", how)
    if not _may_mount() or not shutil.which("fsfreeze") or not shutil.which("mkfs.ext4"):
        tally.skipped = "freezing a file system needs root, a loop device, mkfs.ext4 and fsfreeze"
        return tally
    for number in range(instants):
        with _ext4(world) as disk:
            results = disk / "results"
            results.mkdir()
            process = world.start(world.command(world.suite, results, "-j", "2"))
            wait_for((results / "night" / ".lock.pid").is_file, process)
            time.sleep(world.rng.uniform(0, 8))
            subprocess.run(["fsfreeze", "-f", str(disk)], check=True)
            try:
                time.sleep(5)
                if number % 2:
                    process.send_signal(signal.SIGKILL)
            finally:
                subprocess.run(["fsfreeze", "-u", str(disk)], check=True)
            done = world.finish(process)
            if number % 2 == 0:
                tally.problems += said(done, 0, "8 done")
            tally.problems += world.orphans()
            after(world, tally, results, {})
    return tally


def stalled_data(world: World, instants: int) -> Tally:
    """The share with the data stops to answer: each cell that reads is stopped at the suite's limit."""
    limits = world.minutes()
    how = f"a packed file replaced by a FIFO that nobody writes: opening it blocks for ever; `limits: {{{limits}}}`"
    tally = Tally("data on a share that stalls", how)
    suite = world.write("stalled", f"name: night\nlimits: {{{limits}}}\n{NIGHT.replace('[0, 1]', '[0]')}")
    world.reference_of(suite)
    for _ in range(instants):
        results, cache = world.fresh(), world.fresh("cache")
        shutil.copytree(world.root / "cache", cache, dirs_exist_ok=True)
        (label,) = cache.glob("datasets/*/label.npy")
        whole = label.read_bytes()
        label.unlink()
        os.mkfifo(label)
        done = world.run(suite, results, "-j", "2", SNN5BENCH_CACHE=str(cache))
        tally.problems += said(done, 0, "4 failed") + said(done, 0, "the suite's limit")
        tally.problems += world.orphans()
        label.unlink()
        label.write_bytes(whole)
        after(world, tally, results, {}, suite)
    return tally


def _rerun_in_place(world: World, tally: Tally, disk: Path) -> None:
    (disk / "ballast").unlink()
    before = finished(disk)
    tally.problems += said(world.run(world.suite, disk), 0, "8" if not before else "cached")
    now = finished(disk)
    tally.problems += [f"lost in place: {name}" for name in before if now.get(name) != before[name]]


def _may_mount() -> bool:
    return os.getuid() == 0 and shutil.which("mount") is not None


@contextmanager
def _tmpfs(world: World, size: str) -> Iterator[Path]:
    disk = world.fresh("disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@contextmanager
def _ext4(world: World) -> Iterator[Path]:
    disk = world.fresh("disk")
    image = disk.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(32 << 20)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)
        image.unlink()


def _needed_kib(world: World, suite: Path) -> int:
    """What the records of a whole run take, in pages of 4 KiB: with less free, some record does not fit."""
    return sum(4 * -(-path.stat().st_size // 4096) for path in world.reference_of(suite).rglob("cells/*.*"))


def _fill(disk: Path, keep_kib: int) -> None:
    free = shutil.disk_usage(disk).free
    with (disk / "ballast").open("wb") as file:
        file.write(b"\0" * max(0, free - keep_kib * 1024))


def _permit(results: Path, write: bool) -> None:
    for path in [results, *results.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755 if write else 0o555)
        elif write or path.name.startswith(".lock"):
            path.chmod(0o644 if write else 0o444)


def _some_gone(world: World, results: Path) -> None:
    records = sorted(results.rglob("cells/*.json"))
    for path in world.rng.sample(records, 3):
        path.unlink()
        path.with_suffix(".npz").unlink()
