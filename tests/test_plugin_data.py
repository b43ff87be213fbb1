"""Datasets and energy models of a plugin, installed by pip: what works gives rows, what is broken gives a reason."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from io import StringIO
from textwrap import dedent

import pytest
from rich.console import Console

from snn5bench import closure, keys, registry, reproduce, shelf, views
from snn5bench import run as driver
from snn5bench.errors import BenchError
from snn5bench.expand import read
from snn5bench.making import prepare_data
from snn5bench.plan import Planner, State
from snn5bench.progress import Display
from snn5bench.publish import leaderboard
from snn5bench.record import Status
from snn5bench.run import run
from snn5bench.store import Store
from snn5bench.tracking import NoTracker

PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"
[project]
name = "outland"
version = "0.3"
[project.entry-points."snn5bench.methods"]
flat = "outland.method:Flat"
picky = "outland.method:Picky"
helper = "outland.method:helper"
[project.entry-points."snn5bench.datasets"]
beeps = "outland.data:Beeps"
torn = "outland.torn:Torn"
quits = "outland.quits:Quits"
mute = "outland.data:Mute"
unsure = "outland.data:Unsure"
halting = "outland.data:Halting"
[project.entry-points."snn5bench.energy_models"]
flat-rate = "outland.energy:FlatRate"
nothing = "outland.energy:Nothing"
empty = "outland.energy:Empty"
raises = "outland.energy:Raises"
torn = "outland.torn:Torn"
[tool.setuptools]
packages = ["outland"]
"""
METHOD = """
    from snn5bench.contracts.method import Method
    from snn5bench.record import Fidelity


    class Flat(Method):
        name = "flat"
        fidelity = Fidelity.faithful("a linear map")

        def build(self, data):
            from torch import nn

            return nn.Linear(data.channels, data.n_classes)


    class Picky(Flat):
        def supports(self, data):
            return data.no_such_field


    def helper():
        return None
"""
DATA = """
    import numpy as np

    from snn5bench.contracts.dataset import Dataset, DatasetSpec, Sample


    class Beeps(Dataset):
        name, summary, licence = "beeps", "one channel or the other", "CC0"

        def spec(self):
            return DatasetSpec(name="beeps", n_classes=2, T=12, channels=2, coding="events", temporal=False)

        def generate(self, write, progress):
            for i in range(24):
                split = ("train", "train", "val", "test")[i // 2 % 4]
                write(Sample(label=i % 2, split=split, step=np.array([i // 2]), channel=np.array([i % 2])))


    class Mute(Beeps):
        name = "mute"

        def spec(self):
            return DatasetSpec(name="mute")


    class Unsure(Beeps):
        name = "unsure"

        def available(self):
            raise OSError("a disk that is not there")


    class Halting(Beeps):
        name = "halting"

        def generate(self, write, progress):
            write(Sample(label=0, split="train", step=np.array([0]), channel=np.array([0])))
            raise RuntimeError("half way")
"""
ENERGY = """
    from snn5bench.contracts.energy import EnergyModel
    from snn5bench.record import EnergyEstimate


    class FlatRate(EnergyModel):
        name, source, year, technology, precision, leaves_out = "flat-rate", "a test", 2026, "none", "none", "all"

        def estimate(self, layers, T):
            return EnergyEstimate(energy_nj=2.0 * T, ann_twin_nj=1.0)


    class Nothing(FlatRate):
        def estimate(self, layers, T):
            return EnergyEstimate(energy_nj=float("nan"))


    class Empty(FlatRate):
        def estimate(self, layers, T):
            return None


    class Raises(FlatRate):
        def estimate(self, layers, T):
            return layers["no such layer"]
"""
SUITE = """\
seeds: [0]
budget: {epochs: 1, batch_size: 8}
twins: {notd: null, shuffled: null}
datasets: [outland/beeps, outland/torn, outland/quits, outland/mute, outland/unsure, outland/halting, faraway/rain]
methods: [outland/flat]
"""
CACHES = (registry.entries, registry.absence, closure._top, keys.code_of)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder into which pip installed the package `outland`."""
    folder = tmp_path_factory.mktemp("outland")
    source = folder / "source" / "outland"
    source.mkdir(parents=True)
    (source.parent / "pyproject.toml").write_text(PYPROJECT)
    modules = {"__init__": "", "method": METHOD, "data": DATA, "energy": ENERGY}
    for name, code in {**modules, "torn": "import no_such_module", "quits": "raise SystemExit(3)"}.items():
        (source / f"{name}.py").write_text(dedent(code))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target"]
    subprocess.run([*command, str(folder / "site"), str(source.parent)], check=True, capture_output=True)
    return folder / "site"


@pytest.fixture
def outland(site, monkeypatch):
    """`outland` on the path of this process."""
    monkeypatch.syspath_prepend(str(site))
    for remembered in CACHES:
        remembered.cache_clear()
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "outland"]:
        del sys.modules[name]
    for remembered in CACHES:
        remembered.cache_clear()


@pytest.fixture
def ran(outland, tmp_path):
    """The suite above, run once."""
    path = tmp_path / "far.yaml"
    path.write_text(SUITE)
    loaded, planned = read(path)
    store = Store(tmp_path / "results", loaded.name)
    console = Console(file=StringIO(), width=200)
    summary = run(planned, store, NoTracker(), Display(console), "serial", 1)
    return loaded, planned, store, summary, console.file.getvalue()


BROKEN = {
    "outland/torn": "dataset 'outland/torn' could not be imported: ModuleNotFoundError: No module named 'no_such_module'",
    "outland/quits": "dataset 'outland/quits' could not be imported: SystemExit: 3",
    "outland/mute": "dataset 'outland/mute' does not say what it is: ValidationError",
    "outland/unsure": "dataset 'outland/unsure' does not say whether it is here: OSError: a disk that is not there",
    "faraway/rain": "package faraway is not installed",
}
UNMADE = "its data could not be made: RuntimeError: half way"


def test_a_broken_dataset_is_a_row_with_its_reason_and_the_rest_runs(ran):
    loaded, planned, store, summary, printed = ran
    assert summary.ended == {Status.DONE: 1, Status.NOT_INSTALLED: 5, Status.FAILED: 1}
    assert summary.failures == [f"outland/flat@outland/halting#0: {UNMADE}"]
    assert f"outland/halting: {UNMADE}" in printed
    records = {record.dataset: record for record in store.records()}
    assert records.keys() == BROKEN.keys() | {"outland/beeps", "outland/halting"}
    for name, reason in BROKEN.items():
        assert records[name].reason.startswith(reason)
        assert (records[name].status, records[name].test_accuracy) == (Status.NOT_INSTALLED, None)
    assert (records["outland/torn"].T, records["outland/torn"].dataset_name) == (None, "outland/torn")
    assert (records["outland/halting"].status, records["outland/halting"].reason) == (Status.FAILED, UNMADE)
    assert records["outland/beeps"].test_accuracy is not None
    console = Console(file=StringIO(), width=200)
    leaderboard(loaded, planned, store, console, None, False)
    page = (store.folder / "leaderboard.md").read_text()
    for name in records:
        assert name in page
    assert "no_such_module" in page


def test_the_plan_and_a_second_run_say_the_same(ran):
    _, planned, store, *_ = ran
    steps = {p.cell.dataset: Planner(store, store.records()).step(p) for p in planned}
    assert {name for name, step in steps.items() if step.state is State.NOT_INSTALLED} == BROKEN.keys()
    assert steps["outland/beeps"].state is State.CACHED
    assert steps["outland/halting"].state is State.RUN
    before = {path: path.stat().st_mtime_ns for path in store.cells.iterdir()}
    again = run(planned, store, NoTracker(), Display(Console(quiet=True)), "serial", 1)
    assert (again.cached, again.ended) == (1, {Status.NOT_INSTALLED: 5, Status.FAILED: 1})
    assert {path: path.stat().st_mtime_ns for path in store.cells.iterdir()} == before


def test_what_was_measured_stays_when_its_dataset_goes(ran, monkeypatch):
    _, planned, store, *_ = ran
    (before,) = [record for record in store.records() if record.status is Status.DONE]
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "outland" not in path])
    for remembered in CACHES:
        remembered.cache_clear()
    path = store.folder.parents[1] / "far.yaml"
    _, planned = read(path)
    assert {p.absent for p in planned} == {"package outland is not installed"}
    run(planned, store, NoTracker(), Display(Console(quiet=True)), "serial", 1)
    assert [record for record in store.records() if record.status is Status.DONE] == [before]


def test_a_row_whose_plugin_is_gone_is_not_run_again(ran, monkeypatch):
    _, planned, store, *_ = ran
    gone = [p.model_copy(update={"absent": "package outland is not installed"}) for p in planned]
    with pytest.raises(BenchError, match="cannot be run again here: package outland is not installed"):
        reproduce.reproduce_row("outland/flat@outland/beeps", gone, store, 1, Console(quiet=True), False)


def test_a_method_that_breaks_when_asked_is_a_row_too(outland, tmp_path):
    path = tmp_path / "far.yaml"
    path.write_text(SUITE.replace("[outland/flat]", "[outland/flat, outland/picky, outland/helper]"))
    _, planned = read(path)
    absent = {(p.cell.method, p.cell.dataset): p.absent for p in planned}
    assert absent["outland/flat", "outland/beeps"] == ""
    assert "does not say what it supports: AttributeError" in absent["outland/picky", "outland/beeps"]
    assert "TypeError: outland.method:helper is no subclass of Method" in absent["outland/helper", "outland/beeps"]


def test_a_method_whose_base_is_not_installed_is_a_row(outland, tmp_path):
    path = tmp_path / "far.yaml"
    methods = "[outland/flat, {name: compressed, params: {base: faraway/deep}}]"
    path.write_text(SUITE.replace("[outland/flat]", methods))
    _, planned = read(path)
    absent = {(p.cell.method, p.cell.dataset): p.absent for p in planned}
    assert absent["compressed", "outland/beeps"] == "package faraway is not installed"
    assert absent["outland/flat", "outland/beeps"] == ""


def test_names_that_a_package_does_not_have_are_mistakes(outland, tmp_path):
    path = tmp_path / "far.yaml"
    path.write_text(SUITE.replace("outland/beeps", "outland/beep"))
    with pytest.raises(BenchError, match="did you mean 'outland/beeps'"):
        read(path)


def test_every_plugin_that_had_a_part_is_named_with_its_version_and_code(ran, monkeypatch):
    (record,) = [record for record in ran[2].records() if record.status is Status.DONE]
    assert re.fullmatch(r"0\.3, code [0-9a-f]{16}", record.environment.versions["outland"])
    assert {"outland.method", "outland.data"} <= record.key_parts["code"].keys()
    again = record.model_copy(deep=True)
    monkeypatch.setattr(keys, "code_of", lambda *modules: {"outland.energy": "other", "snn5bench.train": "x"})
    driver._name_plugins(again)
    assert again.environment.versions["outland"] != record.environment.versions["outland"]


def test_energy_models_of_a_plugin_count_or_are_na_with_a_reason(ran):
    (record,) = [record for record in ran[2].records() if record.status is Status.DONE]
    assert record.energy_nj["outland/flat-rate"] == 24.0
    assert record.energy_nj["horowitz-fp32"] is not None
    reasons = {
        "outland/nothing": "outland/nothing gives nan nJ, which is no energy",
        "outland/empty": "energy model 'outland/empty' gives no estimate: TypeError: it returned NoneType",
        "outland/raises": "energy model 'outland/raises' gives no estimate: TypeError",
        "outland/torn": "energy model 'outland/torn' could not be imported: ModuleNotFoundError",
    }
    for name, reason in reasons.items():
        assert record.energy_nj[name] is None
        assert record.energy[name].reason.startswith(reason)
    assert all(math.isfinite(value) for value in record.energy_nj.values() if value is not None)


def test_the_data_verbs_name_what_is_broken(outland, tmp_path):
    states = {row["name"]: row for row in views.datasets()}
    assert states["outland/beeps"]["state"] in ("made", "can be made")
    for name in ("outland/torn", "outland/quits", "outland/mute", "outland/unsure"):
        assert (states[name]["state"], f"dataset '{name}'" in states[name]["do"]) == ("broken", True)
        assert "package outland 0.3" in states[name]["do"]
    assert states["pulse-order"]["state"] in ("made", "can be made")
    console = Console(file=StringIO(), width=200)
    assert shelf.check([], [], console, as_json=False) == 2
    assert "outland/torn: package outland 0.3, outland.torn:Torn: dataset 'outland/torn'" in console.file.getvalue()
    path = tmp_path / "far.yaml"
    path.write_text(SUITE)
    _, planned = read(path)
    views.write_manifest(planned, tmp_path / "data.json", prepare_data(planned, Display(Console(quiet=True))))
    fed = json.loads((tmp_path / "data.json").read_text())
    assert fed["outland/beeps"]["samples"] == {"train": 12, "val": 6, "test": 6}
    assert fed["outland/halting"] == {"state": "failed", "reason": UNMADE}
    assert fed["outland/unsure"]["state"] == fed["faraway/rain"]["state"] == "not installed"
