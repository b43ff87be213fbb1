"""The table as Markdown: a section for each dataset, with every mark and every `n/a` explained under it."""

from __future__ import annotations

import re

from snn5bench.report.columns import COLUMNS, missing
from snn5bench.report.marks import signs
from snn5bench.report.summary import kind, summarise
from snn5bench.report.table import Row, Table

_SPECIAL = re.compile(r"[\\`*|#~]|(?<!\w)_|_(?!\w)|(?<=\])\(|(?<=!)\[")
"""What Markdown would act on; an underscore inside a word and a bracket that opens no link are left alone."""


def escape(text: str) -> str:
    """Text that Markdown and HTML both leave as it is, on one line."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(lambda found: "\\" + found[0], plain)


def render(table: Table) -> str:
    """The whole page; the last character is a newline."""
    parts = [f"# Leaderboard: {escape(table.suite)}\n"]
    if not table.rows:
        parts.append("No record yet.\n")
    for dataset in table.datasets:
        parts += _section(table, dataset)
    if table.legend:
        parts.append("## Marks\n")
        parts.append("".join(f"- `{mark.symbol}` {escape(mark.text)}\n" for mark in table.legend))
    if table.rows:
        parts.append("## Columns\n")
        parts.append("".join(f"- **{column.title}**: {escape(column.help)}\n" for column in COLUMNS))
        if table.selection_rule:
            parts.append(f"Epochs are chosen by: {escape(table.selection_rule)}.\n")
    return "\n".join(parts)


def _section(table: Table, dataset: str) -> list[str]:
    rows = table.of(dataset)
    lines = [[column.title for column in COLUMNS], *([column.text(row) for column in COLUMNS] for row in rows)]
    head, *body = ["| " + " | ".join(escape(cell) for cell in line) + " |" for line in lines]
    rule = "|" + "|".join("---:" if column.numeric else ":---" for column in COLUMNS) + "|"
    parts = [
        f"## {escape(dataset)} ({kind(rows[0])})\n",
        escape(summarise(table, dataset).text) + "\n",
        "\n".join([head, rule, *body]) + "\n",
    ]
    remarks = "".join([*(line for row in rows for line in _remarks(row)), *_missing(rows)])
    return [*parts, remarks] if remarks else parts


def _remarks(row: Row) -> list[str]:
    name = escape(row.variant)
    lines = [f"- {name} `{mark.symbol}`: {escape(mark.text)}\n" for mark in signs(row.marks)]
    if row.status != "done":
        lines.insert(0, f"- {name}, {str(row.status).replace('_', ' ')}: {escape(row.reason)}\n")
    return lines + [f"- {name}, published “{escape(claim.text)}”: {escape(claim.account)}\n" for claim in row.claims]


def _missing(rows: list[Row]) -> list[str]:
    return [
        f"- {titles} of {escape(', '.join(names))}: {escape(why)}\n" for (titles, why), names in missing(rows).items()
    ]
