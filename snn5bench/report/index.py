"""The front page over all suites: what leads where, every method with its datasets, every dataset with its probe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from snn5bench.report import assets
from snn5bench.report.across import SHOWN, DataKey, Probe, data_key, dataset_titles, sections
from snn5bench.report.html import Notes, anchor, environment, named
from snn5bench.report.overview import overview
from snn5bench.report.table import Table


def render(tables: Sequence[Table], probes: Mapping[DataKey, Probe] | None = None, unread: Sequence[str] = ()) -> str:
    """The page as text, for `results/index.html`; it links to `<suite>/leaderboard.html`. `probes` are by dataset, `unread`
    the suites whose leaderboard another version wrote."""
    ordered = sorted((table for table in tables if table.rows), key=lambda table: (-len(table.rows), table.suite))
    titles = dataset_titles(ordered)
    notes = Notes()
    methods, datasets = sections(ordered, probes or {}, notes)
    suites = [
        {
            "name": table.suite,
            "anchor": named("suite", table.suite),
            "address": f"{quote(table.suite)}/leaderboard.html",
            "description": table.description,
            "overview": overview(table),
            "datasets": {row.dataset: named("dataset", titles[data_key(row)]) for row in table.rows},
        }
        for table in ordered
    ]
    return environment().get_template("index.html.j2").render(
        suites=suites,
        unread=unread,
        methods=methods,
        method_anchors={section.title: section.anchor for section in methods},
        datasets=datasets,
        columns=SHOWN,
        notes=notes,
        named=named,
        anchor=anchor,
        assets=assets,
    )  # fmt: skip
