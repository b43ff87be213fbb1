"""Packed data that come from another machine: nothing reads them before their fingerprint is right."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from snn5bench.data.packed import Packed
from snn5bench.data.whole import fingerprint
from snn5bench.errors import BenchError

Files = dict[str, NDArray[np.uint8]]
"""File name to content, of one packed dataset."""

_seen: set[tuple[str, str, tuple[tuple[str, int, int], ...]]] = set()


def pack(folder: Path) -> Files:
    """The files of a packed dataset, as memory maps."""
    return {
        path.name: np.asarray(np.memmap(path, np.uint8, "r")) if path.stat().st_size else np.empty(0, np.uint8)
        for path in sorted(folder.iterdir())
        if path.is_file()
    }


def is_whole(folder: Path, meant: str) -> bool:
    """Whether `folder` holds packed data with the fingerprint `meant`, taken again over every stored sample. A process
    reads the samples once, as long as no file changes its size or time."""
    if not (folder / "meta.json").is_file():
        return False
    stats = [(path.name, path.stat()) for path in sorted(folder.iterdir())]
    sight = (str(folder), meant, tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats))
    if sight in _seen:
        return True
    try:
        packed = Packed(folder)
        found = {packed.meta.fingerprint, fingerprint(packed)}
    except (OSError, ValueError, IndexError):
        return False
    if found != {meant}:
        return False
    _seen.add(sight)
    return True


def receive(folder: Path, files: Files, meant: str) -> None:
    """Put what `pack` gave at `folder`, in one step, once its fingerprint is found to be `meant`.

    Raises `BenchError` where it is not; what stood there before then stays. Of several processes, one writes.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if is_whole(folder, meant):
            return
        partial = folder.with_name(f"{folder.name}.arriving")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        for name in sorted(files, key=lambda name: name == "meta.json"):
            files[name].tofile(partial / name)
        if not is_whole(partial, meant):
            shutil.rmtree(partial)
            raise BenchError(
                f"the data that arrived do not have the fingerprint {meant}",
                str(folder),
                "run `snn5bench data check` where the run was started",
            )
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
