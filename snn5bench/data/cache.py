"""Where packed datasets live, and building them once, atomically, whoever asks first."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

from snn5bench.cell import digest, slug
from snn5bench.closure import closure
from snn5bench.contracts.dataset import Dataset, Progress
from snn5bench.data.packed import FORMAT, Meta, Packed, Writer
from snn5bench.errors import BenchError


def cache_root() -> Path:
    """`SNN5BENCH_CACHE`, or the user's cache folder."""
    from platformdirs import user_cache_dir

    return Path(os.environ.get("SNN5BENCH_CACHE") or user_cache_dir("snn5bench"))


def folder_of(dataset: Dataset) -> Path:
    """The folder of a dataset under its parameters, named by the digest of parameters, transform and code."""
    identity: dict[str, Any] = {
        "format": FORMAT,
        "name": dataset.name,
        "params": dataset.params.model_dump(mode="json"),
        "transform": dataset.transform(),
        "code": closure(type(dataset).__module__, "snn5bench.data.packed"),
    }
    return cache_root() / "datasets" / f"{slug(dataset.name)}-{digest(identity)[:16]}"


def meta_of(dataset: Dataset) -> Meta | None:
    """What is known of a packed dataset, or None where it has not been built here. Imports no torch."""
    path = folder_of(dataset) / "meta.json"
    return Meta.model_validate_json(path.read_bytes()) if path.is_file() else None


def prepare(dataset: Dataset, progress: Callable[[int, int], None] | None = None) -> Packed:
    """Open the packed dataset, building it first where it is missing. An interrupted build leaves nothing behind that
    could be mistaken for a whole one; of two processes that ask at once, one builds and the other waits."""
    folder = folder_of(dataset)
    if (folder / "meta.json").is_file():
        return Packed(folder)
    verdict = dataset.available()
    if not verdict:
        raise BenchError(f"the data of '{dataset.name}' are not here", do=verdict.reason)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / "meta.json").is_file():
            _build(dataset, folder, progress or (lambda done, total: None))
    return Packed(folder)


def _build(dataset: Dataset, folder: Path, progress: Progress) -> None:
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    with Writer(partial, dataset.spec(), dict(dataset.transform())) as writer:
        dataset.generate(writer, progress)
        writer.finish(dataset.counted)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
