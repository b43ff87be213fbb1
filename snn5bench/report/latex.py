"""The table for a paper: one `tabular` for each dataset, with the numbers of the page. Needs the booktabs package."""

from __future__ import annotations

from snn5bench.report.columns import COLUMNS
from snn5bench.report.table import Row, Table

KEYS = "rank method accuracy temporal_gain T params spike_rate synops_per_sample energy_nj".split()
"""The columns that fit a page; marks stand beside the method."""

_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "µ": r"\textmu{}", "[": "{[}", "]": "{]}", '"': r"\textquotedbl{}",
}  # fmt: skip


def escape(text: str) -> str:
    """Text that LaTeX prints as it is, on one line. Brackets are wrapped, since one after `\\\\` would be an option."""
    return "".join(_ESCAPES.get(letter, letter) for letter in " ".join(text.split()))


def render(table: Table) -> str:
    """LaTeX source, a `table` for each dataset."""
    head = f"% {escape(table.suite)}, by snn5bench; needs \\usepackage{{booktabs}}, \\usepackage[T1]{{fontenc}}\n"
    return head + "\n".join(_table(table, dataset) for dataset in table.datasets)


def _table(table: Table, dataset: str) -> str:
    columns = [column for column in COLUMNS if column.key in KEYS]
    rows = table.of(dataset)
    lines = [
        r"\begin{table}",
        rf"\caption{{{escape(table.suite)}: {escape(dataset)}. Accuracy and temporal gain with 95\,\% intervals.}}",
        rf"\begin{{tabular}}{{{''.join('r' if column.numeric else 'l' for column in columns)}}}",
        r"\toprule",
        " & ".join(escape(column.title) for column in columns) + r" \\",
        r"\midrule",
        *(" & ".join(_cell(column.key, column.text(row), row) for column in columns) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        *(
            rf"\par {escape(row.variant)} ({escape(mark.symbol)}): {escape(mark.text)}"
            for row in rows
            for mark in row.marks
        ),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _cell(key: str, text: str, row: Row) -> str:
    marks = ",".join(dict.fromkeys(mark.symbol for mark in row.marks))
    sign = rf"\textsuperscript{{{escape(marks)}}}" if key == "method" and marks else ""
    return escape(text) + sign
