"""Accuracy against the number of timesteps, where one method ran on one dataset at several."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import altair as alt

from snn5bench.report.build import spelt_out, text_of
from snn5bench.report.chart_cost import CHOSEN, HEIGHT, SEEN, Drawing, legend_of
from snn5bench.report.chart_data import inline
from snn5bench.report.columns import COLUMNS
from snn5bench.report.palette import scales
from snn5bench.report.table import Row, Table

_TEXT = {column.key: column.text for column in COLUMNS}


def families(table: Table) -> dict[str, list[Row]]:
    """Rows of datasets that differ in T alone, by a name without T; only where some method has accuracy at two T."""
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    params: dict[str, dict[str, dict[str, object]]] = defaultdict(dict)
    for row in table.rows:
        rest = {k: v for k, v in (row.setup.dataset_params | row.setup.transform).items() if k != "T"}
        name = row.setup.dataset_name
        params[name][text_of(rest)] = rest
        groups[name, text_of(rest)].append(row)
    titles = spelt_out(params)
    return {titles[key]: rows for key, rows in groups.items() if _several(rows)}


def _several(rows: list[Row]) -> bool:
    steps: dict[str, set[float]] = defaultdict(set)
    for row in rows:
        if row.T.value is not None and row.accuracy.mean is not None:
            steps[row.variant].add(row.T.value)
    return any(len(found) > 1 for found in steps.values())


def against_steps(rows: list[Row], names: list[str]) -> Drawing:
    """Accuracy with its interval against T, a line a method."""
    points: list[dict[str, Any]] = []
    left_out = {}
    for row in rows:
        if row.accuracy.mean is None or row.T.value is None:
            name = f"{row.variant} on {row.dataset}"
            left_out[name] = row.reason or (row.accuracy.reason if row.accuracy.mean is None else row.T.reason)
            continue
        points.append(
            {
                "variant": row.variant,
                "T": row.T.value,
                "accuracy": 100 * row.accuracy.mean,
                "low": 100 * (row.accuracy.low or 0.0),
                "high": 100 * (row.accuracy.high or 0.0),
                "text": _TEXT["accuracy"](row),
            }
        )
    if not points:
        return None, left_out
    colour, shape = scales(names)
    legend = legend_of(points)
    signs = alt.Color("variant:N").scale(**colour).legend(legend)
    ticks = sorted({point["T"] for point in points})
    x = (
        alt.X("T:Q")
        .title("timesteps T")
        .scale(type="log", base=2, nice=False, padding=24)
        .axis(values=ticks, format="d", grid=False)
    )
    base = alt.Chart(inline(points)).encode(
        x=x,
        color=signs,
        opacity=SEEN,
        tooltip=[
            alt.Tooltip("variant:N", title="Method"),
            alt.Tooltip("T:Q", title="T"),
            alt.Tooltip("text:N", title="Accuracy"),
        ],
    )
    y = alt.Y("accuracy:Q").title("test accuracy, %").scale(zero=False, nice=False, padding=8)
    bars = base.mark_rule(strokeWidth=1.5).encode(y=alt.Y("low:Q"), y2="high:Q")
    lines = base.mark_line(strokeWidth=1.5).encode(y=y)
    marks = (
        base.add_params(CHOSEN)
        .mark_point(size=70, filled=True)
        .encode(y=y, shape=alt.Shape("variant:N").scale(**shape).legend(legend))
    )
    return alt.layer(bars, lines, marks).properties(height=HEIGHT), left_out
