"""How far each row moved between two sets of runs, and whether training again could have done it alone.

The null hypothesis is a night on unchanged code whose networks were nevertheless trained with other randomness
(another machine's rounding is enough): both sides of a row are then draws from one distribution. With three seeds a
side the seed variance is the hard part, so it is estimated over all rows (`stats.moderate`), from the scatter of the
seeds within either side: with twelve rows up to 48 degrees of freedom instead of two. The choice of test samples adds
`stats.sample_variance`, on paired samples.

Pairing on seeds (the same initialisation and order of the data) makes the two runs of a seed alike as long as the change
touches them little. How alike is read off the answers, row by row: if the two runs of one seed disagree on a tenth as
many samples as runs of different seeds do, the difference of the sides gets a tenth of the seed variance. Where they
disagree as much, the change retrained the row from nothing, and pairing is worth nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from snn5bench import stats

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sides:
    """One metric of one row: a value for each seed, before and after."""

    before: Floats
    """[seeds before]"""
    after: Floats
    """[seeds after]"""
    shared: int = 0
    """Number of seeds that both sides have."""
    alike: float = 0.0
    """0 where the two runs of a seed are as different as runs of two seeds, 1 where they are the same."""
    sample_variance: float = 0.0
    """Variance of the difference of the means from the choice of test samples."""
    tested: bool = True
    """False for a row known to be unchanged: it says how restless its seeds are, and is no candidate for an alarm."""

    @classmethod
    def of_answers(cls, before: Floats, after: Floats, shared: Sequence[tuple[int, int]], tested: bool = True) -> Sides:
        """From correctness [seeds, samples] on the same samples; `shared` are the positions (before, after) of the
        seeds that both sides have."""
        variance = stats.sample_variance(before, after)
        alike = _alike(before, after, shared)
        return cls(before.mean(axis=1), after.mean(axis=1), len(shared), alike, variance, tested)


class Shift(NamedTuple):
    """How far a row moved: mean after - mean before."""

    mean: float
    low: float
    high: float
    p_fell: float
    """One-sided, corrected over the rows (Holm)."""
    p_rose: float


def shifts(rows: Sequence[Sides], least: float, confidence: float = 0.95) -> list[Shift | None]:
    """The shift of each row; None for rows that are not tested, and where no row has two seeds on one side.

    `least` is the smallest seed variance believed, in the squared unit of the values. The interval is for one row, not
    corrected over rows.
    """
    variances, freedom = stats.moderate([_within(row)[0] for row in rows], [_within(row)[1] for row in rows], least)
    tested = [index for index, row in enumerate(rows) if row.tested and freedom[index] > 0]
    found: list[tuple[float, float, float]] = []
    for index in tested:
        row, S, R = rows[index], len(rows[index].before), len(rows[index].after)
        seeds = variances[index] * (1 / S + 1 / R - 2 * row.alike * row.shared / (S * R))
        found.append((float(row.after.mean() - row.before.mean()), sqrt(seeds + row.sample_variance), freedom[index]))
    fell = stats.holm([float(special.stdtr(freedom, mean / sd)) for mean, sd, freedom in found])
    rose = stats.holm([float(special.stdtr(freedom, -mean / sd)) for mean, sd, freedom in found])
    result: list[Shift | None] = [None] * len(rows)
    for index, (mean, sd, free), p_fell, p_rose in zip(tested, found, fell, rose, strict=True):
        half = float(special.stdtrit(free, (1 + confidence) / 2)) * sd
        result[index] = Shift(mean, mean - half, mean + half, p_fell, p_rose)
    return result


def _within(row: Sides) -> tuple[float, int]:
    """Variance of a seed's value within the sides, pooled, and its degrees of freedom. An unchanged row counts once."""
    sides = (row.before, row.after) if row.tested else (row.before,)
    freedom = sum(len(side) - 1 for side in sides)
    squares = sum(float(np.square(side - side.mean()).sum()) for side in sides)
    return (squares / freedom if freedom else 0.0), freedom


def _alike(before: Floats, after: Floats, shared: Sequence[tuple[int, int]]) -> float:
    """1 - disagreement of the runs of one seed / disagreement of runs of two seeds, cautious by a standard error."""
    differ = before.sum(axis=1)[:, None] + after.sum(axis=1)[None, :] - 2 * before @ after.T
    pairs = np.zeros(differ.shape, dtype=bool)
    pairs[tuple(np.array(shared, dtype=int).reshape(-1, 2).T)] = True
    one, two = differ[pairs], differ[~pairs]
    if not one.size or not two.size or two.sum() == 0:
        return 0.0
    caution = exp(sqrt(1 / max(one.sum(), 1) + 1 / two.sum()))
    return max(0.0, 1 - caution * float(one.mean() / two.mean()))
