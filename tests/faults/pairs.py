"""Two at once: runs of one suite, runs that make the same data and tracking database, a reader beside a run."""

from __future__ import annotations

import re
import shutil
import threading
import time

from snn5bench.store import Store
from tests.faults.holds import after, finished
from tests.faults.kills import older
from tests.faults.world import Tally, World, said


def one_suite(world: World, instants: int) -> Tally:
    """Three runs of one suite, started within a second: one does the work, the others say who holds it, or find it done."""
    tally = Tally("runs of one suite at once", "three, started within a second; one process each or two")
    for _ in range(instants):
        results = world.fresh()
        runs = []
        for _ in range(3):
            runs.append(world.start(world.command(world.suite, results, "-j", str(world.rng.choice((1, 2))))))
            time.sleep(world.rng.random() / 2)
        ended = [world.finish(run) for run in runs]
        worked = [run.pid for run, end in zip(runs, ended, strict=True) if "8 done" in end.stdout]
        if len(worked) != 1:
            tally.problems.append(f"{len(worked)} runs did the work")
        for end in ended:
            if "8 done" in end.stdout or "8 cached" in end.stdout:
                tally.problems += said(end, 0, "")
                continue
            tally.problems += said(end, 2, "another run of this suite is at work")
            named = re.search(r"process (\d+) on", end.stdout)
            if not named or int(named[1]) not in worked:
                tally.problems.append(f"it names {named and named[1]}, the holder is {worked}: {end.stdout[-200:]}")
        tally.problems += world.orphans()
        after(world, tally, results, {})
    return tally


def cold(world: World, instants: int) -> Tally:
    """Two suites at once where neither data nor tracking database are there yet: both are made once, and both runs track."""
    tally = Tally("two suites at once, all cold", "one data cache and one mlflow.db, made by whoever is first")
    other = world.write("other", "name: other\n" + world.suite.read_text())
    for _ in range(instants):
        here, results, cache = world.fresh("here"), world.fresh(), world.fresh("cache")
        env = {"SNN5BENCH_CACHE": str(cache)}
        runs = [
            world.start(world.command(suite, results, "--track", "-j", "1"), env, cwd=here)
            for suite in (world.suite, other)
        ]
        for run in runs:
            done = world.finish(run)
            tally.problems += said(done, 0, "8 done")
            if "tracking stopped" in done.stdout:
                tally.problems.append(f"tracking stopped: {done.stdout[-300:]}")
        tally.problems += world.orphans()
        shutil.rmtree(results / "other")
        after(world, tally, results, {})
    return tally


def reader(world: World, instants: int) -> Tally:
    """Somebody reads the results all the time while a run replaces every record: each reading is whole, of every cell."""
    tally = Tally("a reader beside a run", "all records and arrays, read without pause while each is replaced")
    old = older(world)
    for _ in range(instants):
        results = world.fresh()
        shutil.copytree(old, results, dirs_exist_ok=True)
        stop = threading.Event()
        wrong: list[str] = []
        readings = 0

        def read(
            store: Store = Store(results, "night"), stop: threading.Event = stop, wrong: list[str] = wrong
        ) -> None:
            nonlocal readings
            while not stop.is_set():
                try:
                    records = store.records()
                    if len(records) != 8:
                        wrong.append(f"{len(records)} records were read")
                    readings += 1
                except Exception as error:
                    wrong.append(f"{type(error).__name__}: {error}")

        thread = threading.Thread(target=read)
        thread.start()
        done = world.run(world.suite, results, "-j", "2")
        stop.set()
        thread.join()
        tally.problems += said(done, 0, "8 done") + wrong
        if not readings:
            tally.problems.append("nothing was read")
        after(world, tally, results, finished(results))
    return tally
