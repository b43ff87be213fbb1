"""The cells over persistent worker processes, one torch thread each; torch is imported once a worker."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from snn5bench.cell import Cell
from snn5bench.errors import BenchError
from snn5bench.outcome import Outcome, blank
from snn5bench.record import Status
from snn5bench.runners.hand import Hand, News
from snn5bench.runners.worker import READY
from snn5bench.suite import Limits

if TYPE_CHECKING:
    from snn5bench.runners.serial import Done

ATTEMPTS = 2
"""How often a cell may lose its worker before it is `failed`."""

STARTS = 3
"""How many workers may end one after another before they are ready."""

START_S = 900.0
"""How long a worker may take to import what it needs."""

LEFT_BEHIND_BYTES = 1 << 30
"""A worker that holds so much more after a cell than before its first one is replaced: the next cell does not pay for it."""

_TICK_S = 0.25
_GIB = 1 << 30


def run(cells: Sequence[Cell], done: Done, jobs: int = 2, limits: Limits | None = None) -> None:
    """Run `cells` on `jobs` workers; `done` is called here, in the driver, as each ends.

    A cell that loses its worker (killed from outside, or out of memory) is tried again when all others have ended, alone,
    so that the cell which kills workers is known, and the others are not blamed. One over its limits is stopped: `failed`.
    """
    pool = _Pool(cells, done, jobs, limits or Limits())
    try:
        pool.work()
    finally:
        for hand in pool.hands:
            hand.stop()


class _Pool:
    """Which worker has which cell, and what is left to do."""

    def __init__(self, cells: Sequence[Cell], done: Done, jobs: int, limits: Limits) -> None:
        self.waiting, self.suspects = deque(cells), deque[Cell]()
        self.done, self.jobs, self.limits = done, jobs, limits
        self.tries: dict[Cell, int] = {}
        self.hands: list[Hand] = []
        self.news: News = SimpleQueue()
        self.failed_starts = 0
        self.watched = time.monotonic()

    @property
    def busy(self) -> int:
        """Cells in flight."""
        return sum(hand.cell is not None for hand in self.hands)

    def work(self) -> None:
        """Until every cell has ended."""
        while self.waiting or self.suspects or self.busy:
            self._fill()
            try:
                hand, said = self.news.get(timeout=_TICK_S)
            except Empty:
                pass
            else:
                if hand in self.hands:
                    self._hear(hand, said)
            if time.monotonic() - self.watched > _TICK_S:
                self._watch()
                self.watched = time.monotonic()

    def _fill(self) -> None:
        wanted = min(self.jobs, len(self.waiting) + self.busy) or 1
        while len(self.hands) < wanted:
            self.hands.append(Hand(self.news))
        for hand in self.hands:
            if hand.ready and hand.cell is None and not hand.gone:
                if self.waiting:
                    hand.give(self.waiting.popleft())
                elif self.suspects and not self.busy:
                    hand.give(self.suspects.popleft())

    def _hear(self, hand: Hand, said: object) -> None:
        if said == READY:
            hand.ready, hand.memory_at_rest, self.failed_starts = True, hand.memory(), 0
        elif isinstance(said, Outcome) and hand.cell is not None:
            cell, hand.cell = hand.cell, None
            if hand.memory() > hand.memory_at_rest + LEFT_BEHIND_BYTES:
                self._drop(hand)
            said.record.attempts = self.tries.get(cell, 0) + 1
            self.done(cell, said)
        else:
            self._lost(hand)

    def _watch(self) -> None:
        """Stop what is over a limit. A death is heard as the end of the pipe, unless a child of the worker keeps it open."""
        for hand in list(self.hands):
            seconds = time.monotonic() - hand.since
            if hand.gone:
                if hand.mourned:
                    self._lost(hand)
                hand.mourned = True
            elif not hand.ready and seconds > START_S:
                self._lost(hand)
            elif hand.cell is not None:
                self._hold_to_limits(hand, seconds)

    def _hold_to_limits(self, hand: Hand, seconds: float) -> None:
        minutes, gib = self.limits.cell_minutes, self.limits.cell_memory_gib
        if minutes is not None and seconds > minutes * 60:
            self._stopped(hand, f"stopped after {minutes:g} minutes, the suite's limit (limits.cell_minutes)")
        elif gib is not None and (held := hand.memory()) > gib * _GIB:
            over = f"over the suite's limit of {gib:g} (limits.cell_memory_gib)"
            self._stopped(hand, f"stopped at {held / _GIB:.2f} GiB of memory, {over}", held)

    def _stopped(self, hand: Hand, reason: str, held: int | None = None) -> None:
        cell = hand.cell
        assert cell is not None
        self._drop(hand)
        record = blank(cell, Status.FAILED, reason)
        record.attempts = self.tries.get(cell, 0) + 1
        record.peak_memory_bytes = held
        self.done(cell, Outcome(record))

    def _lost(self, hand: Hand) -> None:
        self._drop(hand)
        if not hand.ready:
            self.failed_starts += 1
            if self.failed_starts >= STARTS:
                raise BenchError(
                    f"{STARTS} worker processes ended before they were ready",
                    where="--runner processes",
                    do="see their errors above; `--runner serial` runs the cells in this process",
                )
        cell = hand.cell
        if cell is None:
            return
        self.tries[cell] = self.tries.get(cell, 0) + 1
        if self.tries[cell] < ATTEMPTS:
            self.suspects.append(cell)
            return
        reason = f"its worker died {self.tries[cell]} times (killed from outside, or out of memory)"
        record = blank(cell, Status.FAILED, reason)
        record.attempts = self.tries[cell]
        self.done(cell, Outcome(record))

    def _drop(self, hand: Hand) -> None:
        self.hands.remove(hand)
        hand.stop()
