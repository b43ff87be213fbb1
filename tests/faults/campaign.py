"""Run the fault campaign: `python -m tests.faults.campaign --instants 100 --json faults.json`.

One that was stopped goes on with `--resume`. Several at once, with `--only` and a `--json` of their own each, use more
cores; `python -m tests.faults.table FILE...` writes one table of them."""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

from snn5bench import atomic
from tests.faults import cells, clocks, disks, kills, pairs, servers
from tests.faults.world import COUNTS, Tally, World

Scenario = Callable[[World, int], Tally]

SCENARIOS: dict[str, tuple[Scenario, float]] = {
    "driver": (kills.driver, 1.0),
    "worker": (kills.worker, 1.0),
    "dvc": (kills.dvc, 1.0),
    "steps": (kills.steps, 1.5),
    "disk-full": (disks.full, 0.1),
    "disk-freed": (disks.freed, 0.05),
    "read-only": (disks.read_only, 0.08),
    "one-suite": (pairs.one_suite, 0.08),
    "cold": (pairs.cold, 0.03),
    "reader": (pairs.reader, 0.04),
    "clock-jumps": (clocks.jumps, 0.06),
    "clock-back": (clocks.behind, 0.3),
    "hangs": (cells.hangs, 0.03),
    "frozen": (cells.frozen, 0.03),
    "orphaned": (cells.orphaned, 0.05),
    "leaks": (cells.leaks, 0.03),
    "exits": (cells.exits, 0.02),
    "dies-once": (cells.dies_once, 0.03),
    "mlflow": (servers.broken, 0.05),
    "mlflow-made": (servers.half_made, 0.08),
    "stalled-results": (disks.stalled_results, 0.06),
    "stalled-data": (disks.stalled_data, 0.02),
}
"""Name to the scenario and how often it is tried, as a share of `--instants`."""

BATCHED = frozenset({"driver", "worker", "dvc"})
"""The kills at random instants: a few at a time, so that what was tried is on the disk, and `--resume` can go on."""

BATCH = 12

SHOWN = 12
"""Problems of one scenario that are printed; the JSON has all."""


def main() -> int:
    """Print the table; 0 where everything held, 1 where not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instants", type=int, default=100, help="kills at random instants, of each kind")
    parser.add_argument("--only", default="", help="scenarios by name, with commas")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=None, metavar="FILE")
    parser.add_argument("--resume", action="store_true", help="keep what FILE has, and try what it lacks")
    options = parser.parse_args()
    names = options.only.split(",") if options.only else list(SCENARIOS)
    tallies = _kept(options.json, options.seed) if options.resume else {}
    root = Path(tempfile.mkdtemp(prefix="faults-"))
    try:
        world = World(root)
        for name in names:
            wanted = max(1, round(options.instants * SCENARIOS[name][1]))
            tallies.setdefault(name, Tally(name, ""))
            for batch in _rows(world, name, wanted, tallies[name], options.seed):
                tallies[name] = batch
                if options.json:
                    _write(options.json, options.seed, tallies)
            print(line(tallies[name]), flush=True)
            for problem in tallies[name].problems[:SHOWN]:
                print(f"    {problem}", flush=True)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return int(any(t.problems or t.lost for t in tallies.values()))


def _rows(world: World, name: str, wanted: int, so_far: Tally, seed: int) -> Iterator[Tally]:
    """The row as it grows. What is drawn in a batch depends on the seed and on where the batch begins, on nothing before."""
    while so_far.tried < wanted and not so_far.skipped:
        world.rng = random.Random(f"{seed} {name} {so_far.tried}")
        left = wanted - so_far.tried
        world.latest = Tally(name, "")
        begin, failed = time.monotonic(), False
        try:
            tally = SCENARIOS[name][0](world, min(left, BATCH) if name in BATCHED else left)
        except Exception as error:  # the others go on; this one is a finding, or a mistake of the campaign
            traceback.print_exc()
            failed, tally = True, world.latest
            tally.problems.append(f"{name} could not go on: {type(error).__name__}: {str(error)[:300]}")
            world.kill_all()
        tally.name, tally.seconds = name, round(time.monotonic() - begin, 1)
        tally.load = round(os.getloadavg()[0], 1)
        so_far = _joined(so_far, tally)
        yield so_far
        if failed:
            return


def _joined(one: Tally, two: Tally) -> Tally:
    counts = {name: getattr(one, name) + getattr(two, name) for name in COUNTS}
    return replace(two, **counts, problems=[*one.problems, *two.problems])


def _kept(file: Path, seed: int) -> dict[str, Tally]:
    if not file.is_file():
        return {}
    document = json.loads(file.read_text())
    if document["seed"] != seed:
        raise SystemExit(f"{file} is of seed {document['seed']}, not {seed}")
    return {row["name"]: Tally(**row) for row in document["faults"]}


def _write(file: Path, seed: int, tallies: dict[str, Tally]) -> None:
    document = {"seed": seed, "faults": [asdict(tally) for tally in tallies.values() if tally.name]}
    atomic.replace(file, json.dumps(document, indent=1) + "\n")


def line(tally: Tally) -> str:
    """A row of the table."""
    if tally.skipped:
        return f"| {tally.fault} | skipped: {tally.skipped} |"
    return (
        f"| {tally.fault} | {tally.tried} | {tally.kept} | {tally.lost} | {tally.bit_equal} of {tally.reruns} | "
        f"{len(tally.problems)} | {tally.seconds:.0f} s |"
    )


if __name__ == "__main__":
    sys.exit(main())
