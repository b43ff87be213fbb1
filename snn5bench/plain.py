"""Numbers that no parameter may be, or that a stranger may not ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

WORD = 1 << 63


def unusable(values: Mapping[str, Any]) -> list[str]:
    """The names of values that are, or hold, a number that is not finite (no key can be made of it) or that no machine
    word holds (no array can)."""
    return [name for name, value in values.items() if any(map(_unusable, _numbers(value)))]


def largest(values: Mapping[str, Any]) -> int:
    """The largest whole number among the values, however deep."""
    return max((n for n in _numbers(values) if isinstance(n, int)), default=0)


def _unusable(number: int | float) -> bool:
    return abs(number) >= WORD if isinstance(number, int) else not isfinite(number)


def _numbers(value: Any) -> Iterator[int | float]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for inner in value:
            yield from _numbers(inner)
    elif isinstance(value, int | float):
        yield value
