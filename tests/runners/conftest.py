"""A small suite of toy methods, runs of it, and Ray clusters of two nodes on this machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from snn5bench.cell import Cell
from snn5bench.expand import read
from snn5bench.progress import Display
from snn5bench.record import Record
from snn5bench.reproduce import VOLATILE
from snn5bench.run import Summary, run
from snn5bench.store import Store

SUITE = """\
seeds: [SEEDS]
budget: {epochs: 2, batch_size: 64}
twins: {notd: {methods: ["acme/tiny"]}}
datasets:
  - {name: pulse-order, params: {T: 16, min_gap: 2, max_gap: 4, train: 30, val: 10, test: 20}}
methods: [METHODS]
"""

WriteSuite = Callable[..., Path]


@pytest.fixture
def suite(tmp_path: Path, tiny_plugin: Path) -> WriteSuite:
    """`suite("acme/tiny", seeds=2)`: the path of a suite of these methods."""

    def write(methods: str = "acme/tiny", seeds: int = 2) -> Path:
        path = tmp_path / "tiny.yaml"
        numbers = ", ".join(map(str, range(seeds)))
        path.write_text(SUITE.replace("METHODS", methods).replace("SEEDS", numbers))
        return path

    return write


class Notebook:
    """A tracker that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def log(self, cell: Cell, record: Record) -> None:
        self.told.append((cell.label, record.key))


class Ran:
    """A run, with the store it filled, what its tracker was told, and what it said to the user."""

    def __init__(self, path: Path, results: Path, runner: str, jobs: int = 1) -> None:
        loaded, planned = read(path)
        self.store, self.notebook = Store(results, loaded.name), Notebook()
        console = Console(file=(results.parent / f"{results.name}.said").open("w+"), width=400)
        self.summary: Summary = run(
            planned, self.store, self.notebook, Display(console), runner, jobs, limits=loaded.limits
        )  # type: ignore[arg-type]
        console.file.seek(0)
        self.said = console.file.read()

    @property
    def records(self) -> list[Record]:
        return self.store.records()

    @property
    def comparable(self) -> list[dict[str, Any]]:
        """Every field that two runs must share, with the per-sample arrays' bytes."""
        return [
            record.model_dump(mode="json", exclude=set(VOLATILE) - {"key", "key_parts", "method_version"})
            | {name: values.tobytes() for name, values in self.store.arrays(record).items()}
            for record in self.records
        ]


def no_other_traces(folder: Path) -> bool:
    """Whether a store holds whole records and nothing else."""
    return all(path.suffix in {".json", ".npz"} for path in (folder / "cells").iterdir())


class Nodes:
    """A Ray cluster on this machine: a head without CPUs, to which the driver speaks, and nodes that can be killed."""

    def __init__(self, folder: Path, port: int | None = None, **env: str) -> None:
        from ray.cluster_utils import Cluster

        self.folder = str(folder)
        head = {"num_cpus": 0, "no_monitor": True, "include_dashboard": False, "temp_dir": self.folder}
        if port is not None:
            head["gcs_server_port"] = port
        self.cluster = Cluster(initialize_head=True, head_node_args=head | {"env_vars": env or None})

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def join(self, cpus: int = 1, **env: str) -> Any:
        """A further node; `env` is its environment's difference from this process's."""
        return self.cluster.add_node(num_cpus=cpus, env_vars=env or None, temp_dir=self.folder)

    def kill(self, node: Any) -> None:
        """All of a node's processes at once, without a word."""
        self.cluster.remove_node(node, allow_graceful=False)

    def close(self) -> None:
        self.cluster.shutdown()


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Nodes]]:
    """`nodes()`: a cluster that `RAY_ADDRESS` names until the test ends."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "120")
    made: list[Nodes] = []
    short = "/tmp" if Path("/tmp").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="nodes-", dir=short, ignore_cleanup_errors=True) as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        (Path(folder) / "ray").mkdir()

        def make(**settings: Any) -> Nodes:
            made.append(Nodes(Path(folder) / "ray", **settings))
            monkeypatch.setenv("RAY_ADDRESS", made[-1].address)
            return made[-1]

        yield make
        for one in made:
            one.close()


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests choose their cluster themselves."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert os.environ["SNN5BENCH_CACHE"]
