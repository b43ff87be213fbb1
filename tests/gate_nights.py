"""Simulated nights: rows of networks that answer test questions, retrained with other randomness."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from snn5bench.shift import Shift, Sides, shifts

CHANCES, SHARES = (0.98, 0.05, 0.5), (0.7, 0.1, 0.2)
"""Most questions are easy, some hopeless, a fifth a coin flip: what single networks scatter on 2,000 is 0.6 points."""


class Nights:
    """Draws nights of rows; `scatter` is the standard deviation of a row's accuracy from seed to seed, flips included."""

    def __init__(self, seed: int, samples: int = 2000) -> None:
        self.rng, self.samples = np.random.default_rng(seed), samples
        self.flips = sum(share * p * (1 - p) for p, share in zip(CHANCES, SHARES, strict=True)) / samples

    def row(self, scatter: float, drop: float, before: int, after: int, touched: float = 1.0) -> Sides:
        """One row: `before` locked seeds against `after` new ones, of which the first are the same seeds; a share
        `touched` of their answers is given again."""
        questions = self.rng.choice(CHANCES, self.samples, p=SHARES)
        effect = math.sqrt(max(scatter**2 - self.flips, 0.0)) * self.rng.normal(size=(before + after, 1))
        answers = self.rng.random((before + after, self.samples)) < questions + effect
        new = answers[before:]
        if touched < 1:
            kept = self.rng.random(new.shape) >= touched
            new = np.where(kept, answers[: len(new)], new)
        if drop:
            new = new & (self.rng.random(new.shape) >= drop / 0.791)
        shared = tuple((seed, seed) for seed in range(min(before, after)))
        return Sides.of_answers(answers[:before].astype(float), new.astype(float), shared)

    def quick_row(self, scatter: float, drop: float, before: int, after: int) -> Sides:
        """The same without answers: normal accuracies, and the sample variance that such rows have on average."""
        values = self.rng.normal(0, scatter, before + after)
        return Sides(values[:before], values[before:] - drop, sample_variance=2 / (self.samples + 2) ** 2)

    def night(
        self, scatters: Sequence[float], drops: Sequence[float] | None = None, before: int = 3, quick: bool = False
    ) -> list[Shift]:
        """The shifts of one night with three new seeds."""
        drops = [0.0] * len(scatters) if drops is None else drops
        draw = self.quick_row if quick else self.row
        rows = [draw(scatter, drop, before, 3) for scatter, drop in zip(scatters, drops, strict=True)]
        return [shift for shift in shifts(rows, least=1 / self.samples**2) if shift is not None]


def alarms(shifts: Sequence[Shift], margin: float = 0.01, alpha: float = 0.01) -> list[bool]:
    """The rule of `compare` for "worse"."""
    return [shift.p_fell < alpha and shift.mean <= -margin for shift in shifts]


def suspects(shifts: Sequence[Shift], margin: float = 0.01, below: float = 0.1) -> list[bool]:
    """The rule of `compare` for rows that keep a night open."""
    return [shift.p_fell < below and shift.mean <= -margin for shift in shifts]
