"""Published claims against our records: reproduced, direction reproduced, contradicted, cannot tell, not testable here.

Each predicate becomes a reading (a mean with its 95 % interval over seeds and samples) and is held against two lines: the
claimed number and the direction. A verdict is given only where the whole interval lies on one side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy import stats as scipy_stats

from snn5bench.claims import Accuracy, Claim, EnergyRatio, Gain, GapWithin, Measured, PeekingGap
from snn5bench.record import Record, Status, TwinKind
from snn5bench.stats import Interval, mean_interval, paired_interval

Correct = Mapping[str, np.ndarray]
"""Key of a record to the boolean array of which test samples were right."""

LEAST_SEEDS = 2


class Verdict(StrEnum):
    """From best to worst for the claim; the last two say nothing about it."""

    REPRODUCED = "reproduced"
    DIRECTION = "direction reproduced"
    CONTRADICTED = "contradicted"
    CANNOT_TELL = "cannot tell"
    NOT_TESTABLE = "not testable here"


class Finding(BaseModel):
    """What became of one claim here."""

    model_config = ConfigDict(frozen=True)

    id: str
    claim: str
    source: str
    verdict: Verdict
    number: str = ""
    """Ours, with its interval."""
    reason: str = ""
    """Why there is no verdict, or what is still missing for the published number."""
    command: str = ""
    """What brings the number."""


class Unreadable(Exception):
    """The records do not hold what a predicate asks for."""


class _Outcome(NamedTuple):
    verdict: Verdict
    number: str


def judge(claim: Claim, records: Sequence[Record], correct: Correct) -> Finding:
    """Hold one claim against the records of its suite."""
    given = {"id": claim.id, "claim": claim.claim, "source": claim.source}
    needs = f"needs {', '.join(claim.needs)}" if claim.needs else ""
    if not claim.predicates:
        return Finding(verdict=Verdict.NOT_TESTABLE, reason=needs, **given)
    command = _command(claim)
    try:
        outcomes = [_decide(predicate, claim, records, correct) for predicate in claim.predicates]
    except Unreadable as lost:
        return Finding(verdict=Verdict.CANNOT_TELL, reason=str(lost), command=command, **given)
    worst = max((outcome.verdict for outcome in outcomes), key=_SEVERITY.index)
    number = "; ".join(outcome.number for outcome in outcomes)
    return Finding(verdict=worst, number=number, reason=needs, command=command, **given)


_SEVERITY = (Verdict.REPRODUCED, Verdict.DIRECTION, Verdict.CANNOT_TELL, Verdict.CONTRADICTED)
"""How several predicates make one verdict: the claim holds as far as the worst of them does."""


def _command(claim: Claim) -> str:
    tests = [p.test for p in claim.predicates if isinstance(p, Measured)]
    return f"python -m pytest {' '.join(tests)}" if tests else f"snn5bench run {claim.suite}"


def _decide(predicate: object, claim: Claim, records: Sequence[Record], correct: Correct) -> _Outcome:
    if isinstance(predicate, Measured):
        return _Outcome(Verdict(predicate.verdict), predicate.number)
    met = Verdict.REPRODUCED if claim.scale == "number" else Verdict.DIRECTION
    if isinstance(predicate, Gain | GapWithin):
        reading = _gap(predicate, records, correct)
        words = f"{100 * reading.mean:+.1f} points {_points(reading)}, {_size(reading)}"
        if isinstance(predicate, GapWithin):
            return _Outcome(within(reading, predicate.within, met), words)
        return _Outcome(above(reading, predicate.above, 0.0, met), words)
    if isinstance(predicate, Accuracy):
        rows = _matching(records, predicate.method, predicate.dataset, predicate.twin)
        reading = mean_interval(_stack(rows, correct, sorted(rows)))
        words = f"{100 * reading.mean:.1f} % {_points(reading)}, {_size(reading)}"
        if predicate.above is not None:
            return _Outcome(above(reading, predicate.above, predicate.above, met), words)
        return _Outcome(below(reading, predicate.below or 0.0, predicate.below or 0.0, met), words)
    if isinstance(predicate, PeekingGap):
        reading = _peeking(predicate, records)
        words = f"{100 * reading.mean:+.2f} points {_points(reading, 2)}, {reading.samples} rows"
        return _Outcome(within(reading, predicate.within, met), words)
    assert isinstance(predicate, EnergyRatio)
    reading = _energy_ratio(predicate, records)
    words = (
        f"{reading.mean:.3g} of the dense twin's energy [{reading.low:.3g}, {reading.high:.3g}], {reading.seeds} seeds"
    )
    return _Outcome(below(reading, predicate.below, 1.0, met), words)


def above(reading: Interval, claimed: float, direction: float, met: Verdict) -> Verdict:
    """A number claimed to be at least `claimed`, whose direction is right above `direction`."""
    if reading.low > claimed:
        return met
    if reading.low > direction:
        return Verdict.DIRECTION
    return Verdict.CONTRADICTED if reading.high < direction else Verdict.CANNOT_TELL


def below(reading: Interval, claimed: float, direction: float, met: Verdict) -> Verdict:
    """The mirror image."""
    mirrored = Interval(-reading.mean, -reading.high, -reading.low, reading.seeds, reading.samples)
    return above(mirrored, -claimed, -direction, met)


def within(reading: Interval, limit: float, met: Verdict) -> Verdict:
    """A difference claimed to be at most `limit` either way."""
    if -limit < reading.low and reading.high < limit:
        return met
    return Verdict.CONTRADICTED if reading.low > limit or reading.high < -limit else Verdict.CANNOT_TELL


def _matching(records: Sequence[Record], method: str, dataset: str, twin: TwinKind) -> dict[int, Record]:
    """Seed to the finished record of a row. A variant is found by its whole name, a method with one variant by its own."""
    done = [r for r in records if r.status is Status.DONE and r.dataset == dataset and r.twin == twin]
    rows = [r for r in done if r.variant == method] or [r for r in done if r.method == method]
    name = f"{method}{'' if twin == 'none' else '+' + twin}@{dataset}"
    if len({r.variant for r in rows}) > 1:
        raise Unreadable(f"{name} has several variants: name one")
    if len(rows) < LEAST_SEEDS:
        raise Unreadable(
            f"{name} has {len(rows) or 'no'} finished seed{'' if len(rows) == 1 else 's'} of at least {LEAST_SEEDS}"
        )
    return {r.seed: r for r in rows}


def _stack(rows: Mapping[int, Record], correct: Correct, seeds: Sequence[int]) -> np.ndarray:
    """`[S, n]`: which samples were right."""
    found = [correct[rows[seed].key] for seed in seeds if rows[seed].key in correct]
    if len(found) < len(seeds) or len({len(row) for row in found}) != 1:
        raise Unreadable(f"the per-sample predictions of {rows[seeds[0]].variant} are missing or of unequal length")
    return np.stack(found)


def _gap(predicate: Gain | GapWithin, records: Sequence[Record], correct: Correct) -> Interval:
    mine = _matching(records, predicate.method, predicate.dataset, "none")
    twin = next((kind for kind in get_args(TwinKind) if kind == predicate.over and kind != "none"), None)
    if twin is not None:
        other = _matching(records, predicate.method, predicate.dataset, twin)
    else:
        other = _matching(records, predicate.over, predicate.dataset, "none")
    seeds = sorted(mine.keys() & other.keys())
    if len(seeds) < LEAST_SEEDS:
        raise Unreadable(f"{predicate.method} and {predicate.over} share fewer than {LEAST_SEEDS} seeds")
    a, b = _stack(mine, correct, seeds), _stack(other, correct, seeds)
    if a.shape != b.shape:
        raise Unreadable(f"{predicate.method} and {predicate.over} answered different test samples")
    return paired_interval(a, b)


def _peeking(predicate: PeekingGap, records: Sequence[Record]) -> Interval:
    rows: dict[tuple[str, str], list[float]] = {}
    for r in records:
        if r.status is not Status.DONE or r.twin != "none" or predicate.dataset not in (None, r.dataset):
            continue
        if r.test_accuracy_peeked is not None and r.test_accuracy is not None:
            rows.setdefault((r.variant, r.dataset), []).append(r.test_accuracy_peeked - r.test_accuracy)
    if len(rows) < 2:
        raise Unreadable("fewer than two rows record what the best test epoch would have shown")
    return _student([float(np.mean(gaps)) for gaps in rows.values()])


def _energy_ratio(predicate: EnergyRatio, records: Sequence[Record]) -> Interval:
    rows = _matching(records, predicate.method, predicate.dataset, "none")
    logs = []
    for record in rows.values():
        snn, ann = record.energy_nj.get(predicate.model), record.ann_twin_energy_nj.get(predicate.model)
        if not snn or not ann:
            raise Unreadable(
                f"{predicate.method}@{predicate.dataset} has no energy under the model '{predicate.model}'"
            )
        logs.append(math.log(snn / ann))
    found = _student(logs)
    return found._replace(
        mean=math.exp(found.mean), low=math.exp(found.low), high=math.exp(found.high), seeds=len(logs)
    )


def _student(values: Sequence[float]) -> Interval:
    """Student's 95 % interval of a mean of at least two values."""
    mean, n = float(np.mean(values)), len(values)
    half = float(scipy_stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / math.sqrt(n))
    return Interval(mean, mean - half, mean + half, 1, n)


def _points(reading: Interval, digits: int = 1) -> str:
    return f"[{100 * reading.low:.{digits}f}, {100 * reading.high:.{digits}f}]"


def _size(reading: Interval) -> str:
    return f"{reading.seeds} seeds, {reading.samples} samples"
