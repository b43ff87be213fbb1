"""Records in, `Table` out: grouping into rows, choice of records, ranks and order."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from snn5bench import stats
from snn5bench.errors import BenchError
from snn5bench.record import Record, Status, TwinKind
from snn5bench.report.aggregate import aggregate
from snn5bench.report.cells import Cells, Context
from snn5bench.report.table import Claimed, Row, Table

Correct = Mapping[str, NDArray[np.bool_]]
"""Record key to whether each test sample was classified right, [n_test]."""


def build_table(
    records: Sequence[Record],
    correct: Correct,
    *,
    claims: Mapping[tuple[str, str], Sequence[Claimed]] | None = None,
    files: Mapping[str, str] | None = None,
    suite: str = "",
    description: str = "",
) -> Table:
    """The leaderboard of one suite.

    A row is a (dataset, variant) pair. Its accuracy is over the seeds that are done; a row with a seed failed or
    missing shows its numbers with a mark, but has no rank. `claims` maps (method, dataset) to published
    claims with their verdicts, `files` a record's key to the name of its file; `suite` names a table without records.
    The order of the records does not matter.
    """
    names = sorted({record.suite for record in records})
    if len(names) > 1:
        raise BenchError(
            f"records of several suites in one table: {', '.join(names)}", do="build a table for each suite"
        )
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    label = dataset_labels(records)
    for record in records:
        groups[label[_identity(record)], record.variant].append(record)
    choices = {key: choose(group) for key, group in sorted(groups.items())}
    rule = most_common(cell.selection_rule for cells in choices.values() for cell in cells.done("none").values())
    rows = []
    for dataset in sorted({dataset for dataset, _ in choices}):
        of = {variant: cells for (name, variant), cells in choices.items() if name == dataset}
        context = Context(
            dataset=dataset,
            seeds=sorted({seed for cells in of.values() for seed in cells.own}),
            fingerprints=reference(of.values()),
            selection_rule=rule,
            correct=correct,
            claims=claims or {},
            files=files or {},
        )
        rows += ranked([aggregate(variant, cells, context) for variant, cells in sorted(of.items())], of, context)
    return Table(
        suite=names[0] if names else suite,
        description=" ".join(description.split()),
        rows=sorted(rows, key=_order),
        selection_rule=rule,
    )


def dataset_labels(records: Iterable[Record]) -> dict[tuple[str, str], str]:
    """A name for each (dataset, parameters): the parameters that differ are spelt out, as in `digits[T=8]`."""
    params: dict[str, dict[str, dict[str, object]]] = defaultdict(dict)
    for record in records:
        name, text = _identity(record)
        params[name][text] = record.dataset_params
    return spelt_out(params)


def spelt_out(params: Mapping[str, Mapping[str, Mapping[str, object]]]) -> dict[tuple[str, str], str]:
    """(name, text of its parameters) to the name with those parameters that tell it from others of that name."""
    labels = {}
    for name, variants in params.items():
        keys = sorted({key for values in variants.values() for key in values})
        differing = [key for key in keys if len({text_of(values.get(key)) for values in variants.values()}) > 1]
        for text, values in variants.items():
            inside = ",".join(f"{key}={text_of(values.get(key))}" for key in differing)
            labels[name, text] = f"{name}[{inside}]" if inside else name
    return labels


def choose(records: Iterable[Record]) -> Cells:
    """One record for each (twin, seed): the newest, with the number of those left out."""
    best: dict[TwinKind, dict[int, Record]] = defaultdict(dict)
    dropped = 0
    for record in sorted(records, key=lambda record: (record.started_at, record.key)):
        dropped += record.seed in best[record.twin]
        best[record.twin][record.seed] = record
    return Cells({twin: dict(sorted(of.items())) for twin, of in best.items()}, dropped)


def reference(rows: Iterable[Cells]) -> dict[int, str]:
    """For each seed, the fingerprint that most rows of a dataset were run on."""
    seen: dict[int, list[str]] = defaultdict(list)
    for cells in rows:
        for seed, record in cells.done("none").items():
            if record.dataset_fingerprint is not None:
                seen[seed].append(record.dataset_fingerprint)
    return {seed: most_common(values) for seed, values in seen.items()}


def most_common(values: Iterable[str]) -> str:
    """The most frequent value; of equally frequent ones the first by name; empty for none."""
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value)) if counts else ""


def ranked(rows: Sequence[Row], cells: Mapping[str, Cells], context: Context) -> list[Row]:
    """The same rows, with a rank for those that ran on every seed and on the same samples."""
    tables = {}
    reasons = {}
    for row in rows:
        if reason := _no_rank(row, context):
            reasons[row.variant] = reason
        else:
            done = cells[row.variant].done("none")
            tables[row.variant] = np.stack([context.correct[done[seed].key] for seed in context.seeds])
    if len({table.shape for table in tables.values()}) > 1:
        reasons |= dict.fromkeys(tables, "the rows of this dataset were tested on different numbers of samples")
        tables = {}
    rank = stats.ranks(tables) if tables else {}
    sharing: Counter[int | None] = Counter(rank.values())
    return [
        row.model_copy(update={"rank": place, "tied": sharing[place] or 1, "rank_reason": reasons.get(row.variant, "")})
        for row in rows
        for place in [rank.get(row.variant)]
    ]


def _no_rank(row: Row, context: Context) -> str:
    if row.status != Status.DONE:
        return f"not ranked: {row.status}" if row.status != "partial" else "not ranked: a seed did not finish"
    if row.seeds != context.seeds:
        return "not ranked: seeds are missing"
    if any(mark.symbol == "x" for mark in row.marks):
        return "not ranked: not comparable with the other rows"
    return f"not ranked: {row.accuracy.reason}" if row.accuracy.mean is None else ""


def _natural(name: str) -> list[str | int]:
    """A key under which `T=4` comes before `T=16`."""
    return [int(part) if i % 2 else part for i, part in enumerate(re.split(r"([0-9]+)", name))]


def _order(row: Row) -> tuple[bool, list[str | int], str, bool, int, float, str]:
    accuracy = row.accuracy.mean
    return (
        not row.temporal,
        _natural(row.dataset),
        row.dataset,
        accuracy is None,
        row.rank or 10**6,
        -(accuracy or 0.0),
        row.variant,
    )


def _identity(record: Record) -> tuple[str, str]:
    return record.dataset, text_of(record.dataset_params)


def text_of(value: object) -> str:
    """The same text for the same value; words stay as they are."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
