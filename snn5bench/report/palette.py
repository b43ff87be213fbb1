"""One colour and shape for each method on every chart of a page, readable on white and on near-black."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

COLOURS = (
    "#3b82d6", "#c96a10", "#2a9355", "#d9483b", "#9467d6", "#1a8fa0", "#d4569b", "#85851c", "#a5714a", "#7d8590",
)  # fmt: skip
"""Relative luminance between 0.13 and 0.30, so that each has a contrast of 3 to 1 on both grounds."""
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")
DASHES = ([1, 0], [6, 3], [2, 2], [8, 2, 2, 2])

NEUTRAL = "#7d8590"
"""For zero lines, fronts and what is not a method."""
ACCENT = COLOURS[0]


def scales(names: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Colour and shape scale with `names` as their domain: the same name has the same sign on every chart."""
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(names))]
    shapes = [SHAPES[i % len(SHAPES)] for i in range(len(names))]
    return {"domain": list(names), "range": colours}, {"domain": list(names), "range": shapes}


def dash_scale(names: Sequence[str]) -> dict[str, Any]:
    """Dashes that tell lines apart whose colours come round again."""
    return {"domain": list(names), "range": [DASHES[i // len(COLOURS) % len(DASHES)] for i in range(len(names))]}


def theme(dark: bool) -> dict[str, Any]:
    """Vega-Lite config for one of the two grounds."""
    text, line = ("#d6dae0", "#3a4049") if dark else ("#2b3038", "#d9dde3")
    return {
        "background": None,
        "font": "system-ui, sans-serif",
        "view": {"stroke": None},
        "axis": {
            "labelColor": text, "titleColor": text, "gridColor": line, "domainColor": line, "tickColor": line,
            "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal",
        },
        "legend": {
            "labelColor": text, "titleColor": text, "labelFontSize": 11, "labelLimit": 220, "columns": 3,
            "titleFontSize": 11, "titleFontWeight": "normal",
            "layout": {"bottom": {"direction": "vertical", "anchor": "start"}},
        },
        "title": {"color": text, "fontSize": 13, "anchor": "start", "fontWeight": 600},
        "text": {"color": text},
    }  # fmt: skip
