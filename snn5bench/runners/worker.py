"""What a worker process does: cells come in on its standard input, outcomes go out on its standard output, one by one."""

from __future__ import annotations

import os
import pickle
import sys

from snn5bench.orphans import end_with
from snn5bench.runners.allocator import give_back, keep_freed_memory

READY = "ready"
"""The first message of a worker, once it has imported what a cell needs."""

BOOTSTRAP = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from snn5bench.runners.worker import main; main(int(sys.argv[1]))"
)
"""Run with `python -P -c`: takes the driver's import path first, so that the same code runs here; then `main`."""


def main(driver: int) -> None:
    """Run cells until the driver closes the pipe. What a method prints goes to standard error; it has no standard input."""
    cells, outcomes = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 (the process's own, for as long as it lives)
    end_with(driver)
    keep_freed_memory()
    from snn5bench.runners.serial import attempt

    message: object = READY
    while True:
        pickle.dump(message, outcomes)
        outcomes.flush()
        try:
            cell = pickle.load(cells)
        except EOFError:
            os._exit(0)
        message = attempt(cell)
        give_back()
