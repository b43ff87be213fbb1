"""What the Ray runner costs and gains, measured: overhead per trivial cell, and the speed-up of a second node.

    python -m tests.scale.ray_runs overhead --cells 1000
    python -m tests.scale.ray_runs speedup --cells 40

Overhead is time beyond the serial runner's on the same cells, with one CPU, the start of the cluster left out: wall time,
which others on the machine change, and processor time of all processes of the run. Speed-up is the rate of ended cells with
two nodes of one CPU over that with one; cells that sleep measure the scheduling alone, on any machine, cells that compute
need as many idle cores. The load of the machine stands beside each number.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from textwrap import dedent

import psutil
from rich.console import Console

from snn5bench.cell import Cell
from snn5bench.expand import read
from snn5bench.progress import Display
from snn5bench.record import Record, Status
from snn5bench.run import RunnerName, run
from snn5bench.store import Store
from tests.conftest import TINY_METHOD
from tests.runners.conftest import Nodes

LOOK_EVERY = 20
"""Cells between two looks at the processor times."""
ROUNDS = 2
"""One node and two take turns so often, as others on the machine come and go."""
LEAST = 10
"""Cells from which a rate can be told: the first ones of each node are left out."""
TOYS = (
    TINY_METHOD
    + """

    class Computes(Tiny):
        name = "computes"

        def build(self, data):
            total = 0
            for number in range(int(self.params.scale * 10_000_000)):
                total += number
            return super().build(data)
"""
)
WHAT_CELLS_DO = {"slow": "sleeps", "computes": "computes"}
SUITE = """\
seeds: {seeds}
budget: {{epochs: 1, batch_size: 64}}
twins: {{notd: null, shuffled: null}}
datasets:
  - {{name: pulse-order, params: {{T: 16, min_gap: 2, max_gap: 4, train: 30, val: 10, test: 20}}}}
methods: [{{name: toys/{method}, params: {{scale: {scale}}}}}]
"""


class Watch:
    """A tracker that notes the wall time and the processor time at which each cell ended."""

    def __init__(self) -> None:
        self.ends: list[tuple[float, float]] = []

    def log(self, cell: Cell, record: Record) -> None:
        if record.status is not Status.DONE:
            raise SystemExit(f"{cell.label}: {record.reason}")
        known = len(self.ends) % LOOK_EVERY
        self.ends.append((time.perf_counter(), self.ends[-1][1] if known else _processor_seconds()))

    def per_cell(self, skip: int) -> tuple[float, float]:
        """Wall and processor seconds of a cell, from the end of the cell numbered `skip` to that of the last."""
        last = (len(self.ends) - 1) // LOOK_EVERY * LOOK_EVERY
        skip = -(-skip // LOOK_EVERY) * LOOK_EVERY
        wall, processor = (b - a for a, b in zip(self.ends[skip], self.ends[last], strict=True))
        return wall / (last - skip), processor / (last - skip)

    def rate(self, skip: int) -> float:
        """Cells a second, from the end of the cell numbered `skip` to that of the last."""
        return (len(self.ends) - 1 - skip) / (self.ends[-1][0] - self.ends[skip][0])


def _processor_seconds() -> float:
    """Of this process and all that it started, which still live."""
    own = psutil.Process()
    total = 0.0
    for process in (own, *own.children(recursive=True)):
        with suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def install_toys(site: Path) -> None:
    """The methods above as an installed package, for this process and its workers."""
    (site / "toys").mkdir(parents=True)
    (site / "toys" / "__init__.py").write_text(dedent(TOYS))
    info = site / "toys-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    points = "".join(f"{name} = toys:{name.capitalize()}\n" for name in ("tiny", *WHAT_CELLS_DO))
    (info / "entry_points.txt").write_text(f"[snn5bench.methods]\n{points}")
    sys.path.insert(0, str(site))


def ran(folder: Path, runner: RunnerName, method: str, cells: int, scale: float = 1.0) -> Watch:
    """A run of that many cells into a new folder."""
    path = folder / f"{method}.yaml"
    path.write_text(SUITE.format(seeds=list(range(cells)), method=method, scale=scale))
    suite, planned = read(path)
    watch = Watch()
    with tempfile.TemporaryDirectory(dir=folder) as results:
        run(planned, Store(Path(results), suite.name), watch, Display(Console(quiet=True)), runner, 1)
    return watch


def overhead(folder: Path, cells: int) -> None:
    """Print the milliseconds that a trivial cell takes serially and over Ray."""
    print("| runner | cells | load | ms per cell | processor ms per cell |\n|---|---:|---:|---:|---:|")
    for runner in ("serial", "ray", "serial", "ray"):
        load = os.getloadavg()[0]
        wall, processor = ran(folder, runner, "tiny", cells).per_cell(skip=20)  # type: ignore[arg-type]
        print(f"| {runner} | {cells} | {load:.1f} | {1000 * wall:.1f} | {1000 * processor:.1f} |", flush=True)


def speedup(folder: Path, cells: int, seconds: float) -> None:
    """Print the rates of one node and of two."""
    print("| cells that | nodes | cells | load | cells per second |\n|---|---:|---:|---:|---:|")
    os.environ["RAY_TMPDIR"] = str(folder)
    (folder / "ray").mkdir()
    nodes = Nodes(folder / "ray")
    os.environ["RAY_ADDRESS"] = nodes.address
    nodes.join()
    rates: dict[tuple[str, int], list[float]] = {}
    for count in (1, 2) * ROUNDS:
        second = nodes.join() if count == 2 else None
        for method in WHAT_CELLS_DO:
            load = os.getloadavg()[0]
            rate = ran(folder, "ray", method, cells, seconds).rate(skip=2 * count)
            rates.setdefault((method, count), []).append(rate)
            print(f"| {WHAT_CELLS_DO[method][:-1]} | {count} | {cells} | {load:.1f} | {rate:.3f} |", flush=True)
        if second is not None:
            nodes.kill(second)
    nodes.close()
    for method, does in WHAT_CELLS_DO.items():
        print(f"\nspeed-up of two nodes where a cell {does}: {sum(rates[method, 2]) / sum(rates[method, 1]):.2f}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["overhead", "speedup"])
    parser.add_argument("--cells", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=3.0, help="That a cell sleeps, or computes on an idle core.")
    options = parser.parse_args()
    if options.cells < LEAST:
        parser.error(f"--cells {options.cells}: a rate needs {LEAST} cells at least")
    with tempfile.TemporaryDirectory(prefix="snn5-", dir="/tmp", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        install_toys(folder / "site")
        os.environ |= {"PYTHONPATH": os.pathsep.join([p for p in sys.path if p]), "RAY_USAGE_STATS_ENABLED": "0"}
        if options.what == "overhead":
            overhead(folder, options.cells)
        else:
            speedup(folder, options.cells, options.seconds)


if __name__ == "__main__":
    main()
