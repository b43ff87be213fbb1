"""Simulated nights: rows of networks that answer test questions, retrained with other randomness.

`python -m tests.gate_nights` prints the rates of docs/trust.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

from snn5bench.compare import FIRST, FURTHER, ONLY, SECOND, Look
from snn5bench.shift import Floats, Shift, Sides, shifts

CHANCES, SHARES = (0.98, 0.05, 0.5), (0.7, 0.1, 0.2)
"""Most questions are easy, some hopeless, a fifth a coin flip: what single networks scatter on 2,000 is 0.6 points."""


MARGIN = 0.01
ALIKE, QUIET = [0.01] * 12, [0.007] * 12
"""Scatter of each row from seed to seed: one point, and little more than single flips of samples make."""
MIXED, RESTLESS = [0.006] * 6 + [0.009] * 4 + [0.02] * 2, [0.007] * 11 + [0.025]
ONE_ROW = [0.03] + [0.0] * 11
TWO, ONE = (FIRST, SECOND), (ONLY,)


class Judged(NamedTuple):
    """A night's rows: which are called worse, and which keep it open."""

    alarms: list[bool]
    suspects: list[bool]


class Nights:
    """Draws nights of rows; `scatter` is the standard deviation of a row's accuracy from seed to seed, flips included."""

    def __init__(self, seed: int, samples: int = 2000) -> None:
        self.rng, self.samples = np.random.default_rng(seed), samples
        self._samples = 2 / (samples + 2) ** 2
        self.flips = sum(share * p * (1 - p) for p, share in zip(CHANCES, SHARES, strict=True)) / samples

    def row(self, scatter: float, drop: float, before: int, after: int, touched: float = 1.0) -> Sides:
        """One row: `before` locked seeds against `after` new ones, of which the first are the same seeds; a share
        `touched` of their answers is given again."""
        old, new = self._answers(scatter, drop, before, after, touched)
        return Sides.of_answers(old, new, [(seed, seed) for seed in range(min(before, after))])

    def _answers(
        self, scatter: float, drop: float, before: int, after: int, touched: float = 1.0
    ) -> tuple[Floats, Floats]:
        questions = self.rng.choice(CHANCES, self.samples, p=SHARES)
        effect = math.sqrt(max(scatter**2 - self.flips, 0.0)) * self.rng.normal(size=(before + after, 1))
        answers = self.rng.random((before + after, self.samples)) < questions + effect
        new = answers[before:]
        if touched < 1:
            kept = self.rng.random(new.shape) >= touched
            new = np.where(kept, answers[: len(new)], new)
        if drop:
            new = new & (self.rng.random(new.shape) >= drop / 0.791)
        return answers[:before].astype(float), new.astype(float)

    def _values(self, scatter: float, drop: float, before: int, after: int) -> tuple[Floats, Floats]:
        """The same without answers: normal accuracies, and the sample variance that such rows have on average."""
        values = self.rng.normal(0, scatter, before + after)
        return values[:before], values[before:] - drop

    def quick_row(self, scatter: float, drop: float, before: int, after: int) -> Sides:
        """A row of normal accuracies."""
        return Sides(*self._values(scatter, drop, before, after), sample_variance=self._samples)

    def night(
        self, scatters: Sequence[float], drops: Sequence[float] | None = None, before: int = 3, quick: bool = False
    ) -> list[Shift]:
        """The shifts of one night with three new seeds."""
        drops = [0.0] * len(scatters) if drops is None else drops
        draw = self.quick_row if quick else self.row
        rows = [draw(scatter, drop, before, 3) for scatter, drop in zip(scatters, drops, strict=True)]
        return [shift for shift in shifts(rows, least=1 / self.samples**2) if shift is not None]

    def judged(
        self,
        scatters: Sequence[float],
        drops: Sequence[float] | None = None,
        before: int = 3,
        looks: Sequence[Look] = (FIRST, SECOND),
        retrained: int | None = None,
        answers: bool = False,
    ) -> Judged:
        """One night by the rule of `compare`: three new seeds, and `FURTHER` more of the suspects where there is a second
        look. Accuracies are normal, or those of `answers`. Only the first `retrained` rows (default: all) came out
        otherwise than before."""
        drops = [0.0] * len(scatters) if drops is None else drops
        draw = self._answers if answers else self._values
        draws = [draw(scatter, drop, before, 3 + FURTHER) for scatter, drop in zip(scatters, drops, strict=True)]
        retrained = len(scatters) if retrained is None else retrained

        def sides(old: Floats, new: Floats, tested: bool) -> Sides:
            if answers:
                return Sides.of_answers(old, new, [(seed, seed) for seed in range(min(len(old), len(new)))], tested)
            return Sides(old, new, sample_variance=self._samples, tested=tested)

        def look(counts: Sequence[int], at: Look) -> Judged:
            rows = [
                sides(old, new[:n], index < retrained)
                for index, ((old, new), n) in enumerate(zip(draws, counts, strict=True))
            ]
            found = shifts(rows, least=1 / self.samples**2)
            fell = [shift is not None and shift.mean <= -MARGIN for shift in found]
            p = [1.0 if shift is None else shift.p_fell for shift in found]
            return Judged(
                [down and value < at.alpha for down, value in zip(fell, p, strict=True)],
                [down and at.alpha <= value < at.suspect for down, value in zip(fell, p, strict=True)],
            )

        night = look([3] * len(scatters), looks[0])
        if any(night.alarms) or not any(night.suspects) or len(looks) == 1:
            return night
        return look([3 + FURTHER * suspect for suspect in night.suspects], looks[1])


def share(hits: Sequence[bool]) -> str:
    """`0.69 % (0.58 to 0.82)`: a share with its exact 95 % interval."""
    found = binomtest(sum(hits), len(hits)).proportion_ci(0.95)
    return f"{100 * sum(hits) / len(hits):.2f} % ({100 * found.low:.2f} to {100 * found.high:.2f})"


def surely_below(hits: Sequence[bool], bound: float) -> bool:
    """Whether the exact one-sided 95 % bound of a share lies below `bound`."""
    return binomtest(sum(hits), len(hits)).proportion_ci(0.9).high < bound


def not_above(hits: Sequence[bool], bound: float) -> bool:
    """Whether the draws do not contradict (p < 0.001) a share of at most `bound`."""
    return binomtest(sum(hits), len(hits), bound, alternative="greater").pvalue > 0.001


def not_below(hits: Sequence[bool], bound: float) -> bool:
    """Whether the draws do not contradict (p < 0.001) a share of at least `bound`."""
    return binomtest(sum(hits), len(hits), bound, alternative="less").pvalue > 0.001


def alarms(shifts: Sequence[Shift]) -> list[bool]:
    """The rule of `compare` for "worse", at a night's only look."""
    return [shift.p_fell < ONLY.alpha and shift.mean <= -MARGIN for shift in shifts]


def suspects(shifts: Sequence[Shift]) -> list[bool]:
    """The rule of `compare` for rows that keep a night open, at its only look."""
    return [shift.p_fell < ONLY.suspect and shift.mean <= -MARGIN for shift in shifts]


def main(nights: int = 15_000) -> None:
    """False alarms, nights kept open, and drops found, with two looks and with one."""
    for name, scatters in {"alike": ALIKE, "quiet": QUIET, "mixed": MIXED, "one restless": RESTLESS}.items():
        for looks in (TWO, ONE):
            draw = Nights(21)
            drawn = [draw.judged(scatters, looks=looks) for _ in range(nights)]
            open_ = [any(night.suspects) and not any(night.alarms) for night in drawn]
            alarm = [any(night.alarms) for night in drawn]
            print(f"{name}, {len(looks)} looks: false alarms {share(alarm)}, open {share(open_)}", flush=True)
    for scatter, before, retrained in ((0.01, 3, 12), (0.007, 3, 12), (0.01, 10, 12), (0.01, 3, 1)):
        for looks in (TWO, ONE):
            draw = Nights(22)
            found = [
                draw.judged([scatter] * 12, ONE_ROW, before, looks, retrained).alarms[0] for _ in range(nights // 3)
            ]
            print(
                f"{scatter}, {before} locked, {retrained} retrained, {len(looks)} looks: found {share(found)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
