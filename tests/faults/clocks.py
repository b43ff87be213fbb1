"""A clock that jumps: back and forth by days while a run goes on, and between runs."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

from tests.faults.holds import after, finished
from tests.faults.kills import dies_before, older
from tests.faults.world import PATCHES, Tally, World, said

DAY_S = 86_400


def jumps(world: World, instants: int) -> Tally:
    """The clock of every process of a run jumps by up to 30 days, ten times a second."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None) or _named()
    how = "libfaketime over the whole run" if library else "time.time and time.time_ns, patched in each process"
    tally = Tally("a clock that jumps during a run", f"{how}: up to 30 days either way, ten times a second")
    for _ in range(instants):
        results = world.fresh()
        wanted = results / "clock"
        wanted.write_text("+0")
        env = {"FAULT_CLOCK": str(wanted), "PYTHONPATH": os.pathsep.join([str(PATCHES), world.env["PYTHONPATH"]])}
        if library:
            env = {
                "LD_PRELOAD": str(library),
                "FAKETIME_TIMESTAMP_FILE": str(wanted),
                "FAKETIME_NO_CACHE": "1",
                "DONT_FAKE_MONOTONIC": "1",
            }
        stop = threading.Event()

        def turn(stop: threading.Event = stop, wanted: Path = wanted) -> None:
            while not stop.wait(0.1):
                part = wanted.with_suffix(".part")
                part.write_text(f"{world.rng.randrange(-30, 30) * DAY_S:+d}\n")
                part.replace(wanted)

        turning = threading.Thread(target=turn)
        turning.start()
        done = world.finish(world.start(world.command(world.suite, results, "-j", "2"), env))
        stop.set()
        turning.join()
        tally.problems += said(done, 0, "8 done") + world.orphans()
        wanted.unlink()
        after(world, tally, results, {})
    return tally


def _named() -> Path | None:
    """Where `FAKETIME_LIBRARY` says that libfaketime is."""
    named = os.environ.get("FAKETIME_LIBRARY")
    return Path(named) if named else None


def behind(world: World, instants: int) -> Tally:
    """Older records come from the future, and the run that replaces them is killed between two steps: the new one counts."""
    tally = Tally(
        "a clock set back between runs", "older records dated up to 30 days ahead, then kill -9 between two steps"
    )
    old = older(world)
    before = finished(old)
    for _ in range(instants):
        results = world.fresh()
        shutil.copytree(old, results, dirs_exist_ok=True)
        for path in results.rglob("cells/*"):
            ahead = time.time() + world.rng.randrange(1, 30 * DAY_S)
            os.utime(path, (ahead, ahead))
        if not dies_before(world.suite, results, world.rng.randrange(20, 110)):
            tally.problems.append("the run ended before the fault")
        new = {name: content for name, content in finished(results).items() if name not in before}
        after(world, tally, results, new, stale=before)
    return tally
