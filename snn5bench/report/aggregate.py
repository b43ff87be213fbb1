"""One row from the records behind it."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from snn5bench import stats
from snn5bench.measure.energy.shape import event_rate
from snn5bench.record import Environment, Record, Status, TwinKind
from snn5bench.report.cells import Cells, Context, mean_of, plural, same_of
from snn5bench.report.marks import marks
from snn5bench.report.table import BreakEven, Curve, Estimate, Row, RowStatus, Setup, Source, Span, Value

TWIN_WORDS: dict[TwinKind, str] = {
    "none": "run",
    "notd": "NoTD twin (state cut between steps)",
    "sdbp": "SDBP twin (no gradient through time)",
    "shuffled": "shuffled twin (steps in random order)",
}
"""What each kind of cell is called where a sentence names it."""


def aggregate(variant: str, cells: Cells, context: Context) -> Row:
    """The row of `variant`: numbers over its finished seeds, marks, and what it rests on."""
    first = cells.all[0]
    done = cells.done("none")
    status, reason = summary(cells.own)
    accuracy, table = accuracy_of(done, context)
    return Row(
        id=f"{variant}@{context.dataset}",
        dataset=context.dataset,
        temporal=first.temporal,
        method=first.method,
        variant=variant,
        status=status,
        reason=reason,
        accuracy=accuracy,
        by_seed={seed: float(row.mean()) for seed, row in zip(done, table, strict=True)} if table is not None else {},
        temporal_gain=gain("notd", cells, context),
        shuffled_gain=gain("shuffled", cells, context),
        sdbp_gain=gain("sdbp", cells, context),
        T=same_of("T", done),
        params=same_of("params", done),
        spike_rate=mean_of("spike_rate", done),
        activation_sparsity=mean_of("activation_sparsity", done),
        weight_sparsity=mean_of("weight_sparsity", done),
        synops_per_sample=mean_of("synops_per_sample", done),
        energy_nj=energy(done),
        ann_ratio=ann_ratio(done),
        break_even=break_even(done),
        train_seconds=mean_of("train_seconds", done),
        peeking_gap=peeking(done),
        seeds=sorted(done),
        fidelity=first.fidelity.kind if first.fidelity else None,
        selection_rule=", ".join(sorted({record.selection_rule for record in done.values()})),
        marks=marks(cells, context),
        claims=list(context.claims.get((first.method, first.dataset), ())),
        curve=curve(done),
        setup=setup(cells),
        sources=[
            Source(
                twin=record.twin,
                seed=record.seed,
                status=record.status,
                reason=record.reason,
                key=record.key,
                file=context.files.get(record.key),
                git_commit=record.git_commit,
                git_dirty=record.git_dirty,
                started_at=record.started_at,
            )
            for record in cells.all
        ],
    )


def summary(own: Mapping[int, Record]) -> tuple[RowStatus, str]:
    """Status and reason of a row from its cells."""
    if not own:
        return "partial", "only twins of this row were run"
    kinds = {record.status for record in own.values()}
    status: RowStatus = next(iter(kinds)) if len(kinds) == 1 else "partial"
    open_cells = {seed: record for seed, record in own.items() if record.status is not Status.DONE}
    reasons = {seed: record.reason or f"{record.status}, no reason recorded" for seed, record in open_cells.items()}
    if len(set(reasons.values())) == 1 and len(kinds) == 1:
        return status, next(iter(reasons.values()))
    return status, "; ".join(f"seed {seed}: {reason}" for seed, reason in reasons.items())


def accuracy_of(done: Mapping[int, Record], context: Context) -> tuple[Estimate, NDArray[np.bool_] | None]:
    """The accuracy over the finished seeds, with the [seeds, samples] table it was taken from."""
    table, reason = stack(done, context)
    if table is None:
        return Estimate(reason=reason), None
    return Estimate(**stats.mean_interval(table)._asdict()), table


def gain(twin: TwinKind, cells: Cells, context: Context) -> Estimate:
    """The method's accuracy minus its twin's, paired by sample over the seeds that both finished."""
    if not cells.twins.get(twin):
        return Estimate(reason=f"no {TWIN_WORDS[twin]} was asked for")
    own, other = cells.done("none"), cells.done(twin)
    common = [seed for seed in own if seed in other]
    if not common:
        if not own:
            return Estimate(reason="no seed is done")
        reason = summary(cells.twins[twin])[1]
        return Estimate(reason=f"{TWIN_WORDS[twin]}: {reason or 'no seed in common'}")
    a, why_a = stack({seed: own[seed] for seed in common}, context)
    b, why_b = stack({seed: other[seed] for seed in common}, context)
    if a is None or b is None:
        return Estimate(reason=why_a or f"{TWIN_WORDS[twin]}: {why_b}")
    if a.shape != b.shape:
        return Estimate(reason=f"{TWIN_WORDS[twin]}: tested on {b.shape[1]} samples, not on {a.shape[1]}")
    lacking = [seed for seed in own if seed not in common]
    reason = f"over {plural(common)} only: the {TWIN_WORDS[twin]} of {plural(lacking)} is not done" if lacking else ""
    return Estimate(**stats.paired_interval(a, b)._asdict(), reason=reason)


def stack(records: Mapping[int, Record], context: Context) -> tuple[NDArray[np.bool_] | None, str]:
    """Correctness as [seeds, samples], or the reason why there is none. What is stored must agree with the record."""
    if not records:
        return None, "no seed is done"
    for seed, record in records.items():
        found = context.correct.get(record.key)
        if record.test_accuracy is None:
            return None, record.missing.get("test_accuracy") or f"no test accuracy was recorded for seed {seed}"
        if found is None or found.size == 0:
            return None, f"the per-sample correctness of seed {seed} is not stored"
        if not abs(float(np.mean(found)) - record.test_accuracy) <= 1e-4:
            return None, f"the stored correctness of seed {seed} disagrees with its record"
    rows = [context.correct[record.key] for record in records.values()]
    if len({row.shape for row in rows}) > 1:
        return None, f"{plural(list(records))} were tested on different numbers of samples"
    return np.stack(rows), ""


def energy(done: Mapping[int, Record]) -> Span:
    """Lowest to highest energy over the models that gave a number for every seed."""
    models = sorted({model for record in done.values() for model in record.energy_nj})
    by_model = {model: [record.energy_nj.get(model) for record in done.values()] for model in models}
    return span(
        by_model, "energy was not estimated" if not models else "no energy model gave a number for every seed", done
    )


def ann_ratio(done: Mapping[int, Record]) -> Span:
    """Lowest to highest ratio of the energy to that of the dense twin, each under one model."""
    models = sorted({model for record in done.values() for model in record.ann_twin_energy_nj})
    by_model = {
        model: [ratio(record.energy_nj.get(model), record.ann_twin_energy_nj.get(model)) for record in done.values()]
        for model in models
    }
    return span(by_model, "the energy of the ANN twin was not estimated", done)


def ratio(energy_nj: float | None, ann_nj: float | None) -> float | None:
    """energy / ann, or None where one is missing or the twin's is zero."""
    return energy_nj / ann_nj if energy_nj is not None and ann_nj else None


def break_even(done: Mapping[int, Record]) -> BreakEven:
    """The measured rate and each model's break-even: means over the seeds, for what every seed has."""
    rates = [event_rate(record.layers) for record in done.values()]
    known = [rate for rate in rates if rate is not None]
    models = sorted({model for record in done.values() for model in record.energy})
    given = {
        model: [r.energy[model].break_even_spike_rate if model in r.energy else None for r in done.values()]
        for model in models
    }
    found = span(given, "no break-even was estimated", done)
    if not known or len(known) < len(rates):
        rate = Value(reason="no spike reached counted synapses" if done else "no seed is done")
        return BreakEven(rate=rate, by_model=found.by_model, reason=found.reason)
    return BreakEven(
        rate=Value(value=fmean(known)),
        low=min(known),
        high=max(known),
        by_model=found.by_model,
        reason=found.reason,
    )


def span(by_model: Mapping[str, list[float | None]], empty: str, done: Mapping[int, Record]) -> Span:
    """The range of the models' means; the models that gave none are named in its reason."""
    means: dict[str, float] = {}
    silent: list[str] = []
    for model, values in by_model.items():
        numbers = [value for value in values if value is not None and isfinite(value)]
        if numbers and len(numbers) == len(values):
            means[model] = fmean(numbers)
        else:
            why = next(
                (r.energy[model].reason for r in done.values() if model in r.energy and r.energy[model].reason), ""
            )
            silent.append(f"{model} gave no number{f': {why}' if why else ''}")
    if not means:
        return Span(reason="; ".join(silent) or (empty if done else "no seed is done"))
    return Span(low=min(means.values()), high=max(means.values()), by_model=means, reason="; ".join(silent))


def peeking(done: Mapping[int, Record]) -> Value:
    """Mean over the seeds of what choosing the best test epoch would have added."""
    gaps = [
        record.test_accuracy_peeked - record.test_accuracy
        for record in done.values()
        if record.test_accuracy_peeked is not None and record.test_accuracy is not None
    ]
    if not gaps or len(gaps) < len(done) or not isfinite(fmean(gaps)):
        return Value(reason="the suite did not ask for it, or a seed lacks it" if done else "no seed is done")
    return Value(value=fmean(gaps))


def curve(done: Mapping[int, Record]) -> Curve:
    """Validation accuracy by epoch over the seeds that reached each epoch."""
    points: dict[int, list[float]] = {}
    for record in done.values():
        for step in record.curve:
            if isfinite(step.val_accuracy):
                points.setdefault(step.epoch, []).append(step.val_accuracy)
    epochs = sorted(points)
    return Curve(
        epoch=epochs,
        mean=[fmean(points[epoch]) for epoch in epochs],
        low=[min(points[epoch]) for epoch in epochs],
        high=[max(points[epoch]) for epoch in epochs],
    )


def setup(cells: Cells) -> Setup:
    """What the first cell was set up with (unlike cells carry a mark), and every environment that ran one."""
    first = cells.all[0]
    environments: list[Environment] = []
    for record in cells.all:
        if record.environment is not None and record.environment not in environments:
            environments.append(record.environment)
    return Setup(
        method_params=first.method_params,
        method_version=first.method_version,
        dataset_name=first.dataset_name or first.dataset,
        dataset_params=first.dataset_params,
        transform=first.transform,
        budget=first.budget,
        fingerprints={s: r.dataset_fingerprint for s, r in cells.own.items() if r.dataset_fingerprint is not None},
        environments=environments,
    )
