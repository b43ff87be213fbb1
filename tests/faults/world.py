"""A place of its own for each campaign: a plugin, a suite, warm data, the records that a quiet run leaves, and what must
hold after a fault."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from rich.console import Console

from snn5bench.expand import read
from snn5bench.progress import Display
from snn5bench.run import run
from snn5bench.store import Store
from snn5bench.tracking import NoTracker
from tests.faults.plugin import NAMES, SOURCE

ROOT = Path(__file__).parents[2]
PATCHES = Path(__file__).parent / "patches"
PATIENCE_S = 3600
"""How long anything may take on a loaded machine before the campaign calls it hung."""

NIGHT = """\
seeds: [0, 1]
budget: {epochs: 2, batch_size: 16}
twins: {notd: {methods: ["faulty/tiny"]}}
datasets:
  - {name: pulse-order, params: {T: 16, min_gap: 2, max_gap: 4, train: 30, val: 10, test: 20}}
methods:
  - {name: faulty/tiny, params: {seconds: 0.1}}
  - {name: lif, params: {hidden: [8]}}
"""


@dataclass
class Tally:
    """One row of the campaign's table."""

    fault: str
    how: str
    """What was done, and where it was only simulated, with what."""
    tried: int = 0
    kept: int = 0
    """Finished results that were on disk when the fault came, over all tries."""
    lost: int = 0
    reruns: int = 0
    bit_equal: int = 0
    problems: list[str] = field(default_factory=list)
    skipped: str = ""
    """Why it could not be tried here."""
    seconds: float = 0.0
    load: float = 0.0
    """The machine's load average at its end."""
    name: str = ""
    """Of the scenario."""


COUNTS = ("tried", "kept", "lost", "reruns", "bit_equal", "seconds")
"""What adds up over the batches of a row."""


class World:
    """Everything that the scenarios share. `rng` draws each instant; the same seed draws the same instants. It takes this
    process for itself (its path, its environment): one campaign, one process."""

    def __init__(self, root: Path, seed: int = 0) -> None:
        self.root = root
        self.rng = random.Random(seed)
        self.latest = Tally("", "")
        """The row that was checked last; what is known of it is kept where its scenario breaks off."""
        self.site = root / "site"
        self.mark = uuid.uuid4().hex
        self._install()
        self.env = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(self.site), str(ROOT)]),
            "SNN5BENCH_CACHE": str(root / "cache"),
            "OMP_NUM_THREADS": "1",
            "FAULT_CAMPAIGN": self.mark,
            "COLUMNS": "200",
        }
        self.env.pop("MLFLOW_TRACKING_URI", None)
        os.environ.update({name: self.env[name] for name in ("PYTHONPATH", "SNN5BENCH_CACHE", "OMP_NUM_THREADS")})
        sys.path.insert(0, str(self.site))
        self._references: dict[Path, Path] = {}
        self._said: dict[int, Path] = {}
        self.suite = self.write("night", NIGHT)
        self.reference_of(self.suite)

    def _install(self) -> None:
        package = self.site / "faulty"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "methods.py").write_text(SOURCE)
        info = self.site / "faulty-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 1.0\n")
        points = "\n".join(f"{name} = faulty.methods:{name.capitalize()}" for name in NAMES)
        (info / "entry_points.txt").write_text(f"[snn5bench.methods]\n{points}\n")

    def write(self, name: str, text: str) -> Path:
        """A suite's file."""
        path = self.root / f"{name}.yaml"
        path.write_text(text)
        return path

    def reference_of(self, suite: Path) -> Path:
        """What a quiet run of a suite leaves."""
        if suite not in self._references:
            self._references[suite] = self.fresh("reference")
            complete(suite, self._references[suite])
        return self._references[suite]

    def minutes(self) -> str:
        """A time limit that no cell of the campaign needs, however loaded this machine is now."""
        begin = time.monotonic()
        self.must(self.finish(self.start([sys.executable, "-c", "import torch, numba"])))
        return f"cell_minutes: {max(0.1, (time.monotonic() - begin) / 15):.2f}"

    def fresh(self, name: str = "results") -> Path:
        """An empty folder for results."""
        folder = self.root / f"{name}-{uuid.uuid4().hex[:8]}"
        folder.mkdir()
        return folder

    def command(self, suite: Path, results: Path, *words: str) -> list[str]:
        """`snn5bench run`, without tracking unless `words` ask for it."""
        track = [] if "--track" in words else ["--no-track"]
        return [sys.executable, "-m", "snn5bench", "run", str(suite), "--results", str(results), *track, *words]

    def start(
        self, command: Sequence[str], env: dict[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """A process that the campaign can find again, and its descendants with it. It speaks into a file: a pipe would end
        with the campaign's patience, and so would an orphan that writes to it."""
        said = self.root / f"said-{uuid.uuid4().hex[:8]}"
        with said.open("wb") as file:
            process = subprocess.Popen(
                command, env=self.env | (env or {}), cwd=cwd or self.root, stdout=file, stderr=subprocess.STDOUT
            )
        self._said[process.pid] = said
        return process

    def run(self, suite: Path, results: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """`snn5bench run` to its end."""
        process = self.start(self.command(suite, results, *(words or ("-j", "1"))), env)
        return self.finish(process)

    def finish(self, process: subprocess.Popen[bytes]) -> subprocess.CompletedProcess[str]:
        """The end of a process, or `TimeoutExpired`, with all of it killed."""
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.kill_all()
            raise
        said = self._said[process.pid].read_text(errors="replace")
        return subprocess.CompletedProcess(process.args, process.returncode, said, "")

    def must(self, done: subprocess.CompletedProcess[str]) -> None:
        """What has to work for the campaign to mean anything."""
        if done.returncode != 0:
            raise RuntimeError(f"exit {done.returncode} of {done.args}:\n{done.stdout}")

    def alive(self) -> list[psutil.Process]:
        """Every process of this campaign but itself, whoever its parent is."""
        found = []
        for process in psutil.process_iter():
            try:
                ours = process.pid != os.getpid() and process.environ().get("FAULT_CAMPAIGN") == self.mark
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def kill_all(self) -> None:
        """End what is left of this campaign."""
        for process in self.alive():
            try:
                process.kill()
            except psutil.Error:
                continue

    def orphans(self, within_s: float = 20.0) -> list[str]:
        """Processes that outlive the fault by `within_s`; they are described, then killed."""
        deadline = time.monotonic() + within_s
        while (left := self.alive()) and time.monotonic() < deadline:
            time.sleep(0.1)
        said = []
        for process in left:
            try:
                said.append(f"orphan: {' '.join(process.cmdline())[:120]}")
            except psutil.Error:
                continue
        self.kill_all()
        return said


def complete(suite: Path, results: Path) -> None:
    """The rerun, in this process, to its end."""
    loaded, planned = read(suite)
    run(planned, Store(results, loaded.name), NoTracker(), Display(Console(quiet=True)), "serial", 1)


def kill(process: subprocess.Popen[bytes]) -> bool:
    """kill -9; whether it was still alive."""
    alive = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return alive


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes] | None = None) -> bool:
    """Whether `condition` came true before the patience (or the process) ended."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if condition():
            return True
        if process is not None and process.poll() is not None:
            return condition()
        time.sleep(0.005)
    return False


def said(done: subprocess.CompletedProcess[str], code: int, words: str) -> list[str]:
    """What is wrong with how a run ended: its code, a traceback, or words that should be there."""
    wrong = [] if done.returncode == code else [f"exit {done.returncode}, expected {code}: {done.stdout[-300:]}"]
    if "Traceback" in done.stdout:
        wrong.append(f"a traceback: {done.stdout[-400:]}")
    return wrong if words in done.stdout else [*wrong, f"'{words}' is not said: {done.stdout[-300:]}"]
