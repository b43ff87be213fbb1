"""The front page over all suites: what leads where, and a link to each leaderboard."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from snn5bench.report import assets
from snn5bench.report.html import environment
from snn5bench.report.summary import kind, summarise
from snn5bench.report.table import Table


def render(tables: Sequence[Table]) -> str:
    """The page as text, for `results/index.html`; it links to `<suite>/leaderboard.html`."""
    suites = [
        {
            "name": table.suite,
            "address": f"{quote(table.suite)}/leaderboard.html",
            "ranked": sum(row.rank is not None for row in table.rows),
            "rows": len(table.rows),
            "answers": [(name, kind(table.of(name)[0]), summarise(table, name)) for name in table.datasets],
        }
        for table in sorted(tables, key=lambda table: table.suite)
    ]
    return environment().get_template("index.html.j2").render(suites=suites, assets=assets)
