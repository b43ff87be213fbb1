"""Cells that hang, leak, exit, or die; a driver that is killed while one hangs in C."""

from __future__ import annotations

import time

import psutil

from tests.faults.holds import after
from tests.faults.world import Tally, World, kill, said, wait_for

SUITE = """\
name: night
seeds: [0]
limits: {LIMITS}
budget: {epochs: 2, batch_size: 16}
twins: {notd: null, shuffled: null}
datasets:
  - {name: pulse-order, params: {T: 16, min_gap: 2, max_gap: 4, train: 30, val: 10, test: 20}}
methods:
  - {name: faulty/METHOD, params: {gate: GATE}}
  - {name: faulty/tiny}
  - {name: lif, params: {hidden: [8]}}
"""


def _ends_badly(world: World, tally: Tally, method: str, limits: str, says: str, tries: int, done: int = 2) -> Tally:
    """Run with the gate shut: the bad cell is `failed` with the reason, the others are done. Then open, and rerun."""
    tally.how = f"{tally.how}; `limits: {{{limits}}}`"
    gate = world.root / f"gate-{method}"
    text = SUITE.replace("LIMITS", limits).replace("METHOD", method).replace("GATE", str(gate))
    suite = world.write(method, text)
    world.reference_of(suite)
    for _ in range(tries):
        gate.touch()
        results = world.fresh()
        ended = world.run(suite, results, "-j", "2")
        tally.problems += said(ended, 0, f"{done} done") + (said(ended, 0, says) if says else [])
        tally.problems += world.orphans()
        gate.unlink(missing_ok=True)
        after(world, tally, results, {}, suite)
    return tally


def hangs(world: World, instants: int) -> Tally:
    """A cell waits for ever."""
    tally = Tally("a worker that hangs", "a method that waits for ever")
    return _ends_badly(world, tally, "hangs", world.minutes(), "(limits.cell_minutes)", instants)


def frozen(world: World, instants: int) -> Tally:
    """A cell holds the interpreter's lock for ever, with a child process of its own."""
    how = "a method that waits in C with the interpreter's lock, and has started a process"
    tally = Tally("a worker that hangs in C", how)
    return _ends_badly(world, tally, "frozen", world.minutes(), "(limits.cell_minutes)", instants)


def leaks(world: World, instants: int) -> Tally:
    """A cell takes memory without end."""
    tally = Tally("a cell that leaks memory", "a method that takes 16 MiB each 5 ms")
    return _ends_badly(world, tally, "leaks", "cell_memory_gib: 1.5", "(limits.cell_memory_gib)", instants)


def exits(world: World, instants: int) -> Tally:
    """A cell calls `sys.exit`."""
    tally = Tally("a cell that calls sys.exit", "a method that does")
    return _ends_badly(world, tally, "exits", "cell_minutes: 9", "SystemExit: 3", instants)


def dies_once(world: World, instants: int) -> Tally:
    """A cell's worker is killed once, as by the system short of memory: it runs again, and its record says so."""
    tally = Tally("a cell whose worker is killed once", "a method that kills its process (SIGKILL) at its first try")
    return _ends_badly(world, tally, "kills", "cell_minutes: 9", "", instants, done=3)


def orphaned(world: World, instants: int) -> Tally:
    """The driver is killed while a worker hangs in C: the worker, and what it started, must end with it."""
    how = "kill -9 of the driver while a worker waits in C with the interpreter's lock, and has started a process"
    tally = Tally("kill -9 of the driver of a hanging worker", how)
    gate = world.root / "gate-frozen"
    text = SUITE.replace("LIMITS", "cell_minutes: 9").replace("METHOD", "frozen").replace("GATE", str(gate))
    suite = world.write("orphaned", text)
    world.reference_of(suite)
    for _ in range(instants):
        gate.touch()
        results = world.fresh()
        process = world.start(world.command(suite, results, "-j", "2"))
        wait_for(lambda: any(_name(p) == "sleep" for p in world.alive()), process)
        time.sleep(world.rng.random())
        if not kill(process):
            tally.problems.append("the driver ended before the fault")
        tally.problems += world.orphans()
        gate.unlink()
        after(world, tally, results, {}, suite)
    return tally


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return ""
