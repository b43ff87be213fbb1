"""kill -9 at random instants: of the driver, of a worker, of DVC; and of the driver before each single step on the disk."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.faults.holds import Files, after, cells_of, finished, lost, torn
from tests.faults.world import ROOT, Tally, World, complete, kill, wait_for

SOONER = 0.8
"""How much sooner to kill after a process ended before its kill: the machine has become faster."""


def driver(world: World, instants: int) -> Tally:
    """The driver dies; its workers must end with it. One try in three starts the command with two workers, the others fork
    this process, which has imported all, and run the cells there."""
    how = (
        "at a random instant; one in three `snn5bench run -j 2` from its start on, two in three a forked serial driver"
    )
    tally = Tally("kill -9 of the driver", how)
    results, (whole_s, working_s) = world.fresh(), _time_of(world)
    forked_s = _forked(world.suite, world.fresh(), 0)[1]
    while tally.tried < instants:
        before = finished(results)
        if tally.tried % 3:
            died, lived_s = _forked(world.suite, results, world.rng.random() * forked_s)
            forked_s = forked_s if died else lived_s
        else:
            process = world.start(world.command(world.suite, results, "-j", "2"))
            if world.rng.random() < 0.75:
                wait_for((results / "night" / ".lock.pid").is_file, process)
                time.sleep(world.rng.random() * working_s)
            else:
                time.sleep(world.rng.random() * whole_s)
            died = kill(process)
            tally.problems += world.orphans()
            if not died:
                whole_s, working_s = whole_s * SOONER, working_s * SOONER
        if not died or after(world, tally, results, before):
            results = world.fresh()
    return tally


def _forked(suite: Path, results: Path, kill_after_s: float) -> tuple[bool, float]:
    """A driver forked from this process, killed after a time (0: never); whether it was, and how long it lived."""
    begin = time.monotonic()
    pid = os.fork()
    if pid == 0:
        try:
            complete(suite, results)
        finally:
            os._exit(0)
    if kill_after_s:
        time.sleep(kill_after_s)
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status), time.monotonic() - begin


def _time_of(world: World) -> tuple[float, float]:
    """Seconds that a quiet run takes, and how many of them it holds the suite's lock."""
    results = world.fresh()
    begin = time.monotonic()
    process = world.start(world.command(world.suite, results, "-j", "2"))
    wait_for((results / "night" / ".lock.pid").is_file, process)
    locked = time.monotonic()
    world.must(world.finish(process))
    end = time.monotonic()
    return end - begin, end - locked


def worker(world: World, instants: int) -> Tally:
    """A worker dies, whatever it is doing (starting, waiting, in a cell): the run itself must end well."""
    tally = Tally("kill -9 of a worker", "at a random instant of the run")
    _, working_s = _time_of(world)
    while tally.tried < instants:
        results = world.fresh()
        process = world.start(world.command(world.suite, results, "-j", "2"))
        wait_for((results / "night" / ".lock.pid").is_file, process)
        locked = time.monotonic()
        time.sleep(world.rng.random() * working_s)
        hit = _kill_a_worker(world, process.pid)
        done = world.finish(process)
        working_s = time.monotonic() - locked
        if not hit:
            continue
        if done.returncode != 0 or "8 done" not in done.stdout:
            tally.problems.append(f"the run itself did not end well: {done.returncode} {done.stdout[-300:]}")
        tally.problems += world.orphans()
        after(world, tally, results, {})
    return tally


def _kill_a_worker(world: World, pid: int) -> bool:
    try:
        workers = [child.pid for child in psutil.Process(pid).children() if _works(child)]
        os.kill(world.rng.choice(sorted(workers)), signal.SIGKILL)
    except (psutil.NoSuchProcess, ProcessLookupError, IndexError):
        return False
    return True


def _works(process: psutil.Process) -> bool:
    try:
        return "snn5bench.runners.worker" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def steps(world: World, instants: int) -> Tally:
    """The driver dies just before a step of its on the disk (open, rename, remove, change a mode or a date), while it
    replaces the records of edited code: before each of them in turn, or before as many as `instants`, drawn at random."""
    old = older(world)
    before = finished(old)
    counted = world.fresh()
    shutil.copytree(old, counted, dirs_exist_ok=True)
    total = _count_steps(world.suite, counted)
    how = f"before each of the {total} steps of a run on the results folder, by an audit hook in a forked driver"
    tally = Tally("kill -9 between two steps on the disk", how)
    for step in sorted(world.rng.sample(range(1, total + 1), min(instants, total))):
        results = world.fresh()
        shutil.copytree(old, results, dirs_exist_ok=True)
        if not dies_before(world.suite, results, step):
            tally.problems.append(f"step {step}: the run ended before the fault")
        problems, kept = torn(results), finished(results)
        stems = {name.rpartition("--")[0] for name in kept}
        missing = {name.rpartition("--")[0] for name in before} - stems
        tally.lost += len(missing)
        tally.problems += problems + [
            f"step {step}: neither the old record nor the new one: {stem}" for stem in missing
        ]
        new = {name: content for name, content in kept.items() if name not in before}
        bad = len(tally.problems)
        after(world, tally, results, new, stale=before)
        tally.problems[bad:] = [f"step {step}: {line}" for line in tally.problems[bad:]]
        shutil.rmtree(results)
    return tally


def older(world: World) -> Path:
    """Records of all cells under other keys, as an edit of the code leaves them."""
    results = world.fresh("older")
    complete(world.suite, results)
    for path in cells_of(results):
        if path.suffix == ".json":
            stem, _, key = path.stem.rpartition("--")
            text = path.read_text()
            for half in (path, path.with_suffix(".npz")):
                half.rename(half.with_name(f"{stem}--{_other(key)}{half.suffix}"))
            path.with_name(f"{stem}--{_other(key)}.json").write_text(text.replace(key, _other(key)))
    return results


def _other(key8: str) -> str:
    """Another key; half of them sort behind the true one, half before."""
    return key8.translate(str.maketrans("0123456789abcdef", "fedcba9876543210"))


_STEPS = {"open", "os.rename", "os.remove", "os.mkdir", "os.truncate", "os.utime", "os.chmod", "tempfile.mkstemp"}


def dies_before(suite: Path, results: Path, step: int) -> bool:
    """Run in a fork that kills itself before its `step`-th step under `results`; whether it came that far."""

    def at(seen: int) -> None:
        if seen == step:
            os.kill(os.getpid(), signal.SIGKILL)

    return os.WIFSIGNALED(_run_watched(suite, results, at))


def _count_steps(suite: Path, results: Path) -> int:
    """How many steps a whole run makes under `results`."""
    told = results.with_name("steps")
    _run_watched(suite, results, lambda seen: None, told)
    return int(told.read_text())


def _run_watched(suite: Path, results: Path, at: Callable[[int], None], told: Path | None = None) -> int:
    """Run in a fork that calls `at` before each of its steps under `results`, with their number; its wait status."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    seen = 0

    def hook(event: str, args: tuple[object, ...]) -> None:
        nonlocal seen
        if event in _STEPS and any(isinstance(a, str | Path) and str(results) in str(a) for a in args):
            seen += 1
            at(seen)

    sys.addaudithook(hook)
    try:
        complete(suite, results)
        if told is not None:
            told.write_text(str(seen))
    finally:
        os._exit(0)


_REPRO = [sys.executable, "-m", "dvc", "repro", "leaderboard@night"]


def dvc(world: World, instants: int) -> Tally:
    """DVC dies; the run that it started must not go on without it, and the next `dvc repro` must find no lock."""
    how = "`dvc repro` in a repository with our three stages, at a random instant; half of them after its run has begun"
    tally = Tally("kill -9 of DVC", how)
    whole_s, working_s = _repro_s(world)
    repository: Path | None = None
    while tally.tried < instants:
        repository = repository or _repository(world)
        results = repository / "results"
        before = finished(results)
        process = world.start(_REPRO, cwd=repository)
        if world.rng.random() < 0.5:
            wait_for((results / "night" / ".lock.pid").is_file, process)
            time.sleep(world.rng.random() * working_s)
        else:
            time.sleep(world.rng.uniform(0.1, 1) * whole_s)
        if not kill(process):
            _ended_well(world, tally, process, before, results)
            whole_s, working_s = whole_s * SOONER, working_s * SOONER
            repository = None
            continue
        tally.problems += world.orphans()
        results.mkdir(exist_ok=True)
        after(world, tally, results, before)
        if world.rng.random() < 0.3:
            _repro_to_the_end(world, repository, tally)
            repository = None
    if repository is not None:
        _repro_to_the_end(world, repository, tally)
    return tally


def _ended_well(world: World, tally: Tally, process: subprocess.Popen[bytes], before: Files, results: Path) -> None:
    """A `dvc repro` that nobody kills, after some that were: it meets no lock, and keeps what was there."""
    done = world.finish(process)
    if done.returncode != 0:
        tally.problems.append(f"dvc repro after a kill: exit {done.returncode}: {done.stdout[-400:]}")
    gone = lost(before, results)
    tally.problems += [f"{line} (by dvc)" for line in gone]
    tally.lost += sum(".json" in line for line in gone)


def _repro_to_the_end(world: World, repository: Path, tally: Tally) -> None:
    results = repository / "results"
    before = finished(results)
    _ended_well(world, tally, world.start(_REPRO, cwd=repository), before, results)
    shutil.rmtree(repository)


def _repro_s(world: World) -> tuple[float, float]:
    """Seconds that a quiet repro takes, and how many of them are left once its run holds the suite's lock."""
    repository = _repository(world)
    begin = time.monotonic()
    process = world.start(_REPRO, cwd=repository)
    wait_for((repository / "results" / "night" / ".lock.pid").is_file, process)
    locked = time.monotonic()
    world.must(world.finish(process))
    end = time.monotonic()
    shutil.rmtree(repository)
    return end - begin, end - locked


def _repository(world: World) -> Path:
    """A DVC repository with our own dvc.yaml's stages over the campaign's suite, without git. What Python and numba have
    compiled comes along: they would do it again in each repository."""
    folder = world.fresh("repository")
    (folder / "suites").mkdir()
    shutil.copy(world.suite, folder / "suites" / "night.yaml")
    shutil.copytree(ROOT / "snn5bench", folder / "snn5bench")
    shutil.copytree(ROOT / "baselines", folder / "baselines")
    for name in ("constraints.txt", ".dvcignore"):
        shutil.copy(ROOT / name, folder)
    lines = (ROOT / "dvc.yaml").read_text().splitlines()
    named = [line for line in lines if line.strip() not in {"- smoke"}]
    text = "\n".join(named).replace("- bundled", "- night").replace("run ${item}", "run ${item} --no-track -j 2")
    (folder / "dvc.yaml").write_text(text.replace("python -m", f"{sys.executable} -m"))
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text((ROOT / ".dvc" / "config").read_text() + "    no_scm = true\n")
    return folder
