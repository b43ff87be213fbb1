"""What `.github/workflows/nightly.yml` runs of the gate, in a folder with a suite of that name: exit code and summary."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console
from ruamel.yaml import YAML
from typer.testing import CliRunner

from snn5bench import gate, keys
from snn5bench.cli import app
from snn5bench.expand import read
from snn5bench.progress import Display
from snn5bench.run import run
from snn5bench.store import Store
from snn5bench.tracking import NoTracker

ROOT = Path(__file__).parents[1]
STEPS = YAML(typ="safe").load(ROOT / ".github" / "workflows" / "nightly.yml")["jobs"]["nightly"]["steps"]
RUNS = [step.get("run", "") for step in STEPS]
(COMPARE,) = [place for place, line in enumerate(RUNS) if line.startswith("snn5bench compare ")]
SUITE = """\
seeds: [0, 1, 2]
budget: {epochs: 1, batch_size: 64}
twins: {notd: null, shuffled: null}
datasets: [{name: digits, params: {T: 2}}]
methods: [{name: acme/tiny, params: {lr: 0.1}}, {name: acme/tiny, label: other, params: {lr: 0.1, scale: 2.0}}]
"""
EDITS = {
    "nothing": ("", 0, "no regression: 2 same"),
    "a comment": ("# more words", 0, "no regression: 2 same"),
    "a number that nothing uses": ("UNUSED = 1", 0, "no regression: 2 same"),
    "a bug": (
        "from torch import nn\nTiny.build = lambda self, data: nn.Sequential(Linear(data), nn.Linear(1, 10))\n"
        "Linear = lambda data: nn.Linear(data.channels, 1)",
        1,
        "regression: 2 worse",
    ),
}


def night(path: Path, results: Path) -> tuple:
    suite, planned = read(path)
    store = Store(results, suite.name)
    run(planned, store, NoTracker(), Display(Console(quiet=True)), "serial", 1)
    return suite, planned, store


@pytest.mark.parametrize("edit", EDITS)
def test_the_night_compares_and_its_summary_opens_with_what_changed(tiny_plugin, tmp_path, monkeypatch, edit):
    code, ended, says = EDITS[edit]
    monkeypatch.chdir(tmp_path)
    path = Path("suites", "bundled.yaml")
    path.parent.mkdir()
    path.write_text(SUITE)
    gate.lock_suite(*night(path, Path("results")), Console(quiet=True))
    source = tiny_plugin / "tiny.py"
    source.write_text(f"{source.read_text()}\n{code}\n")
    keys.code_of.cache_clear()
    monkeypatch.delitem(__import__("sys").modules, "acme.tiny")
    night(path, Path("results"))
    program, *words = shlex.split(RUNS[COMPARE])
    assert program == "snn5bench"
    assert CliRunner().invoke(app, words).exit_code == ended
    summary = STEPS[COMPARE + 1]
    assert summary["if"] == "always()", "a red night has a summary too"
    env = os.environ | {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    subprocess.run(["bash", "-ec", summary["run"]], env=env, check=True)
    lines = (tmp_path / "summary.md").read_text().splitlines()
    assert lines[0].startswith(f"### bundled: {says}")
    edited = edit not in ("nothing", "a comment")
    assert lines[2].startswith("- code: acme.tiny was edited" if edited else "- nothing changed since the baseline")
    cases = ElementTree.parse("comparison.xml").getroot()
    assert cases.get("failures") == ("2" if ended else "0")


def test_the_night_runs_the_suite_before_it_compares_and_keeps_what_it_wrote():
    assert "dvc repro" in RUNS[:COMPARE]
    assert {"--settle", "--markdown", "--junit"} <= set(shlex.split(RUNS[COMPARE]))
    kept = STEPS[-1]
    assert kept["uses"].startswith("actions/upload-artifact@")
    assert kept["if"] == "always()"
    assert {"results/", "comparison.*"} <= set(kept["with"]["path"].split())
