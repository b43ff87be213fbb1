"""The ledger is whole, and its verdicts are right on made-up records: on both sides of each line, and in the middle."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from snn5bench import registry
from snn5bench.claim_verdict import Finding, Verdict, above, below, judge, within
from snn5bench.claims import Claim, Measured, beside, read, suites
from snn5bench.errors import BenchError
from snn5bench.publish import claimed
from snn5bench.record import Record, Status
from snn5bench.stats import Interval

ROOT = Path(__file__).parent.parent
LEDGER = read(ROOT / "baselines" / "claims")
N = 400


def record(variant: str, seed: int, **changed: Any) -> Record:
    """A made-up record; nothing in this file is a result."""
    given: dict[str, Any] = {
        "suite": "made-up", "method": variant, "variant": variant, "method_params": {}, "dataset": "toy",
        "dataset_params": {}, "seed": seed, "status": Status.DONE,
    }  # fmt: skip
    given |= changed
    given["key"] = f"{given['variant']}-{given.get('twin', 'none')}-{given['dataset']}-{seed}"
    return Record(**given)


def answers(accuracy: float, seed: int) -> np.ndarray:
    """Which of N samples are right: exactly the asked share, on samples that move a little with the seed."""
    right = np.zeros(N, bool)
    right[: round(accuracy * N)] = True
    return np.roll(right, seed)


def rows(**accuracy: float) -> tuple[list[Record], dict[str, np.ndarray]]:
    """Three seeds of each named row; `lif_notd` is the NoTD twin of `lif`."""
    records, correct = [], {}
    for name, share in accuracy.items():
        variant, _, twin = name.partition("_")
        for seed in range(3):
            made = record(variant, seed, twin=twin or "none")
            records.append(made)
            correct[made.key] = answers(share, seed)
    return records, correct


def claim(*predicates: dict[str, Any], **changed: Any) -> Claim:
    given: dict[str, Any] = {
        "id": "made-up", "claim": "it is so", "source": "nobody", "suite": "made-up", "predicates": predicates
    }  # fmt: skip
    return Claim(**(given | changed))


def gain(over: str = "lif", above_: float = 0.0) -> dict[str, Any]:
    return {"kind": "gain", "dataset": "toy", "method": "new", "over": over, "above": above_}


# -- three lines, without records


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.09, 0.12, Verdict.REPRODUCED),
        (0.05, 0.12, Verdict.DIRECTION),
        (0.01, 0.03, Verdict.DIRECTION),
        (-0.01, 0.12, Verdict.CANNOT_TELL),
        (0.0, 0.12, Verdict.CANNOT_TELL),
        (-0.05, 0.0, Verdict.CANNOT_TELL),
        (-0.05, -0.01, Verdict.CONTRADICTED),
    ],
)
def test_a_claimed_gain_of_eight_points(low: float, high: float, verdict: Verdict) -> None:
    reading = Interval((low + high) / 2, low, high, 3, N)
    assert above(reading, 0.08, 0.0, Verdict.REPRODUCED) is verdict
    mirrored = Interval(-reading.mean, -high, -low, 3, N)
    assert below(mirrored, -0.08, 0.0, Verdict.REPRODUCED) is verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.01, 0.01, Verdict.REPRODUCED),
        (-0.01, 0.03, Verdict.CANNOT_TELL),
        (-0.05, 0.05, Verdict.CANNOT_TELL),
        (0.03, 0.05, Verdict.CONTRADICTED),
        (-0.05, -0.03, Verdict.CONTRADICTED),
    ],
)
def test_a_claimed_equality_within_two_points(low: float, high: float, verdict: Verdict) -> None:
    assert within(Interval((low + high) / 2, low, high, 3, N), 0.02, Verdict.REPRODUCED) is verdict


# -- predicates on records: both sides and the middle


@pytest.mark.parametrize(
    ("new", "scale", "verdict"),
    [
        (0.90, "number", Verdict.REPRODUCED),
        (0.90, "direction", Verdict.DIRECTION),
        (0.75, "number", Verdict.DIRECTION),
        (0.705, "number", Verdict.CANNOT_TELL),
        (0.60, "number", Verdict.CONTRADICTED),
    ],
)
def test_gain_over_another_method(new: float, scale: str, verdict: Verdict) -> None:
    found = judge(claim(gain(above_=0.08), scale=scale), *rows(new=new, lif=0.70))
    assert found.verdict is verdict
    assert f"{100 * (new - 0.7):+.1f} points"[:4] in found.number and "3 seeds, 400 samples" in found.number
    assert found.command == "snn5bench run made-up"


@pytest.mark.parametrize(
    ("twin", "verdict"), [(0.5, Verdict.DIRECTION), (0.9, Verdict.CANNOT_TELL), (0.99, Verdict.CONTRADICTED)]
)
def test_gain_over_the_own_twin(twin: float, verdict: Verdict) -> None:
    assert judge(claim(gain(over="notd")), *rows(new=0.9, new_notd=twin)).verdict is verdict


@pytest.mark.parametrize(
    ("other", "limit", "verdict"),
    [(0.90, 0.05, Verdict.DIRECTION), (0.90, 0.001, Verdict.CANNOT_TELL), (0.50, 0.05, Verdict.CONTRADICTED)],
)
def test_gap_within(other: float, limit: float, verdict: Verdict) -> None:
    predicate = {"kind": "gap_within", "dataset": "toy", "method": "new", "over": "sdbp", "within": limit}
    assert judge(claim(predicate), *rows(new=0.9, new_sdbp=other)).verdict is verdict


@pytest.mark.parametrize(
    ("side", "accuracy", "verdict"),
    [
        ({"above": 0.6}, 0.9, Verdict.DIRECTION),
        ({"above": 0.6}, 0.6, Verdict.CANNOT_TELL),
        ({"above": 0.6}, 0.3, Verdict.CONTRADICTED),
        ({"below": 0.6}, 0.3, Verdict.DIRECTION),
        ({"below": 0.6}, 0.6, Verdict.CANNOT_TELL),
        ({"below": 0.6}, 0.9, Verdict.CONTRADICTED),
    ],
)
def test_accuracy(side: dict[str, float], accuracy: float, verdict: Verdict) -> None:
    predicate = {"kind": "accuracy", "dataset": "toy", "method": "new", "twin": "notd", **side}
    assert judge(claim(predicate), *rows(new_notd=accuracy)).verdict is verdict


@pytest.mark.parametrize(
    ("gaps", "verdict"),
    [
        ((0.001, 0.002, 0.001, 0.0), Verdict.DIRECTION),
        ((0.001, 0.02, 0.0, 0.01), Verdict.CANNOT_TELL),
        ((0.02, 0.03, 0.025, 0.022), Verdict.CONTRADICTED),
    ],
)
def test_peeking_gap(gaps: tuple[float, ...], verdict: Verdict) -> None:
    records = [
        record(f"m{i}", seed, test_accuracy=0.8, test_accuracy_peeked=0.8 + gap)
        for i, gap in enumerate(gaps)
        for seed in range(3)
    ]
    found = judge(claim({"kind": "peeking_gap", "within": 0.005}), records, {})
    assert found.verdict is verdict and "4 rows" in found.number


@pytest.mark.parametrize(
    ("ratio", "scale", "verdict"),
    [
        (0.10, "number", Verdict.REPRODUCED),
        (0.50, "number", Verdict.DIRECTION),
        (1.00, "number", Verdict.CANNOT_TELL),
        (5.00, "number", Verdict.CONTRADICTED),
    ],
)
def test_energy_ratio(ratio: float, scale: str, verdict: Verdict) -> None:
    records = [
        record("new", seed, energy_nj={"m": ratio * (1 + 0.02 * (seed - 1))}, ann_twin_energy_nj={"m": 1.0})
        for seed in range(3)
    ]
    predicate = {"kind": "energy_ratio", "dataset": "toy", "method": "new", "model": "m", "below": 0.1667}
    assert judge(claim(predicate, scale=scale), records, {}).verdict is verdict
    lost = judge(claim(predicate | {"model": "other"}), records, {})
    assert lost.verdict is Verdict.CANNOT_TELL and "'other'" in lost.reason


def test_several_predicates_hold_as_far_as_the_worst() -> None:
    records, correct = rows(new=0.9, lif=0.7, new_notd=0.95)
    assert judge(claim(gain(), gain(over="lif")), records, correct).verdict is Verdict.DIRECTION
    both = judge(claim(gain(), gain(over="notd")), records, correct)
    assert both.verdict is Verdict.CONTRADICTED and ";" in both.number


# -- what cannot be decided


def test_no_record_one_seed_and_failed_records_cannot_tell() -> None:
    records, correct = rows(new=0.9, lif=0.7)
    for kept, reason in [
        ([], "no finished seeds"),
        ([r for r in records if r.seed == 0], "1 finished seed of at least 2"),
        ([r.model_copy(update={"status": Status.FAILED}) for r in records], "no finished seeds"),
        ([r for r in records if (r.seed == 0) == (r.variant == "new") or r.seed == 1], "share fewer than 2 seeds"),
    ]:
        found = judge(claim(gain()), kept, correct)
        assert found.verdict is Verdict.CANNOT_TELL and reason in found.reason
    lost = judge(claim(gain()), records, {})
    assert lost.verdict is Verdict.CANNOT_TELL and "predictions" in lost.reason


def test_a_method_with_several_variants_must_be_named() -> None:
    records, correct = rows(lif=0.7)
    for a in ("new[a=1]", "new[a=2]"):
        more, right = rows(**{a: 0.9})
        records += [r.model_copy(update={"method": "new"}) for r in more]
        correct |= right
    assert "several variants" in judge(claim(gain()), records, correct).reason
    named = judge(claim(gain() | {"method": "new[a=2]"}), records, correct)
    assert named.verdict is Verdict.DIRECTION


def test_what_needs_data_is_not_testable_and_says_what() -> None:
    found = judge(claim(needs=("SHD", "a GPU"), suite=""), *rows(lif=0.5))
    assert found.verdict is Verdict.NOT_TESTABLE and found.reason == "needs SHD, a GPU"


# -- the ledger itself


def test_the_ledger_is_filled() -> None:
    assert len(LEDGER) >= 30
    decidable = [entry for entry in LEDGER if entry.predicates]
    assert len(decidable) >= 12
    for entry in LEDGER:
        assert entry.source and (entry.predicates or entry.needs)


def test_every_name_in_a_predicate_is_registered() -> None:
    methods, datasets, models = (registry.BUILTIN[kind] for kind in ("methods", "datasets", "energy_models"))
    for entry in LEDGER:
        for predicate in entry.predicates:
            if isinstance(predicate, Measured):
                continue
            assert getattr(predicate, "dataset", None) in {None, *datasets}, entry.id
            row, other = (getattr(predicate, side, "lif").partition("[")[0] for side in ("method", "over"))
            assert row in methods, entry.id
            assert other in {*methods, "notd", "sdbp", "shuffled"}, entry.id
            assert getattr(predicate, "model", "lemaire") in models, entry.id


def test_every_deciding_test_exists() -> None:
    for entry in LEDGER:
        for predicate in entry.predicates:
            if isinstance(predicate, Measured):
                path, _, name = predicate.test.partition("::")
                tree = ast.parse((ROOT / path).read_text())
                assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, predicate.test


def test_without_records_the_tests_still_decide() -> None:
    found = [judge(entry, [], {}) for entry in LEDGER]
    told = {f.id: f.verdict for f in found}
    assert told["energy-93"] is Verdict.REPRODUCED and told["energy-93-always"] is Verdict.CONTRADICTED
    assert told["tskips-dvs"] is Verdict.NOT_TESTABLE and told["notd-shd"] is Verdict.CANNOT_TELL
    assert all(isinstance(f, Finding) and (f.number or f.reason) for f in found)
    assert all(f.command for f in found if f.verdict is not Verdict.NOT_TESTABLE)


def test_rows_show_their_claims() -> None:
    shown = beside(LEDGER)
    assert [claim.id for claim in shown["tskips", "speech-digits"]] == ["tskips-shd"]
    assert ("lif", "digits") not in shown
    assert sorted(suites(LEDGER)) == ["atlas", "bundled", "real"]


def test_a_row_shows_a_verdict_only_from_its_own_suite() -> None:
    """Of another suite's claim it says where to look, so that a leaderboard rests on its own records alone."""
    published = next(claim for claim in LEDGER if claim.id == "tskips-shd")
    records, correct = rows(tskips=0.95, lif=0.75)
    records = [record.model_copy(update={"dataset": "speech-digits"}) for record in records]
    own, other = (claimed(published, suite, records, correct) for suite in ("bundled", "smoke"))
    assert own.verdict == judge(published, records, correct).verdict == Verdict.DIRECTION
    assert own.number.startswith("+20.0 points [") and own.reason == "needs SHD for the number"
    assert (other.verdict, other.number) == ("decided by suite bundled", "")
    assert own.source == other.source == published.source


GOOD = "claims:\n  - {id: a, claim: b, source: c, needs: [SHD]}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("source: c", "sauce: c"), "sauce"),
        (GOOD.replace("id: a", "id: A B"), "id"),
        (GOOD.replace(", needs: [SHD]", ""), "must say what it needs"),
        (GOOD + GOOD.partition("\n")[2], "two claims are called 'a'"),
        ("claims: []\n", "claims"),
        (GOOD.replace("needs: [SHD]", "suite: s, predicates: [{kind: gian}]"), "gian"),
        (GOOD.replace("needs: [SHD]", "predicates: [{kind: peeking_gap, within: 0.1}]"), "need a `suite`"),
    ],
)
def test_mistakes_in_the_ledger_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(BenchError) as caught:
        read(tmp_path)
    assert message in str(caught.value)


def test_accuracy_wants_one_side() -> None:
    with pytest.raises(ValidationError, match="either `above` or `below`"):
        claim({"kind": "accuracy", "dataset": "toy", "method": "new"})
    with pytest.raises(BenchError, match="no claims in"):
        read(Path("nowhere"))
