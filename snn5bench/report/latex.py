"""The table for a paper: one `tabular` for each dataset, with the numbers of the page. Needs the booktabs package."""

from __future__ import annotations

import re
from collections.abc import Callable

from snn5bench.report.columns import COLUMNS, reasons, status_text
from snn5bench.report.table import Row, Table

TITLES = {
    "rank": "",
    "method": "Method",
    "accuracy": r"Accuracy, \%",
    "temporal_gain": "Temporal gain",
    "T": "$T$",
    "params": "Params",
    "spike_rate": "Spike rate",
    "synops_per_sample": "SynOps",
    "energy_nj": "Energy",
}
"""The columns that fit a page, by the names of the page; marks stand beside the method."""
HEAD = r"""% Needs \usepackage{booktabs}; with \usepackage{graphicx} a table that is too wide shrinks to the line.
\providecommand{\resizebox}[3]{#3}
"""
FIT = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"

_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "[": "{[}", "]": "{]}", '"': r"\textquotedblright{}", "…": r"\ldots{}",
    "µ": r"$\mu$", "±": r"$\pm$", "×": r"$\times$", "≤": r"$\leq$", "≥": r"$\geq$", "−": "$-$", "→": r"$\to$",
    **{letter: rf"$\{name}$" for letter, name in zip("αβγδεθλμπρστφω", (
        "alpha beta gamma delta epsilon theta lambda mu pi rho sigma tau phi omega").split(), strict=True)},
}  # fmt: skip
_KNOWN = re.compile("[\u0020-\u017e\u2013\u2014\u2018-\u201e]")
"""What LaTeX prints without a further package."""


def escape(text: str) -> str:
    """Text that LaTeX prints as it is, on one line. Brackets are wrapped, since one after `\\\\` would be an option; a
    letter that LaTeX does not know is named by its number."""
    return "".join(
        _ESCAPES.get(letter) or (letter if _KNOWN.match(letter) else f"U+{ord(letter):04X}")
        for letter in " ".join(text.split())
    )


def render(table: Table) -> str:
    """LaTeX source, a `table` for each dataset."""
    head = f"% {escape(table.suite)}, by snn5bench.\n{HEAD}\n"
    return head + "\n".join(_table(table, dataset) for dataset in table.datasets)


def _table(table: Table, dataset: str) -> str:
    columns = [column for column in COLUMNS if column.key in TITLES]
    rows = table.of(dataset)
    label = re.sub(r"[^A-Za-z0-9]+", "-", f"{table.suite}-{dataset}").strip("-")
    lines = [
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{escape(f'{table.suite}: {dataset}')}. Accuracy and temporal gain (in points) with 95\,\% intervals.}}",
        rf"\label{{tab:{label}}}",
        r"\smallskip",
        FIT,
        rf"\begin{{tabular}}{{{''.join('r' if column.numeric else 'l' for column in columns)}}}",
        r"\toprule",
        " & ".join(TITLES[column.key] for column in columns) + r" \\",
        r"\midrule",
        *(" & ".join(_CELLS.get(column.key, escape)(column.text(row)) + _signs(column.key, row) for column in columns)
          + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}}",
        *_notes(rows),
        r"\end{table}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _interval(text: str) -> str:
    """The number, and its interval in small; with minus signs for hyphens."""
    mean, bracket, ends = (escape(part).replace("-", "$-$") for part in text.replace(" %", "").partition("["))
    return mean + (rf" {{\scriptsize {bracket}{ends}}}" if bracket else "")


_CELLS: dict[str, Callable[[str], str]] = {
    "accuracy": _interval,
    "temporal_gain": _interval,
    "energy_nj": lambda text: escape(text).replace(" to ", "--"),
}


def _signs(key: str, row: Row) -> str:
    marks = ",".join(dict.fromkeys(mark.symbol for mark in row.marks))
    return rf"\textsuperscript{{{escape(marks)}}}" if key == "method" and marks else ""


def _notes(rows: list[Row]) -> list[str]:
    """What a row's marks and its `n/a` stand for, the marks of one sign together; nothing for a row with neither."""
    found = []
    for row in rows:
        told = (
            [f"{escape(status_text(row))}: {escape(row.reason)}"]
            if row.status != "done"
            else [f"{escape(', '.join(titles))}: {escape(why)}" for why, titles in reasons(row, tuple(TITLES)).items()]
        )
        for sign in dict.fromkeys(mark.symbol for mark in row.marks):
            texts = "; ".join(escape(mark.text) for mark in row.marks if mark.symbol == sign)
            told.append(rf"\textsuperscript{{{escape(sign)}}}\,{texts}")
        if told:
            found.append(rf"{escape(row.variant)}: {'; '.join(told)}.")
    if not found:
        return []
    return [
        r"\par\smallskip\begin{minipage}{\linewidth}\raggedright\scriptsize",
        "\n\\par ".join(found),
        r"\end{minipage}",
    ]
