"""What runs a cell: machine, versions, and the state of the checkout."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from snn5bench.keys import LIBRARIES
from snn5bench.record import Environment

SHOWN = (*LIBRARIES, "scipy", "scikit-learn", "pandas", "dvc", "mlflow", "snn5bench")


@cache
def cpu_name() -> str:
    """The processor's model name."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@cache
def capture(threads: int = 1, device: str = "cpu", backend: str = "") -> Environment:
    """The environment of this process."""
    versions: dict[str, str] = {}
    for name in SHOWN:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        cpu=cpu_name(),
        device=device,
        backend=backend,
        threads=threads,
        versions=versions,
    )


class Checkout(NamedTuple):
    """The commit that the code came from; None where it is not in a git checkout."""

    commit: str | None
    dirty: bool | None


@cache
def checkout() -> Checkout:
    """Commit of the checkout that holds this package, and whether tracked files differ from it."""
    here = Path(__file__).resolve().parent

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(here), *words], capture_output=True, text=True, timeout=10, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    if commit is None:
        return Checkout(None, None)
    status = git("status", "--porcelain", "--untracked-files=no", "--", str(here))
    return Checkout(commit, None if status is None else bool(status))
