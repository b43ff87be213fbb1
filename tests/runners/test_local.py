"""The Ray runner on a cluster of this machine's own."""

from __future__ import annotations

import importlib.util
import os
import re
import signal as signals
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from snn5bench.errors import BenchError
from snn5bench.record import Status
from tests.runners.conftest import Ran, no_other_traces

ROOT = Path(__file__).parents[2]


def folders_made(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The temporary folders that the runner makes from now on."""
    made: list[Path] = []

    class Noted(tempfile.TemporaryDirectory):
        def __init__(self, *args, **settings) -> None:
            super().__init__(*args, **settings)
            made.append(Path(self.name))

    monkeypatch.setattr("snn5bench.runners.cluster.tempfile.TemporaryDirectory", Noted)
    return made


def test_the_same_records_bit_for_bit_as_the_serial_runner(suite, tmp_path, capfd, monkeypatch):
    """Also: nothing of Ray is seen or left, the tracker and the progress are the driver's."""
    serial = Ran(suite(), tmp_path / "serial", "serial")
    monkeypatch.setenv("HOME", str(tmp_path))
    made = folders_made(monkeypatch)
    imported = "ray" in sys.modules
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
    assert len(made) == 2 and not any(map(Path.exists, made)), "and leaves nothing"
    assert not (tmp_path / ".ray").exists()
    assert ("ray" in sys.modules) == imported, "nor is it imported where the user's code runs"


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


@pytest.mark.slow
@pytest.mark.parametrize("signal", ["SIGKILL", "SIGINT"])
def test_a_driver_that_is_stopped_leaves_no_process_and_no_half_record(suite, tmp_path, signal):
    path, results = suite("acme/tiny, {name: acme/slow, grid: {scale: [1.0, 1.1, 1.2]}}"), tmp_path / "ray"
    command = [sys.executable, "-m", "snn5bench", "run", str(path), "--results", str(results), "--no-track"]
    paths = os.pathsep.join([os.environ["PYTHONPATH"], str(ROOT)])
    driver = psutil.Popen(
        [*command, "--runner", "ray", "-j", "1"],
        env=os.environ | {"PYTHONPATH": paths},
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    cells = results / "tiny" / "cells"
    while len(list(cells.glob("*.json"))) < 3 and driver.poll() is None:
        time.sleep(0.05)
    started = driver.children(recursive=True)
    folders = {
        Path(found) for process in started for found in re.findall(r"/tmp/snn5-\w+", " ".join(process.cmdline()))
    }
    assert len(folders) == 1
    assert len(started) >= 4, "the link, Ray's own, and a worker"
    driver.send_signal(getattr(signals, signal))
    driver.wait(120)
    _, alive = psutil.wait_procs(started, timeout=120)
    assert [process.cmdline() for process in alive] == []
    assert not any(map(Path.exists, folders))
    kept = {file.name: file.read_bytes() for file in cells.glob("*.json")}
    ray = Ran(path, results, "serial")
    done = [name for name in kept if b'"status": "done"' in kept[name]]
    assert ray.summary.cached == len(done) >= 3
    assert all((cells / name).read_bytes() == kept[name] for name in done)
    assert {record.status for record in ray.records} == {Status.DONE}
