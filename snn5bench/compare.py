"""The regression gate: new records against a baseline, a mark for each row and metric, and a verdict.

The rule, for accuracy (which alone decides, unless told otherwise):

- a row whose networks answer every test sample as before is the *same*, without a test;
- a row is *worse* if its drop is at least `margin` and significant at the look's `alpha`, one-sided and corrected over
  the rows (`shift` says what else is assumed);
- a row is the *same* if its whole 95 % interval lies within the margin;
- else one *cannot tell*. Such a row keeps the night from passing if it is suspect (corrected p below the look's
  `suspect`); rows whose interval merely is too wide to exclude a drop of `serious` do so when no row is better known.

A night may look twice: the first look alarms at little, and suspects much; the suspects are run with `FURTHER` more
seeds, and the second look decides. Both looks together spend 0.7 % of nights (Bonferroni); the rest of the promised 1 %
pays for variances that are estimated. docs/trust.md has the simulated rates, tests/test_gate.py holds them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import expm1
from typing import NamedTuple

import numpy as np

from snn5bench.baseline import Answers, Baseline, LockedCell, RowName, lock
from snn5bench.changes import changed
from snn5bench.errors import BenchError
from snn5bench.judgement import Comparison, Judgement, Mark, Metric, RowVerdict
from snn5bench.record import Record, Status
from snn5bench.shift import Shift, Sides, shifts

CONFIDENCE = 0.95
FURTHER = 15
"""Seeds that a suspect row is given for the second look."""
RATIO_MARGIN = 0.05
"""Spike rate and operations within 5 % are the same."""
TIME_FACTOR = 1.5
"""Time is slower or faster only beyond this factor, and without overlap."""
_FIELDS: Mapping[Metric, str] = {
    "spike_rate": "spike_rate",
    "operations": "synops_per_sample",
    "time": "train_seconds",
}

Cells = dict[int, LockedCell]
"""Seed to cell."""


class Look(NamedTuple):
    """How a look at a night's records decides."""

    alpha: float
    """A corrected p below this is an alarm."""
    suspect: float
    """A corrected p below this, without being an alarm, asks for more seeds."""


ONLY, FIRST, SECOND = Look(0.005, 0.1), Look(0.001, 0.4), Look(0.006, 0.1)


def compare(
    baseline: Baseline,
    records: Sequence[Record],
    correct_by_record: Mapping[str, Answers],
    margin: float = 0.01,
    look: Look = ONLY,
    serious: float = 0.03,
    also: Sequence[Metric] = (),
) -> Comparison:
    """Compare new records with the baseline. `correct_by_record` maps a record's key to its answers, [n_test].

    `margin` and `serious` are shares (0.01 is a point). The metrics in `also` decide besides accuracy; the look's `alpha`
    then holds for each of them.

    Raises `BenchError` where the records are none, of another suite, or do not agree with their answers.
    """
    today = lock(records, correct_by_record)
    if today.suite != baseline.suite:
        raise BenchError(f"the records are of suite '{today.suite}', the baseline is of '{baseline.suite}'")
    old, new = _rows(baseline), _rows(today)
    settled = {name: _standing(old.get(name, {}), new.get(name, {})) for name in sorted(old.keys() | new.keys())}
    both = {name: (_done(old[name]), _done(new[name])) for name, judgement in settled.items() if judgement is None}
    metrics: dict[RowName, dict[Metric, Judgement]] = {
        name: {"accuracy": judgement} for name, judgement in settled.items() if judgement is not None
    }
    for name, judgement in _accuracy(both, margin, serious, look).items():
        metrics[name] = {"accuracy": judgement}
    for metric in ("spike_rate", "operations"):
        for name, judgement in _ratios(both, metric, look.alpha).items():
            metrics[name][metric] = judgement
    same_machine = {name: _environments(baseline, old, name) == _environments(today, new, name) for name in both}
    for name, (before, after) in both.items():
        if pace := _time(before, after, same_machine[name]):
            metrics[name]["time"] = pace
    return Comparison(
        suite=baseline.suite,
        locked_at=baseline.locked_at,
        git_commit=baseline.git_commit,
        margin=margin,
        serious=serious,
        alpha=look.alpha,
        decides=("accuracy", *also),
        changes=changed(baseline, records),
        rows=[RowVerdict(**name._asdict(), metrics=metrics[name]) for name in settled],
    )


def _rows(side: Baseline) -> dict[RowName, Cells]:
    rows: dict[RowName, Cells] = {}
    for cell in side.cells:
        rows.setdefault(cell.row, {})[cell.seed] = cell
    return rows


def _done(cells: Cells) -> Cells:
    return {seed: cell for seed, cell in cells.items() if cell.status is Status.DONE}


def _standing(old: Cells, new: Cells) -> Judgement | None:
    """What can be said of a row without its numbers; None where the numbers must speak."""
    if not new:
        return Judgement(mark=Mark.UNDECIDED, reason="not in the new records", open=bool(_done(old)))
    if not old:
        return Judgement(mark=Mark.INCOMPARABLE, reason="new: not in the baseline")
    if difference := _definition_changed(old, new):
        return Judgement(mark=Mark.INCOMPARABLE, reason=difference)
    broke = [
        cell for seed, cell in new.items() if cell.status in (Status.FAILED, Status.INCOMPATIBLE) and seed in _done(old)
    ]
    if broke:
        first = broke[0]
        return Judgement(mark=Mark.BROKE, reason=f"seed {first.seed} {first.status}: {first.reason}".rstrip(": "))
    if _done(new):
        return None if _done(old) else Judgement(mark=Mark.FIXED, reason=f"was {next(iter(old.values())).status}")
    first = next(iter(new.values()))
    why = f"{first.status.replace('_', ' ')}: {first.reason}".rstrip(": ")
    if _done(old):
        return Judgement(mark=Mark.UNDECIDED, reason=why, open=True)
    return Judgement(mark=Mark.SAME, reason=f"as before, {why}")


def _definition_changed(old: Cells, new: Cells) -> str:
    """Why the two sides do not measure the same thing, or nothing."""
    if {cell.definition for cell in old.values()} != {cell.definition for cell in new.values()}:
        return "its definition changed (method, its parameters or the data's)"
    before, after = _done(old), _done(new)
    if before and after and {cell.protocol for cell in before.values()} != {cell.protocol for cell in after.values()}:
        return "its protocol changed (budget, transform or selection rule)"
    seeds = before.keys() & after.keys()
    if not seeds and before and after:
        same = {_data(cell) for cell in before.values()} == {_data(cell) for cell in after.values()}
    else:
        same = all(_data(before[seed]) == _data(after[seed]) for seed in seeds)
    return "" if same else "its data changed"


def _data(cell: LockedCell) -> tuple[str | None, int | None]:
    return cell.dataset_fingerprint, cell.n_test


Both = Mapping[RowName, tuple[Cells, Cells]]
"""Rows to their done cells, before and after."""


def _shared(before: Cells, after: Cells) -> tuple[tuple[int, int], ...]:
    """Positions of the seeds on both sides, in sorted cells."""
    at = {seed: index for index, seed in enumerate(sorted(before))}
    return tuple((at[seed], index) for index, seed in enumerate(sorted(after)) if seed in at)


def _answers(cells: Cells) -> np.ndarray:
    """[S, n] correctness, seeds in order."""
    return np.stack([cells[seed].answers.unpack() for seed in sorted(cells)]).astype(float)  # type: ignore[union-attr]


def _accuracy(both: Both, margin: float, serious: float, look: Look) -> dict[RowName, Judgement]:
    sides, samples = {}, 1
    for name, (before, after) in both.items():
        shared, old, new = _shared(before, after), _answers(before), _answers(after)
        unchanged = len(shared) == len(after) and all((old[i] == new[j]).all() for i, j in shared)
        sides[name], samples = Sides.of_answers(old, new, shared, not unchanged), max(samples, new.shape[1])
    found = shifts(list(sides.values()), least=1 / samples**2, confidence=CONFIDENCE)
    return {
        name: _judge_accuracy(both[name], side, shift, margin, serious, look)
        for (name, side), shift in zip(sides.items(), found, strict=True)
    }


def _judge_accuracy(
    cells: tuple[Cells, Cells], side: Sides, shift: Shift | None, margin: float, serious: float, look: Look
) -> Judgement:
    ends = {"before": float(side.before.mean()), "after": float(side.after.mean())}
    if not side.tested:
        ends["before"] = ends["after"]
        return Judgement(mark=Mark.SAME, **ends, low=0.0, high=0.0, reason="every answer as before")
    before, after = cells
    drifted = sorted(seed for seed in before.keys() & after.keys() if _drifted(before[seed], after[seed]))
    note = f"seed {drifted[0]}: same key, other answers (not deterministic here)" if drifted else ""
    if shift is None:
        note = note or "one seed a side, and no other row tells how restless seeds are"
        return Judgement(mark=Mark.UNDECIDED, **ends, reason=note, open=True)
    mark = _mark(shift, margin, look.alpha, up=Mark.BETTER, down=Mark.WORSE)
    suspect = mark is Mark.UNDECIDED and shift.p_fell < look.suspect and shift.mean <= -margin
    blind = mark is Mark.UNDECIDED and shift.low < -serious
    if suspect:
        note = f"may have dropped (p = {shift.p_fell:.2g}): run more seeds"
    elif blind:
        note = note or f"seeds scatter too much to exclude a drop of {100 * serious:g} points"
    p = min(shift.p_fell, shift.p_rose)
    return Judgement(mark=mark, **ends, low=shift.low, high=shift.high, p=p, reason=note, open=suspect, blind=blind)


def _drifted(before: LockedCell, after: LockedCell) -> bool:
    return before.key == after.key and before.answers != after.answers


def _ratios(both: Both, metric: Metric, alpha: float) -> dict[RowName, Judgement]:
    """Marks of a positive quantity of which less is better, on the logarithms of its values."""
    sides, result = {}, {}
    for name, (before, after) in both.items():
        old, new = _values(before, metric), _values(after, metric)
        if old is None or new is None:
            if old is not None:
                result[name] = Judgement(mark=Mark.UNDECIDED, before=float(old.mean()), reason="n/a in the new records")
            continue
        shared = _shared(before, after)
        unchanged = len(shared) == len(new) and all(old[i] == new[j] for i, j in shared)
        if not unchanged and min(old.min(), new.min()) <= 0:
            ends = {"before": float(old.mean()), "after": float(new.mean())}
            result[name] = Judgement(mark=Mark.UNDECIDED, **ends, reason="a zero has no ratio")
        elif unchanged:
            mean = float(new.mean())
            result[name] = Judgement(mark=Mark.SAME, before=mean, after=mean, low=0.0, high=0.0)
        else:
            sides[name] = (old, new, Sides(np.log(old), np.log(new)))
    found = shifts([side for *_, side in sides.values()], least=1e-3**2, confidence=CONFIDENCE)
    for (name, (old, new, _)), shift in zip(sides.items(), found, strict=True):
        ends = {"before": float(old.mean()), "after": float(new.mean())}
        if shift is None:
            result[name] = Judgement(mark=Mark.UNDECIDED, **ends, reason="one seed a side")
            continue
        mark = _mark(shift, RATIO_MARGIN, alpha, up=Mark.WORSE, down=Mark.BETTER)
        p = min(shift.p_fell, shift.p_rose)
        result[name] = Judgement(mark=mark, **ends, low=expm1(shift.low), high=expm1(shift.high), p=p)
    return result


def _mark(shift: Shift, margin: float, alpha: float, up: Mark, down: Mark) -> Mark:
    if shift.p_fell < alpha and shift.mean <= -margin:
        return down
    if shift.p_rose < alpha and shift.mean >= margin:
        return up
    return Mark.SAME if -margin <= shift.low and shift.high <= margin else Mark.UNDECIDED


def _values(cells: Cells, metric: Metric) -> np.ndarray | None:
    """[S] values of a metric, seeds in order; None where one is missing."""
    values = [getattr(cells[seed], _FIELDS[metric]) for seed in sorted(cells)]
    return None if None in values else np.array(values, dtype=float)


def _environments(side: Baseline, rows: Mapping[RowName, Cells], name: RowName) -> set[tuple[str, str, int]]:
    parts = [side.key_parts(cell).get("environment") or {} for cell in _done(rows[name]).values()]
    return {(str(p.get("cpu")), str(p.get("device")), int(p.get("threads") or 0)) for p in parts}


def _time(before: Cells, after: Cells, same_machine: bool) -> Judgement | None:
    """Training time by a generous factor; other machines are not comparable."""
    old, new = _values(before, "time"), _values(after, "time")
    if old is None or new is None:
        return None
    ends = {"before": float(np.median(old)), "after": float(np.median(new))}
    if not same_machine:
        return Judgement(mark=Mark.INCOMPARABLE, **ends, reason="another machine")
    if ends["after"] > TIME_FACTOR * ends["before"] and new.min() > old.max():
        return Judgement(mark=Mark.WORSE, **ends)
    if ends["before"] > TIME_FACTOR * ends["after"] and old.min() > new.max():
        return Judgement(mark=Mark.BETTER, **ends)
    return Judgement(mark=Mark.SAME, **ends)
