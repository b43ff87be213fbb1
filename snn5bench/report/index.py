"""The front page over all suites: what leads where, every method with its datasets, every dataset with its probe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from snn5bench.report import assets
from snn5bench.report.across import SHOWN, DataKey, Probe, sections
from snn5bench.report.html import environment, named
from snn5bench.report.summary import kind, summarise
from snn5bench.report.table import Table


def render(tables: Sequence[Table], probes: Mapping[DataKey, Probe] | None = None) -> str:
    """The page as text, for `results/index.html`; it links to `<suite>/leaderboard.html`. `probes` are by dataset."""
    ordered = sorted(tables, key=lambda table: table.suite)
    suites = [
        {
            "name": table.suite,
            "address": f"{quote(table.suite)}/leaderboard.html",
            "ranked": sum(row.rank is not None for row in table.rows),
            "rows": len(table.rows),
            "answers": [(name, kind(table.of(name)[0]), summarise(table, name)) for name in table.datasets],
        }
        for table in ordered
    ]
    methods, datasets = sections(ordered, probes or {})
    return environment().get_template("index.html.j2").render(
        suites=suites, methods=methods, datasets=datasets, columns=SHOWN, named=named, assets=assets
    )  # fmt: skip
