"""What is known of packed data and of their probe, where the files that say so may be damaged."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from snn5bench.contracts.dataset import Dataset
from snn5bench.data import cache
from snn5bench.data.packed import Meta
from snn5bench.errors import BenchError


def meta_of(dataset: Dataset) -> Meta | None:
    """As `cache.meta_of`; raises `BenchError` with the file's name where it is damaged."""
    try:
        return cache.meta_of(dataset)
    except (ValidationError, OSError) as error:
        raise damaged(cache.folder_of(dataset) / "meta.json", error) from error


def damaged(path: Path, error: Exception) -> BenchError:
    """What to say of a file of the cache that cannot be read."""
    why = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else str(error)
    return BenchError(
        f"the packed data cannot be read: {why:.200}", str(path), f"delete {path.parent}: it is built again"
    )
