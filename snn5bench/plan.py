"""What a run would do with each cell, with the reason, and how long it may take."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, Field

from snn5bench import device, environment, keys, registry
from snn5bench.cell import Cell, KeyParts, differences
from snn5bench.contracts.dataset import Dataset
from snn5bench.data.packed import Meta
from snn5bench.data.stored import meta_of
from snn5bench.expand import PlannedCell
from snn5bench.neighbours import Neighbours
from snn5bench.record import Record, Status
from snn5bench.store import Store, identity_of


class State(StrEnum):
    """What happens to a cell."""

    RUN = "run"
    CACHED = "cached"
    INCOMPATIBLE = "incompatible"
    NEEDS_DATA = "needs data"
    NOT_INSTALLED = "not installed"


class Step(BaseModel):
    """One cell of a plan."""

    cell: Cell
    state: State
    reason: str
    key: str | None = None
    """None where the data are not here yet, so that the key cannot be known."""
    because: list[str] = []
    """What changed since the stored record."""
    minutes: float | None = None
    """Estimate from earlier records of this machine; None where there is none."""
    memory_bytes: int | None = None
    lent: Path | None = Field(None, exclude=True)
    """The record that another suite has already made under this key."""


def make_dataset(cell: Cell) -> Dataset:
    """The dataset of a cell, under its parameters."""
    cls = registry.load("datasets", cell.dataset)
    with registry.blaming("datasets", cell.dataset, "cannot be set up"):
        return cls(cls.Params.model_validate(cell.dataset_params))


def source_of(cell: Cell) -> str:
    """The same for all cells that are fed the same data."""
    return f"{cell.dataset} {sorted(cell.dataset_params.items())}"


class Planner:
    """Plans the cells of one suite against one store; datasets are looked up once."""

    def __init__(self, store: Store, records: Sequence[Record]) -> None:
        self.store = store
        self.by_identity = {identity_of(r): r for r in records}
        self.neighbours = Neighbours(store)
        here = environment.cpu_name(), device.chosen() == device.CPU
        done = ((r, r.environment) for r in records if r.status is Status.DONE and r.environment)
        self._past = _Past(r for r, ran in done if (ran.cpu, ran.device == device.CPU) == here)
        self._data: dict[str, tuple[Meta | None, str]] = {}

    def step(self, planned: PlannedCell) -> Step:
        """What would happen to one cell."""
        cell = planned.cell
        if planned.absent:
            return Step(cell=cell, state=State.NOT_INSTALLED, reason=planned.absent)
        if planned.incompatible:
            return Step(cell=cell, state=State.INCOMPATIBLE, reason=planned.incompatible)
        try:
            missing, parts = self._look_up(cell)[1], self.parts(cell)
        except registry.BrokenPlugin as broken:
            return Step(cell=cell, state=State.NOT_INSTALLED, reason=broken.problems[0].what)
        old = self.by_identity.get(cell.identity)
        if missing:
            return Step(cell=cell, state=State.NEEDS_DATA, reason=missing)
        estimate = {"minutes": self._past.minutes(cell), "memory_bytes": self._past.memory(cell)}
        if parts is None:
            return Step(cell=cell, state=State.RUN, reason="its data will be made first", **estimate)
        key = parts.key()
        if old is not None and old.key == key and old.status in (Status.DONE, Status.INCOMPATIBLE):
            cached = old.status is Status.DONE
            state, reason = (State.CACHED, "nothing changed") if cached else (State.INCOMPATIBLE, old.reason)
            return Step(cell=cell, state=state, reason=reason, key=key)
        because = [] if old is None or old.key == key else differences(old.key_parts, parts.model_dump(mode="json"))
        if lent := self.neighbours.find(key, cell):
            reason = f"the same cell of {lent.parent.parent.name}"
            return Step(cell=cell, state=State.CACHED, reason=reason, key=key, because=because, lent=lent)
        if old is None:
            return Step(cell=cell, state=State.RUN, reason="no record yet", key=key, **estimate)
        if old.key != key:
            reason = because[0] if len(because) == 1 else f"{len(because)} changes: {'; '.join(because[:3])}"
            return Step(cell=cell, state=State.RUN, reason=reason, key=key, because=because, **estimate)
        return Step(
            cell=cell, state=State.RUN, reason=f"it {old.status.value} last time: {old.reason}", key=key, **estimate
        )

    def parts(self, cell: Cell) -> KeyParts | None:
        """What the cell's key is made of today; None without its data."""
        meta, _ = self._look_up(cell)
        return None if meta is None else keys.parts_of(cell, meta.fingerprint, meta.transform)

    def _look_up(self, cell: Cell) -> tuple[Meta | None, str]:
        at = source_of(cell)
        if at not in self._data:
            dataset = make_dataset(cell)
            with registry.blaming("datasets", cell.dataset, "does not say whether it is here"):
                meta = meta_of(dataset)
                verdict = dataset.available() if meta is None else None
                self._data[at] = (meta, "" if verdict is None or verdict.ok else verdict.reason)
        return self._data[at]


class _Past:
    """What finished cells of this machine took on the device that is chosen, looked up in one step whatever their number."""

    def __init__(self, records: Iterable[Record]) -> None:
        seconds: dict[tuple[str, ...], list[float]] = {}
        self._memory: dict[str, int] = {}
        for r in records:
            took = (r.train_seconds or 0.0) + (r.eval_seconds or 0.0)
            for like in ((r.variant, r.dataset, r.twin), (r.dataset, str(r.budget.get("epochs")))):
                seconds.setdefault(like, []).append(took)
            if r.peak_memory_bytes:
                self._memory[r.dataset] = max(self._memory.get(r.dataset, 0), r.peak_memory_bytes)
        self._minutes = {like: round(statistics.median(took) / 60, 3) for like, took in seconds.items()}

    def minutes(self, cell: Cell) -> float | None:
        """Median over the records of the same row, else of the same dataset and budget."""
        near = self._minutes.get((cell.dataset_variant, str(cell.epochs)))
        return self._minutes.get(cell.identity[:3], near)

    def memory(self, cell: Cell) -> int | None:
        """The largest peak on the same dataset, in bytes."""
        return self._memory.get(cell.dataset_variant)


def total_minutes(steps: Sequence[Step], jobs: int) -> float | None:
    """Wall minutes for all cells to run, or None where no record tells about any of them. Cells without an estimate are
    counted as the median of those with one."""
    runs = [s for s in steps if s.state is State.RUN]
    known = [s.minutes for s in runs if s.minutes is not None]
    if not runs:
        return 0.0
    if not known:
        return None
    typical = statistics.median(known)
    return sum(s.minutes if s.minutes is not None else typical for s in runs) / max(1, jobs)
