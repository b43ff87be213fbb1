"""Accuracy against the sparsity of what feeds synapses, with the sparsity at which each energy model breaks even."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import altair as alt

from snn5bench import stats
from snn5bench.report.chart_cost import HEIGHT, LABEL, Drawing, point_of, signs, split
from snn5bench.report.chart_data import inline, word_of
from snn5bench.report.chart_even import SIDES, side
from snn5bench.report.palette import scales
from snn5bench.report.table import Row

STEPS = (1.0, 2.0, 5.0)
"""Where an axis has a label within each power of ten."""
SHARE = "format(100 * (1 - datum.value), '.4~f') + ' %'"
"""The share that is zero, from the share that is not."""


def sparsity_text(rate: float) -> str:
    """`93.1 %` of the values are zero where this share of them is not."""
    return f"{100 * (1 - rate):.3g} %"


def against_sparsity(rows: list[Row], names: list[str]) -> Drawing:
    """Signs are methods, lines are energy models: at a method's height, a line stands at the sparsity where its network
    would need as much energy as its dense twin. Sparsity grows to the right, by powers of ten of what is left."""
    drawn, left_out = split(rows, _why_not)
    if not drawn:
        return None, left_out
    rates = [row.break_even.rate.value or 0.0 for row in drawn]
    front = stats.pareto(rates, [row.accuracy.mean or 0.0 for row in drawn])
    points = [
        point_of(row, 1 / rate, sparsity_text(rate), float(on))
        | {"rate": rate, "x_low": 1 / max(seen), "x_high": 1 / min(seen)}
        for row, rate, on in zip(drawn, rates, front, strict=True)
        for seen in [[rate, *(even for even in row.break_even.by_model.values() if even > 0)]]
    ]
    shown = [end for point in points for end in (1 / point["x_low"], 1 / point["x_high"])]
    x = (
        alt.X("rate:Q")
        .title("zero values among those that feed synapses")
        .scale(type="log", reverse=True, nice=False, padding=16)
        .axis(values=_ticks(min(shown), max(shown)), labelExpr=SHARE, labelOverlap="greedy")
    )
    return alt.layer(*_lines(drawn, x), *signs(points, x, "Sparsity", names)).properties(height=HEIGHT + 40), left_out


def _why_not(row: Row) -> str:
    rate = row.break_even.rate
    if rate.value is None:
        return rate.reason
    return "" if rate.value > 0 else "it does not spike: everything is zero, which this axis cannot show"


def _lines(drawn: list[Row], x: alt.X) -> list[alt.Chart]:
    """One line a model, thin where it joins the methods' heights and thick at them. Each method has the heights that are
    nearer to it than to another one."""
    models = sorted({model for row in drawn for model, even in row.break_even.by_model.items() if even > 0})
    if not models:
        return []
    picked = alt.selection_point(name="picked", fields=["model"], bind="legend")
    legend = alt.Legend(
        title="breaks even under",
        orient="bottom",
        values=models,
        labelLimit=LABEL,
        symbolType="stroke",
        symbolOpacity=1,
    )
    stroke = alt.Stroke("model:N").scale(**scales(models)[0]).legend(legend)
    joined = (
        alt.Chart(inline([point for model in models for point in _line(model, drawn)]))
        .mark_line(strokeWidth=1, strokeDash=[3, 2])
        .encode(
            x=x,
            y="accuracy:Q",
            order="order:Q",
            detail="part:N",
            stroke=stroke,
            strokeOpacity=alt.condition(picked, alt.value(0.6), alt.value(0.0)),
        )
    )
    at_methods = (
        alt.Chart(inline([point for model in models for point in _marks(model, drawn)]))
        .transform_calculate(side=word_of("side", SIDES))
        .mark_point(shape="stroke", angle=90, size=250, strokeWidth=2.5)
        .encode(
            x=x,
            y="accuracy:Q",
            stroke=stroke,
            strokeOpacity=alt.condition(picked, alt.value(0.9), alt.value(0.0)),
            tooltip=[
                alt.Tooltip("model:N", title="Energy model"),
                alt.Tooltip("variant:N", title="Method"),
                alt.Tooltip("even:N", title="Breaks even at"),
                alt.Tooltip("measured:N", title="Measured"),
                alt.Tooltip("side:N", title="Measured rate"),
            ],
        )
    )
    return [joined.add_params(picked), at_methods]


def _marks(model: str, drawn: list[Row]) -> list[dict[str, Any]]:
    """Where each method breaks even."""
    return [
        {
            "model": model,
            "variant": row.variant,
            "rate": rate,
            "accuracy": 100 * (row.accuracy.mean or 0.0),
            "even": sparsity_text(rate),
            "measured": sparsity_text(row.break_even.rate.value or 0.0),
            "side": side(row.break_even.low or 0.0, row.break_even.high or 0.0, rate),
        }
        for row in drawn
        if (rate := row.break_even.by_model.get(model, 0.0)) > 0
    ]


def _line(model: str, drawn: list[Row]) -> list[dict[str, Any]]:
    """The ends of each method's piece, from the best method down. A piece that does not touch the one before begins a new
    part; one that goes straight on needs no end between."""
    heights = [100 * (row.accuracy.mean or 0.0) for row in drawn]
    top = max(100 * (row.accuracy.high or 0.0) for row in drawn)
    bottom = min(100 * (row.accuracy.low or 0.0) for row in drawn)
    order = sorted(range(len(drawn)), key=lambda i: (-heights[i], drawn[i].variant))
    between = [(heights[a] + heights[b]) / 2 for a, b in pairwise(order)]
    found: list[dict[str, Any]] = []
    part = 0
    for i, upper, lower in zip(order, [top, *between], [*between, bottom], strict=True):
        rate = drawn[i].break_even.by_model.get(model, 0.0)
        if rate <= 0:
            part += 1
            continue
        name = f"{model} {part}"
        if found and (found[-1]["part"], found[-1]["rate"]) == (name, rate):
            found[-1]["accuracy"] = lower
            continue
        found += [
            {"model": model, "part": name, "rate": rate, "accuracy": height, "order": len(found) + end}
            for end, height in enumerate((upper, lower))
        ]
    return found


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 in each power of ten from `low` to `high`; only the powers themselves over more than two of them."""
    steps = STEPS if high / low < 100 else STEPS[:1]
    values = [step * 10.0**power for power in range(-7, 1) for step in steps]
    return [round(value, 9) for value in values if 0.9 * low <= value <= min(1.1 * high, 1.0)]
