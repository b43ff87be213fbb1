"""The cells one after another, in this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from snn5bench.cell import Cell
from snn5bench.execute import EpochDone, execute
from snn5bench.outcome import Outcome, blank
from snn5bench.record import Status
from snn5bench.runners import gpu

Done = Callable[[Cell, Outcome], None]
"""Called in the driver, once for each cell, in the order in which they end."""


def attempt(cell: Cell, on_epoch: EpochDone | None = None) -> Outcome:
    """`execute`, with whatever escapes it turned into a `failed` record: one cell never stops the others."""
    gpu.forget()
    try:
        outcome = execute(cell, on_epoch)
    except (Exception, SystemExit) as error:
        return Outcome(blank(cell, Status.FAILED, f"{type(error).__name__}: {error}"))
    outcome.record.gpu_share = gpu.share()
    return outcome


def run(cells: Sequence[Cell], done: Done, jobs: int = 1, on_epoch: EpochDone | None = None) -> None:
    """Run `cells` in order. `jobs` is ignored."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for cell in cells:
        done(cell, attempt(cell, on_epoch))
