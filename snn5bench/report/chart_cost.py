"""Accuracy against what it costs: synaptic operations, energy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt
from typing import Any

import altair as alt

from snn5bench import stats
from snn5bench.report.chart_data import inline
from snn5bench.report.chart_labels import labels
from snn5bench.report.columns import COLUMNS
from snn5bench.report.palette import NEUTRAL, scales
from snn5bench.report.table import Row

HEIGHT = 260
LABEL = 110
"""Most pixels of a name in a legend."""
NAMES = 180
"""Most pixels of a name beside an axis."""
_TEXT = {column.key: column.text for column in COLUMNS}
_TITLE = {column.key: column.title for column in COLUMNS}
CHOSEN = alt.selection_point(name="chosen", fields=["variant"], bind="legend")
"""The methods that were clicked in a legend, all of them where none was. A chart adds it to one of its layers."""
SEEN = alt.condition(CHOSEN, alt.value(1.0), alt.value(0.12))
"""Opacity of what belongs to a method."""
Points = list[dict[str, Any]]
Layers = alt.LayerChart | alt.FacetChart
"""What `alt.layer` returns."""
Drawing = tuple[Layers | None, dict[str, str]]
"""The chart, None where no row has its data, and the rows left out with the reason."""


def split(rows: Sequence[Row], why: Callable[[Row], str]) -> tuple[list[Row], dict[str, str]]:
    """The rows that can be drawn, and the rest with the reason; a row without accuracy never can."""
    drawn, left_out = [], {}
    for row in rows:
        reason = row.reason or row.accuracy.reason if row.accuracy.mean is None else why(row)
        if reason:
            left_out[row.variant] = reason
        else:
            drawn.append(row)
    return drawn, left_out


def against_synops(rows: list[Row], names: list[str]) -> Drawing:
    """Accuracy against synaptic operations, with the Pareto front."""
    drawn, left_out = split(rows, lambda row: _positive(row.synops_per_sample.value, row.synops_per_sample.reason))
    if not drawn:
        return None, left_out
    cost = [row.synops_per_sample.value or 0.0 for row in drawn]
    front = stats.pareto(cost, [row.accuracy.mean or 0.0 for row in drawn])
    points = [
        point_of(row, x, _TEXT["synops_per_sample"](row), float(on))
        for row, x, on in zip(drawn, cost, front, strict=True)
    ]
    x = alt.X("x:Q").title("synaptic operations per sample").scale(type="log", nice=False, padding=24)
    line = _front([point for point in points if point["front"]], x)
    methods = signs(points, x.axis(format="~s", tickCount=4), _TITLE["synops_per_sample"], names)
    return alt.layer(line, *methods).properties(height=HEIGHT), left_out


def against_energy(rows: list[Row], names: list[str]) -> Drawing:
    """Accuracy against the range of energy over the models."""
    drawn, left_out = split(rows, lambda row: _positive(row.energy_nj.low, row.energy_nj.reason or "no energy"))
    if not drawn:
        return None, left_out
    points = []
    for row, share in zip(drawn, front_share(drawn), strict=True):
        low, high = row.energy_nj.low or 0.0, row.energy_nj.high or 0.0
        middle = point_of(row, sqrt(low * high), _TEXT["energy_nj"](row), share)
        points.append(middle | {"x_low": low, "x_high": high})
    x = (
        alt.X("x:Q")
        .title("energy per sample, nJ")
        .scale(type="log", nice=False, padding=24)
        .axis(format="~s", tickCount=4)
    )
    ranges = (
        alt.Chart(inline(points))
        .mark_rule(strokeWidth=1.5)
        .encode(
            x=alt.X("x_low:Q"),
            x2="x_high:Q",
            y="accuracy:Q",
            color=_colour(names, legend_of(points)),
            opacity=SEEN,
            tooltip=_tips(_TITLE["energy_nj"]),
        )
    )
    return alt.layer(ranges, *signs(points, x, _TITLE["energy_nj"], names)).properties(height=HEIGHT), left_out


def front_share(rows: Sequence[Row]) -> list[float]:
    """1 for a row on the front of accuracy against energy under every model it has, 0.4 under some, 0 under none."""
    on: list[list[bool]] = [[] for _ in rows]
    for model in sorted({model for row in rows for model in row.energy_nj.by_model}):
        having = [i for i, row in enumerate(rows) if model in row.energy_nj.by_model]
        cost = [rows[i].energy_nj.by_model[model] for i in having]
        front = stats.pareto(cost, [rows[i].accuracy.mean or 0.0 for i in having])
        for i, flag in zip(having, front, strict=True):
            on[i].append(bool(flag))
    return [1.0 if all(flags) else 0.4 if any(flags) else 0.0 for flags in on]


def _positive(value: float | None, reason: str) -> str:
    if value is None:
        return reason
    return "" if value > 0 else "it is zero, which a logarithmic axis cannot show"


def point_of(row: Row, x: float, text: str, front: float) -> dict[str, Any]:
    """What a chart shows of a row at `x`, which people read as `text`; `front` is 1 on the Pareto front."""
    accuracy = row.accuracy
    return {
        "variant": row.variant,
        "x": x,
        "accuracy": 100 * (accuracy.mean or 0.0),
        "low": 100 * (accuracy.low or 0.0),
        "high": 100 * (accuracy.high or 0.0),
        "front": front,
        "accuracy_text": _TEXT["accuracy"](row),
        "x_text": text,
    }


def _colour(names: list[str], legend: alt.Legend) -> alt.Color:
    return alt.Color("variant:N").scale(**scales(names)[0]).legend(legend)


def _tips(title: str) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("variant:N", title="Method"),
        alt.Tooltip("accuracy_text:N", title=_TITLE["accuracy"]),
        alt.Tooltip("x_text:N", title=title),
    ]


def _front(points: Points, x: alt.X) -> alt.Chart:
    return (
        alt.Chart(inline(points))
        .mark_line(interpolate="step-after", strokeDash=[4, 3], color=NEUTRAL, strokeWidth=1.5)
        .encode(x=x, y="accuracy:Q", order="x:Q")
    )


def signs(points: Points, x: alt.X, title: str, names: list[str]) -> list[alt.Chart]:
    """Each method's sign with its interval, filled on the front and named there; `title` is what `x` is in a tooltip."""
    base = alt.Chart(inline(points)).encode(x=x)
    y = alt.Y("accuracy:Q").title("test accuracy, %").scale(zero=False, nice=False, padding=8)
    colour, shape = scales(names)
    legend = legend_of(points)
    bars = base.mark_rule(strokeWidth=1.5).encode(
        y=alt.Y("low:Q"), y2="high:Q", color=_colour(names, legend), opacity=SEEN
    )
    marks = base.mark_point(size=80, strokeWidth=2, opacity=1).encode(
        y=y,
        color=_colour(names, legend),
        fill=alt.Fill("variant:N").scale(**colour).legend(legend),
        shape=alt.Shape("variant:N").scale(**shape).legend(legend),
        fillOpacity=alt.FillOpacity("front:Q").scale(domain=[0, 1], range=[0, 1]).legend(None),
        opacity=SEEN,
        tooltip=_tips(title),
    )
    return [bars, marks.add_params(CHOSEN), *labels(points, x, y)]


def legend_of(points: Points, **options: Any) -> alt.Legend:
    """The signs of the methods drawn, below the chart; a click on one shows it alone (see `CHOSEN`)."""
    names = sorted({point["variant"] for point in points})
    return alt.Legend(title=None, orient="bottom", values=names, labelLimit=LABEL, symbolOpacity=1, **options)
