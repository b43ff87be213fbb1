"""What reads a whole suite does work in proportion to its cells, counted in lines of Python that run.

Counts do not depend on the machine. Their growth from n to 2n, and from 2n to 4n cells, doubles where the work is linear and
grows fourfold where it is quadratic; what is constant falls out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from snn5bench import baseline
from snn5bench.compare import compare
from snn5bench.expand import read
from snn5bench.plan import Planner, State
from snn5bench.publish import table_of
from snn5bench.report import csv, markdown
from snn5bench.store import Store
from tests.scale import made

SIZES = (1, 2, 4)


def lines_run(act: Callable[[], Any]) -> int:
    """Lines that run, iterations of comprehensions among them."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    finally:
        sys.settrace(before)
    return count


def growth(acts: list[Callable[[], Any]]) -> float:
    """By how much the second step exceeds the first: 2 where the work is linear. What is done only once is done before."""
    acts[0]()
    one, two, four = map(lines_run, acts)
    return (four - two) / (two - one)


LINEAR = pytest.approx(2, abs=0.4)


class Sized:
    """A suite of some size, with its records."""

    def __init__(self, folder: Path, datasets: int, methods: int) -> None:
        folder.mkdir()
        self.path = made.suite(folder / "scale.yaml", datasets, methods, samples=40)
        self.store = made.records(self.path, folder / "results")
        self.suite, self.planned = read(self.path)

    def plan(self) -> None:
        _, planned = read(self.path)
        planner = Planner(self.store, self.store.records())
        assert {planner.step(one).state for one in planned} == {State.CACHED}

    def table(self) -> None:
        table = table_of(self.suite, self.planned, self.store)
        markdown.render(table)
        csv.render(table)

    def compare(self) -> None:
        records = self.store.records(one.cell for one in self.planned)
        correct = self.store.correct(records)
        compare(baseline.lock(records, correct), records, correct)

    def write(self) -> None:
        records = self.store.records()
        store = Store(self.store.folder.parent, self.suite.name)
        for record in records:
            store.write(record)


@pytest.fixture(scope="module")
def sized(tmp_path_factory) -> dict[str, list[Sized]]:
    folder = tmp_path_factory.mktemp("sized")
    return {
        "datasets": [Sized(folder / f"d{n}", n, 3) for n in SIZES],
        "methods": [Sized(folder / f"m{n}", 1, 3 * n) for n in SIZES],
    }


@pytest.mark.parametrize("verb", ["plan", "table", "compare", "write"])
def test_work_grows_with_the_datasets_as_the_cells_do(sized, verb):
    assert growth([getattr(one, verb) for one in sized["datasets"]]) == LINEAR


@pytest.mark.parametrize("verb", ["plan", "compare", "write"])
def test_work_grows_with_the_methods_as_the_cells_do(sized, verb):
    """The table is left out: its ranks compare the methods of a dataset with each leader, which may be all pairs."""
    assert growth([getattr(one, verb) for one in sized["methods"]]) == LINEAR


def test_the_count_tells_quadratic_work_from_linear():
    def one(n: int) -> list[int]:
        return [a + 1 for a in range(n)]

    def pairs(n: int) -> list[int]:
        return [a + 1 for a in range(n) for b in range(n) if a == b]

    assert growth([partial(one, n) for n in (50, 100, 200)]) == LINEAR
    assert growth([partial(pairs, n) for n in (50, 100, 200)]) == pytest.approx(4, abs=0.4)
