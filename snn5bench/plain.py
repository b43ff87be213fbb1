"""Numbers that no parameter may be."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any


def not_finite(values: Mapping[str, Any]) -> list[str]:
    """The names of values that are, or hold, a number that is not finite: a key cannot be made of such."""
    return [name for name, value in values.items() if not _whole(value)]


def _whole(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_whole, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_whole, value))
    return not isinstance(value, float) or isfinite(value)
