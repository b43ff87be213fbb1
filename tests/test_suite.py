"""Suites: every mistake at once with its place, and the expansion."""

from __future__ import annotations

from pathlib import Path

import pytest

from snn5bench.errors import BenchError
from snn5bench.expand import matching, read, select
from snn5bench.suite import find

ROOT = Path(__file__).parents[1]
GOLDEN = Path(__file__).parent / "golden"

BROKEN = """\
description: many mistakes
seeds: [0, -1]
budjet: {epochs: 5}
limits: {cell_minutes: 0, cell_hours: 1, write_minutes: soon}
budget: {epochs: 0, batch_size: many}
twins:
  notd: {methods: [lifff]}
datasets:
  - name: pulse-oder
  - name: digits
    params: {TT: 4}
  - digits
methods:
  - name: lif
    params: {hiden: [4]}
    grid: {decay: []}
  - name: glife
"""

DEEPER = """\
seeds: [0]
budget: {epochs: 5}
baseline: glif
twins:
  notd: {methods: [lifff]}
datasets:
  - name: pulse-oder
  - name: digits
    params: {TT: 4, T: -1}
  - digits
methods:
  - name: lif
    params: {hiden: [4], decay: 2.5}
  - name: glife
incompatible:
  - {method: lif, dataset: mnist, reason: no such data}
"""


def write(tmp_path: Path, text: str, name: str = "broken") -> Path:
    path = tmp_path / f"{name}.yaml"
    path.write_text(text)
    return path


def message(tmp_path: Path, text: str) -> str:
    with pytest.raises(BenchError) as caught:
        read(write(tmp_path, text))
    return str(caught.value).replace(f"{tmp_path}/", "") + "\n"


@pytest.mark.parametrize(("text", "golden"), [(BROKEN, "suite_schema.txt"), (DEEPER, "suite_names.txt")])
def test_all_mistakes_of_a_file_in_one_message(tmp_path, text, golden):
    assert message(tmp_path, text) == (GOLDEN / golden).read_text()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("seeds: [0\nmethods: x\n", ":2"),
        ("- a\n- b\n", "mapping"),
        ("a: &x 1\nb: *x\n", "anchors"),
        ("a: !!python/object/apply:os.system ['true']\n", "tag"),
        ("seeds: 1\nseeds: 2\n", ":2"),
        ("\x00", "YAML"),
        ("", "mapping"),
    ],
)
def test_what_is_not_a_suite_is_said_plainly(tmp_path, text, place):
    assert place in message(tmp_path, text)


def test_a_suite_that_does_not_exist_is_suggested():
    with pytest.raises(BenchError, match="did you mean 'smoke'"):
        find("smokes", ROOT / "suites")
    with pytest.raises(BenchError, match="no suite"):
        find("../suites/smoke", ROOT / "suites")


GRID = """\
seeds: [0, 1, 2]
budget: {epochs: 5, batch_size: 8}
record_peeking: true
twins:
  notd: {methods: [lif], datasets: [temporal]}
datasets:
  - name: digits
    grid: {T: [2, 4]}
  - name: pulse-order
    budget: {epochs: 7}
methods:
  - name: lif
    grid: {lr: [0.001, 0.01]}
    on: {pulse-order: {clip: 2.0}}
    budget: {"digits*": {batch_size: 16}}
"""


def test_expansion(tmp_path):
    suite, planned = read(write(tmp_path, GRID, "grid"))
    assert suite.name == "grid"
    cells = [p.cell for p in planned]
    digits = [c for c in cells if c.dataset == "digits"]
    pulses = [c for c in cells if c.dataset == "pulse-order"]
    assert len(digits) == 2 * 2 * 3
    assert len(pulses) == 2 * 3 * 2 + 3  # two rows with their NoTD twin, and the shuffled twin of the baseline
    assert {c.dataset_variant for c in digits} == {"digits[T=2]", "digits[T=4]"}
    assert {c.variant for c in cells} == {"lif[lr=0.001]", "lif[lr=0.01]"}
    assert {(c.epochs, c.batch_size) for c in digits} == {(5, 16)}
    assert {(c.epochs, c.batch_size) for c in pulses} == {(7, 8)}
    assert {c.method_params["clip"] for c in pulses} == {2.0}
    assert {c.method_params["clip"] for c in digits} == {1.0}
    assert {c.variant for c in pulses if c.twin == "shuffled"} == {"lif[lr=0.001]"}
    assert all("decay" in c.method_params for c in cells), "every default is written out"


def test_reordering_the_file_changes_no_cell(tmp_path):
    _, planned = read(write(tmp_path, GRID, "grid"))
    head, _, tail = GRID.partition("\ndatasets:")
    datasets, _, methods = tail.partition("\nmethods:")
    _, again = read(write(tmp_path, f"methods:{methods}\ndatasets:{datasets}\n{head}\n", "grid"))
    assert {p.cell.label: p.cell.config() for p in planned} == {p.cell.label: p.cell.config() for p in again}


def test_select_and_matching(tmp_path):
    _, planned = read(write(tmp_path, GRID, "grid"))
    assert {p.cell.seed for p in select(planned, "lif*", "0,2")} == {0, 2}
    assert len(matching(planned, "lif[lr=0.001]@digits[T=2]#1")) == 1
    with pytest.raises(BenchError, match="not a list of seeds"):
        select(planned, None, "zero")
    with pytest.raises(BenchError, match="no cell"):
        select(planned, "glif", None)


@pytest.mark.parametrize("path", sorted((ROOT / "suites").glob("*.yaml")), ids=lambda p: p.stem)
def test_our_own_suites_expand(path):
    suite, planned = read(path)
    assert planned
    assert suite.description
