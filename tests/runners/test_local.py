"""The Ray runner on a cluster of this machine's own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from snn5bench.errors import BenchError
from snn5bench.record import Status
from tests.runners.conftest import Ran, no_other_traces

ROOT = Path(__file__).parents[2]


def test_the_same_records_bit_for_bit_as_the_serial_runner(suite, tmp_path, capfd, monkeypatch):
    """Also: nothing of Ray is seen or left, the tracker and the progress are the driver's."""
    serial = Ran(suite(), tmp_path / "serial", "serial")
    made, mkdtemp = [], tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", lambda *args, **named: made.append(mkdtemp(*args, **named)) or made[-1])
    ray = Ran(suite(), tmp_path / "ray", "ray")
    assert ray.summary.ended == {Status.DONE: 6}
    assert ray.comparable == serial.comparable
    assert [(r.git_commit, r.git_dirty, r.attempts) for r in ray.records] == [
        (r.git_commit, r.git_dirty, 1) for r in serial.records
    ]
    assert no_other_traces(ray.store.folder)
    assert sorted(ray.notebook.told) == sorted(serial.notebook.told)
    assert "6 of 6 cells" in ray.said
    assert capfd.readouterr() == ("", ""), "Ray prints nothing"
    assert made and not [folder for folder in made if Path(folder).exists()], "and leaves nothing"
    assert "ray" not in sys.modules, "nor is it imported where the user's code runs"


def test_without_ray_the_message_names_the_extra(suite, tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr("snn5bench.runners.cluster.find_spec", lambda name: None if name == "ray" else found(name))
    with pytest.raises(BenchError, match=r"snn5bench\[ray\]"):
        Ran(suite(), tmp_path / "ray", "ray")


def test_a_cluster_that_does_not_answer_is_a_message(suite, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(BenchError, match=r"RAY_ADDRESS=127\.0\.0\.1:1: no Ray cluster answers"):
        Ran(suite(), tmp_path / "ray", "ray")


def test_ray_is_imported_only_when_it_is_chosen(suite, tmp_path):
    code = (
        "import sys\n"
        "sys.argv = ['snn5bench', 'run', sys.argv[1], '--runner', 'serial', '--no-track', '--results', sys.argv[2]]\n"
        "from snn5bench.cli import app\n"
        "app(standalone_mode=False)\n"
        "sys.exit('ray' in sys.modules)"
    )
    paths = os.pathsep.join([os.environ["PYTHONPATH"], str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", code, str(suite()), str(tmp_path / "results")],
        env=os.environ | {"PYTHONPATH": paths},
        check=False,
    )
    assert done.returncode == 0
