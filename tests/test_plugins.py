"""Plugins: one made by `new method` and installed for real, broken ones, absent ones, and none that imports torch."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from snn5bench import registry, scaffold
from snn5bench.errors import BenchError
from snn5bench.expand import read
from snn5bench.plan import Planner, State
from snn5bench.progress import Display
from snn5bench.record import Status
from snn5bench.run import run
from snn5bench.store import Store
from snn5bench.tracking import NoTracker
from snn5bench.views import datasets
from tests.conftest import TINY_METHOD

ROOT = Path(__file__).parents[1]
SUITE = """\
seeds: [0]
budget: {epochs: 1, batch_size: 64}
twins: {notd: null, shuffled: null}
datasets:
  - {name: pulse-order, params: {T: 16, min_gap: 2, max_gap: 4, train: 30, val: 10, test: 20}}
methods: [METHODS]
"""


def suite(folder: Path, methods: str) -> Path:
    path = folder / "mixed.yaml"
    path.write_text(SUITE.replace("METHODS", methods))
    return path


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The package that `new method` writes, in a site folder of its own, by pip."""
    folder = tmp_path_factory.mktemp("plugin")
    scaffold.new_method("slow-leak", folder)
    site = folder / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target"]
    subprocess.run([*command, str(site), str(folder / "slow-leak")], check=True, capture_output=True)
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, env=env, capture_output=True, text=True, cwd=folder, check=False)

    return folder, call


def test_a_new_method_passes_check_as_it_is(installed):
    _, call = installed
    done = call(sys.executable, "-m", "snn5bench", "check", "slow-leak/slow-leak", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert document["passed"]
    assert {check["verdict"] for check in document["checks"]} == {"passed"}


def test_its_own_test_passes(installed):
    folder, call = installed
    done = call(
        sys.executable,
        "-m",
        "pytest",
        "-q",
        str(folder / "slow-leak" / "tests"),
        "-k",
        "by_hand",
        "-p",
        "no:cacheprovider",
    )
    assert done.returncode == 0, done.stdout


def test_its_suite_gives_a_row_beside_the_baseline(installed):
    folder, call = installed
    path, results = str(folder / "slow-leak" / "suites" / "slow-leak.yaml"), str(folder / "results")
    ran = call(sys.executable, "-m", "snn5bench", "run", path, "--results", results, "--no-track", "--runner", "serial")
    assert ran.returncode == 0, ran.stderr
    assert call(sys.executable, "-m", "snn5bench", "report", path, "--results", results).returncode == 0
    table = pd.read_csv(folder / "results" / "slow-leak" / "leaderboard.csv")
    assert set(table.method) == {"lif", "slow-leak/slow-leak"}
    row = table[table.method == "slow-leak/slow-leak"].iloc[0]
    assert (row.status, row.fidelity) == ("done", "inspired")
    assert 0 <= row.accuracy <= 100
    record = next(r for r in Store(folder / "results", "slow-leak").records() if r.method.startswith("slow"))
    assert record.method_version == "slow-leak 0.1.0"
    assert {"slow_leak.method", "slow_leak.neuron", "snn5bench.neurons.step"} <= record.key_parts["code"].keys()


def test_a_new_neuron_takes_under_fifteen_lines(tmp_path):
    scaffold.new_method("slow-leak", tmp_path)
    source = (tmp_path / "slow-leak" / "slow_leak" / "neuron.py").read_text()
    (neuron,) = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    assert neuron.end_lineno - neuron.lineno + 1 < 15


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("My_Neuron", "cannot name a package"),
        ("../outside", "cannot name a package"),
        ("a\n[x]", "cannot name a package"),
        ("class", "cannot name a package"),
        ("json", "is there already"),
        ("numpy", "is there already"),
    ],
)
def test_names_that_cannot_be(tmp_path, name, why):
    with pytest.raises(BenchError, match=why):
        scaffold.new_method(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path):
    scaffold.new_method("slow-leak", tmp_path)
    with pytest.raises(BenchError, match="there already"):
        scaffold.new_method("slow-leak", tmp_path)


@pytest.fixture
def mixed(install_plugin, tiny_plugin):
    """Two more packages that break on import, with a method and a dataset."""
    install_plugin("rotten", {"core": "import no_such_module"}, methods={"fast": "rotten.core:Fast"})
    install_plugin("mouldy", {"core": "1 / 0"}, datasets={"old": "mouldy.core:Old"})


def test_a_broken_plugin_is_named_and_the_rest_works(mixed, tmp_path):
    path = suite(tmp_path, "acme/tiny, rotten/fast, lif")
    loaded, planned = read(path)
    store = Store(tmp_path / "results", loaded.name)
    steps = {s.cell.method: s for s in map(Planner(store, []).step, planned)}
    assert steps["rotten/fast"].state is State.NOT_INSTALLED
    assert "'rotten/fast' could not be imported: ModuleNotFoundError" in steps["rotten/fast"].reason
    assert {steps["acme/tiny"].state, steps["lif"].state} == {State.RUN}
    summary = run(planned, store, NoTracker(), Display(Console(quiet=True)), "serial", 1)
    assert summary.ended == {Status.DONE: 2, Status.NOT_INSTALLED: 1}
    (absent,) = [r for r in store.records() if r.status is Status.NOT_INSTALLED]
    assert "no_such_module" in absent.reason
    assert absent.test_accuracy is None
    states = {row["name"]: row for row in datasets()}
    assert states["mouldy/old"]["state"] == "broken"
    assert "mouldy 1.0" in states["mouldy/old"]["do"]
    assert states["pulse-order"]["state"] in ("made", "can be made")
    with pytest.raises(BenchError, match="mend or reinstall rotten"):
        registry.load("methods", "rotten/fast")


@pytest.mark.parametrize(
    ("code", "word"),
    [("def step(:\n", "SyntaxError"), ("x = '\0'\n", "null bytes"), ("import no_such_module\n", "no_such")],
)
def test_what_a_plugin_imports_late_may_be_broken_too(install_plugin, tmp_path, code, word):
    """Its module loads; what `build` imports is no Python. Planning reads that file too, and its cells fail alone."""
    method = TINY_METHOD.replace("from torch import nn\n", "from late import neuron\n", 1)
    install_plugin("late", {"method": method, "neuron": code}, methods={"tiny": "late.method:Tiny"})
    loaded, planned = read(suite(tmp_path, "late/tiny, lif"))
    store = Store(tmp_path / "results", loaded.name)
    for _ in range(2):
        summary = run(planned, store, NoTracker(), Display(Console(quiet=True)), "serial", 1)
    assert (summary.cached, summary.ended) == (1, {Status.FAILED: 1})
    (failed,) = [record for record in store.records() if record.status is Status.FAILED]
    assert word in failed.reason
    assert "late.neuron" in failed.key_parts["code"]


def test_a_method_that_cannot_say_what_it_builds_on_is_a_row(install_plugin, tmp_path):
    method = TINY_METHOD.replace(
        "class Crashes(Tiny):",
        "    @classmethod\n        def builds_on(cls, params):\n            return params.base\n\n"
        "    class Crashes(Tiny):",
        1,
    )
    install_plugin("acme", {"tiny": method}, methods={"tiny": "acme.tiny:Tiny"})
    loaded, planned = read(suite(tmp_path, "acme/tiny, lif"))
    store = Store(tmp_path / "results", loaded.name)
    summary = run(planned, store, NoTracker(), Display(Console(quiet=True)), "serial", 1)
    assert summary.ended == {Status.DONE: 1, Status.NOT_INSTALLED: 1}
    assert "does not say what it builds on: AttributeError" in next(r.reason for r in store.records() if r.reason)


def test_a_plugin_that_is_not_installed_is_a_row_that_says_so(tiny_plugin, tmp_path):
    _, planned = read(suite(tmp_path, "acme/tiny, {name: elsewhere/fast, params: {width: 3}}"))
    absent = {p.cell.method: p.absent for p in planned}
    assert absent == {"acme/tiny": "", "elsewhere/fast": "package elsewhere is not installed"}
    assert next(p for p in planned if p.absent).cell.method_params == {"width": 3}
    with pytest.raises(BenchError, match="did you mean 'acme/tiny'"):
        read(suite(tmp_path, "acme/tinny"))


def test_what_was_measured_stays_when_its_plugin_goes(tiny_plugin, tmp_path, monkeypatch):
    path = suite(tmp_path, "acme/tiny")
    loaded, planned = read(path)
    store = Store(tmp_path / "results", loaded.name)
    run(planned, store, NoTracker(), Display(Console(quiet=True)), "serial", 1)
    before = store.records()
    for folder in tiny_plugin.parent.glob("acme-*.dist-info"):
        (folder / "entry_points.txt").unlink()
        (folder / "METADATA").unlink()
    registry.entries.cache_clear()
    registry.absence.cache_clear()
    _, planned = read(path)
    assert [p.absent for p in planned] == ["package acme is not installed"]
    summary = run(planned, store, NoTracker(), Display(Console(quiet=True)), "serial", 1)
    assert summary.ended == {Status.NOT_INSTALLED: 1}
    assert store.records() == before


def test_plugins_are_found_without_importing_them_or_torch(install_plugin):
    install_plugin("loud", {"core": "raise SystemExit('imported')"}, methods={"one": "loud.core:One"})
    code = (
        "import sys; from snn5bench import registry\n"
        "found = registry.entry('methods', 'loud/one')\n"
        "assert (found.package, found.version) == ('loud', '1.0'), found\n"
        "print(sorted({'torch', 'numpy', 'loud'} & sys.modules.keys()))\n"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join([os.environ["PYTHONPATH"], str(ROOT)])}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_planning_our_own_methods_imports_no_torch(tmp_path):
    path = suite(tmp_path, "lif, glif, tskips")
    code = (
        "import sys; from pathlib import Path; from snn5bench.expand import read\n"
        f"assert len(read(Path({str(path)!r}))[1]) == 3\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_two_rows_never_share_a_file(tiny_plugin, tmp_path):
    with pytest.raises(BenchError, match="would have one file name"):
        read(suite(tmp_path, "acme/tiny, {name: lif, label: acme-tiny}"))
