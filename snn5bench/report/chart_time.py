"""What time does for accuracy, how training went, and what peeking at the test set would have shown."""

from __future__ import annotations

from typing import Any

import altair as alt

from snn5bench.report.chart_cost import CHOSEN, HEIGHT, NAMES, SEEN, Drawing, legend_of, split
from snn5bench.report.chart_data import inline
from snn5bench.report.columns import COLUMNS
from snn5bench.report.palette import ACCENT, NEUTRAL, dash_scale, scales
from snn5bench.report.table import Row

_TEXT = {column.key: column.text for column in COLUMNS}
CROWD = 10
"""Lines beyond which a chart shows the bands of its seeds only for those that are clicked."""
STEP = 24
"""Pixels of height for each method on a chart with one line a method."""


def gains(rows: list[Row], names: list[str]) -> Drawing:
    """Temporal gain with its interval, largest first."""
    drawn, left_out = split(rows, lambda row: row.temporal_gain.reason if row.temporal_gain.mean is None else "")
    if not drawn:
        return None, left_out
    points = [
        {
            "variant": row.variant,
            "x": 100 * (row.temporal_gain.mean or 0.0),
            "low": 100 * (row.temporal_gain.low or 0.0),
            "high": 100 * (row.temporal_gain.high or 0.0),
            "above": (row.temporal_gain.low or 0.0) > 0,
            "text": _TEXT["temporal_gain"](row),
        }
        for row in drawn
    ]
    colour = alt.Color("above:N").scale(domain=[True, False], range=[ACCENT, NEUTRAL]).legend(None)
    tips = [alt.Tooltip("variant:N", title="Method"), alt.Tooltip("text:N", title="Temporal gain, points")]
    base = alt.Chart(inline(points)).encode(y=_names(points), color=colour, tooltip=tips)
    bars = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2="high:Q")
    signs = base.mark_point(size=70, filled=True, opacity=1).encode(
        x=alt.X("x:Q").title("accuracy gained by time, points")
    )
    return alt.layer(_zero(), bars, signs).properties(height=STEP * len(points)), left_out


def peeking(rows: list[Row], names: list[str]) -> Drawing:
    """What the best test epoch would have added to the accuracy, largest first."""
    drawn, left_out = split(rows, lambda row: row.peeking_gap.reason)
    if not drawn:
        return None, left_out
    points = [
        {
            "variant": row.variant,
            "x": 100 * (row.peeking_gap.value or 0.0),
            "text": f"{100 * (row.peeking_gap.value or 0.0):+.1f}",
            "accuracy_text": _TEXT["accuracy"](row),
        }
        for row in drawn
    ]
    tips = [
        alt.Tooltip("variant:N", title="Method"),
        alt.Tooltip("accuracy_text:N", title="Accuracy"),
        alt.Tooltip("text:N", title="Peeking adds, points"),
    ]
    base = alt.Chart(inline(points)).encode(
        y=_names(points), x=alt.X("x:Q").title("added by peeking, points").scale(padding=30), tooltip=tips
    )
    bars = base.mark_bar(color=NEUTRAL, height=10)
    labels = base.mark_text(align="left", dx=5, fontSize=11).encode(text="text:N")
    return alt.layer(_zero(), bars, labels).properties(height=STEP * len(points)), left_out


def curves(rows: list[Row], names: list[str]) -> Drawing:
    """Validation accuracy by epoch, a line a method with the band of its seeds."""
    drawn, left_out = split(rows, lambda row: "" if row.curve.epoch else "no training curve was recorded")
    if not drawn:
        return None, left_out
    points: list[dict[str, Any]] = [
        {"variant": row.variant, "epoch": epoch, "mean": 100 * mean, "low": 100 * low, "high": 100 * high}
        for row in drawn
        for epoch, mean, low, high in zip(row.curve.epoch, row.curve.mean, row.curve.low, row.curve.high, strict=True)
    ]
    crowded = len(drawn) > CROWD
    legend = legend_of(points, symbolType="stroke")
    signs = alt.Color("variant:N").scale(**scales(names)[0]).legend(legend)
    dashes = alt.StrokeDash("variant:N").scale(**dash_scale(names)).legend(legend)
    base = alt.Chart(inline(points)).encode(
        x=alt.X("epoch:Q").title("epoch").axis(tickMinStep=1, format="d").scale(zero=False, nice=False)
    )
    band = base.mark_area().encode(
        y=alt.Y("low:Q"),
        y2="high:Q",
        color=signs,
        fillOpacity=alt.condition(CHOSEN, alt.value(0.15), alt.value(0.0), empty=not crowded),
    )
    lines = base.mark_line(strokeWidth=1.5 if crowded else 2, point=False if crowded else {"size": 18}).encode(
        y=alt.Y("mean:Q").title("validation accuracy, %").scale(zero=False),
        color=signs,
        strokeDash=dashes,
        opacity=SEEN,
        tooltip=[
            alt.Tooltip("variant:N", title="Method"),
            alt.Tooltip("epoch:Q", title="Epoch"),
            alt.Tooltip("mean:Q", title="Validation accuracy, %", format=".1f"),
        ],
    )
    return alt.layer(band, lines.add_params(CHOSEN)).properties(height=HEIGHT), left_out


def _names(points: list[dict[str, Any]]) -> alt.Y:
    order = [point["variant"] for point in sorted(points, key=lambda point: (-point["x"], point["variant"]))]
    return alt.Y("variant:N").title(None).sort(order).axis(labelLimit=NAMES)


def _zero() -> alt.Chart:
    return alt.Chart(inline([{"zero": 0}])).mark_rule(color=NEUTRAL, strokeDash=[3, 3]).encode(x="zero:Q")
