"""Intervals, paired tests, ranks and fronts on per-sample correctness. Pure functions on numpy arrays.

The model behind all of them: S networks (seeds) answer the same n test samples, so `correct[s, i]` is a two-way table
without replication,

    correct[s, i] = accuracy + seed_s + sample_i + interaction_si,

with random effects on both sides: another seed *and* another test set could have been drawn (Bouthillier et al., MLSys
2021, show how much either moves a benchmark). The analysis of variance of such a table (Searle, Casella, McCulloch,
Variance Components, 1992, section 4.3) splits the variance of its mean into a part of the seeds, `MS_seed / (S n)`,
and a part of the samples, `(MS_sample - MS_interaction) / (S n)`.

Three seeds give the first part two degrees of freedom. Satterthwaite's single freedom for the sum (Biometrics
Bulletin 2, 1946) overrates it just when the seeds agree by luck; we square and add the half widths of the parts, each
with its own Student quantile (Howe, JASA 69, 1974). Simulated with normal effects at 2, 3 and 5 seeds and many ratios
of the parts, that covers 95 to 99 %, where Satterthwaite's covers 88 to 98 %.

Every function raises `ValueError` on an array that is empty, has a wrong shape, or holds NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import exp, inf, log, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

SMALLEST_P = 1e-12
"""p-values below are given as this: a Student tail that far out says nothing about networks."""

Correct = NDArray[np.generic]
"""[S, n]: whether seed s was right on test sample i; bool, or zeros and ones of any type."""


class Interval(NamedTuple):
    """A mean with its confidence interval. `seeds == 1` says that no seed variance is in it."""

    mean: float
    low: float
    high: float
    seeds: int
    samples: int


class MeanSquares(NamedTuple):
    """Two-way analysis of variance of a [S, n] table without replication, S and n at least 2."""

    seed: float
    """S - 1 degrees of freedom; expects `interaction + n var(seed)`."""
    sample: float
    """n - 1 degrees of freedom; expects `interaction + S var(sample)`."""
    interaction: float
    """(S - 1)(n - 1) degrees of freedom."""


def mean_squares(table: NDArray[np.float64]) -> MeanSquares:
    """Mean squares of a [S, n] table with S, n >= 2."""
    S, n = table.shape
    by_seed, by_sample, mean = table.mean(axis=1), table.mean(axis=0), table.mean()
    residual = table - by_seed[:, None] - by_sample[None, :] + mean
    return MeanSquares(
        seed=float(n * np.square(by_seed - mean).sum() / (S - 1)),
        sample=float(S * np.square(by_sample - mean).sum() / (n - 1)),
        interaction=float(np.square(residual).sum() / ((S - 1) * (n - 1))),
    )


def half_width(table: NDArray[np.float64], confidence: float) -> float:
    """Half the width of the interval of the mean of a [S, n] table under random seeds and random samples.

    One seed: sample variance alone; one sample: seed variance alone; one of both: infinite. Never below the sample part
    that would remain if the seeds did not differ at all.
    """
    S, n = table.shape
    if S == 1 or n == 1:
        count, variance = S * n, table.var(ddof=1) if S * n > 1 else inf
        return _quantile(max(count - 1, 1), confidence) * sqrt(variance / count)
    ms, by_sample = mean_squares(table), _quantile(n - 1, confidence) ** 2
    seeds = _quantile(S - 1, confidence) ** 2 * ms.seed
    square = max(seeds + by_sample * max(ms.sample - ms.interaction, 0.0), by_sample * ms.sample)
    return sqrt(square / (S * n))


def mean_interval(correct: Correct, confidence: float = 0.95) -> Interval:
    """Interval of the accuracy that new seeds would reach on new samples of the same kind.

    Wilson's score interval (JASA 22, 1927), with the squared half width in the place of `z^2 p (1 - p) / n`, as for
    clustered samples (Korn and Graubard, Survey Methodology 24, 1998). It stays inside [0, 1] and has a width where
    all answers are right or all wrong: the seeds then count as one, and the bound is Wilson's for n samples, near the
    "rule of three". One seed, or one sample: Wilson's interval as it is.

    `correct` is [S, n], zeros and ones; the same n samples for each seed.
    """
    table = _table(correct)
    if not np.isin(table, (0.0, 1.0)).all():
        raise ValueError("correctness must be zeros and ones")
    (S, n), p = table.shape, float(table.mean())
    normal = _quantile(inf, confidence) ** 2
    width = normal / n
    if S > 1 and n > 1 and 0 < p < 1:
        width = max(half_width(table, confidence) ** 2 / (p * (1 - p)), normal / (S * n))
    centre = (p + width / 2) / (1 + width)
    half = sqrt(width * p * (1 - p) + width**2 / 4) / (1 + width)
    return Interval(p, max(0.0, min(centre - half, p)), min(1.0, max(centre + half, p)), S, n)


def paired_interval(a: Correct, b: Correct, confidence: float = 0.95) -> Interval:
    """Interval of `mean(a - b)`, clipped to [-1, 1]; row s of both is the same seed, column i the same sample.

    Never narrower than one sample gained and one lost among n + 2 would make it (the Laplace adjustment of Bonett and
    Price, J. Educ. Behav. Stat. 37, 2012): two rows with equal answers leave an interval of 2.8 / n to either side.
    """
    difference = _difference(a, b)
    mean, (S, n) = float(difference.mean()), difference.shape
    half = _paired_half(difference, confidence)
    return Interval(mean, max(-1.0, mean - half), min(1.0, mean + half), S, n)


def paired_p(a: Correct, b: Correct) -> float:
    """Two-sided p of "no difference in accuracy": 1 - the confidence at which `paired_interval` just reaches zero."""
    difference = _difference(a, b)
    mean = abs(float(difference.mean()))

    if mean == 0:
        return 1.0
    low, high = log(SMALLEST_P), 0.0
    for _ in range(50):
        middle = (low + high) / 2
        reached = _paired_half(difference, 1 - exp(middle)) > mean
        low, high = (middle, high) if reached else (low, middle)
    return exp(high)


def sample_variance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Variance of `mean(a) - mean(b)` from the choice of test samples; a is [S, n], b [R, n], columns the same samples.

    The sample part of the analysis of variance: what the samples' own differences scatter beyond the scatter of single
    networks. Never below one sample gained and one lost among n + 2 (see `paired_interval`).
    """
    n = a.shape[1]
    scatter = float((a.mean(axis=0) - b.mean(axis=0)).var(ddof=1)) if n > 1 else inf
    single = sum(mean_squares(side).interaction / len(side) for side in (a, b) if len(side) > 1 and n > 1)
    return max((scatter - single) / n, 2 / (n + 2) ** 2)


def moderate(variances: ArrayLike, freedom: ArrayLike, least: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Seed variance of each row when few seeds tell it: never below what the other rows show is usual.

    Empirical Bayes over rows (Smyth, Stat. Appl. Genet. Mol. Biol. 3, 2004, section 6.2): row variances are taken as
    drawn around a usual one, and the less they scatter beyond what their freedom explains, the more freedom that usual
    one lends each row. Where Smyth takes the weighted mean of a row's own and the usual variance, this takes the
    larger: a restless row whose seeds agree by luck must not raise an alarm. Assumes that the rows' variances are
    independent estimates.

    `variances` and `freedom` are [rows]; freedom 0 means that the row has no estimate. `least` is the smallest variance
    believed. Returns variances and freedom, [rows]; freedom 0 where nothing is known.
    """
    own, known = np.asarray(variances, dtype=np.float64), np.asarray(freedom, dtype=np.float64)
    has = known > 0
    if not has.any():
        return np.full_like(own, inf), np.zeros_like(known)
    seen, d = np.maximum(own[has], least), known[has]
    usual, lent = float(np.average(seen, weights=d)), float(d.sum() - d.mean())
    if has.sum() > 1:
        half = d / 2
        logs = np.log(seen) - special.digamma(half) + np.log(half)
        excess = float(logs.var(ddof=1) - special.polygamma(1, half).mean())
        prior = 2 * _inverse_trigamma(excess) if excess > 0 else inf
        if prior < lent:
            usual = exp(float(logs.mean()) + special.digamma(prior / 2) - log(prior / 2))
            lent = prior
    return np.where(has, np.maximum(own, usual), usual), np.minimum(known + lent, d.sum())


def holm(p: Sequence[float]) -> list[float]:
    """p-values adjusted for being many, in the given order (Holm, Scand. J. Stat. 6, 1979)."""
    values = np.asarray(p, dtype=np.float64)
    if values.size == 0:
        return []
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("p-values must lie in [0, 1]")
    order = np.argsort(values, kind="stable")
    stepped = np.minimum(1.0, values[order] * np.arange(values.size, 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.maximum.accumulate(stepped)
    return [float(value) for value in adjusted]


def ranks(rows: Mapping[str, Correct], confidence: float = 0.95) -> dict[str, int]:
    """Rank of each row, 1 for the best; rows that cannot be told from the leader of their group share its rank.

    The leader is the row with the highest mean (of equal means, the first name); each of the rest is compared with it
    on the same samples, with the seed variance `moderate`d over all rows, and corrected over them by `holm`. The rows
    not found different make the group; the next leader comes from the rows left over, with rank 1 + the number of rows
    above. All arrays have one shape [S, n]: the caller hands the seeds and samples that the rows have in common.
    """
    tables = {name: _table(rows[name]) for name in rows}
    if len({table.shape for table in tables.values()}) > 1:
        raise ValueError("rows must share their seeds and samples: one shape for all")
    left = sorted(tables, key=lambda name: (-float(tables[name].mean()), name))
    differ = _difference_p(tables)
    result: dict[str, int] = {}
    while left:
        rank, (leader, *others) = len(result) + 1, left
        adjusted = holm([differ(leader, other) for other in others])
        tied = {other for other, p in zip(others, adjusted, strict=True) if p >= 1 - confidence}
        result |= dict.fromkeys([leader, *(other for other in others if other in tied)], rank)
        left = [other for other in others if other not in tied]
    return {name: result[name] for name in rows}


def _difference_p(tables: Mapping[str, NDArray[np.float64]]) -> Callable[[str, str], float]:
    """Two-sided p of "two rows are equally accurate", for rows of one shape [S, n] whose seeds may be independent."""
    if not tables:
        return lambda a, b: 1.0
    S, n = next(iter(tables.values())).shape
    own = [float(table.mean(axis=1).var(ddof=1)) if S > 1 else 0.0 for table in tables.values()]
    if S > 1:
        variances, freedom = moderate(own, [S - 1] * len(own), 1 / n**2)
    else:
        variances, freedom = np.zeros(len(own)), np.full(len(own), max(n - 1, 1))
    seeds = dict(zip(tables, zip(variances / S, freedom, strict=True), strict=True))

    def p(a: str, b: str) -> float:
        variance = seeds[a][0] + seeds[b][0] + sample_variance(tables[a], tables[b])
        difference = abs(float(tables[a].mean() - tables[b].mean()))
        return float(2 * special.stdtr(seeds[a][1], -difference / sqrt(variance)))

    return p


def pareto(x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
    """Which points are on the front of low x and high y; equal points are kept together, NaN is never on it."""
    cost, gain = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if cost.ndim != 1 or cost.shape != gain.shape:
        raise ValueError("x and y must be one-dimensional and of one length")
    cheaper, better = cost[:, None] <= cost[None, :], gain[:, None] >= gain[None, :]
    strictly = (cost[:, None] < cost[None, :]) | (gain[:, None] > gain[None, :])
    dominated = (cheaper & better & strictly).any(axis=0)
    return ~dominated & ~np.isnan(cost) & ~np.isnan(gain)


def _table(correct: Correct) -> NDArray[np.float64]:
    table = np.asarray(correct, dtype=np.float64)
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"expected [seeds, samples] with at least one of each, got shape {table.shape}")
    if not np.isfinite(table).all():
        raise ValueError("NaN or infinity in the table")
    return table


def _difference(a: Correct, b: Correct) -> NDArray[np.float64]:
    left, right = _table(a), _table(b)
    if left.shape != right.shape:
        raise ValueError(f"pairs must share seeds and samples: {left.shape} against {right.shape}")
    return left - right


def _paired_half(difference: NDArray[np.float64], confidence: float) -> float:
    n = difference.shape[1]
    least = _quantile(max(n - 1, 1), confidence) * sqrt(2) / (n + 2)
    return max(half_width(difference, confidence), least)


def _quantile(freedom: float, confidence: float) -> float:
    """Two-sided Student quantile; infinite freedom is the normal one."""
    if not 0 <= confidence < 1:
        raise ValueError(f"confidence must lie in [0, 1), got {confidence}")
    tail = (1 - confidence) / 2
    return float(-special.ndtri(tail) if freedom == inf else -special.stdtrit(freedom, tail))


def _inverse_trigamma(y: float) -> float:
    """x > 0 with trigamma(x) = y > 0, by Newton's iteration on 1 / trigamma, which is convex (Smyth 2004, appendix)."""
    x = 0.5 + 1 / y
    for _ in range(50):
        value = float(special.polygamma(1, x))
        step = value * (1 - value / y) / float(special.polygamma(2, x))
        x += step
        if abs(step) < 1e-9 * x:
            break
    return x
