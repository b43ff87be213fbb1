"""Seeds beyond the suite's: a sharper baseline, and a second look at a row. Kept in `results/SUITE/further/`, where no
leaderboard looks."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from snn5bench.baseline import RowName
from snn5bench.expand import PlannedCell
from snn5bench.plan import Planner, State
from snn5bench.record import Record
from snn5bench.store import Store, identity_of


def store_of(store: Store) -> Store:
    """Where a suite's further records are."""
    return Store(store.folder, "further")


def cells(planned: Sequence[PlannedCell], count: int, rows: Collection[RowName] | None = None) -> list[PlannedCell]:
    """`count` cells of each row (default: all), with the seeds that follow the largest of these cells."""
    first = max(one.cell.seed for one in planned) + 1
    by_row = {RowName(one.cell.variant, one.cell.dataset_variant, one.cell.twin): one for one in planned}
    chosen = [one for name, one in by_row.items() if rows is None or name in rows]
    return [_with_seed(one, seed) for one in chosen for seed in range(first, first + count)]


def current(planned: Sequence[PlannedCell], store: Store) -> list[Record]:
    """The further records of these rows that today's code, versions and data would make again."""
    by_row = {one.cell.identity[:3]: one for one in planned}
    records = store_of(store).records()
    planner = Planner(store_of(store), records)
    kept = []
    for record in records:
        one = by_row.get(identity_of(record)[:3])
        step = None if one is None else planner.step(_with_seed(one, record.seed))
        if step is not None and step.state is State.CACHED and step.lent is None:
            kept.append(record)
    return kept


def _with_seed(one: PlannedCell, seed: int) -> PlannedCell:
    return one.model_copy(update={"cell": one.cell.model_copy(update={"seed": seed})})
