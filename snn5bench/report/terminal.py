"""The table in a terminal: as many columns as its width holds, the most important first."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from snn5bench.report.columns import COLUMNS, Column, missing, status_text
from snn5bench.report.overview import overview
from snn5bench.report.summary import kind, summarise
from snn5bench.report.table import Row, Table

PRIORITY = (
    "rank method accuracy temporal_gain marks synops_per_sample energy_nj T params spike_rate activation_sparsity "
    "ann_ratio train_seconds claim"
).split()
"""Which columns a narrow terminal keeps."""


def render(table: Table, width: int) -> RenderableType:
    """What Rich prints for a terminal of `width` characters."""
    if not table.rows:
        return Text(f"{table.suite}: no record yet")
    shown = fitting(table.rows, width)
    parts: list[RenderableType] = []
    for dataset in table.datasets:
        rows = table.of(dataset)
        parts += [Text(f"{dataset} ({kind(rows[0])})", style="bold"), _grid(rows, shown, _padding(width))]
        parts.append(Text(summarise(table, dataset).best + ".", style="italic"))
        for (titles, why), names in missing(rows, [column.key for column in shown]).items():
            parts.append(Text(f"n/a: {titles} of {', '.join(names)}: {why}", style="dim"))
        for row in rows:
            if row.accuracy.mean is None:
                parts.append(Text(f"{row.variant}, {status_text(row) or 'n/a'}: {row.reason}", style="dim"))
        parts.append(Text(""))
    if table.legend and any(column.key == "marks" for column in shown):
        parts.append(Text("Marks: " + "; ".join(f"{mark.symbol} {mark.text}" for mark in table.legend), style="dim"))
    if hidden := [column.title for column in COLUMNS if column not in shown]:
        parts.append(Text(f"Left out for want of width: {', '.join(hidden)}", style="dim"))
    if len(table.datasets) > 1:
        parts += [Text(""), Text(overview(table).answer.text, style="bold")]
    return Group(*parts)


def show(table: Table, console: Console) -> None:
    """Print the table at the console's width."""
    console.print(render(table, console.width))


def fitting(rows: list[Row], width: int) -> list[Column]:
    """The columns, in the table's order, whose widest cells fit side by side; rank, method and accuracy always stay."""
    room = width
    kept = []
    by_key = {column.key: column for column in COLUMNS}
    for place, key in enumerate(PRIORITY):
        column = by_key[key]
        need = max(len(column.title), *(len(column.text(row)) for row in rows)) + _padding(width)
        if need > room and place > 2:
            continue
        kept.append(column)
        room -= need
    return [column for column in COLUMNS if column in kept]


def _padding(width: int) -> int:
    """Spaces between columns: one where they are scarce."""
    return 1 if width < 100 else 2


def _grid(rows: list[Row], shown: list[Column], padding: int) -> RichTable:
    grid = RichTable(box=None, padding=(0, padding, 0, 0), pad_edge=False, header_style="bold")
    for column in shown:
        grid.add_column(column.title, justify="right" if column.numeric else "left", overflow="fold")
    for row in rows:
        style = "bold" if row.rank == 1 else "dim" if row.rank is None else ""
        grid.add_row(*(Text(column.text(row)) for column in shown), style=style)
    return grid
