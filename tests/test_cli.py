"""The command line: fast, exit codes, no traceback for a user's mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

TINY = """\
seeds: [0]
budget: {epochs: 1, batch_size: 64}
twins: {notd: null, shuffled: null}
datasets: [{name: pulse-order, params: {T: 16, min_gap: 2, max_gap: 4, train: 20, val: 10, test: 15}}]
methods: [{name: lif, params: {hidden: [8]}}]
"""


def call(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    command = [sys.executable, "-m", "snn5bench", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=env, timeout=900, check=False)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("plan", "smokes"), "did you mean 'smoke'?"),
        (("plan", "smoke", "--seeds", "x"), "not a list of seeds"),
        (("plan", "smoke", "--only", "glyf"), "did you mean 'glif'?"),
        (("run", "smoke", "--runner", "cluster"), "known: processes, ray, serial"),
        (("reproduce", "liff@digits", "--suite", "smoke"), "did you mean 'lif@digits'?"),
        (("why", "liff@digits#0", "--suite", "smoke"), "did you mean 'lif@digits#0'?"),
        (("report", "nowhere.yaml"), "there is no file"),
    ],
)
def test_a_users_mistake_is_a_message_and_exit_code_2(words, says):
    done = call(*words)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


HEAVY = ("torch", "dvc", "mlflow", "spikingjelly", "tonic", "numba")
"""What takes long to import."""


def test_help_and_plan_import_neither_torch_nor_dvc_nor_mlflow():
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom snn5bench.cli import app\n"
        "r = CliRunner().invoke(app, {words!r})\nassert r.exit_code == 0, r.output\n"
        f"print(sorted(m for m in {HEAVY} if m in sys.modules))"
    )
    for words in (["--help"], ["plan", "smoke"], ["data", "list"]):
        done = subprocess.run(
            [sys.executable, "-c", code.format(words=words)], capture_output=True, text=True, cwd=ROOT, check=False
        )
        assert done.stdout.strip().splitlines()[-1] == "[]", done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["methods", "datasets"])
def test_no_method_and_no_dataset_imports_torch_before_it_is_used(kind):
    """Else `plan` takes seconds as soon as a suite names that one."""
    code = (
        "import sys\nfrom snn5bench import registry\n"
        f"for name in registry.entries({kind!r}):\n"
        f"    registry.load({kind!r}, name)\n"
        f"    heavy = [m for m in {HEAVY} if m in sys.modules]\n"
        "    assert not heavy, (name, heavy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


def test_the_driver_of_worker_processes_imports_no_torch(tmp_path):
    suite = tmp_path / "tiny.yaml"
    suite.write_text(TINY.replace("seeds: [0]", "seeds: [0, 1]"))
    call("data", "prepare", str(suite))
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom snn5bench.cli import app\n"
        f"r = CliRunner().invoke(app, ['run', {str(suite)!r}, '--results', {str(tmp_path)!r}, '-j', '2', '--no-track'])\n"
        "print('2 done' in r.output, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.strip().splitlines()[-1] == "True False", done.stdout + done.stderr


def test_plan_run_report_reproduce_and_why(tmp_path):
    suite, results = tmp_path / "tiny.yaml", str(tmp_path / "results")
    suite.write_text(TINY)
    before = json.loads(call("plan", str(suite), "--results", results, "--json").stdout)
    assert before["counts"]["run"] == 1
    assert before["minutes"] is None
    ran = call("run", str(suite), "--results", results, "--no-track")
    assert ran.returncode == 0, ran.stderr
    assert "1 done" in ran.stdout
    after = json.loads(call("plan", str(suite), "--results", results, "--json").stdout)
    assert after["counts"]["cached"] == 1
    reported = call("report", str(suite), "--results", results)
    assert reported.returncode == 0, reported.stderr
    first = {p.name: p.read_bytes() for p in (tmp_path / "results" / "tiny").glob("leaderboard.*")}
    assert set(first) == {f"leaderboard.{end}" for end in ("md", "csv", "json", "html")}
    call("report", str(suite), "--results", results)
    assert {name: (tmp_path / "results" / "tiny" / name).read_bytes() for name in first} == first, "byte-stable"
    again = call("reproduce", "lif@pulse-order", "--suite", str(suite), "--results", results)
    assert again.returncode == 0
    assert "lif@pulse-order: bit-equal" in again.stdout
    why = call("why", "lif@pulse-order#0", "--suite", str(suite), "--results", results)
    assert "cached: nothing changed" in why.stdout
    suite.write_text(TINY.replace("[8]", "[9]"))
    why = call("why", "lif@pulse-order#0", "--suite", str(suite), "--results", results)
    assert "config: method_params" in why.stdout
