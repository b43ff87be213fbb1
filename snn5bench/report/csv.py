"""The table as long csv: a row for each dataset and method, machine names, plain numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

from snn5bench.report.columns import COLUMNS as SHOWN
from snn5bench.report.table import Estimate, Row, Table

NA = "n/a"


def number(value: float | None) -> str:
    """Six significant digits, whole numbers in full; `n/a` for None."""
    if value is None:
        return NA
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else f"{value:.6g}"


REASONS: dict[str, Callable[[Row], str]] = {
    **{column.key: column.why for column in SHOWN if column.key != "claim"},
    "shuffled_gain": lambda row: row.shuffled_gain.reason,
    "sdbp_gain": lambda row: row.sdbp_gain.reason,
    "peeking_gap": lambda row: row.peeking_gap.reason,
    "weight_sparsity": lambda row: row.weight_sparsity.reason,
    "input_spike_rate": lambda row: row.break_even.rate.reason,
    "break_even": lambda row: row.break_even.reason,
}
"""The columns, without `_low` and `_high`, to why they are `n/a` or what they lack."""


def missing(row: Row) -> str:
    """`temporal_gain: no twin was asked for; energy_nj, ann_ratio: no model gave a number`."""
    found: dict[str, list[str]] = {}
    for name, why in REASONS.items():
        if reason := why(row):
            found.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in found.items())


def _estimate(name: str, of: Callable[[Row], Estimate]) -> dict[str, Callable[[Row], str]]:
    return {
        name: lambda row: number(of(row).mean),
        f"{name}_low": lambda row: number(of(row).low),
        f"{name}_high": lambda row: number(of(row).high),
    }


COLUMNS: dict[str, Callable[[Row], str]] = {
    "dataset": lambda row: row.dataset,
    "rank": lambda row: number(row.rank),
    "method": lambda row: row.variant,
    **_estimate("accuracy", lambda row: row.accuracy),
    **_estimate("temporal_gain", lambda row: row.temporal_gain),
    "T": lambda row: number(row.T.value),
    "params": lambda row: number(row.params.value),
    "spike_rate": lambda row: number(row.spike_rate.value),
    "activation_sparsity": lambda row: number(row.activation_sparsity.value),
    "synops_per_sample": lambda row: number(row.synops_per_sample.value),
    "energy_nj_low": lambda row: number(row.energy_nj.low),
    "energy_nj_high": lambda row: number(row.energy_nj.high),
    "ann_ratio_low": lambda row: number(row.ann_ratio.low),
    "ann_ratio_high": lambda row: number(row.ann_ratio.high),
    "train_seconds": lambda row: number(row.train_seconds.value),
    "seeds": lambda row: " ".join(map(str, row.seeds)) or NA,
    "status": lambda row: str(row.status),
    "fidelity": lambda row: row.fidelity or NA,
    "selection_rule": lambda row: row.selection_rule or NA,
    "marks": lambda row: " ".join(dict.fromkeys(mark.symbol for mark in row.marks)),
    "claim": lambda row: "; ".join(claim.text for claim in row.claims) or NA,
    **_estimate("shuffled_gain", lambda row: row.shuffled_gain),
    **_estimate("sdbp_gain", lambda row: row.sdbp_gain),
    "peeking_gap": lambda row: number(row.peeking_gap.value),
    "weight_sparsity": lambda row: number(row.weight_sparsity.value),
    "reason": lambda row: row.reason,
    "remarks": lambda row: "; ".join(mark.text for mark in row.marks),
    "claim_verdict": lambda row: "; ".join(claim.verdict for claim in row.claims) or NA,
    "claim_account": lambda row: "; ".join(claim.account for claim in row.claims) or NA,
    "input_spike_rate": lambda row: number(row.break_even.rate.value),
    "break_even_low": lambda row: number(min(row.break_even.by_model.values(), default=None)),
    "break_even_high": lambda row: number(max(row.break_even.by_model.values(), default=None)),
    "missing": missing,
    "temporal": lambda row: "yes" if row.temporal else "no",
}
"""Column name to its text, in the order written. New columns go to the end: readers count on the first ones."""


def render(table: Table) -> str:
    """The csv text, `\\n` at line ends, the header first."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([of(row) for of in COLUMNS.values()] for row in table.rows)
    return out.getvalue()
