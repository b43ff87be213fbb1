"""What is left of a run on a cluster: which cells wait, which are in flight, and what happens when something dies."""

from __future__ import annotations

import pickle
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from snn5bench import environment, keys
from snn5bench.cell import Cell, digest
from snn5bench.data.cache import cache_root, folder_of, meta_of
from snn5bench.data.packed import Meta
from snn5bench.errors import BenchError
from snn5bench.outcome import Outcome, blank
from snn5bench.plan import make_dataset
from snn5bench.record import Status
from snn5bench.runners.link import Gone, Link
from snn5bench.runners.messages import Answer, Lost, Node, Nodes, Order, Refused, Task, Unlike, Wants
from snn5bench.runners.needs import History, Needs
from snn5bench.suite import Limits

if TYPE_CHECKING:
    from snn5bench.runners.serial import Done

RERUNS = 2
"""How often a cell runs again after its worker or its node died under it."""
SWEEPS = 5
"""How often a cell may be in flight when the whole cluster goes away, before it is `failed`."""
HOMELESS_S = 3600.0
"""How long a cell waits for a node that could ever hold it, as one may join."""
AHEAD = 8
"""Cells that wait within Ray beyond those that its CPUs can run at once, so that no node waits for the driver."""

Say = Callable[[str], None]


class _Data(NamedTuple):
    folder: Path
    meta: Meta


class Campaign:
    """The cells of one run, each known by its number."""

    def __init__(
        self,
        cells: Sequence[Cell],
        done: Done,
        history: History,
        code: Mapping[str, str],
        say: Say,
        limits: Limits | None = None,
    ) -> None:
        """`code` maps each shipped package to its digest."""
        self._limits = limits or Limits()
        self._cells, self._done, self._history, self._code, self._say = cells, done, history, code, say
        self._waiting = deque(range(len(cells)))
        self._flying: set[int] = set()
        self._homeless: dict[int, float] = {}
        """Cells that no node can hold, and since when."""
        self._deaths: Counter[int] = Counter()
        self._sweeps: Counter[int] = Counter()
        self._hungry: Counter[int] = Counter()
        """How often a cell was killed for the memory it took."""
        self._wanted: set[Path] = set()
        """Packed data that some node did not have."""
        self._unlike: dict[str, Unlike] = {}
        self._nodes: list[Node] = []
        self._said: set[str] = set()
        self._data: dict[str, _Data] = {}

    @property
    def open(self) -> bool:
        """Whether a cell has not ended yet."""
        return bool(self._waiting or self._flying or self._homeless)

    def serve(self, link: Link, nodes: list[Node]) -> None:
        """Give out cells to the `nodes` of `link` and those that join, and take what comes back, until all have ended.
        Raises `Gone` with the link."""
        self._nodes = nodes
        self._house()
        while self.open:
            while self._waiting and len(self._flying) < self._room():
                self._give_out(self._waiting.popleft(), link)
            if not self.open:
                return
            news = link.receive()
            if isinstance(news, Nodes):
                self._nodes = news.alive
                self._house()
            elif isinstance(news, Lost):
                self._lost(news)
            elif isinstance(news, Refused):
                raise Gone(news.why)
            else:
                self._answered(news.number, pickle.loads(news.answer))

    def sweep(self, why: str) -> None:
        """The cluster went away: what was in flight runs again. It may have begun, so it counts as an attempt."""
        self._say(f"the Ray cluster went away ({why}); {len(self._flying)} cells in flight run again when it is back")
        for number in sorted(self._flying, reverse=True):
            self._sweeps[number] += 1
            if self._sweeps[number] > SWEEPS:
                self._fail(number, f"the cluster went away {self._sweeps[number]} times while it ran: {why}")
            else:
                self._waiting.appendleft(number)
        self._flying.clear()

    def _usable(self) -> list[Node]:
        return [node for node in self._nodes if node.id not in self._unlike]

    def _working(self) -> bool:
        """Whether any node can run anything: a head often has no CPU to give."""
        return any(node.has.cpus for node in self._usable())

    def _room(self) -> int:
        return AHEAD + int(sum(node.has.cpus for node in self._usable()))

    def _needs(self, number: int) -> Needs:
        """Twice the memory after each time that it was killed for it, but never more than the largest node has: the
        headroom is a guess, and refusing to run would be worse."""
        needs = self._history.needs(self._cells[number])
        most = max(node.has.memory_bytes for node in self._usable())
        return needs._replace(memory_bytes=min(needs.memory_bytes << self._hungry[number], most))

    def _fits(self, number: int) -> bool:
        usable = self._usable()
        return bool(usable) and any(self._needs(number).within(node.has) for node in usable)

    def _give_out(self, number: int, link: Link) -> None:
        if not self._fits(number):
            self._wait_for_node(number)
            return
        cell = self._cells[number]
        data = self._data_of(cell)
        parts = keys.parts_of(cell, data.meta.fingerprint, data.meta.transform)
        order = Order(cell, parts, self._code, str(cache_root()), self._limits)
        self._flying.add(number)
        folder = str(data.folder) if data.folder in self._wanted else None
        link.send(Task(number, cell.label, pickle.dumps(order), self._needs(number), folder, tuple(self._unlike)))

    def _wait_for_node(self, number: int) -> None:
        self._homeless[number] = time.monotonic()
        wish = self._wish(number)
        if wish not in self._said:
            self._said.add(wish)
            self._say(f"no node has {wish} now; cells that need it wait for one up to {HOMELESS_S / 60:.0f} min")

    def _wish(self, number: int) -> str:
        needs = self._history.needs(self._cells[number])
        return f"{needs.cpus:g} CPU" + (f" and {needs.gpus:g} GPU" if needs.gpus else "")

    def _house(self) -> None:
        """Nodes came or went: those without a home may have one now, or have waited long enough."""
        for number, since in reversed(list(self._homeless.items())):
            if self._fits(number):
                del self._homeless[number]
                self._waiting.appendleft(number)
            elif time.monotonic() - since > HOMELESS_S:
                if not self._working():
                    raise BenchError(
                        "the Ray cluster has no node to run on", do="add one and run again; what had ended is kept"
                    )
                del self._homeless[number]
                self._fail(number, f"no node has {self._wish(number)}")

    def _data_of(self, cell: Cell) -> _Data:
        at = digest([cell.dataset, cell.dataset_params])
        if at not in self._data:
            dataset = make_dataset(cell)
            meta = meta_of(dataset)
            if meta is None:
                raise BenchError(f"the data of '{cell.dataset}' are not here", str(folder_of(dataset)), "run again")
            self._data[at] = _Data(folder_of(dataset), meta)
        return self._data[at]

    def _answered(self, number: int, answer: Answer) -> None:
        if isinstance(answer, Outcome):
            self._end(number, answer)
        elif isinstance(answer, Wants):
            self._wanted.add(self._data_of(self._cells[number]).folder)
            self._again(number)
        else:
            self._leave_out(answer)
            self._again(number)

    def _leave_out(self, found: Unlike) -> None:
        if found.node in self._unlike:
            return
        self._unlike[found.node] = found
        differences = "; ".join(found.differences[:3])
        if not self._working():
            raise BenchError(
                f"no node runs what the driver runs: {differences}",
                f"node {found.host}",
                "install there what is installed here; every cell that had ended is kept",
            )
        self._say(f"node {found.host} is left out, it does not run what the driver runs: {differences}")

    def _lost(self, news: Lost) -> None:
        self._deaths[news.number] += 1
        if news.how == "memory":
            self._hungry[news.number] += 1
        if self._deaths[news.number] > RERUNS:
            self._fail(news.number, f"its worker or node died {self._deaths[news.number]} times: {news.why}")
        else:
            self._again(news.number)

    def _again(self, number: int) -> None:
        self._flying.discard(number)
        self._waiting.appendleft(number)

    def _fail(self, number: int, reason: str) -> None:
        record = blank(self._cells[number], Status.FAILED, reason)
        record.attempts = 0
        self._end(number, Outcome(record))

    def _end(self, number: int, outcome: Outcome) -> None:
        """Hand on how a cell ended. Its code was the driver's, so its commit is the driver's too."""
        self._flying.discard(number)
        record = outcome.record
        record.attempts = max(1, record.attempts + self._deaths[number] + self._sweeps[number])
        record.git_commit, record.git_dirty = environment.checkout()
        self._done(self._cells[number], outcome)
