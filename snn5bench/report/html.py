"""The leaderboard as one static page: opens from the file system, loads nothing, same table same bytes."""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass
from typing import NamedTuple

from altair.utils.schemapi import debug_mode
from jinja2 import Environment as Templates
from jinja2 import PackageLoader, StrictUndefined

from snn5bench.record import Environment
from snn5bench.report import assets
from snn5bench.report.chart_even import words
from snn5bench.report.charts import panels, spec
from snn5bench.report.columns import COLUMNS, Column, interval, rank_text, ratio_text, reason_of, reasons
from snn5bench.report.format import format_interval, percent
from snn5bench.report.marks import signs
from snn5bench.report.overview import overview, synops_text
from snn5bench.report.palette import theme
from snn5bench.report.summary import kind, summarise
from snn5bench.report.table import Estimate, Row, Table

WIDE_ONLY = frozenset("T params spike_rate activation_sparsity ann_ratio train_seconds claim".split())
"""Columns that a narrow window starts without; the Columns button brings them back."""


CHECKED_ROWS = 200
"""Tables with more rows have their charts drawn without Altair's check of each part, which takes half of the time."""


class Bar(NamedTuple):
    """An interval drawn in a cell: positions from 0 to 100 along a track that all rows of the dataset share."""

    low: float
    mid: float
    high: float
    zero: float | None


class Notes:
    """What the numbered notes of a page say: each reason once, in the order in which it first occurs."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._known: dict[str, int] = {}

    def number(self, text: str) -> int:
        """The note's number, from 1; 0 for no text."""
        if text and text not in self._known:
            self.texts.append(text)
            self._known[text] = len(self.texts)
        return self._known.get(text, 0)


@dataclass(frozen=True)
class Cell:
    """One cell of the table."""

    column: Column
    text: str
    order: str
    """What it is sorted by; empty is last either way."""
    note: int
    """Number of the note that says why it is `n/a`, or what is missing from it; 0 for none."""
    bar: Bar | None


@dataclass(frozen=True)
class Line:
    """One row with all that the template shows of it."""

    row: Row
    anchor: str
    dataset_order: int
    kind: str
    cells: list[Cell]
    reasons: dict[str, list[str]]
    command: str
    """What reproduces the row, ready for a shell."""


def render(table: Table) -> str:
    """The page as text."""
    with debug_mode(len(table.rows) <= CHECKED_ROWS):
        drawn = panels(table) if table.rows else []
        specs = {figure.name: spec(figure.chart, "container") for panel in drawn for figure in panel.figures}
    notes = Notes()
    return environment().get_template("leaderboard.html.j2").render(
        table=table,
        columns=COLUMNS,
        wide_only=WIDE_ONLY,
        overview=overview(table),
        lines=lines(table, notes),
        notes=notes,
        environments=environments(table),
        anchor=anchor,
        answers=[(dataset, kind(table.of(dataset)[0]), summarise(table, dataset)) for dataset in table.datasets],
        panels=drawn,
        specs=specs,
        themes={"light": theme(dark=False), "dark": theme(dark=True)},
        assets=assets,
    )  # fmt: skip


def environment() -> Templates:
    """Jinja2 with escaping on for every template."""
    found = Templates(
        loader=PackageLoader("snn5bench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.policies["json.dumps_kwargs"] = {"sort_keys": True, "separators": (",", ":")}
    found.filters |= {
        "percent": percent,
        "gain": _gain,
        "grouped": _grouped,
        "sides": words,
        "share": _share,
        "signs": signs,
        "ratio": ratio_text,
        "synops": synops_text,
        "rank": rank_text,
    }
    return found


def environments(table: Table) -> list[Environment]:
    """Every environment that ran a row, once."""
    found: list[Environment] = []
    for row in table.rows:
        found += [env for env in row.setup.environments if env not in found]
    return found


def lines(table: Table, notes: Notes) -> list[Line]:
    """Every row of the table, in its order; what is missing goes to the notes."""
    found = []
    for number, dataset in enumerate(table.datasets):
        rows = table.of(dataset)
        accuracy = track([row.accuracy for row in rows], zero=False)
        gain = track([row.temporal_gain for row in rows], zero=True)
        for row in rows:
            bars = {
                "accuracy": bar(row.accuracy, accuracy, zero=False),
                "temporal_gain": bar(row.temporal_gain, gain, zero=True),
            }
            cells = [cell(column, row, bars.get(column.key), notes) for column in COLUMNS]
            found.append(Line(row, anchor(row), number, kind(row), cells, reasons(row), command(table, row)))
    return found


def command(table: Table, row: Row) -> str:
    """What runs the row again."""
    return f"snn5bench reproduce {shlex.quote(row.id)} --suite {shlex.quote(table.suite)}"


def anchor(row: Row) -> str:
    """A name for links that depends on the row alone."""
    return named("row", row.id)


def named(prefix: str, name: str) -> str:
    """An anchor that tells like names apart."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"{prefix}-{plain}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def cell(column: Column, row: Row, drawn: Bar | None, notes: Notes) -> Cell:
    """One column of one row, with the interval drawn in it and a note of what is missing."""
    value = column.sort(row)
    order = "" if value is None else f"{value:.9g}" if isinstance(value, int | float) else value
    return Cell(column, column.text(row), order, notes.number(reason_of(column, row)), drawn)


def track(estimates: list[Estimate], zero: bool) -> tuple[float, float]:
    """From the lowest to the highest end of some intervals, and to 0 where asked."""
    ends = [end for e in estimates if e.low is not None and e.high is not None for end in (e.low, e.high)]
    ends += [0.0] if zero or not ends else []
    return min(ends), max(ends)


def bar(estimate: Estimate, along: tuple[float, float], zero: bool) -> Bar | None:
    """An interval drawn along a track; None where it is missing."""
    if estimate.mean is None or estimate.low is None or estimate.high is None:
        return None
    start, end = along
    width = end - start or 1.0

    def at(value: float) -> float:
        return round(100 * (value - start) / width, 2)

    return Bar(at(estimate.low), at(estimate.mean), at(estimate.high), at(0.0) if zero else None)


def _gain(estimate: Estimate) -> str:
    return format_interval(interval(estimate), signed=True)


def _share(estimate: Estimate) -> str:
    return format_interval(interval(estimate))


def _grouped(left_out: dict[str, str]) -> dict[str, list[str]]:
    """Reason to the names that share it."""
    found: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        found.setdefault(reason, []).append(name)
    return found
