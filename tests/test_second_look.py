"""`compare --settle` and `run --more-seeds`: suspects run with further seeds, kept apart from the suite's own records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from snn5bench import baseline, further, gate
from snn5bench.baseline import PackedAnswers, RowName
from snn5bench.cli import app
from snn5bench.compare import FURTHER
from snn5bench.expand import read
from snn5bench.progress import Display
from snn5bench.run import run
from snn5bench.store import Store
from snn5bench.tracking import NoTracker

SUITE = """\
seeds: [0, 1, 2]
budget: {epochs: 1, batch_size: 64}
twins: {notd: null, shuffled: null}
datasets: [{name: digits, params: {T: 2}}]
methods: [{name: acme/tiny, grid: {scale: [1.0, 2.0, 3.0, 4.0]}}]
"""
ROW = RowName("acme/tiny[scale=1.0]", "digits", "none")


@pytest.fixture
def night(tiny_plugin, tmp_path, monkeypatch):
    """A suite that ran and was locked, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.yaml"
    path.write_text(SUITE)
    suite, planned = read(path)
    store = Store(tmp_path / "results", suite.name)
    run(planned, store, NoTracker(), Display(Console(quiet=True)), "serial", 1)
    gate.lock_suite(suite, planned, store, Console(quiet=True))
    return suite, planned, store


def locked_higher(points: list[int]) -> None:
    """Give one row of the baseline so many more right answers, by seed: today's records then look like a drop."""
    path = gate.LOCKED / "mine.json"
    before = baseline.read(path)
    cells = []
    for cell in before.cells:
        if cell.row == ROW:
            answers = cell.answers.unpack()
            answers[np.flatnonzero(~answers)[: points[cell.seed]]] = True
            update = {"answers": PackedAnswers.pack(answers), "test_accuracy": float(answers.mean()), "key": "0" * 32}
            cell = cell.model_copy(update=update)
        cells.append(cell)
    baseline.write(before.model_copy(update={"cells": cells}), path)


def compare(night, settle: int, markdown: Path | None = None) -> int:
    suite, planned, store = night
    return gate.compare_suite(suite, planned, store, None, Console(quiet=True), markdown, None, False, settle, 1)


def test_a_suspect_is_run_with_further_seeds_and_judged_again(night, tmp_path):
    _, planned, store = night
    assert compare(night, FURTHER) == 0
    assert not further.store_of(store).cells.exists(), "nothing was suspect"
    n = next(cell.n_test for cell in baseline.read(gate.LOCKED / "mine.json").cells)
    locked_higher([round(share * n) for share in (0.012, 0.03, 0.04)])
    own = store.records()
    assert compare(night, 0) == 3
    code = compare(night, FURTHER, tmp_path / "found.md")
    more = further.store_of(store).records()
    assert {(record.variant, record.seed) for record in more} == {(ROW.variant, seed) for seed in range(3, 3 + FURTHER)}
    text = (tmp_path / "found.md").read_text()
    assert "second look, with further seeds of: acme/tiny" in text
    assert code == 0, "eighteen seeds clear what three made suspect"
    assert store.records() == own, "the leaderboard's records are as before"
    assert further.current(planned, store) == more


def test_what_today_would_not_make_again_is_left_out(night, monkeypatch):
    _, planned, store = night
    run(further.cells(planned, 1), further.store_of(store), NoTracker(), Display(Console(quiet=True)), "serial", 1)
    assert len(further.current(planned, store)) == 4
    longer = [p.model_copy(update={"cell": p.cell.model_copy(update={"epochs": 2})}) for p in planned]
    assert further.current(longer, store) == []


def test_more_seeds_make_the_baseline_that_compare_can_rely_on(night):
    suite, planned, store = night
    words = ["run", "mine.yaml", "--more-seeds", "2", "--runner", "serial", "--no-track", "--only", "*scale=1.0*"]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert len(further.store_of(store).records()) == 2
    gate.lock_suite(suite, planned, store, Console(quiet=True))
    seeds = [cell.seed for cell in baseline.read(gate.LOCKED / "mine.json").cells if cell.row == ROW]
    assert seeds == [0, 1, 2, 3, 4]
    assert compare(night, 0) == 0
