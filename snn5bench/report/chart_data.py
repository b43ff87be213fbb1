"""The points of a chart as Altair takes them: short numbers, and no copy at each step of building it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

DIGITS = 6
"""Significant ones of each number: more than a screen shows."""


def inline(points: Sequence[Mapping[str, Any]]) -> alt.InlineData:
    """The points inside the chart. Altair copies lists at each call that adds to a chart, and leaves tuples alone."""
    return alt.InlineData(values=tuple({key: _short(value) for key, value in point.items()} for point in points))


def word_of(field: str, words: Mapping[str, str]) -> str:
    """A Vega expression that looks a point's short code up among `words`, so that each stands in a page once a chart."""
    return f"({json.dumps(dict(words))})[datum.{field}]"


def _short(value: Any) -> Any:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
