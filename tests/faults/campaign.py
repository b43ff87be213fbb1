"""Run the fault campaign: `python -m tests.faults.campaign --instants 100 --json faults.json`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from tests.faults import cells, clocks, disks, kills, pairs, servers
from tests.faults.world import Tally, World

Scenario = Callable[[World, int], Tally]

SCENARIOS: dict[str, tuple[Scenario, float]] = {
    "driver": (kills.driver, 0.4),
    "worker": (kills.worker, 0.35),
    "dvc": (kills.dvc, 0.25),
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
"""Name to the scenario and how often it is tried, as a share of `--instants`; the first three make up the kills at random
instants."""


SHOWN = 12
"""Problems of one scenario that are printed; the JSON has all."""


def main() -> int:
    """Print the table; 0 where everything held, 1 where not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instants", type=int, default=100, help="kills at random instants, in all")
    parser.add_argument("--only", default="", help="scenarios by name, with commas")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=None, metavar="FILE")
    options = parser.parse_args()
    names = options.only.split(",") if options.only else list(SCENARIOS)
    root = Path(tempfile.mkdtemp(prefix="faults-"))
    tallies = []
    try:
        world = World(root, options.seed)
        for name in names:
            scenario, share = SCENARIOS[name]
            begin = time.monotonic()
            try:
                tally = scenario(world, max(1, round(options.instants * share)))
            except Exception as error:  # the others go on; this one is a finding, or a mistake of the campaign
                traceback.print_exc()
                tally = Tally(name, "", problems=[f"it could not go on: {type(error).__name__}: {str(error)[:300]}"])
                world.kill_all()
            tally.seconds = round(time.monotonic() - begin, 1)
            tally.load = round(os.getloadavg()[0], 1)
            tallies.append(tally)
            print(line(tally), flush=True)
            for problem in tally.problems[:SHOWN]:
                print(f"    {problem}", flush=True)
            if options.json:
                document = {"seed": options.seed, "faults": [asdict(t) for t in tallies]}
                options.json.write_text(json.dumps(document, indent=1) + "\n")
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return int(any(t.problems or t.lost for t in tallies))


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
