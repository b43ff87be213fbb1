"""Seeds: the same one gives the same bits here and in another process, another one gives other bits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from snn5bench.conformance.check import Fault
from snn5bench.conformance.subject import Subject, digest

TIMEOUT = 120
"""Seconds after which the other process is given up."""


def same_seed(subject: Subject) -> str:
    """Trained twice with one seed, every weight is bit-equal; with another seed, some weight is not."""
    first = digest(subject.network)
    if digest(subject.fit(seed=0)) != first:
        raise Fault(
            "two trainings with seed 0 end in different weights",
            "bit-equal weights",
            "numbers drawn from a generator that the harness does not seed (`random`, `default_rng()` without a seed, the "
            "clock), or state left on the method or its module by the first training",
        )
    if digest(subject.other) == first:
        raise Fault(
            "trainings with seeds 0 and 1 end in the same weights",
            "another seed gives another network",
            "a seed of its own: `torch.manual_seed(...)` or `default_rng(0)` in the method makes every seed the same run",
        )
    return ""


@contextmanager
def elsewhere(subject: Subject) -> Iterator[None]:
    """Train in another process, with another hash seed, while the other checks run here."""
    env = os.environ | {
        "PYTHONHASHSEED": "4242" if os.environ.get("PYTHONHASHSEED") != "4242" else "17",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    command = [sys.executable, "-m", "snn5bench.conformance.elsewhere", subject.name, json.dumps(subject.params)]
    pipe = subprocess.PIPE
    subject.elsewhere = subprocess.Popen(command, env=env, stdout=pipe, stderr=pipe, text=True)
    try:
        yield
    finally:
        subject.elsewhere.kill()
        subject.elsewhere.communicate()


def other_process(subject: Subject) -> str:
    """Trained with the same seed in another process, with another hash seed, every weight is bit-equal."""
    here = digest(subject.network)
    assert subject.elsewhere is not None, "the check runs inside `elsewhere`"
    out, err = subject.elsewhere.communicate(timeout=TIMEOUT)
    if subject.elsewhere.returncode:
        lines = err.strip().splitlines()
        raise Fault(
            f"in another process it raises: {lines[-1] if lines else f'exit code {subject.elsewhere.returncode}'}",
            "it trains there as it does here",
            "it leans on something that only this process has (a variable set by hand, a module that is not installed)",
        )
    if out.strip() != here:
        raise Fault(
            "the same training in another process ends in different weights",
            "bit-equal weights",
            "`hash()` of a string, the order of a set, the process id or an address of memory decides something",
        )
    return ""
