"""Names beside the signs of a Pareto front, such that none covers another at any width of the page."""

from __future__ import annotations

from collections.abc import Iterator
from math import log
from typing import Any, NamedTuple

import altair as alt

from snn5bench.report.chart_data import inline

WIDTH, HEIGHT = 235.0, 240.0
"""Pixels between the outermost signs where a page is 400 wide; on a wider one names only move apart."""
LETTER, LINE = 6.4, 15.0
"""Pixels of an average letter and of a line, at `SIZE`."""
SIZE = 11
ASIDE = 9.0
HEIGHTS = (-9.0, 13.0, -24.0, 28.0)
"""Where a name can stand above or below its sign, the preferred place first."""


class Place(NamedTuple):
    """Where a name stands, relative to its sign."""

    turned: bool
    """To the left of the sign, since that lies in the right half."""
    dy: float


class _Box(NamedTuple):
    left: float
    right: float
    middle: float

    def meets(self, other: _Box) -> bool:
        return self.left < other.right and other.left < self.right and abs(self.middle - other.middle) < LINE


def places(points: list[dict[str, Any]]) -> list[tuple[dict[str, Any], Place]]:
    """The points on the front with a place for their names, best accuracy first; those that find none are left out. `x` is
    on a logarithmic axis, `accuracy` is not."""
    across, down = _unit([end for p in points for end in _ends(p)], True), _unit(list(_heights(points)), False)
    found: list[tuple[dict[str, Any], Place]] = []
    taken: list[_Box] = []
    for point in sorted(points, key=lambda point: (-point["accuracy"], point["variant"])):
        if point["front"] != 1:
            continue
        share = across(point["x"])
        for dy in HEIGHTS:
            place = Place(share > 0.5, dy)
            box = _box(point, WIDTH * share, HEIGHT * (1 - down(point["accuracy"])), place)
            if not any(box.meets(other) for other in taken):
                taken.append(box)
                found.append((point, place))
                break
    return found


def labels(points: list[dict[str, Any]], x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """One layer for each place that a name stands at."""
    at: dict[Place, list[dict[str, Any]]] = {}
    for point, place in places(points):
        at.setdefault(place, []).append(point)
    return [
        alt.Chart(inline(named))
        .mark_text(
            align="right" if place.turned else "left",
            dx=-ASIDE if place.turned else ASIDE,
            dy=place.dy,
            fontSize=SIZE,
        )
        .encode(x=x, y=y, text="variant:N")
        for place, named in sorted(at.items())
    ]


def _box(point: dict[str, Any], x: float, y: float, place: Place) -> _Box:
    width = LETTER * len(point["variant"])
    left = x - ASIDE - width if place.turned else x + ASIDE
    return _Box(left, left + width, y + place.dy)


def _ends(point: dict[str, Any]) -> tuple[float, float]:
    return point.get("x_low", point["x"]), point.get("x_high", point["x"])


def _heights(points: list[dict[str, Any]]) -> Iterator[float]:
    for point in points:
        yield from (point["low"], point["high"])


class _Scale(NamedTuple):
    low: float
    high: float
    logarithmic: bool

    def __call__(self, value: float) -> float:
        if self.high <= self.low:
            return 0.5
        if self.logarithmic:
            return log(value / self.low) / log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def _unit(values: list[float], logarithmic: bool) -> _Scale:
    return _Scale(min(values), max(values), logarithmic)
