"""Golden texts of numbers."""

from __future__ import annotations

import math

import pytest

from snn5bench.report.format import duration, format_interval, human_value, percent
from snn5bench.stats import Interval


@pytest.mark.parametrize(
    ("value", "unit", "err", "text"),
    [
        (None, "nJ", None, "n/a"),
        (math.nan, "", None, "n/a"),
        (math.inf, "s", None, "n/a"),
        (0, "", None, "0"),
        (0.0, "nJ", None, "0 nJ"),
        (7, "", None, "7"),
        (999, "", None, "999"),
        (999.7, "", None, "1.00 k"),
        (1_234_567, "", None, "1.23 M"),
        (0.0423, "", None, "0.0423"),
        (4560.0, "nJ", None, "4.56 µJ"),
        (0.0456, "nJ", None, "0.0456 nJ"),
        (45.6, "nJ", None, "45.6 nJ"),
        (2.5e9, "nJ", None, "2.50 J"),
        (0.0123, "s", 0.0004, "12.3 ± 0.4 ms"),
        (1_234_567, "", 45_000, "1.23 ± 0.04 M"),
        (-1500.0, "", None, "-1.50 k"),
        (3_000_000, "B", None, "3 MB"),
        (12.345, "points", 0.31, "12.3 ± 0.3 points"),
        (12.3, "points", 0.0, "12.3 points"),
    ],
)
def test_human_value(value: float | None, unit: str, err: float | None, text: str) -> None:
    assert human_value(value, unit, err) == text


def test_intervals() -> None:
    assert format_interval(Interval(0.8123, 0.793, 0.8301, 3, 500)) == "81.2 % [79.3, 83.0]"
    assert format_interval(Interval(0.031, -0.004, 0.0583, 3, 500), signed=True) == "+3.1 [-0.4, +5.8]"
    assert format_interval(Interval(-0.0001, -0.004, 0.0, 3, 500), signed=True) == "+0.0 [-0.4, +0.0]"
    assert format_interval(None) == "n/a"
    assert format_interval(Interval(math.nan, 0, 1, 3, 500)) == "n/a"


def test_percent_and_duration() -> None:
    assert [percent(0.8125), percent(None), percent(0.0), percent(0.00012, 3)] == ["81.2 %", "n/a", "0.0 %", "0.012 %"]
    times = [None, 0.04, 59.94, 59.96, 125.4, 3599.7, 4230]
    assert [duration(t) for t in times] == [
        "n/a",
        "0.0 s",
        "59.9 s",
        "1 min 00 s",
        "2 min 05 s",
        "1 h 00 min",
        "1 h 10 min",
    ]
