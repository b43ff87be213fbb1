"""What changed between a baseline and new records: code, versions, data, config and machine, each named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from snn5bench.baseline import Baseline, made_of, row_of
from snn5bench.cell import differences
from snn5bench.record import Record

_MACHINE = ("python", "platform", "cpu", "device", "backend", "threads")


def changed(baseline: Baseline, records: Sequence[Record]) -> list[str]:
    """A line for each thing that differs, with the share of cells where it does not for all.

    Only cells that both sides have are looked at; rows that came or went get a line each.
    """
    new = {(*row_of(record), record.seed): made_of(record) for record in records}
    old = {(*cell.row, cell.seed): baseline.key_parts(cell) for cell in baseline.cells}
    both = [at for at in sorted(old.keys() & new.keys()) if old[at] and new[at]]
    counts = Counter(line for at in both for line in differences(old[at], new[at]) + _machine(old[at], new[at]))
    lines = [
        line + (f" ({count} of {len(both)} cells)" if count < len(both) else "")
        for line, count in sorted(counts.items())
    ]
    had, has = {cell.row for cell in baseline.cells}, {row_of(record) for record in records}
    lines += [f"rows: {row} is new" for row in sorted(has - had)]
    return lines + [f"rows: {row} is not in the new records" for row in sorted(had - has)]


def _machine(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs in the environment beyond the library versions, which are a part of the key."""
    before, after = old.get("environment") or {}, new.get("environment") or {}
    names = [name for name in _MACHINE if before.get(name) != after.get(name)] if before and after else []
    return [f"machine: {name} {before.get(name)} became {after.get(name)}" for name in names]
