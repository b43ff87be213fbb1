"""The shift test: oracles, invariants, and the simulated rates that `compare` promises."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats as scipy_stats

from snn5bench.compare import Look
from snn5bench.shift import Sides, shifts
from tests.gate_nights import (
    ALIKE,
    MIXED,
    ONE,
    ONE_ROW,
    QUIET,
    RESTLESS,
    TWO,
    Nights,
    alarms,
    not_above,
    not_below,
    share,
    surely_below,
    suspects,
)


def test_a_single_row_is_the_two_sample_t_test() -> None:
    rng = np.random.default_rng(0)
    before, after = rng.normal(size=4), rng.normal(0.5, 1, size=6)
    (found,) = shifts([Sides(before, after)], least=1e-12)
    oracle = scipy_stats.ttest_ind(after, before)
    low, high = oracle.confidence_interval(0.95)
    assert found is not None
    assert (found.mean, found.low, found.high) == pytest.approx((after.mean() - before.mean(), low, high))
    assert 2 * min(found.p_fell, found.p_rose) == pytest.approx(oracle.pvalue)
    assert found.p_fell + found.p_rose == pytest.approx(1)


def test_rows_that_are_alike_lend_each_other_freedom() -> None:
    """Four rows with equal scatter: the pooled t-test, with Holm's correction."""
    step = np.array([-1.0, 0.0, 1.0])
    rows = [Sides(step, step - drop) for drop in (0.0, 0.1, 0.2, 3.0)]
    found = shifts(rows, least=1e-12)
    t = -3 / np.sqrt(2 / 3)
    assert found[3] is not None and found[0] is not None
    assert found[3].p_fell == pytest.approx(4 * scipy_stats.t.sf(-t, 16))
    assert found[0].high - found[0].mean == pytest.approx(scipy_stats.t.ppf(0.975, 16) * np.sqrt(2 / 3))


def test_one_seed_a_side_says_nothing_unless_other_rows_do() -> None:
    alone = Sides(np.array([0.9]), np.array([0.5]))
    assert shifts([alone], least=1e-9) == [None]
    others = [Sides(np.array([0.8, 0.81, 0.79]), np.array([0.8, 0.81, 0.79])) for _ in range(5)]
    found = shifts([alone, *others], least=1e-9)[0]
    assert found is not None and found.p_fell < 0.001
    assert shifts([], least=1e-9) == []


def test_unchanged_rows_are_no_candidates() -> None:
    rng = np.random.default_rng(1)
    moved = Sides(rng.normal(size=3), rng.normal(size=3) - 4)
    still = [Sides(v := rng.normal(size=3), v, tested=False) for _ in range(6)]
    found = shifts([*still, moved], least=1e-9)
    assert found[:6] == [None] * 6
    assert found[6] is not None and found[6].p_fell < 0.01, "nothing to correct for, and their scatter is known"


def test_alike_is_read_off_the_answers() -> None:
    rng = np.random.default_rng(2)
    questions, pairs = rng.random(5000), [(0, 0), (1, 1), (2, 2)]
    before, after = ((rng.random((3, 5000)) < questions).astype(float) for _ in range(2))
    tenth = np.where(rng.random((3, 5000)) < 0.1, after, before)
    assert Sides.of_answers(before, after, pairs).alike == pytest.approx(0, abs=0.03)
    assert Sides.of_answers(before, tenth, pairs).alike == pytest.approx(0.9, abs=0.02)
    assert Sides.of_answers(before, before, pairs).alike == pytest.approx(1)
    assert Sides.of_answers(before, before[::-1], pairs[1:2]).alike == pytest.approx(1)
    assert Sides.of_answers(before, before, []).alike == 0
    assert Sides.of_answers(before[:1], before[:1], pairs[:1]).alike == 0, "nothing to measure it by"


def test_rows_that_hardly_changed_are_told_sharply_and_the_others_keep_their_noise() -> None:
    """Nights that touch a tenth of the answers of eight rows and retrain four: one drop of 2 points among the eight."""
    nights, found, blamed = Nights(8), 0, 0
    for _ in range(200):
        rows = [nights.row(0.01, 0.02 if index == 0 else 0.0, 3, 3, touched=0.1) for index in range(8)]
        rows += [nights.row(0.01, 0.0, 3, 3) for _ in range(4)]
        first, *rest = alarms([shift for shift in shifts(rows, least=1 / 2000**2) if shift is not None])
        found += first
        blamed += any(rest)
    assert found / 200 >= 0.6, "retrained rows would show it in a tenth of the nights"
    assert blamed / 200 <= 0.015


def test_flips_of_the_same_samples_are_not_taken_for_a_drop() -> None:
    """A deterministic method on 200 samples: five lost, two gained, in every seed alike."""
    before = np.tile(np.arange(200) < 160, (3, 1)).astype(float)
    after = before.copy()
    after[:, :5], after[:, 198:] = 0, 1
    (found,) = shifts([Sides.of_answers(before, after, [(0, 0), (1, 1), (2, 2)])], least=1 / 200**2)
    assert found is not None and found.mean == pytest.approx(-0.015)
    assert found.low < -0.03 and found.high > 0, "seven flips among 200 samples prove nothing"


@pytest.mark.parametrize("looks", [TWO, ONE], ids=["two looks", "one look"])
@pytest.mark.parametrize(
    ("scatters", "before"),
    [(ALIKE, 3), (QUIET, 3), (MIXED, 3), (RESTLESS, 3), ([0.02] * 30, 3), (MIXED, 10), (RESTLESS, 10)],
    ids=["alike", "quiet", "mixed", "one restless", "30 restless", "mixed, 10 locked", "one restless, 10 locked"],
)
def test_false_alarms(scatters: list[float], before: int, looks: Sequence[Look]) -> None:
    """At most 1 % of nights call a row worse where unchanged code was trained again with other randomness."""
    nights = Nights(3)
    drawn = [nights.judged(scatters, before=before, looks=looks) for _ in range(500 if len(scatters) < 20 else 200)]
    assert not_above([any(night.alarms) for night in drawn], 0.01)
    assert not_above([any(night.suspects) for night in drawn], 0.04 if looks is TWO else 0.08), "nights kept open"


@pytest.mark.slow
@pytest.mark.parametrize("looks", [TWO, ONE], ids=["two looks", "one look"])
@pytest.mark.parametrize("scatters", [ALIKE, QUIET, MIXED, RESTLESS], ids=["alike", "quiet", "mixed", "one restless"])
def test_false_alarms_are_surely_below_one_percent(scatters: list[float], looks: Sequence[Look]) -> None:
    """The same with 15,000 nights: the upper 95 % bound itself is below 1 %, three seeds a side."""
    nights = Nights(21)
    found = [any(nights.judged(scatters, looks=looks).alarms) for _ in range(15_000)]
    print(f"false alarms: {share(found)}")
    assert surely_below(found, 0.01), share(found)


def test_unchanged_code_on_the_same_machine_raises_no_alarm_at_all() -> None:
    """Every answer as before: no row is tested."""
    nights = Nights(9)
    assert not any(any(nights.judged(RESTLESS, retrained=0).suspects) for _ in range(50))


def test_false_alarms_on_answers() -> None:
    nights = Nights(4)
    found = [any(alarms(nights.night([0.007] * 12))) for _ in range(300)]
    assert sum(found) / len(found) <= 0.01


@pytest.mark.parametrize(
    ("scatter", "before", "looks", "retrained", "least"),
    [
        (0.01, 3, TWO, 12, 0.8),
        (0.007, 3, TWO, 12, 0.98),
        (0.01, 10, TWO, 12, 0.95),
        (0.01, 3, TWO, 1, 0.95),
        (0.007, 3, ONE, 12, 0.75),
        (0.01, 10, ONE, 12, 0.7),
        (0.01, 3, ONE, 12, 0.33),
    ],
    ids=["promised", "quiet", "10 locked", "one row changed", "quiet, 1 look", "10 locked, 1 look", "1 look"],
)
def test_a_drop_of_three_points_is_found(
    scatter: float, before: int, looks: Sequence[Look], retrained: int, least: float
) -> None:
    """In one row of twelve, with three new seeds and 2,000 samples; no other row is blamed in its place."""
    nights = Nights(5)
    drawn = [nights.judged([scatter] * 12, ONE_ROW, before, looks, retrained) for _ in range(400)]
    assert not_below([night.alarms[0] for night in drawn], least)
    assert not_above([any(night.alarms[1:]) for night in drawn], 0.01)


@pytest.mark.slow
def test_a_drop_of_three_points_is_surely_found() -> None:
    """The promise with 6,000 nights: the lower 95 % bound itself is above 80 % at a scatter of one point."""
    nights = Nights(22)
    missed = [not nights.judged(ALIKE, ONE_ROW).alarms[0] for _ in range(6000)]
    print(f"missed: {share(missed)}")
    assert surely_below(missed, 0.2), share(missed)


@pytest.mark.slow
def test_the_promise_on_answers() -> None:
    """Two looks, as single networks answer: simulated samples in the place of normal accuracies."""
    nights = Nights(23)
    found = [nights.judged(ALIKE, ONE_ROW, answers=True).alarms[0] for _ in range(400)]
    blamed = [any(nights.judged(MIXED, answers=True).alarms) for _ in range(400)]
    print(f"found: {share(found)}, false alarms: {share(blamed)}")
    assert not_below(found, 0.8) and not_above(blamed, 0.01)


def test_a_drop_is_found_on_answers() -> None:
    """As single networks answer, at the look's own rule: in one row, and in one method's four rows."""
    nights = Nights(5)
    for scatter, before, rows, least in ((0.0065, 3, 1, 0.75), (0.01, 10, 1, 0.7), (0.01, 3, 4, 0.75)):
        drops = [0.03] * rows + [0.0] * (12 - rows)
        found = [any(alarms(nights.night([scatter] * 12, drops, before))[:rows]) for _ in range(150)]
        assert not_below(found, least)


def test_a_drop_that_three_seeds_cannot_prove_keeps_the_night_open() -> None:
    """With one look, at a scatter of 1 point and three locked seeds, a drop of 3 points is proved in under half of the
    nights, and passed over in under a third."""
    nights = Nights(7)
    found = [any(suspects(nights.night([0.01] * 12, ONE_ROW))) for _ in range(250)]
    assert sum(found) / len(found) >= 0.7


def test_intervals_cover() -> None:
    nights = Nights(6)
    inside = [low <= 0 <= high for _ in range(600) for _, low, high, *_ in nights.night(MIXED, quick=True)]
    assert 0.93 <= sum(inside) / len(inside) <= 0.99
