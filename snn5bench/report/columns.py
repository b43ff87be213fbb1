"""The leaderboard's columns, once for every rendering: what each is called, shows, sorts by and, where empty, why."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from snn5bench.report.format import MISSING, duration, format_interval, human_value, percent
from snn5bench.report.table import Estimate, Row, Span, Value
from snn5bench.stats import Interval


@dataclass(frozen=True)
class Column:
    """One column; `why` is the reason behind an `n/a`, `sort` what a click on the header orders by."""

    key: str
    title: str
    help: str
    text: Callable[[Row], str]
    sort: Callable[[Row], float | str | None]
    why: Callable[[Row], str] = lambda row: ""
    numeric: bool = True


def interval(estimate: Estimate) -> Interval | None:
    """The estimate as the statistics' own interval, None where it is missing."""
    if estimate.mean is None or estimate.low is None or estimate.high is None:
        return None
    return Interval(estimate.mean, estimate.low, estimate.high, estimate.seeds, estimate.samples)


def energy_text(span: Span) -> str:
    """`1.20 µJ to 3.40 µJ`, one number where the models agree."""
    low, high = human_value(span.low, "nJ"), human_value(span.high, "nJ")
    return low if low == high else f"{low} to {high}"


def ratio_text(span: Span) -> str:
    """`0.25x to 0.80x`, one number where the models agree."""
    if span.low is None or span.high is None:
        return MISSING
    low, high = f"{span.low:.3g}x", f"{span.high:.3g}x"
    return low if low == high else f"{low} to {high}"


def count_text(value: float | None) -> str:
    """A whole number in full."""
    return MISSING if value is None else f"{value:.0f}"


def rate_text(value: float | None) -> str:
    """Spikes per neuron and step."""
    return MISSING if value is None else f"{value:.3g}"


def _value(key: str, title: str, help: str, of: Callable[[Row], Value], show: Callable[[float | None], str]) -> Column:
    return Column(key, title, help, lambda r: show(of(r).value), lambda r: of(r).value, lambda r: of(r).reason)


def _estimate(key: str, title: str, help: str, of: Callable[[Row], Estimate], signed: bool) -> Column:
    return Column(
        key,
        title,
        help,
        lambda row: format_interval(interval(of(row)), signed=signed),
        lambda row: of(row).mean,
        lambda row: of(row).reason,
    )


def _span(key: str, title: str, help: str, of: Callable[[Row], Span], show: Callable[[Span], str]) -> Column:
    return Column(key, title, help, lambda row: show(of(row)), lambda row: of(row).low, lambda row: of(row).reason)


def status_text(row: Row) -> str:
    """The status as words, empty for a row that is done."""
    return "" if row.status == "done" else str(row.status).replace("_", " ")


def method_text(row: Row) -> str:
    """The row's name, with its status where it is not done."""
    return f"{row.variant} ({status})" if (status := status_text(row)) else row.variant


def rank_text(row: Row) -> str:
    """`2`, or `=2` where others share it."""
    return MISSING if row.rank is None else f"{'=' if row.tied > 1 else ''}{row.rank}"


def claim_text(row: Row) -> str:
    """`92.1 % (direction reproduced)`"""
    return "; ".join(f"{claim.text} ({claim.verdict})" for claim in row.claims) or MISSING


COLUMNS = (
    Column(
        "rank",
        "Rank",
        "Rows that cannot be told from the leader share its rank (paired test over seeds and samples, Holm).",
        rank_text,
        lambda row: row.rank,
        lambda row: row.rank_reason,
    ),
    Column(
        "method",
        "Method",
        "The method, with the parameters that tell it from its siblings.",
        method_text,
        lambda row: row.variant,
        numeric=False,
    ),
    _estimate(
        "accuracy",
        "Accuracy",
        "Test accuracy at the epoch that validation chose; 95 % interval over seeds and test samples together.",
        lambda row: row.accuracy,
        signed=False,
    ),
    _estimate(
        "temporal_gain",
        "Temporal gain",
        "Points lost when the state is cut between steps (NoTD twin); paired 95 % interval. Near 0: no use of time.",
        lambda row: row.temporal_gain,
        signed=True,
    ),
    _value("T", "T", "Timesteps of a sample.", lambda row: row.T, count_text),
    _value("params", "Parameters", "Trainable parameters.", lambda row: row.params, human_value),
    _value("spike_rate", "Spike rate", "Spikes per neuron and step.", lambda row: row.spike_rate, rate_text),
    _value(
        "activation_sparsity",
        "Sparsity",
        "Share of exact zeros in the activations.",
        lambda row: row.activation_sparsity,
        percent,
    ),
    _value(
        "synops_per_sample",
        "SynOps",
        "Synaptic operations for one sample, over all its steps.",
        lambda row: row.synops_per_sample,
        human_value,
    ),
    _span(
        "energy_nj",
        "Energy",
        "Energy of one sample, lowest to highest over the energy models.",
        lambda row: row.energy_nj,
        energy_text,
    ),
    _span(
        "ann_ratio",
        "Against ANN",
        "Energy over that of a dense ANN twin under the same model; below 1x the spiking network is cheaper.",
        lambda row: row.ann_ratio,
        ratio_text,
    ),
    _value("train_seconds", "Training", "Training time of one seed.", lambda row: row.train_seconds, duration),
    Column(
        "marks",
        "Marks",
        "Signs explained in the legend: fidelity, selection rule, seeds, comparability, notes.",
        lambda row: " ".join(dict.fromkeys(mark.symbol for mark in row.marks)),
        lambda row: " ".join(dict.fromkeys(mark.symbol for mark in row.marks)),
        numeric=False,
    ),
    Column(
        "claim",
        "Published claim",
        "What was published on this method and dataset, and what became of it here; its source is under the row's details.",
        claim_text,
        lambda row: claim_text(row) if row.claims else None,
        lambda row: "" if row.claims else "no published claim is recorded for this method and dataset",
        numeric=False,
    ),
)
"""In the order in which they are shown."""


def reason_of(column: Column, row: Row) -> str:
    """Why a column is `n/a`, or what is missing from its number. A row without accuracy has one reason for all."""
    return column.why(row) if row.accuracy.mean is not None or column.key == "claim" else row.reason or column.why(row)


def reasons(row: Row, keys: Collection[str] = ()) -> dict[str, list[str]]:
    """Reason to the titles of the columns (of these keys, or of all) that it explains: an `n/a`, or a number with
    something missing."""
    found: dict[str, list[str]] = {}
    for column in COLUMNS:
        if column.key != "claim" and (not keys or column.key in keys) and (why := column.why(row)):
            found.setdefault(why, []).append(column.title)
    return found


def missing(rows: Iterable[Row], keys: Collection[str] = ()) -> dict[tuple[str, str], list[str]]:
    """Titles of columns and the reason why they are `n/a` or lack something, to the names of the rows that share it. What
    never ran has said why already."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.accuracy.mean is not None:
            for why, titles in reasons(row, keys).items():
                found.setdefault((", ".join(titles), why), []).append(row.variant)
    return found
