"""What differs between two runs: code, versions, data, config, environment, each named."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from snn5bench.baseline import Baseline, made_of, row_names
from snn5bench.record import Record

_DIGEST = re.compile(r"[0-9a-f]{8,}")
_ABSENT = object()


class Change(NamedTuple):
    """One leaf that differs."""

    part: str
    """Which part of the key: `code`, `versions`, `config`, `data`, ...; or `environment`."""
    name: str
    """Path inside the part: `torch`, `snn5bench.methods.lif`, `method_params hidden`."""
    text: str
    """`2.13.0 -> 2.14.0`, `changed`, `added`, `gone`."""

    def __str__(self) -> str:
        return f"{self.part}: {self.name} {self.text}" if self.name else f"{self.part}: {self.text}"


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Leaves that differ between two nested mappings of parts, in the order of their names."""
    before, after = (dict(_leaves(side)) for side in (old, new))
    changes = []
    for path in sorted(before.keys() | after.keys()):
        was, now = before.get(path, _ABSENT), after.get(path, _ABSENT)
        if was != now:
            changes.append(Change(path[0], " ".join(path[1:]), _text(was, now)))
    return changes


def changed(baseline: Baseline, records: Sequence[Record]) -> list[str]:
    """What changed since the baseline, one line for each leaf, with the share of cells where it did not change for all.

    Only cells that both sides have are looked at; rows that came or went get a line each.
    """
    new = {(*name, record.seed): record for name, record in zip(row_names(records), records, strict=True)}
    old = {(*cell.row, cell.seed): cell for cell in baseline.cells}
    both = sorted(old.keys() & new.keys())
    counts = Counter(change for at in both for change in differences(baseline.key_parts(old[at]), made_of(new[at])))
    lines = [
        str(change) + (f" ({count} of {len(both)} cells)" if count < len(both) else "")
        for change, count in sorted(counts.items())
    ]
    had, has = {cell.row for cell in baseline.cells}, set(row_names(records))
    lines += [f"rows: {row} is new" for row in sorted(has - had)]
    return lines + [f"rows: {row} is not in the new records" for row in sorted(had - has)]


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterable[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _leaves(inner, (*path, str(name)))
    else:
        yield path, value


def _text(was: Any, now: Any) -> str:
    if was is _ABSENT:
        return "added" if _long(now) else f"added: {now}"
    if now is _ABSENT:
        return "gone"
    return "changed" if _long(was) or _long(now) else f"{was} -> {now}"


def _long(value: Any) -> bool:
    text = str(value)
    return len(text) > 60 or bool(_DIGEST.fullmatch(text.removeprefix("sha256:")))
