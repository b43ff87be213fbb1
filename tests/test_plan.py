"""`plan`: minutes from earlier records of the same machine, and none where there is none; `why`: what made a cell run."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from snn5bench import views
from snn5bench.expand import read
from snn5bench.plan import Planner
from tests.test_run import go, suite

__all__ = ["suite"]


def shown(path, store) -> str:
    console = Console(file=StringIO(), width=200)
    _, planned = read(path)
    planner = Planner(store, store.records())
    views.print_plan([planner.step(one) for one in planned], 2, console, False)
    return console.file.getvalue()


def timed(store, **environment: str) -> None:
    """Each record took a minute and 50 MB, elsewhere if told so."""
    for record in store.records():
        there = record.environment.model_copy(update=environment)
        took = {"train_seconds": 50.0, "eval_seconds": 10.0, "peak_memory_bytes": 50 << 20, "environment": there}
        store.write(record.model_copy(update=took), store.arrays(record))


def test_the_minutes_come_from_earlier_records_of_this_machine(suite, tmp_path):
    path, results = suite(), tmp_path / "results"
    _, store, _ = go(path, results)
    assert "6 cells: 6 cached; nothing to run" in shown(path, store)
    path.write_text(path.read_text().replace("seeds: [0, 1]", "seeds: [0, 1, 2, 3]"))
    timed(store)
    text = shown(path, store)
    assert "12 cells: 6 run, 6 cached; about 3.0 min on 2 processes, from earlier records of this machine" in text
    assert [line.split()[3:] for line in text.splitlines() if "2,3" in line] == [
        ["run", "2.00", "no", "record", "yet"]
    ] * 3
    timed(store, cpu="an abacus")
    text = shown(path, store)
    assert "12 cells: 6 run, 6 cached; time unknown: no earlier record of this machine" in text
    assert "n/a" in text


def test_a_plan_knows_minutes_and_memory_by_cell(suite, tmp_path):
    path = suite()
    _, store, _ = go(path, tmp_path / "results")
    timed(store)
    path.write_text(path.read_text().replace("seeds: [0, 1]", "seeds: [5]"))
    _, planned = read(path)
    planner = Planner(store, store.records())
    assert {(step.minutes, step.memory_bytes) for step in map(planner.step, planned)} == {(1.0, 50 << 20)}


def test_why_names_code_config_data_and_environment(suite, tmp_path):
    path = suite()
    _, store, _ = go(path, tmp_path / "results")
    (record, *_) = store.records()
    parts = record.key_parts
    changed = parts | {
        "code": parts["code"] | {"acme.tiny": "0" * 16},
        "versions": parts["versions"] | {"numpy": "1.0"},
        "config": parts["config"] | {"epochs": 9},
        "data": "f" * 16,
    }
    store.write(record.model_copy(update={"key": "0" * 32, "key_parts": changed}), store.arrays(record))
    (cell,) = [
        p for p in read(path)[1] if p.cell.identity == (record.variant, record.dataset, record.twin, record.seed)
    ]
    console = Console(file=StringIO(), width=200)
    views.print_why([(Planner(store, store.records()).step(cell), store.last_of(cell.cell))], console, False)
    text = console.file.getvalue()
    assert "run: 4 changes" in text
    for words in (
        "config: epochs 9 became 2",
        "code: acme.tiny was edited",
        "environment: numpy 1.0 became",
        "data: finger",
    ):
        assert words in text
