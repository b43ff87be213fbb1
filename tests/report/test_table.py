"""The table: what becomes a row, a rank, a mark, and what stays `n/a`."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from snn5bench import stats
from snn5bench.errors import BenchError
from snn5bench.record import EnergyEstimate, Fidelity, LayerCounts, Record, Status
from snn5bench.report import csv, html, index, latex, markdown, terminal
from snn5bench.report.build import build_table
from snn5bench.report.summary import summarise
from snn5bench.report.table import Claimed, Row, Table
from tests.report.conftest import Bench, N


def row(table: Table, variant: str, dataset: str = "order") -> Row:
    """The only row of that name."""
    (found,) = [row for row in table.rows if (row.variant, row.dataset) == (variant, dataset)]
    return found


def symbols(row: Row) -> set[str]:
    """Its marks."""
    return {mark.symbol for mark in row.marks}


def test_accuracy_and_gain_come_from_the_statistics(full: Bench) -> None:
    own = np.stack([full.correct[f"glif-order-{seed}-none"] for seed in (0, 1, 2)])
    cut = np.stack([full.correct[f"glif-order-{seed}-notd"] for seed in (0, 1, 2)])
    glif = row(full.table(), "glif")
    assert glif.accuracy.mean == pytest.approx((180 + 181 + 182) / 3 / N)
    assert (glif.accuracy.low, glif.accuracy.high) == stats.mean_interval(own)[1:3]
    assert glif.temporal_gain.mean == pytest.approx(181 / N - 0.5)
    assert (glif.temporal_gain.low, glif.temporal_gain.high) == stats.paired_interval(own, cut)[1:3]
    assert glif.by_seed == pytest.approx({0: 0.9, 1: 0.905, 2: 0.91})


def test_numbers_are_means_over_seeds(full: Bench) -> None:
    glif = row(full.table(), "glif")
    assert glif.spike_rate.value == pytest.approx(0.06)
    assert glif.synops_per_sample.value == pytest.approx(181_010)
    assert (glif.energy_nj.low, glif.energy_nj.high) == pytest.approx((1810, 4525))
    assert (glif.ann_ratio.low, glif.ann_ratio.high) == pytest.approx((0.0905, 0.22625))
    assert glif.break_even.rate.value == pytest.approx(0.081)
    assert glif.break_even.by_model == pytest.approx({"a-model": 0.25, "b-model": 0.0905, "c-model": 0.0})
    assert glif.train_seconds.value == pytest.approx(13.5)
    assert glif.peeking_gap.value == pytest.approx(0.95 - 0.905)
    assert glif.curve.mean == pytest.approx([0.4525, 0.905])
    assert glif.curve.low[1] == pytest.approx(0.9)


def test_every_record_is_in_some_row(full: Bench) -> None:
    table = full.table()
    assert sorted(source.key for row in table.rows for source in row.sources) == sorted(
        full.correct.keys() | {r.key for r in full.records}
    )


def test_datasets_that_need_time_come_first(full: Bench) -> None:
    assert full.table().datasets == ["order", "control"]


def test_only_complete_rows_are_ranked(full: Bench) -> None:
    table = full.table()
    assert {r.variant: r.rank for r in table.of("order") if r.rank} == {
        "glif": 1,
        "lif": 1,
        "<script>alert(1)</script>": 3,
        "silent": 4,
    }
    assert row(table, "short").rank_reason == "not ranked: seeds are missing"
    assert row(table, "flaky").rank_reason == "not ranked: a seed did not finish"
    assert row(table, "flaky").accuracy.seeds == 2
    assert [r.variant for r in table.of("order")][-3:] == ["broken", "ff", "shd-only"]


def test_no_row_leads_those_that_have_no_rank_yet(bench: Bench) -> None:
    for seed in (0, 1):
        bench.add("slow", "order", seed, 120)
    bench.add("lower", "order", 0, 100)
    assert summarise(bench.table(), "order").best.startswith("slow leads with 60.0 %")
    bench.add("early", "order", 0, 190)
    said = summarise(bench.table(), "order").best
    assert said.startswith("Of the rows that are ranked, slow leads with 60.0 %")
    assert said.endswith(". Without a rank, early stands higher")


def test_unfinished_rows_keep_status_and_reason(full: Bench) -> None:
    table = full.table()
    assert (row(table, "broken").status, row(table, "broken").reason) == ("failed", "loss became NaN in epoch 1")
    assert (row(table, "ff").status, row(table, "ff").reason) == ("incompatible", "needs a static input")
    assert row(table, "flaky").status == "partial"
    assert row(table, "broken").accuracy.reason == "no seed is done"


def test_marks(full: Bench) -> None:
    table = full.table()
    assert symbols(row(table, "glif")) == set()
    assert symbols(row(table, "lif")) == {"*"}
    assert symbols(row(table, "<script>alert(1)</script>")) == {"i"}
    assert symbols(row(table, "short")) == {"m"}
    assert symbols(row(table, "flaky")) == {"!"}
    assert symbols(row(table, "lif", "control")) == {"t"}
    assert row(table, "lif", "control").temporal_gain.reason.endswith("a layer keeps its state")


def test_a_metric_missing_for_one_seed_is_missing_for_the_row(bench: Bench) -> None:
    bench.add("a", "order", 0, 150)
    bench.add(
        "a", "order", 1, 150, spike_rate=None, energy_nj={"a-model": 3.0}, missing={"spike_rate": "no spikes here"}
    )
    found = row(bench.table(), "a")
    assert (found.spike_rate.value, found.spike_rate.reason) == (None, "no spikes here")
    assert found.energy_nj.by_model.keys() == {"a-model"}
    assert found.energy_nj.reason == "b-model gave no number"


def test_what_is_not_finite_is_missing(bench: Bench) -> None:
    bench.add("a", "order", 0, 150, spike_rate=float("nan"), energy_nj={"a-model": float("inf"), "b-model": 2.0})
    bench.add("b", "order", 0, 150, test_accuracy=float("nan"))
    table = bench.table()
    assert row(table, "a").spike_rate.reason == "not a finite number for seed 0"
    assert row(table, "a").energy_nj.by_model == {"b-model": 2.0}
    assert row(table, "b").accuracy.mean is None


def test_counts_that_differ_between_seeds_are_not_averaged(bench: Bench) -> None:
    bench.add("a", "order", 0, 150, T=10)
    bench.add("a", "order", 1, 150, T=20)
    assert row(bench.table(), "a").T.reason == "differs between seeds: 10, 20"


def test_correctness_must_agree_with_the_record(bench: Bench) -> None:
    bench.add("a", "order", 0, 150, test_accuracy=0.99)
    bench.add("b", "order", 0, 150)
    bench.correct.pop("b-order-0-none")
    table = bench.table()
    assert row(table, "a").accuracy.reason == "the stored correctness of seed 0 disagrees with its record"
    assert row(table, "b").accuracy.reason == "the per-sample correctness of seed 0 is not stored"
    assert {r.rank for r in table.rows} == {None}


def test_gain_uses_common_seeds_and_says_so(bench: Bench) -> None:
    for seed in (0, 1):
        bench.add("a", "order", seed, 150)
    bench.add("a", "order", 0, 100, twin="notd")
    gain = row(bench.table(), "a").temporal_gain
    assert (gain.mean, gain.seeds) == (pytest.approx(0.25), 1)
    assert gain.reason.startswith("over seed 0 only")


def test_other_samples_are_not_comparable(bench: Bench) -> None:
    for seed in (0, 1):
        for name in ("a", "b", "c"):
            bench.add(name, "order", seed, 150, **({"dataset_fingerprint": "other"} if name == "c" else {}))
    table = bench.table()
    assert symbols(row(table, "c")) == {"x"} and row(table, "c").rank is None
    assert row(table, "a").rank == row(table, "b").rank == 1


def test_unlike_cells_in_one_row_are_not_comparable(bench: Bench) -> None:
    bench.add("a", "order", 0, 150)
    bench.add("a", "order", 1, 150, budget={"epochs": 9})
    assert [mark.text for mark in row(bench.table(), "a").marks] == ["its seeds differ in budget"]


def test_selection_rule_single_seed_and_older_records(bench: Bench) -> None:
    for seed in (0, 1):
        bench.add("a", "order", seed, 150)
        bench.add("b", "order", seed, 150)
        bench.add("c", "order", seed, 150, selection_rule="last epoch")
    bench.add("b", "order", 0, 120, key="older", started_at="")
    bench.add("b", "order", 0, 180, key="newer", started_at="2026-01-02")
    bench.add("d", "control", 0, 150, fidelity=Fidelity.reconstruction("guessed"))
    table = bench.table()
    assert table.selection_rule == "best validation epoch"
    assert symbols(row(table, "c")) == {"s"}
    assert symbols(row(table, "b")) == {"d"} and row(table, "b").by_seed[0] == 0.9
    assert symbols(row(table, "d", "control")) == {"1", "r"}


def test_a_dataset_with_several_parameters_is_several_datasets(bench: Bench) -> None:
    for T in (4, 8, 16):
        bench.add("a", "order", 0, 150, dataset_params={"T": T, "gap": 3}, key=f"T{T}")
    assert bench.table().datasets == ["order[T=4]", "order[T=8]", "order[T=16]"]


def test_a_control_that_gains_from_state_says_why(bench: Bench) -> None:
    for seed in (0, 1, 2):
        bench.add("a", "control", seed, 180)
        bench.add("a", "control", seed, 140, twin="notd")
        bench.add("b", "order", seed, 180)
        bench.add("b", "order", seed, 140, twin="notd")
    table = bench.table()
    said = summarise(table, "control").time
    assert said.startswith("Cutting its state between steps costs +20.0 [")
    assert "two levels of one binary step" in said and said.count("binary step") == 1
    assert "binary step" not in summarise(table, "order").time


def test_a_control_names_the_rows_that_gain_where_the_leader_does_not(bench: Bench) -> None:
    for seed in (0, 1, 2):
        for name, right, cut in (("a", 190, 190), ("b", 150, 110)):
            bench.add(name, "control", seed, right)
            bench.add(name, "control", seed, cut, twin="notd")
    said = summarise(bench.table(), "control").time
    assert "as a control should show; b gains by its state" in said and "binary step" in said


def test_claims_and_files(bench: Bench) -> None:
    bench.add("a", "order", 0, 150, key="k")
    told = [Claimed(text="90 %", verdict="contradicted")]
    found = row(bench.table(claims={("a", "order"): told}, files={"k": "a.json"}), "a")
    assert (found.claims, found.sources[0].file, found.id) == (told, "a.json", "a@order")


def test_records_of_two_suites_are_refused(bench: Bench) -> None:
    bench.add("a", "order", 0, 150)
    bench.add("a", "order", 1, 150, suite="other")
    with pytest.raises(BenchError, match="several suites"):
        bench.table()


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The strategy or None."""
    return st.none() | strategy


SHARE = maybe(st.floats(0, 1))
NAMES = st.sampled_from(["lif", "a|b", "<b>", "x_[1](2)", "n\nl", "é", '"q"'])
RECORDS = st.builds(
    Record,
    suite=st.just("s"),
    method=NAMES,
    variant=NAMES,
    method_params=st.dictionaries(st.sampled_from("ab"), st.integers()),
    fidelity=maybe(st.builds(Fidelity, kind=st.sampled_from(["faithful", "reconstruction", "inspired"]), note=NAMES)),
    dataset=st.sampled_from(["d", "<e>"]),
    dataset_params=st.dictionaries(st.just("T"), st.integers(1, 2), max_size=1),
    dataset_fingerprint=maybe(st.sampled_from("fg")),
    temporal=st.booleans(),
    twin=st.sampled_from(["none", "notd", "sdbp", "shuffled"]),
    seed=st.integers(0, 2),
    key=st.uuids().map(str),
    status=st.sampled_from(Status),
    reason=NAMES,
    selection_rule=st.sampled_from(["", "val"]),
    test_accuracy=st.sampled_from([None, 0.5, 0.0, 1.0]),
    test_accuracy_peeked=SHARE,
    T=maybe(st.integers(1, 3)),
    params=maybe(st.integers(0, 10**9)),
    spike_rate=SHARE,
    activation_sparsity=SHARE,
    synops_per_sample=maybe(st.floats(0, 1e12)),
    energy_nj=st.dictionaries(st.sampled_from("mn"), maybe(st.floats(0, 1e9))),
    ann_twin_energy_nj=st.dictionaries(st.sampled_from("mn"), maybe(st.floats(0, 1e9))),
    notes=st.lists(NAMES, max_size=2),
    energy=st.dictionaries(
        st.sampled_from("mn"), st.builds(EnergyEstimate, energy_nj=st.none(), break_even_spike_rate=SHARE)
    ),
    layers=st.lists(
        st.builds(
            LayerCounts,
            name=st.just("1"),
            kind=st.just("synapses"),
            acs=st.floats(0, 1e6),
            dense_macs=st.floats(0, 1e6),
            detail=st.just({"steps": 4.0}),
        ),
        max_size=1,
    ),
    train_seconds=maybe(st.floats(0, 1e5)),
    started_at=st.sampled_from(["", "2026"]),
    git_commit=maybe(st.just("abc")),
    git_dirty=maybe(st.booleans()),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(RECORDS, max_size=12), st.randoms(use_true_random=False))
def test_any_records_make_a_table_that_renders(records: list[Record], random: Any) -> None:
    """Whatever is thrown at it: it renders, in any order alike, and no row without accuracy has a rank."""
    correct = {
        record.key: np.arange(4) < 4 * record.test_accuracy
        for record in records
        if record.test_accuracy is not None and record.seed < 2
    }
    table = build_table(records, correct)
    shuffled = list(records)
    random.shuffle(shuffled)
    assert build_table(shuffled, correct) == table
    assert len(table.rows) == len({(r.dataset, str(sorted(r.dataset_params.items())), r.variant) for r in records})
    assert all(row.accuracy.mean is not None for row in table.rows if row.rank is not None)
    assert Table.model_validate_json(table.model_dump_json()) == table
    assert markdown.render(table).endswith("\n") and csv.render(table).endswith("\n")


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(RECORDS, min_size=1, max_size=8))
def test_any_records_make_a_page(records: list[Record]) -> None:
    """The slower renderings, on fewer examples."""
    table = build_table(
        records, {r.key: np.arange(4) < 4 * r.test_accuracy for r in records if r.test_accuracy is not None}
    )
    page = html.render(table)
    assert page.endswith("</html>\n") and ">NaN" not in page
    assert latex.render(table).count(r"\begin{tabular}") == len(table.datasets)
    assert index.render([table])
    Console(file=io.StringIO(), width=70).print(terminal.render(table, 70))
