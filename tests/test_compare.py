"""The gate from records to marks, exit codes and views, on made-up suites."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

from snn5bench.baseline import Baseline, PackedAnswers, lock, read, write
from snn5bench.compare import compare
from snn5bench.errors import BenchError, ExitCode
from snn5bench.judgement import Comparison, Mark, Verdict
from snn5bench.record import Environment, Record, Status
from snn5bench.report import compare_views

GOLDEN = Path(__file__).parent / "golden"
N = 2000
Night = tuple[list[Record], dict[str, np.ndarray]]


def record(method: str, seed: int, dataset: str = "pulses", **fields: Any) -> Record:
    """A record that is done, as the runner writes it."""
    parts = {
        "version": 1,
        "config": {"method": method, "seed": seed},
        "code": {"snn5bench.methods.lif": "a" * 64},
        "versions": {"torch": "2.13.0"},
        "data": "d" * 64,
        "transform": {},
    }
    defaults: dict[str, Any] = {
        "suite": "made-up",
        "method": method,
        "variant": method,
        "method_params": {"lr": 0.002},
        "dataset": dataset,
        "dataset_params": {"gap": 4},
        "dataset_fingerprint": "d" * 64,
        "seed": seed,
        "budget": {"epochs": 3, "batch_size": 64},
        "key": f"{method}-{dataset}-{seed}",
        "key_parts": parts,
        "status": Status.DONE,
        "n_test": N,
        "spike_rate": 0.08 + 0.001 * seed,
        "synops_per_sample": 12_000.0 + 100 * seed,
        "train_seconds": 10.0 + seed,
        "environment": Environment(python="3.11.9", platform="linux", cpu="a cpu"),
        "git_commit": "0123456789abcdef",
    }
    return Record(**defaults | fields)


def night(
    methods: dict[str, float], luck: int, seeds: int = 3, change: Callable[[Record], None] | None = None
) -> Night:
    """Records and answers of methods with given accuracies; `luck` draws the networks, the questions stay."""
    records, correct = [], {}
    for index, (method, accuracy) in enumerate(sorted(methods.items())):
        questions = np.random.default_rng(index).choice([0.98, 0.05, 0.5], N, p=[0.7, 0.1, 0.2])
        rng = np.random.default_rng([luck, index])
        for seed in range(seeds):
            answers = rng.random(N) < questions * accuracy / questions.mean()
            made = record(method, seed, test_accuracy=float(answers.mean()))
            if change is not None:
                change(made)
            records.append(made)
            if made.status is Status.DONE:
                correct[made.key] = answers
    return records, correct


METHODS = {f"m{index}": 0.6 for index in range(6)} | {"glif": 0.7, "lif": 0.65}


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    records, correct = night(METHODS, luck=0)
    return lock(records, correct, locked_at=datetime(2026, 1, 2, tzinfo=UTC))


def of(comparison: Comparison, variant: str) -> Any:
    return next(row for row in comparison.rows if row.variant == variant).metrics


def failing(method: str, status: Status, seeds: tuple[int, ...] = (0, 1, 2)) -> Callable[[Record], None]:
    def change(made: Record) -> None:
        if made.method == method and made.seed in seeds:
            made.status, made.reason = status, "it went wrong"
            made.test_accuracy = made.spike_rate = made.synops_per_sample = made.train_seconds = made.n_test = None

    return change


def test_the_same_answers_are_the_same_without_a_test(baseline: Baseline) -> None:
    found = compare(baseline, *night(METHODS, luck=0))
    assert {judgement.mark for row in found.rows for judgement in row.metrics.values()} == {Mark.SAME}
    assert (found.verdict, found.exit_code, found.changes) == (Verdict.SAME, ExitCode.OK, [])


def test_retrained_and_unchanged_passes(baseline: Baseline) -> None:
    found = compare(baseline, *night(METHODS, luck=1))
    assert found.exit_code is ExitCode.OK
    assert {row.metrics["accuracy"].mark for row in found.rows} <= {Mark.SAME, Mark.UNDECIDED}


def test_a_regression_is_found_and_nothing_else_is_blamed(baseline: Baseline) -> None:
    found = compare(baseline, *night(METHODS | {"glif": 0.65}, luck=1))
    assert (found.verdict, found.exit_code) == (Verdict.REGRESSION, ExitCode.REGRESSION)
    assert [row.variant for row in found.rows if row.metrics["accuracy"].mark is Mark.WORSE] == ["glif"]
    worse = of(found, "glif")["accuracy"]
    assert worse.p < 0.01 and worse.low < worse.after - worse.before < worse.high < 0
    better = compare(baseline, *night(METHODS | {"glif": 0.75}, luck=1))
    assert (better.verdict, better.exit_code) == (Verdict.BETTER, ExitCode.OK)


def test_a_significant_drop_inside_the_margin_is_no_regression(baseline: Baseline) -> None:
    dropped = METHODS | {"glif": 0.65}
    assert compare(baseline, *night(dropped, luck=1), margin=0.1).exit_code is ExitCode.OK


@pytest.mark.parametrize("status", [Status.FAILED, Status.INCOMPATIBLE])
def test_what_ran_and_fails_now_broke(baseline: Baseline, status: Status) -> None:
    found = compare(baseline, *night(METHODS, luck=0, change=failing("lif", status, (1,))))
    assert of(found, "lif")["accuracy"].mark is Mark.BROKE
    assert "seed 1" in of(found, "lif")["accuracy"].reason and "it went wrong" in of(found, "lif")["accuracy"].reason
    assert found.exit_code is ExitCode.REGRESSION


def test_what_failed_and_runs_now_is_fixed() -> None:
    old = lock(*night(METHODS, luck=0, change=failing("lif", Status.FAILED)))
    found = compare(old, *night(METHODS, luck=0))
    assert of(found, "lif")["accuracy"].mark is Mark.FIXED
    assert (found.verdict, found.exit_code) == (Verdict.BETTER, ExitCode.OK)
    again = compare(old, *night(METHODS, luck=0, change=failing("lif", Status.FAILED)))
    assert of(again, "lif")["accuracy"].mark is Mark.SAME


@pytest.mark.parametrize("status", [Status.NEEDS_DATA, Status.NOT_INSTALLED, Status.INTERRUPTED])
def test_what_could_not_run_is_an_open_question(baseline: Baseline, status: Status) -> None:
    found = compare(baseline, *night(METHODS, luck=0, change=failing("lif", status)))
    assert of(found, "lif")["accuracy"].mark is Mark.UNDECIDED
    assert (found.verdict, found.exit_code) == (Verdict.CANNOT_TELL, ExitCode.CANNOT_TELL)


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("method_params", {"lr": 0.001}, "definition"),
        ("dataset_params", {"gap": 8}, "definition"),
        ("budget", {"epochs": 9, "batch_size": 64}, "protocol"),
        ("dataset_fingerprint", "e" * 64, "data"),
    ],
)
def test_another_definition_is_not_comparable(baseline: Baseline, field: str, value: Any, word: str) -> None:
    def change(made: Record) -> None:
        if made.method == "lif":
            setattr(made, field, value)

    found = compare(baseline, *night(METHODS | {"lif": 0.3}, luck=0, change=change))
    judgement = of(found, "lif")["accuracy"]
    assert judgement.mark is Mark.INCOMPARABLE and word in judgement.reason
    assert found.exit_code is ExitCode.OK, "the other rows are as before"
    everything = compare(baseline, *night(METHODS, luck=0, change=lambda made: setattr(made, field, value)))
    assert everything.exit_code is ExitCode.CANNOT_TELL, "nothing was compared"


def test_a_row_that_came_and_one_that_went(baseline: Baseline) -> None:
    fewer = {name: accuracy for name, accuracy in METHODS.items() if name != "m0"} | {"new": 0.5}
    records, correct = night(METHODS | {"new": 0.5}, luck=0)
    kept = [made for made in records if made.method in fewer]
    found = compare(baseline, kept, correct)
    assert of(found, "m0")["accuracy"].mark is Mark.UNDECIDED and of(found, "m0")["accuracy"].open
    assert of(found, "new")["accuracy"].mark is Mark.INCOMPARABLE
    assert found.exit_code is ExitCode.CANNOT_TELL
    assert found.changes == ["rows: new on pulses is new", "rows: m0 on pulses is not in the new records"]


def test_too_few_seeds_cannot_tell_and_a_baseline_may_have_more(baseline: Baseline) -> None:
    one = lock(*night({"lif": 0.6}, luck=0, seeds=1))
    found = compare(one, *night({"lif": 0.4}, luck=1, seeds=1))
    assert found.exit_code is ExitCode.CANNOT_TELL
    ten = lock(*night(METHODS, luck=0, seeds=10))
    same = compare(ten, *night(METHODS, luck=0, seeds=3))
    assert {row.metrics["accuracy"].mark for row in same.rows} == {Mark.SAME}
    lif = of(same, "lif")["accuracy"]
    assert lif.before == lif.after, "the mean of the seeds that both have"
    retrained = compare(ten, *night(METHODS | {"glif": 0.67}, luck=1, seeds=3))
    assert of(retrained, "glif")["accuracy"].mark is Mark.WORSE


def made_of_seeds(accuracies: dict[str, list[float]]) -> Night:
    """Records with exactly these accuracies, a seed each, wrong on samples of their own."""
    records, correct = [], {}
    for method, values in accuracies.items():
        for seed, accuracy in enumerate(values):
            made = record(method, seed, key=f"{method}{seed}{accuracy}")
            order = np.random.default_rng([seed, round(1e4 * accuracy)]).permutation(N)
            correct[made.key] = order < round(accuracy * N)
            made.test_accuracy = float(correct[made.key].mean())
            records.append(made)
    return records, correct


def test_suspicion_keeps_the_night_open_and_wide_rows_alone_do_not() -> None:
    quiet = {f"m{index}": [0.795, 0.80, 0.805] for index in range(8)}
    moved = {name: [value + 0.001 for value in values] for name, values in quiet.items()}
    before = lock(*made_of_seeds(quiet | {"suspect": [0.795, 0.80, 0.805], "wide": [0.70, 0.8, 0.9]}))
    found = compare(before, *made_of_seeds(moved | {"suspect": [0.795, 0.80, 0.805], "wide": [0.72, 0.79, 0.88]}))
    wide = of(found, "wide")["accuracy"]
    assert (wide.mark, wide.blind, wide.open) == (Mark.UNDECIDED, True, False) and "scatter too much" in wide.reason
    assert found.exit_code is ExitCode.OK
    found = compare(before, *made_of_seeds(moved | {"suspect": [0.778, 0.783, 0.788], "wide": [0.7, 0.8, 0.9]}))
    suspect = of(found, "suspect")["accuracy"]
    assert (suspect.mark, suspect.open) == (Mark.UNDECIDED, True) and "run more seeds" in suspect.reason
    assert found.exit_code is ExitCode.CANNOT_TELL
    only = {"wide": [0.70, 0.8, 0.9]}
    blind = compare(lock(*made_of_seeds(only)), *made_of_seeds({"wide": [0.72, 0.79, 0.88]}))
    assert blind.exit_code is ExitCode.CANNOT_TELL, "a night that could have seen nothing does not pass"


def test_operations_spike_rate_and_time(baseline: Baseline) -> None:
    def change(made: Record) -> None:
        if made.method == "lif":
            made.spike_rate, made.synops_per_sample, made.train_seconds = 0.05, 24_000.0 + made.seed, 40.0
        if made.method == "glif":
            made.spike_rate, made.synops_per_sample, made.train_seconds = None, 12_010.0 + 100 * made.seed, 11.5
        if made.method == "m0":
            made.environment = Environment(python="3.11.9", platform="linux", cpu="another cpu")

    night_ = night(METHODS, luck=0, change=change)
    found = compare(baseline, *night_)
    marks = {name: [judgement.mark for judgement in of(found, name).values()] for name in ("lif", "glif", "m0", "m1")}
    assert marks["lif"] == [Mark.SAME, Mark.BETTER, Mark.WORSE, Mark.WORSE]
    assert marks["glif"] == [Mark.SAME, Mark.UNDECIDED, Mark.SAME, Mark.SAME]
    assert marks["m0"] == [Mark.SAME, Mark.SAME, Mark.SAME, Mark.INCOMPARABLE]
    assert found.exit_code is ExitCode.OK, "only accuracy decides"
    assert compare(baseline, *night_, also=("operations",)).exit_code is ExitCode.REGRESSION


def test_changes_are_named(baseline: Baseline) -> None:
    def change(made: Record) -> None:
        parts = made.key_parts
        made.key_parts = parts | {"versions": {"torch": "2.14.0"}, "code": {"snn5bench.methods.lif": "b" * 64}}
        if made.method == "glif":
            made.environment = Environment(python="3.12.1", platform="linux", cpu="a cpu")

    found = compare(baseline, *night(METHODS, luck=0, change=change))
    assert found.changes == [
        "code: snn5bench.methods.lif was edited",
        "environment: torch 2.13.0 became 2.14.0",
        "machine: python 3.11.9 became 3.12.1 (3 of 24 cells)",
    ]


def test_the_same_key_with_other_answers_is_said(baseline: Baseline) -> None:
    assert "same key, other answers" in of(compare(baseline, *night(METHODS, luck=1)), "lif")["accuracy"].reason


def test_misuse_is_refused(baseline: Baseline) -> None:
    records, correct = night(METHODS, luck=0)
    with pytest.raises(BenchError, match="no records"):
        compare(baseline, [], {})
    with pytest.raises(BenchError, match="of suite 'other'"):
        compare(baseline, [made.model_copy(update={"suite": "other"}) for made in records], correct)
    with pytest.raises(BenchError, match="no stored answers"):
        compare(baseline, records, {})
    forged = records[0].model_copy(update={"test_accuracy": 0.99})
    with pytest.raises(BenchError, match="do not agree"):
        lock([forged, *records[1:]], correct)
    with pytest.raises(BenchError, match="twice"):
        lock([*records, records[0]], correct)


def test_a_baseline_survives_its_file_byte_for_byte(baseline: Baseline, tmp_path: Path) -> None:
    first, second = tmp_path / "locked" / "a.json", tmp_path / "b.json"
    write(baseline, first)
    loaded = read(first)
    assert loaded == baseline
    write(loaded, second)
    assert first.read_bytes() == second.read_bytes()
    assert [path.name for path in first.parent.iterdir()] == ["a.json"]
    assert loaded.key_parts(loaded.cells[0])["versions"] == {"torch": "2.13.0"}
    assert first.stat().st_size < 40_000, "24 cells of 2,000 answers"


@pytest.mark.parametrize("n", [1, 7, 8, 9, 2000])
def test_answers_survive_packing(n: int) -> None:
    answers = np.random.default_rng(n).random(n) < 0.5
    assert (PackedAnswers.pack(answers).unpack() == answers).all()


def test_bad_baselines_are_refused(baseline: Baseline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "made-up.json"
    with pytest.raises(BenchError, match="no baseline"):
        read(path)
    write(baseline, path)
    document = json.loads(path.read_text())

    def refused(match: str, **edit: Any) -> None:
        broken = json.loads(json.dumps(document))
        cell = broken["cells"][0]
        for name, value in edit.items():
            (cell if name in cell else broken)[name] = value
        path.write_text(json.dumps(broken))
        with pytest.raises(BenchError, match=match):
            read(path)

    refused("newer", schema_version=2)
    refused("do not agree", test_accuracy=0.999)
    refused("less than or equal to 1", test_accuracy=1.5)
    refused("finite", spike_rate=float("nan"))
    refused("need 250 bytes", answers={"n": 2000, "bits": "AAAA"})
    refused("base64", answers={"n": 2000, "bits": "!"})
    refused("parts missing", made_of={"code": "nowhere"})
    refused("Extra inputs", surprise=1)
    refused("valid string", key=7)
    refused("twice", cells=[document["cells"][0]] * 2)
    for text in ("{", "[" * 100_000, "[]", "\x00"):
        path.write_text(text)
        with pytest.raises(BenchError):
            read(path)
    monkeypatch.setattr("snn5bench.baseline.MAX_BYTES", 10)
    write(baseline, path)
    with pytest.raises(BenchError, match="too many"):
        read(path)


@pytest.fixture(scope="module")
def eventful(baseline: Baseline) -> Comparison:
    """One row of each mark, with names and reasons that try to break out."""

    def change(made: Record) -> None:
        failing("m0", Status.FAILED, (2,))(made)
        failing("m2", Status.NEEDS_DATA)(made)
        if made.method == "m0" and made.seed == 2:
            made.reason = "ValueError: <script>alert(1)</script> | `x`\nsecond line \x1b[31m"
        if made.method == "m1":
            made.method_params = {"lr": 0.5}
        made.key_parts = made.key_parts | {"versions": {"torch": "2.14.0"}}

    records, correct = night(METHODS | {"glif": 0.62, "m3": 0.68}, luck=1, change=change)
    still, answers = night(METHODS, luck=0)
    kept = [made for made in records if made.method not in ("m4", "lif")]
    return compare(baseline, kept + [made for made in still if made.method in ("m4", "lif")], correct | {
        made.key: answers[made.key] for made in still if made.method in ("m4", "lif")
    })  # fmt: skip


def test_golden_markdown(eventful: Comparison) -> None:
    text = compare_views.markdown(eventful)
    assert text == (GOLDEN / "compare.md").read_text(encoding="utf-8")
    assert "<script>" not in text


def test_terminal_says_it_all(eventful: Comparison) -> None:
    console = Console(width=220, record=True, file=None, color_system=None)
    with console.capture() as captured:
        console.print(compare_views.terminal(eventful))
    text = captured.get()
    assert compare_views.headline(eventful) in text
    assert "environment: torch 2.13.0 became 2.14.0" in text
    for row in eventful.rows:
        assert any(line.startswith(row.metrics["accuracy"].mark) and row.variant in line for line in text.splitlines())
    assert "=  the same in every metric: lif on pulses, m4 on pulses" in text
    assert "\x1b" not in text


def test_json_holds_verdict_and_rows(eventful: Comparison) -> None:
    document = json.loads(compare_views.as_json(eventful))
    assert (document["verdict"], document["exit_code"]) == ("regression", 1)
    marks = {row["variant"]: row["metrics"]["accuracy"]["mark"] for row in document["rows"]}
    assert (
        marks["glif"] == "-" and marks["m0"] == "!" and marks["m1"] == "x" and marks["m3"] == "+" and marks["m4"] == "="
    )
    head = {"verdict": None, "exit_code": None}
    rest = {name: value for name, value in document.items() if name not in head}
    assert Comparison.model_validate(rest) == eventful


def test_junit_is_xml_with_the_right_counts(eventful: Comparison) -> None:
    suite = ElementTree.fromstring(compare_views.junit(eventful))
    kinds = {case.get("name"): [child.tag for child in case] for case in suite}
    assert (
        kinds["glif"] == ["failure"] and kinds["m0"] == ["error"] and kinds["m1"] == ["skipped"] and kinds["m4"] == []
    )
    for name in ("failure", "error", "skipped"):
        attribute = name if name == "skipped" else f"{name}s"
        assert int(suite.get(attribute, "-1")) == sum(found == [name] for found in kinds.values())
    assert int(suite.get("tests", "-1")) == len(eventful.rows)
