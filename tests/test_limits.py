"""Workers: stopped at the suite's limits, replaced when they die, and gone with whatever they started."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from types import SimpleNamespace

import psutil
import pytest
from rich.console import Console

from snn5bench.errors import BenchError
from snn5bench.expand import read
from snn5bench.plan import Planner, State
from snn5bench.progress import Display
from snn5bench.record import Status
from snn5bench.run import run
from snn5bench.runners import hand, processes
from snn5bench.store import Store
from snn5bench.tracking import NoTracker

METHODS = """
    import os
    import signal
    import subprocess
    import sys
    import time
    from pathlib import Path

    from snn5bench.contracts.method import Method
    from snn5bench.contracts.params import MethodParams
    from snn5bench.record import Fidelity

    DRIVER = PID


    class Good(Method):
        name = "good"
        fidelity = Fidelity.faithful("a linear map")

        class Params(MethodParams):
            gate: str = ""
            '''A file; once it is gone, the cell ends well.'''

        def build(self, data):
            from torch import nn

            if self.params.gate and Path(self.params.gate).exists():
                self.bad()
            return nn.Linear(data.channels, data.n_classes)


    class Hangs(Good):
        name = "hangs"

        def bad(self):
            import ctypes

            assert os.getpid() != DRIVER, "no limit holds in the driver's process: there it would hang for ever"
            Path(self.params.gate).write_text(str(subprocess.Popen(["sleep", "3600"]).pid))
            ctypes.PyDLL(None).pause()


    class Leaks(Good):
        name = "leaks"

        def bad(self):
            held = []
            while True:
                held.append(bytearray(b"x" * (32 << 20)))
                time.sleep(0.02)


    class Exits(Good):
        name = "exits"

        def bad(self):
            sys.exit(3)


    class Dies(Good):
        name = "dies"

        def bad(self):
            Path(self.params.gate).unlink()
            os.kill(os.getpid(), signal.SIGKILL)
"""

SUITE = """\
seeds: [0]
LIMITS
budget: {epochs: 1, batch_size: 64}
twins: {notd: null, shuffled: null}
datasets:
  - {name: pulse-order, params: {T: 16, min_gap: 2, max_gap: 4, train: 30, val: 10, test: 20}}
methods: [{name: bad/good, label: one}, BAD{name: bad/good, label: two}]
"""


@pytest.fixture
def go(tmp_path, install_plugin):
    """`go("hangs", limits="cell_minutes: 30")` runs these methods, each with the gate `tmp_path/gate-NAME`, between two good
    ones; returns the summary, the store, and the plan after the run."""
    names = {name: f"bad.methods:{name.capitalize()}" for name in ("good", "hangs", "leaks", "exits", "dies")}
    install_plugin("bad", {"methods": METHODS.replace("PID", str(os.getpid()))}, methods=names)

    def run_it(*methods: str, limits: str = "", runner="processes", jobs=1, tracker=None):
        path = tmp_path / "night.yaml"
        bad = "".join(f"{{name: bad/{name}, params: {{gate: {tmp_path}/gate-{name}}}}}, " for name in methods)
        text = SUITE.replace("BAD", bad).replace("LIMITS", f"limits: {{{limits}}}" if limits else "")
        path.write_text(text)
        loaded, planned = read(path)
        store = Store(tmp_path / "results", "night")
        display = Display(Console(quiet=True))
        summary = run(planned, store, tracker or NoTracker(), display, runner, jobs, limits=loaded.limits)
        planner = Planner(store, store.records())
        return summary, store, {p.cell.variant: planner.step(p) for p in planned}

    return run_it


def test_a_cell_over_its_time_is_stopped_with_all_it_started(go, tmp_path, monkeypatch):
    go(runner="serial")
    gate = tmp_path / "gate-hangs"
    gate.touch()

    def an_hour_later_once_it_hangs() -> float:
        return time.monotonic() + (3600 if gate.stat().st_size else 0)

    monkeypatch.setattr(processes, "time", SimpleNamespace(monotonic=an_hour_later_once_it_hangs))
    summary, store, steps = go("hangs", limits="cell_minutes: 30")
    assert (summary.cached, summary.ended) == (2, {Status.FAILED: 1}), "also where it is the only cell to run"
    (failed,) = [r for r in store.records() if r.status is Status.FAILED]
    assert failed.reason == "stopped after 30 minutes, the suite's limit (limits.cell_minutes)"
    assert failed.attempts == 1, "a cell that hangs is not tried again"
    assert _comes_true(lambda: _ended(int(gate.read_text())))
    assert steps["bad/hangs"].state is State.RUN
    gate.unlink()
    keys = {r.variant: r.key for r in store.records()}
    summary, store, _ = go("hangs", limits="cell_minutes: 5", runner="serial")
    assert (summary.cached, summary.ended) == (2, {Status.DONE: 1}), "a limit is no part of a key"
    assert {r.variant: r.key for r in store.records()} == keys


@pytest.mark.slow
def test_a_cell_over_its_memory_is_stopped_and_its_size_is_said(go, tmp_path):
    (tmp_path / "gate-leaks").touch()
    summary, store, _ = go("leaks", limits="cell_memory_gib: 1.5", jobs=2)
    assert summary.ended == {Status.DONE: 2, Status.FAILED: 1}
    (failed,) = [r for r in store.records() if r.status is Status.FAILED]
    assert "GiB of memory, over the suite's limit of 1.5 (limits.cell_memory_gib)" in failed.reason
    assert failed.peak_memory_bytes is not None
    assert failed.peak_memory_bytes > 1.5 * (1 << 30)


def test_a_serial_run_says_that_it_holds_no_limit(go, caplog):
    go(limits="cell_minutes: 0.05", runner="serial")
    assert "cell_minutes and cell_memory_gib are not held" in caplog.text


def test_a_method_that_exits_fails_alone_in_the_drivers_process_too(go, tmp_path):
    (tmp_path / "gate-exits").touch()
    summary, store, _ = go("exits", runner="serial")
    assert summary.ended == {Status.DONE: 2, Status.FAILED: 1}
    assert [r.reason for r in store.records() if r.status is Status.FAILED] == ["SystemExit: 3"]


class KillsTheIdle(NoTracker):
    """Kills the worker in the moment in which the record of the first cell is stored, so that it has none."""

    def __init__(self) -> None:
        self.killed: list[int] = []

    def log(self, cell, record):
        for child in psutil.Process().children() if not self.killed else ():
            if "snn5bench.runners.worker" in " ".join(child.cmdline()):
                child.kill()
                child.wait()
                self.killed.append(child.pid)


def test_workers_that_end_exit_or_die_cost_no_other_cell(go, tmp_path):
    """One worker is killed between two cells; then a method exits; then a method kills its worker, once."""
    for name in ("exits", "dies"):
        (tmp_path / f"gate-{name}").touch()
    tracker = KillsTheIdle()
    summary, store, _ = go("exits", "dies", limits="cell_minutes: 600", tracker=tracker)
    assert len(tracker.killed) == 1
    assert summary.ended == {Status.DONE: 3, Status.FAILED: 1}
    assert {r.variant: r.attempts for r in store.records()} == {"one": 1, "bad/exits": 1, "bad/dies": 2, "two": 1}
    assert [r.reason for r in store.records() if r.status is Status.FAILED] == ["SystemExit: 3"]


def test_workers_that_cannot_start_are_said_and_not_started_for_ever(go, monkeypatch, capfd):
    monkeypatch.setattr(hand, "BOOTSTRAP", "raise SystemExit('no module named so')")
    with pytest.raises(BenchError, match=f"{processes.STARTS} worker processes ended before they were ready"):
        go(limits="cell_minutes: 600")
    assert "no module named so" in capfd.readouterr().err


@pytest.mark.slow
def test_a_worker_that_kept_memory_is_replaced(go, monkeypatch):
    seen = set()

    class Notes(NoTracker):
        def log(self, cell, record):
            seen.update(
                p.pid for p in psutil.Process().children() if "snn5bench.runners.worker" in " ".join(p.cmdline())
            )

    monkeypatch.setattr(processes, "LEFT_BEHIND_BYTES", -(1 << 40))
    summary, _, _ = go(limits="cell_minutes: 600", tracker=Notes())
    assert summary.ended == {Status.DONE: 2}
    assert not any(psutil.pid_exists(pid) for pid in seen)


def test_what_a_method_prints_and_reads_does_not_reach_the_driver(tmp_path):
    """The pipes of a worker are its own: standard output is standard error there, and standard input is empty."""
    code = (
        "import os, subprocess, sys; from snn5bench.runners import serial\n"
        "serial.attempt = lambda cell: [print('spoken'), sys.stdin.read(), subprocess.run(['cat']).returncode][1:]\n"
        "from snn5bench.runners.worker import main; main(os.getppid())"
    )
    import pickle

    talk = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps("a cell"), capture_output=True, timeout=600, check=False
    )
    assert talk.stdout == pickle.dumps("ready") + pickle.dumps(["", 0])
    assert talk.stderr.strip() == b"spoken"


def test_the_group_of_a_worker_ends_when_its_driver_is_killed(tmp_path):
    """Even one that cannot notice: here it is stopped, as by a debugger."""
    code = (
        "import os, signal, time; from queue import SimpleQueue; from snn5bench.runners.hand import Hand\n"
        "hand = Hand(SimpleQueue()); os.kill(hand.process.pid, signal.SIGSTOP)\n"
        "print(hand.process.pid, hand.guard.pid, flush=True); time.sleep(3600)"
    )
    driver = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    worker, guard = (psutil.Process(int(pid)) for pid in driver.stdout.readline().split())
    assert _comes_true(lambda: worker.status() == psutil.STATUS_STOPPED)
    driver.kill()
    driver.wait()
    driver.stdout.close()
    assert _comes_true(lambda: _ended(worker.pid) and _ended(guard.pid))


def _ended(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def _comes_true(condition) -> bool:
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        with suppress(psutil.NoSuchProcess):
            if condition():
                return True
        time.sleep(0.05)
    return False
