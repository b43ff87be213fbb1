"""What a command costs before any work is done. The yardstick is a process that imports torch and nothing else.

The clock counts the processor time of child processes. The targets in seconds (0.4, 1.5 and 3) become ratios to the 1.26 s
that the import took where they were set.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Versus

ROOT = Path(__file__).parents[2]
USER = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
"""As the user set it: the tests' own cache folder holds no data."""


def children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def python(*words: str) -> Callable[[], str]:
    """Runs `python WORDS` in the repository, and returns what it wrote."""
    environment = {**USER, "PYTHONPATH": os.pathsep.join([str(ROOT), USER.get("PYTHONPATH", "")]).rstrip(os.pathsep)}

    def run() -> str:
        command = [sys.executable, *words]
        return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout

    return run


TORCH = python("-c", "import torch")


@pytest.mark.benchmark(group="commands")
@pytest.mark.parametrize(
    ("words", "least"),
    [
        pytest.param(("--help",), 1.26 / 0.4, id="help"),
        pytest.param(("plan", "bundled"), 1.26 / 1.5, id="plan bundled"),
    ],
)
def test_command(versus: Versus, words: tuple[str, ...], least: float) -> None:
    versus(python("-m", "snn5bench", *words), TORCH, least, rounds=5, clock=children)


@pytest.mark.benchmark(group="commands")
def test_second_repro(versus: Versus) -> None:
    """Needs a pipeline that is up to date, as it is right after `dvc repro`."""
    if "up to date" not in python("-m", "dvc", "status")():
        pytest.skip("the pipeline is not up to date: run `dvc repro` first")
    versus(python("-m", "dvc", "repro"), TORCH, 1.26 / 3, rounds=3, clock=children)
