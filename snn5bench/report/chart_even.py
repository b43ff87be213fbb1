"""Measured spike rates beside the rates at which a dense network of the same shape would need as much energy."""

from __future__ import annotations

from typing import Any

import altair as alt

from snn5bench.report.chart_cost import LABEL, NAMES, Drawing, split
from snn5bench.report.chart_data import inline, word_of
from snn5bench.report.columns import COLUMNS, rate_text
from snn5bench.report.palette import NEUTRAL, scales
from snn5bench.report.table import BreakEven, Row

_TEXT = {column.key: column.text for column in COLUMNS}
STEP = 30
"""Pixels of height for each method: room for the measured bar between its models' signs."""
SIDES = {
    "below": "below the break-even, so cheaper than the dense twin",
    "across": "on one side or the other, by the seed",
    "above": "above the break-even, so dearer than the dense twin",
    "never": "dearer at any rate",
}
"""Where the measured rates of a row can lie."""


def side(low: float, high: float, even: float) -> str:
    """Which of `SIDES` the seeds' rates are on; a network that costs exactly as much as its twin is not cheaper."""
    if even <= 0:
        return "never"
    return "below" if high < even else "above" if low >= even else "across"


def by_side(even: BreakEven) -> dict[str, list[str]]:
    """Side to the models under which the measured rate lies there; nothing without a measured rate."""
    found: dict[str, list[str]] = {}
    if even.low is not None and even.high is not None:
        for model, rate in even.by_model.items():
            found.setdefault(side(even.low, even.high, rate), []).append(model)
    return {name: found[name] for name in SIDES if name in found}


def words(even: BreakEven) -> str:
    """`0.083 spikes per input and step: below the break-even, so ..., under horowitz-fp32 (0.256); ...`."""
    parts = []
    for name, models in by_side(even).items():
        shown = [model if name == "never" else f"{model} ({rate_text(even.by_model[model])})" for model in models]
        parts.append(f"{SIDES[name]}, under {', '.join(shown)}")
    return f"{rate_text(even.rate.value)} spikes per input and step: {'; '.join(parts)}" if parts else ""


def verdicts(rows: list[Row]) -> list[str]:
    """For each model, which rows are cheaper than their dense twins; models that agree share a sentence."""
    placed = {row.variant: row.break_even for row in rows if by_side(row.break_even)}
    models = sorted({model for even in placed.values() for model in even.by_model})
    said: dict[str, list[str]] = {}
    for model in models:
        having = [name for name, even in placed.items() if model in even.by_model]
        wins, open_rows = (
            [name for name in having if model in by_side(placed[name]).get(where, [])] for where in ("below", "across")
        )
        text = f"cheaper than the dense twin: {'every row' if wins == having else ', '.join(wins) or 'no row'}"
        if open_rows:
            text += f"; on one side or the other, by the seed: {', '.join(open_rows)}"
        said.setdefault(text, []).append(model)
    return [f"Under {', '.join(names)}, {text}." for text, names in said.items()]


def against_break_even(rows: list[Row], names: list[str]) -> Drawing:
    """Each method's measured rate as a bar, each energy model's break-even as a sign: filled where the rate is below."""
    drawn, left_out = split(rows, _why_not)
    if not drawn:
        return None, left_out
    order = [row.variant for row in drawn]
    measured: list[dict[str, Any]] = [
        {
            "variant": row.variant,
            "x": row.break_even.rate.value,
            "low": row.break_even.low,
            "high": row.break_even.high,
        }
        | _common(row)
        for row in drawn
    ]
    evens: list[dict[str, Any]] = [
        {
            "variant": row.variant,
            "model": model,
            "x": even,
            "wins": {"below": 1.0, "across": 0.4}.get(where, 0.0),
            "even_text": rate_text(even),
            "side": where,
            "rate_text": rate_text(row.break_even.rate.value),
        }
        for row in drawn
        for model, even in row.break_even.by_model.items()
        for where in [side(row.break_even.low or 0.0, row.break_even.high or 0.0, even)]
        if even > 0
    ]
    models = sorted({point["model"] for point in evens})
    colour, shape = scales(models)
    legend = alt.Legend(title=None, orient="bottom", values=models, labelLimit=LABEL, symbolOpacity=1)
    x = alt.X("x:Q").title("spikes per input and step").scale(type="log", nice=False, padding=24).axis(tickCount=4)
    y = alt.Y("variant:N").title(None).sort(order).axis(labelLimit=NAMES)
    base = alt.Chart(inline(measured)).encode(y=y, tooltip=_tips())
    bars = base.mark_tick(thickness=4, size=22, color=NEUTRAL, opacity=1).encode(x=x)
    seeds = base.mark_rule(strokeWidth=7, color=NEUTRAL).encode(x=alt.X("low:Q"), x2="high:Q")
    signs = (
        alt.Chart(inline(evens))
        .transform_calculate(side=word_of("side", SIDES))
        .mark_point(size=70, strokeWidth=2, opacity=1)
        .encode(
            x=x,
            y=y,
            color=alt.Color("model:N").scale(**colour).legend(legend),
            fill=alt.Fill("model:N").scale(**colour).legend(legend),
            shape=alt.Shape("model:N").scale(**shape).legend(legend),
            fillOpacity=alt.FillOpacity("wins:Q").scale(domain=[0, 1], range=[0, 1]).legend(None),
            tooltip=[
                *_tips()[:2],
                alt.Tooltip("model:N", title="Energy model"),
                alt.Tooltip("even_text:N", title="Breaks even at"),
                alt.Tooltip("side:N", title="Measured"),
            ],
        )
    )
    return alt.layer(bars, seeds, signs).properties(height=STEP * len(drawn)), left_out


def _why_not(row: Row) -> str:
    even = row.break_even
    if even.rate.value is None:
        return even.rate.reason
    if not even.by_model:
        return even.reason
    if not any(rate > 0 for rate in even.by_model.values()):
        return "under no energy model is there a rate at which it would be cheaper than its dense twin"
    return "" if (even.low or 0.0) > 0 else "it does not spike, which a logarithmic axis cannot show"


def _common(row: Row) -> dict[str, str]:
    return {"accuracy_text": _TEXT["accuracy"](row), "rate_text": rate_text(row.break_even.rate.value)}


def _tips() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("variant:N", title="Method"),
        alt.Tooltip("rate_text:N", title="Measured rate"),
        alt.Tooltip("accuracy_text:N", title="Accuracy"),
    ]
