"""The cells over persistent worker processes, one torch thread each; torch is imported once a worker."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait

from loky import ProcessPoolExecutor
from loky.process_executor import BrokenProcessPool

from snn5bench.cell import Cell
from snn5bench.execute import Outcome, blank
from snn5bench.orphans import end_with
from snn5bench.record import Status
from snn5bench.runners.serial import Done, attempt

ATTEMPTS = 2
"""How often a cell may lose its worker before it is `failed`."""

THREADS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
"""The environment of every worker."""


def run(cells: Sequence[Cell], done: Done, jobs: int = 2) -> None:
    """Run `cells` on `jobs` workers; `done` is called here, in the driver, as each ends.

    A worker that dies takes the pool with it: the cells in flight are tried again, one at a time, so that the cell which
    kills workers is known, and the others are not blamed.
    """
    waiting, suspects = deque(cells), deque[Cell]()
    tries: dict[Cell, int] = {}
    while waiting or suspects:
        alone = bool(suspects)
        queue = suspects if alone else waiting
        for cell in _pool(queue, done, 1 if alone else jobs, stop_after=len(suspects) if alone else None):
            tries[cell] = tries.get(cell, 0) + 1
            if tries[cell] >= ATTEMPTS:
                reason = f"its worker died {tries[cell]} times (killed from outside, or out of memory)"
                record = blank(cell, Status.FAILED, reason)
                record.attempts = tries[cell]
                done(cell, Outcome(record))
            else:
                suspects.append(cell)


def _pool(queue: deque[Cell], done: Done, jobs: int, stop_after: int | None) -> list[Cell]:
    """Work through `queue` until it is empty or a worker dies; returns the cells that were in flight then."""
    executor = ProcessPoolExecutor(
        max_workers=jobs, env=THREADS, timeout=None, initializer=end_with, initargs=(os.getpid(),)
    )
    flying: dict[Future[Outcome], Cell] = {}
    try:
        while queue or flying:
            while queue and len(flying) < jobs:
                cell = queue.popleft()
                flying[executor.submit(attempt, cell)] = cell
            finished, _ = wait(flying, return_when=FIRST_COMPLETED)
            lost = []
            for future in finished:
                cell = flying.pop(future)
                try:
                    outcome = future.result()
                except BrokenProcessPool:
                    lost.append(cell)
                else:
                    done(cell, outcome)
            if lost:
                return [*lost, *flying.values()]
    finally:
        executor.shutdown(wait=True, kill_workers=True)
    return []
