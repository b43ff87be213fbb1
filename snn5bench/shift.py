"""How far each row moved between two sets of runs, and whether training again could have done it alone.

The null hypothesis is a night on unchanged code whose networks were nevertheless trained with other randomness
(another machine's rounding is enough): both sides of a row are then draws from one distribution. With three seeds a
side the seed variance is the hard part, so it is estimated over all rows (`stats.moderate`), from the scatter of the
seeds within either side: with twelve rows up to 48 degrees of freedom instead of two. The choice of test samples adds
`stats.sample_variance`, on paired samples.

Pairing on seeds (the same initialisation and order of the data) makes the two runs of a seed alike as long as the code
hardly changed; how alike is one correlation for all rows, believed up to one standard error below its estimate
(Fisher's z) and never below zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import atanh, sqrt, tanh
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
    shared: tuple[tuple[int, int], ...] = ()
    """Positions (before, after) of the seeds that both sides have."""
    sample_variance: float = 0.0
    """Variance of the difference of the means from the choice of test samples."""
    tested: bool = True
    """False for a row known to be unchanged: it says how restless its seeds are, and is no candidate for an alarm."""

    @classmethod
    def of_answers(cls, before: Floats, after: Floats, shared: tuple[tuple[int, int], ...], tested: bool) -> Sides:
        """From correctness [seeds, samples] on the same samples."""
        variance = stats.sample_variance(before, after)
        return cls(before.mean(axis=1), after.mean(axis=1), shared, variance, tested)


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
    alike = _correlation(rows)
    tested = [index for index, row in enumerate(rows) if row.tested and freedom[index] > 0]
    found: list[tuple[float, float, float]] = []
    for index in tested:
        row, S, R = rows[index], len(rows[index].before), len(rows[index].after)
        seeds = variances[index] * (1 / S + 1 / R - 2 * alike * len(row.shared) / (S * R))
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


def _correlation(rows: Sequence[Sides]) -> float:
    """How alike the two runs of one seed are, over all tested rows: a cautious estimate in [0, 1)."""
    alike, freedom = 0.0, 0
    for row in rows:
        if not row.tested or len(row.shared) < 2:
            continue
        at_before, at_after = (list(at) for at in zip(*row.shared, strict=True))
        before, after = (side - side.mean() for side in (row.before[at_before], row.after[at_after]))
        squares = float((before @ before + after @ after) / 2)
        if squares > 0:
            alike += (len(row.shared) - 1) * float(before @ after) / squares
            freedom += len(row.shared) - 1
    if freedom < 3 or alike <= 0:
        return 0.0
    return max(0.0, tanh(atanh(min(alike / freedom, 0.99)) - 1 / sqrt(freedom - 1)))
