"""Intervals and tests against closed oracles, invariants, and simulated coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats as scipy_stats

from snn5bench import stats

tables = st.tuples(st.integers(1, 5), st.integers(1, 40)).flatmap(
    lambda shape: arrays(np.int8, shape, elements=st.integers(0, 1))
)


def draw(
    rng: np.random.Generator, mean: float, seed_sd: float, shape: tuple[int, int], samples: np.ndarray | None = None
):
    """Answers of S networks to n samples under a probit model: seed, sample and interaction effects."""
    S, n = shape
    samples = rng.normal(size=n) if samples is None else samples
    return mean + rng.normal(0, seed_sd, (S, 1)) + samples + rng.normal(size=(S, n)) > 0


def accuracy(mean: float, seed_sd: float) -> float:
    """What `draw` answers rightly on average."""
    return float(scipy_stats.norm.cdf(mean / math.sqrt(seed_sd**2 + 2)))


@pytest.mark.parametrize(("right", "n"), [(0, 7), (1, 9), (37, 50), (50, 50), (499, 500)])
def test_one_seed_is_wilsons_interval(right: int, n: int) -> None:
    oracle = scipy_stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
    found = stats.mean_interval(np.arange(n)[None] < right)
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high), abs=1e-12)
    assert (found.mean, found.seeds, found.samples) == (pytest.approx(right / n), 1, n)


def test_mean_squares_by_hand() -> None:
    # rows 1 1 0 0 | 1 0 0 0: means 1/2, 1/4; columns 1, 1/2, 0, 0; grand 3/8
    ms = stats.mean_squares(np.array([[1.0, 1, 0, 0], [1, 0, 0, 0]]))
    assert ms.seed == pytest.approx(4 * 2 * (1 / 8) ** 2)
    assert ms.sample == pytest.approx(2 * ((5 / 8) ** 2 + (1 / 8) ** 2 + 2 * (3 / 8) ** 2) / 3)
    assert ms.interaction == pytest.approx((3 * 2 * (1 / 8) ** 2 + 2 * (3 / 8) ** 2) / 3)


def test_mean_squares_split_the_total() -> None:
    table = np.random.default_rng(0).integers(0, 2, (4, 30)).astype(float)
    ms = stats.mean_squares(table)
    total = np.square(table - table.mean()).sum()
    assert 3 * ms.seed + 29 * ms.sample + 87 * ms.interaction == pytest.approx(total)


def test_all_right_still_has_a_width() -> None:
    three = stats.mean_interval(np.ones((3, 100)))
    assert three.high == 1.0 and 0.95 < three.low < 0.97
    assert three[:3] == stats.mean_interval(np.ones((1, 100)))[:3], "seeds that agree count as one"
    assert stats.mean_interval(np.zeros((3, 100))).high == pytest.approx(1 - three.low)


def test_paired_seeds_are_the_seed_t_test_when_samples_say_no_more() -> None:
    # four columns of a Latin kind: the sample part is nothing, so only the seeds' t-test is left
    a = np.zeros((3, 300))
    for seed, wins in enumerate((60, 90, 120)):
        a[seed, np.random.default_rng(seed).permutation(300)[:wins]] = 1
    per_seed = a.mean(axis=1)
    ms = stats.mean_squares(a)
    samples = 1.968**2 * max(ms.sample - ms.interaction, 0) / 900
    found = stats.paired_interval(a, np.zeros_like(a))
    oracle = scipy_stats.t.ppf(0.975, 2) * scipy_stats.sem(per_seed)
    assert found.high - found.mean == pytest.approx(math.sqrt(oracle**2 + samples), rel=1e-3)


def test_one_seed_pairs_are_the_t_test_over_samples() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random((1, 400)) < 0.7, rng.random((1, 400)) < 0.6
    oracle = scipy_stats.ttest_rel(a[0].astype(float), b[0].astype(float))
    assert stats.paired_p(a, b) == pytest.approx(oracle.pvalue, rel=1e-6)
    low, high = oracle.confidence_interval(0.95)
    assert stats.paired_interval(a, b)[1:3] == pytest.approx((low, high))


def test_pairs_with_equal_answers() -> None:
    a = np.random.default_rng(2).random((3, 500)) < 0.8
    assert stats.paired_p(a, a) == 1.0
    found = stats.paired_interval(a, a)
    assert found.mean == 0 and found.high == pytest.approx(2.8 / 500, rel=0.02) and found.low == -found.high


def test_p_agrees_with_the_interval() -> None:
    rng = np.random.default_rng(3)
    for shift in (0.0, 0.1, 0.3, 0.6):
        a, b = draw(rng, 0.8 + shift, 0.1, (3, 200)), draw(rng, 0.8, 0.1, (3, 200))
        p = stats.paired_p(a, b)
        at_p = stats.paired_interval(a, b, 1 - p)
        assert min(abs(at_p.low), abs(at_p.high)) == pytest.approx(0, abs=1e-6)
        assert stats.paired_p(b, a) == pytest.approx(p)
    assert stats.paired_p(np.ones((3, 900)), np.zeros((3, 900))) == pytest.approx(stats.SMALLEST_P)


@pytest.mark.parametrize("seed_sd", [0.0, 0.06, 0.2])
@pytest.mark.parametrize("mean", [0.5, 2.0])
def test_coverage(mean: float, seed_sd: float) -> None:
    """A seed sd of 0.06 is 1.5 points at 64 %, 0.2 is 5."""
    rng, nights = np.random.default_rng(4), 500
    truth = accuracy(mean, seed_sd)
    found = [stats.mean_interval(draw(rng, mean, seed_sd, (3, 500))) for _ in range(nights)]
    assert 0.92 <= sum(i.low <= truth <= i.high for i in found) / nights <= 0.99


@pytest.mark.parametrize(("seed_sd", "power"), [(0.0, 0.99), (0.06, 0.99), (0.2, 0.8)])
def test_false_alarms_and_power_of_the_paired_test(seed_sd: float, power: float) -> None:
    rng, nights, alarms, found = np.random.default_rng(5), 500, 0, 0
    for _ in range(nights):
        samples = rng.normal(size=500)
        a, b, worse = (draw(rng, mean, seed_sd, (3, 500), samples) for mean in (1.0, 1.0, 0.0))
        alarms += stats.paired_p(a, b) < 0.05
        found += stats.paired_p(a, worse) < 0.05
    assert alarms / nights <= 0.06
    assert found / nights >= power, "76 % against 50 % must be seen with three seeds"


@settings(deadline=None)
@given(tables)
def test_interval_holds_its_mean_and_mirrors(table: np.ndarray) -> None:
    found = stats.mean_interval(table)
    assert 0 <= found.low <= found.mean <= found.high <= 1
    assert found.high - found.low > 0
    mirrored = stats.mean_interval(1 - table)
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - found.high, 1 - found.low), abs=1e-9)
    wider = stats.mean_interval(table, 0.99)
    assert wider.low <= found.low + 1e-9 and wider.high >= found.high - 1e-9


@settings(deadline=None)
@given(tables, st.randoms(use_true_random=False))
def test_order_of_seeds_and_samples_does_not_matter(table: np.ndarray, random) -> None:
    rows, columns = list(range(table.shape[0])), list(range(table.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    assert stats.mean_interval(table[rows][:, columns]) == pytest.approx(stats.mean_interval(table), abs=1e-9)
    assert 0 <= stats.paired_p(table, np.roll(table, 1, axis=1)) <= 1


def test_holm_by_hand() -> None:
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([]) == []
    assert stats.holm([0.9, 0.8]) == [1.0, 1.0]


def test_ranks_share_ties() -> None:
    rng = np.random.default_rng(6)
    samples = rng.normal(size=800)
    rows = {
        "chance": draw(rng, -1.5, 0.02, (3, 800), samples),
        "best": draw(rng, 1.52, 0.02, (3, 800), samples),
        "as good": draw(rng, 1.5, 0.02, (3, 800), samples),
        "middle": draw(rng, 0.3, 0.02, (3, 800), samples),
    }
    assert stats.ranks(rows) == {"chance": 4, "best": 1, "as good": 1, "middle": 3}
    assert list(stats.ranks(rows)) == list(rows)
    assert stats.ranks({}) == {}
    assert stats.ranks({"b": np.ones((1, 5)), "a": np.ones((1, 5))}) == {"b": 1, "a": 1}


def test_ranks_hold_their_error_rate_and_see_ten_points() -> None:
    """Ten equal rows split in at most 5 % of leaderboards; 79 % against 68 % in most, at a seed sd of 1.5 points."""
    rng, boards, split, seen = np.random.default_rng(8), 200, 0, 0
    for _ in range(boards):
        samples = rng.normal(size=500)
        equal = {str(row): draw(rng, 1.15, 0.06, (3, 500), samples) for row in range(10)}
        split += max(stats.ranks(equal).values()) > 1
        seen += stats.ranks(equal | {"low": draw(rng, 0.65, 0.06, (3, 500), samples)})["low"] > 1
    assert split / boards <= 0.05
    assert seen / boards >= 0.9


def test_moderation_lends_freedom_to_alike_rows_only() -> None:
    alike, freedom = stats.moderate([1.0, 1.1, 0.9, 1.0], [2, 2, 2, 2], 1e-9)
    assert freedom.tolist() == [8, 8, 8, 8] and alike == pytest.approx([1.0, 1.1, 1.0, 1.0])
    apart, freedom = stats.moderate([1e-6, 1.0, 1e3, 1e-4], [2, 2, 2, 2], 1e-9)
    assert max(freedom) < 3 and apart[2] == 1e3
    assert [x.tolist() for x in stats.moderate([4.0], [3], 1e-9)] == [[4.0], [3.0]]
    assert stats.moderate([0.0, 0.5], [0, 2], 1e-9)[0].tolist() == [0.5, 0.5], "a row without an estimate borrows"
    assert stats.moderate([0.0, 0.0], [0, 0], 1e-9)[1].tolist() == [0, 0]


def test_moderated_variance_recovers_a_known_prior() -> None:
    """Variances drawn as Smyth's model says: usual variance 2, prior freedom 6."""
    rng = np.random.default_rng(9)
    truth = 2 * 6 / rng.chisquare(6, 4000)
    seen = truth * rng.chisquare(3, 4000) / 3
    variances, freedom = stats.moderate(seen, np.full(4000, 3), 1e-9)
    assert variances.min() == pytest.approx(2, rel=0.1)
    assert freedom[0] - 3 == pytest.approx(6, rel=0.15)


def test_sample_variance_is_the_paired_one_of_single_networks() -> None:
    rng = np.random.default_rng(10)
    a, b = ((rng.random((1, 600)) < q).astype(float) for q in (0.7, 0.6))
    assert stats.sample_variance(a, b) == pytest.approx((a - b).var(ddof=1) / 600)
    assert stats.sample_variance(a, a) == pytest.approx(2 / 602**2)
    unrelated = [(rng.random((3, 600)) < 0.7).astype(float) for _ in range(2)]
    assert stats.sample_variance(*unrelated) < 0.2 * 2 * 0.21 / (3 * 600), "without a sample effect little is left"


def test_pareto() -> None:
    cost = [1, 2, 2, 3, 1, math.nan, 5]
    gain = [0.5, 0.7, 0.6, 0.7, 0.5, 0.9, 0.9]
    assert stats.pareto(cost, gain).tolist() == [True, True, False, False, True, False, True]
    assert stats.pareto([], []).tolist() == []


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_pareto_against_a_loop(points: list[tuple[int, int]]) -> None:
    expected = [not any((a <= x and b >= y) and (a, b) != (x, y) for a, b in points) for x, y in points]
    assert stats.pareto([x for x, _ in points], [y for _, y in points]).tolist() == expected


@pytest.mark.parametrize(
    "bad", [np.array([[1.0, math.nan]]), np.zeros((0, 3)), np.zeros((3, 0)), np.zeros(3), np.array([[0.0, 2.0]])]
)
def test_bad_tables_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"NaN|shape|zeros and ones"):
        stats.mean_interval(bad)


def test_other_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="share"):
        stats.paired_p(np.ones((3, 5)), np.ones((2, 5)))
    with pytest.raises(ValueError, match="share"):
        stats.ranks({"a": np.ones((3, 5)), "b": np.ones((3, 4))})
    with pytest.raises(ValueError, match="p-values"):
        stats.holm([0.1, math.nan])
    with pytest.raises(ValueError, match="confidence"):
        stats.mean_interval(np.ones((2, 5)), 1.0)
    with pytest.raises(ValueError, match="length"):
        stats.pareto([1, 2], [1])
