"""What the front page shows across suites: a section for each method with all its datasets, and for each dataset."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote

from snn5bench.report.build import text_of
from snn5bench.report.columns import COLUMNS
from snn5bench.report.html import Cell, Notes, anchor, bar, cell, named, track
from snn5bench.report.summary import kind
from snn5bench.report.table import Estimate, Row, Table

KEYS = "rank accuracy temporal_gain T synops_per_sample energy_nj ann_ratio marks claim".split()
"""The columns of these tables; suite, method or dataset stand before them."""
SHOWN = [column for column in COLUMNS if column.key in KEYS]

DataKey = tuple[str, str]
"""A dataset's registered name and the text of its parameters."""


class Probed(NamedTuple):
    """One classifier that saw a part of a dataset: its name, what it sees, and its test accuracy."""

    name: str
    sees: str
    accuracy: Estimate


class Probe(NamedTuple):
    """What is known of a dataset without spiking networks."""

    chance: float
    """Accuracy of always naming the most frequent class."""
    lines: list[Probed]


class Entry(NamedTuple):
    """One row of one suite, as a section shows it."""

    suite: str
    address: str
    """Of the row on its suite's page."""
    row: Row
    dataset: str
    """Its dataset's title, and where its section is."""
    dataset_anchor: str
    cells: list[Cell]


class Section(NamedTuple):
    """All entries of one method, or of one dataset."""

    title: str
    anchor: str
    entries: list[Entry]
    probe: Probe | None = None

    @property
    def probe_command(self) -> str:
        """What probes the dataset under its parameters."""
        setup = self.entries[0].row.setup
        settings = (f"--set {shlex.quote(f'{key}={text_of(v)}')}" for key, v in sorted(setup.dataset_params.items()))
        return " ".join(["snn5bench data probe", shlex.quote(setup.dataset_name), *settings])

    @property
    def first(self) -> str:
        """`3 of 4 datasets that need time`: how often one of its rows is first, alone or tied."""
        timed = [entry.row for entry in self.entries if entry.row.temporal]
        return f"{sum(row.rank == 1 for row in timed)} of {len(timed)} that need time"

    @property
    def kind(self) -> str:
        """What the dataset is for."""
        return kind(self.entries[0].row)


def data_key(row: Row) -> DataKey:
    """Which data a row was run on; the same for two suites that state the same."""
    return row.setup.dataset_name, text_of(row.setup.dataset_params)


def sections(
    tables: Sequence[Table], probes: Mapping[DataKey, Probe], notes: Notes
) -> tuple[list[Section], list[Section]]:
    """The methods' sections and the datasets', each by name; datasets that need time come first."""
    rows = [(table, row) for table in tables for row in table.rows]
    titles = dataset_titles(tables)
    gains = track([row.temporal_gain for _, row in rows], zero=True)
    methods: dict[str, list[Entry]] = defaultdict(list)
    datasets: dict[DataKey, list[Entry]] = defaultdict(list)
    for table, row in rows:
        entry = _entry(table, row, titles[data_key(row)], gains, notes)
        methods[row.method].append(entry)
        datasets[data_key(row)].append(entry)
    return (
        [Section(name, named("method", name), _by_dataset(methods[name])) for name in sorted(methods)],
        [
            Section(titles[key], named("dataset", titles[key]), entries, probes.get(key))
            for key, entries in sorted(datasets.items(), key=lambda item: (not item[1][0].row.temporal, item[0]))
        ],
    )


def dataset_titles(tables: Sequence[Table]) -> dict[DataKey, str]:
    """The name that suites give each dataset, with the suites where they give it to different data."""
    suites: dict[str, dict[DataKey, list[str]]] = defaultdict(dict)
    for table in tables:
        for row in table.rows:
            suites[row.dataset].setdefault(data_key(row), []).append(table.suite)
    return {
        key: f"{label} ({', '.join(dict.fromkeys(named_in))})" if len(keys) > 1 else label
        for label, keys in suites.items()
        for key, named_in in keys.items()
    }


def _entry(table: Table, row: Row, title: str, gains: tuple[float, float], notes: Notes) -> Entry:
    bars = {
        "accuracy": bar(row.accuracy, (0.0, 1.0), zero=False),
        "temporal_gain": bar(row.temporal_gain, gains, zero=True),
    }
    return Entry(
        suite=table.suite,
        address=f"{quote(table.suite)}/leaderboard.html#{anchor(row)}",
        row=row,
        dataset=title,
        dataset_anchor=named("dataset", title),
        cells=[cell(column, row, bars.get(column.key), notes) for column in SHOWN],
    )


def _by_dataset(entries: list[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: (not entry.row.temporal, entry.dataset, entry.suite, entry.row.variant))
