"""The text of a pull request: what was run, what came out, and how anyone gets it again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from snn5bench import stats
from snn5bench.record import Record, Status
from snn5bench.report.markdown import escape
from snn5bench.store import Store
from snn5bench.submission import layout

_TWINS = {
    "none": "the method",
    "notd": "without temporal dynamics",
    "sdbp": "without gradient through time",
    "shuffled": "steps shuffled",
}


def pull_request(row: str, records: Sequence[Record], store: Store) -> str:
    """Markdown; what a record says is escaped."""
    first = records[0]
    place = layout.folder_of(Path(), first.suite, first.variant, first.dataset)
    lines = [f"# {escape(row)} in {escape(first.suite)}", ""]
    lines += [
        f"`{escape(first.method_version)}`, T = {first.T}, {first.params or 'n/a'} parameters, budget {first.budget}.",
        "",
    ]
    if first.fidelity:
        lines += [f"Fidelity: **{first.fidelity.kind}**, {escape(first.fidelity.note)}", ""]
    lines += [
        "| Run | Seeds | Test accuracy (95 % interval) | Spike rate | SynOps a sample |",
        "|:---|:---|---:|---:|---:|",
    ]
    for twin, words in _TWINS.items():
        members = [r for r in records if r.twin == twin]
        if members:
            lines.append(f"| {words} | {', '.join(str(r.seed) for r in members)} | {_numbers(members, store)} |")
    lines += ["", f"Chosen by: {escape(first.selection_rule)}; {escape(first.split_rule)}.", ""]
    if any(r.git_dirty for r in records):
        lines += ["**The code had uncommitted edits when this ran.** The keys cover it all the same.", ""]
    lines += [
        f"Checked by `python .ci/check_submission.py --folder {place.as_posix()}`: every number that needs no training is "
        "computed again, and one of the runs is made again.",
        "",
    ]
    return "\n".join(lines)


def _numbers(records: Sequence[Record], store: Store) -> str:
    done = [r for r in records if r.status is Status.DONE]
    if len(done) < len(records):
        return f"n/a: {escape(records[0].reason)} | n/a | n/a"
    interval = stats.mean_interval(np.stack(list(store.correct(done).values())))
    accuracy = float(np.mean([r.test_accuracy for r in done if r.test_accuracy is not None]))
    return " | ".join(
        (
            f"{100 * accuracy:.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}]",
            _mean([r.spike_rate for r in done], ".4f"),
            _mean([r.synops_per_sample for r in done], ".0f"),
        )
    )


def _mean(values: Sequence[float | None], form: str) -> str:
    known = [value for value in values if value is not None]
    return f"{np.mean(known):{form}}" if len(known) == len(values) else "n/a"
