"""Seconds, peak memory and file sizes of the verbs that read a whole suite, by its number of cells.

    python -m tests.scale.measure 1000 2000 5000 10000 [--shape methods] [--folder DIR]

Prints a Markdown table, as docs/clusters.md shows it. Each verb runs as its own process, as a user would start it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
VERBS = ("plan", "report", "lock", "compare")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", type=int, nargs="+")
    parser.add_argument("--shape", choices=["datasets", "methods"], default="datasets")
    parser.add_argument("--folder", type=Path, help="Where the records go and stay.")
    options = parser.parse_args()
    print("| cells | load | making and storing | " + " | ".join(VERBS) + " | store | page | baseline |")
    print("|---:|---:|---:|" + "---:|" * (len(VERBS) + 3))
    for cells in options.cells:
        with tempfile.TemporaryDirectory() as temporary:
            folder = (options.folder or Path(temporary)) / f"{options.shape}-{cells}"
            print(row(folder, cells, options.shape), flush=True)


def row(folder: Path, cells: int, shape: str) -> str:
    """One line of the table."""
    folder.mkdir(parents=True, exist_ok=True)
    path, results = folder / "scale.yaml", folder / "results"
    making = "kept" if results.is_dir() else timed(folder, "tests.scale.made", str(folder), str(cells), shape)
    load = os.getloadavg()[0]
    verbs = " | ".join(timed(folder, "snn5bench", verb, str(path), "--results", str(results)) for verb in VERBS)
    store = sum(file.stat().st_size for file in (results / "scale" / "cells").iterdir())
    page = (results / "scale" / "leaderboard.html").stat().st_size
    locked = (folder / "baselines" / "locked" / "scale.json").stat().st_size
    sizes = " | ".join(f"{size / 1e6:.1f} MB" for size in (store, page, locked))
    return f"| {cells} | {load:.1f} | {making} | {verbs} | {sizes} |"


def timed(folder: Path, *module: str) -> str:
    """Wall seconds, processor seconds and peak resident memory of a module in a process of its own."""
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    before = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", *module],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": paths},
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - before
    if status:
        raise SystemExit(f"{' '.join(module)} ended with {os.waitstatus_to_exitcode(status)}")
    return f"{seconds:.1f} s ({usage.ru_utime + usage.ru_stime:.1f} s cpu), {usage.ru_maxrss / 1024:.0f} MiB"


if __name__ == "__main__":
    main()
