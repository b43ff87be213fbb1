"""The packages that nodes run: the driver's own files, staged in one folder and known by their digests."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from snn5bench import registry
from snn5bench.cell import Cell
from snn5bench.errors import BenchError


def packages_of(cells: Iterable[Cell]) -> dict[str, str]:
    """Top-level package to the distribution that brings it: ours, and those of the plugins that `cells` use."""
    found = {"snn5bench": "snn5bench"}
    for entry in sorted(set(_entries(cells))):
        found.setdefault(entry.target.partition(":")[0].partition(".")[0], entry.package)
    return found


def _entries(cells: Iterable[Cell]) -> Iterator[registry.Entry]:
    for cell in cells:
        yield registry.entry("datasets", cell.dataset)
        for name in (cell.method, *registry.load("methods", cell.method).builds_on(cell.method_params)):
            yield registry.entry("methods", name)


def stage(packages: dict[str, str], folder: Path) -> dict[str, str]:
    """Copy `packages`, with what makes their entry points known, into `folder`; returns each package's digest."""
    for package, distribution in packages.items():
        for place in _places(package):
            if place.is_dir():
                unwanted = shutil.ignore_patterns("__pycache__")
                shutil.copytree(place, folder / package, ignore=unwanted, dirs_exist_ok=True)
            else:
                shutil.copy2(place, folder / place.name)
        _copy_metadata(distribution, folder)
    return {package: digest_of(package) for package in packages}


def digest_of(package: str) -> str:
    """SHA-256 over the Python sources of an importable top-level package."""
    whole = hashlib.sha256()
    for place in _places(package):
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            whole.update(f"{path.relative_to(place.parent).as_posix()} {content}\n".encode())
    return whole.hexdigest()


def _places(package: str) -> list[Path]:
    spec = find_spec(package)
    if spec is not None and spec.submodule_search_locations:
        return [Path(place) for place in spec.submodule_search_locations]
    if spec is None or spec.origin is None:
        raise BenchError(f"the package {package} cannot be found", do="install it where the run is started")
    return [Path(spec.origin)]


def _copy_metadata(name: str, folder: Path) -> None:
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:  # ours, run from a bare checkout
        return
    info = folder / f"{found.name.replace('-', '_')}-{found.version}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {found.name}\nVersion: {found.version}\n")
    (info / "entry_points.txt").write_text(found.read_text("entry_points.txt") or "")
