"""A comparison for a terminal, a pull request, a program and a CI server."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

from rich.console import Group
from rich.table import Table
from rich.text import Text

from snn5bench.judgement import Comparison, Judgement, Mark, Metric, RowVerdict
from snn5bench.report.format import MISSING, duration, format_interval, human_value, percent
from snn5bench.stats import Interval

WORDS = {
    Mark.BETTER: "better",
    Mark.WORSE: "worse",
    Mark.BROKE: "broke",
    Mark.FIXED: "fixed",
    Mark.INCOMPARABLE: "not comparable",
    Mark.UNDECIDED: "cannot tell",
    Mark.SAME: "same",
}
_COLOURS = {Mark.BETTER: "green", Mark.FIXED: "green", Mark.WORSE: "bold red", Mark.BROKE: "bold red"}
_COLUMNS = ("", "row", "accuracy", "change in points", "spike rate", "synaptic operations", "training time", "note")
_NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def headline(comparison: Comparison) -> str:
    """`regression: 1 worse, 3 same (against the baseline of 2026-01-02, commit 0123abcd)`."""
    counts = ", ".join(f"{count} {WORDS[mark]}" for mark, count in comparison.count().items()) or "no rows"
    commit = f", commit {comparison.git_commit[:8]}" if comparison.git_commit else ""
    return f"{comparison.verdict}: {counts} (against the baseline of {comparison.locked_at[:10]}{commit})"


def terminal(comparison: Comparison) -> Group:
    """For Rich: the headline, what changed, a line for each row that moved, their notes, and the others in one line."""
    moved, still = _split(comparison)
    cells = [_cells(row) for row in moved]
    shown = [k for k in range(len(_COLUMNS) - 1) if any(line[k] not in ("", MISSING) for line in cells)]
    table = Table(box=None, pad_edge=False)
    for k in shown:
        table.add_column(_COLUMNS[k], overflow="fold")
    for row, line in zip(moved, cells, strict=True):
        style = _COLOURS.get(row.metrics["accuracy"].mark, "")
        table.add_row(Text(line[0], style), *(Text(line[k]) for k in shown[1:]))
    notes = [Text(f"{line[1]}: {line[-1]}") for line in cells if line[-1]]
    names = ", ".join(_one_line(str(row.name)) for row in still)
    return Group(
        Text(headline(comparison)),
        *(Text(f"  {line}") for line in _changes(comparison)),
        *([table] if moved else []),
        *notes,
        *([Text(f"=  the same in every metric: {names}")] if still else []),
        Text(_LEGEND),
    )


def markdown(comparison: Comparison) -> str:
    """For a pull request: the same, with rows that did not move folded away."""
    moved, still = _split(comparison)
    lines = [f"### {_escape(comparison.suite)}: {_escape(headline(comparison))}", ""]
    lines += [f"- {_escape(line)}" for line in _changes(comparison)] + [""]
    if moved:
        lines += [*_markdown_table(moved), ""]
    if still:
        title = f"{len(still)} {'row is' if len(still) == 1 else 'rows are'} the same"
        lines += [f"<details><summary>{title}</summary>", "", *_markdown_table(still), "", "</details>", ""]
    return "\n".join([*lines, _escape(_LEGEND), ""])


def _split(comparison: Comparison) -> tuple[list[RowVerdict], list[RowVerdict]]:
    """Rows of which some metric is not the same, and the others."""
    moved: list[RowVerdict] = []
    still: list[RowVerdict] = []
    for row in comparison.rows:
        same = all(judgement.mark is Mark.SAME for judgement in row.metrics.values())
        (still if same else moved).append(row)
    return moved, still


def as_json(comparison: Comparison) -> str:
    """One document: all of the comparison, its verdict and exit code."""
    document = comparison.model_dump(mode="json")
    head = {"verdict": str(comparison.verdict), "exit_code": int(comparison.exit_code)}
    return json.dumps(head | document, indent=1, ensure_ascii=False) + "\n"


def junit(comparison: Comparison) -> str:
    """JUnit XML, a case for each row: worse is a failure, broke an error, what cannot be compared or told is skipped."""
    marks = [row.metrics["accuracy"].mark for row in comparison.rows]
    deciding = [_worst(row, comparison) for row in comparison.rows]
    kinds = {Mark.WORSE: "failure", Mark.BROKE: "error", Mark.INCOMPARABLE: "skipped", Mark.UNDECIDED: "skipped"}
    found = [kinds.get(mark) for mark in deciding]
    suite = ElementTree.Element(
        "testsuite",
        name=_xml(f"snn5bench compare {comparison.suite}"),
        tests=str(len(marks)),
        failures=str(found.count("failure")),
        errors=str(found.count("error")),
        skipped=str(found.count("skipped")),
        timestamp=_xml(comparison.locked_at),
    )
    for row, mark, kind in zip(comparison.rows, deciding, found, strict=True):
        twin = "" if row.twin == "none" else f" ({row.twin} twin)"
        case = ElementTree.SubElement(suite, "testcase", classname=_xml(row.dataset), name=_xml(row.variant + twin))
        if kind:
            told = [text for text in _cells(row)[2:] if text not in ("", MISSING)]
            ElementTree.SubElement(case, kind, message=_xml(": ".join([WORDS[mark], "; ".join(told)])))
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


_LEGEND = "Marks: " + ", ".join(f"{mark} {word}" for mark, word in WORDS.items()) + "."


def _changes(comparison: Comparison) -> list[str]:
    lines = [_one_line(line) for line in comparison.changes] or [
        "nothing changed since the baseline: code, versions, data and machine are the same"
    ]
    looked = "; ".join(_one_line(row) for row in comparison.second_look)
    return [*lines, f"second look, with further seeds of: {looked}"] if looked else lines


def _worst(row: RowVerdict, comparison: Comparison) -> Mark:
    """The mark of a row over the metrics that decide."""
    marks = [row.metrics[metric].mark for metric in comparison.decides if metric in row.metrics]
    order = (Mark.BROKE, Mark.WORSE)
    return next((mark for mark in order if mark in marks), row.metrics["accuracy"].mark)


def _cells(row: RowVerdict) -> list[str]:
    """The texts of `_COLUMNS`."""
    accuracy = row.metrics["accuracy"]
    ends = MISSING
    if accuracy.before is not None or accuracy.after is not None:
        ends = f"{percent(accuracy.before)} → {percent(accuracy.after)}"
    return [
        str(accuracy.mark),
        _one_line(str(row.name)),
        ends,
        _points(accuracy),
        _ratio(row, "spike_rate", ""),
        _ratio(row, "operations", ""),
        _time(row),
        _one_line(accuracy.reason),
    ]


def _points(judgement: Judgement) -> str:
    if None in (judgement.before, judgement.after, judgement.low, judgement.high):
        return MISSING
    mean = float(judgement.after or 0) - float(judgement.before or 0)
    return format_interval(Interval(mean, float(judgement.low or 0), float(judgement.high or 0), 0, 0), signed=True)


def _ratio(row: RowVerdict, metric: Metric, unit: str) -> str:
    judgement = row.metrics.get(metric)
    if judgement is None:
        return MISSING
    text = f"{judgement.mark} {human_value(judgement.after, unit)}"
    if judgement.before and judgement.after is not None:
        change = 100 * (judgement.after / judgement.before - 1)
        text += f" ({change:+.1f} %)" if abs(change) >= 0.05 else ""
    return text


def _time(row: RowVerdict) -> str:
    judgement = row.metrics.get("time")
    return MISSING if judgement is None else f"{judgement.mark} {duration(judgement.after)}"


def _markdown_table(rows: list[RowVerdict]) -> list[str]:
    lines = [f"| {' | '.join(_COLUMNS)} |".replace("|  |", "| |"), "|" + " --- |" * len(_COLUMNS)]
    for row in rows:
        mark, *cells = _cells(row)
        lines.append(f"| `{mark}` | {' | '.join(map(_escape, cells))} |")
    return lines


def _escape(text: str) -> str:
    """Names come from plugins and reasons from exceptions: no markup, no table breaks, one line."""
    plain = _one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~#@!])", r"\\\1", plain)


def _one_line(text: str) -> str:
    """Without line breaks and control characters: a reason may quote any exception."""
    return "".join(character if character.isprintable() else "?" for character in " ".join(text.split()))


def _xml(text: str) -> str:
    return _NOT_IN_XML.sub("?", text)
