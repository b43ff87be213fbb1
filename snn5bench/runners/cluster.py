"""The cells over a Ray cluster: the one that `RAY_ADDRESS` names, or one of this machine's own.

A cell is a Ray task. Nodes may join and die, and the head may restart: Ray is a child process away (`link`), so that a Ray
which ends that process ends no run. What is left to do, and what runs again, is decided here (`campaign`).
"""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from snn5bench import device
from snn5bench.cell import Cell
from snn5bench.errors import BenchError
from snn5bench.runners import shipping
from snn5bench.runners.campaign import Campaign, Say
from snn5bench.runners.hand import THREADS
from snn5bench.runners.link import STARTING_S, Gone, Link
from snn5bench.runners.messages import Node, Nodes, Refused, Start
from snn5bench.runners.needs import History
from snn5bench.suite import Limits

if TYPE_CHECKING:
    from snn5bench.runners.serial import Done

PATIENCE_S = 300.0
"""How long a cluster that went away may take to come back."""
PAUSE_S = 2.0
PROBE_S = 10.0


def run(cells: Sequence[Cell], done: Done, history: History, jobs: int, say: Say, limits: Limits | None = None) -> None:
    """Run `cells`; `done` is called here, in the driver, as each ends. `jobs` is the number of CPUs of a local cluster;
    `say` tells the user what they should know of the cluster.

    Raises `BenchError` where Ray is not installed, the cluster cannot be reached or stays away, or no node is like the
    driver.
    """
    if find_spec("ray") is None:
        raise BenchError("Ray is not installed", "--runner ray", "pip install 'snn5bench[ray]'")
    short = "/tmp" if Path("/tmp").is_dir() else None  # a socket's path may have no more than 107 bytes
    with (
        tempfile.TemporaryDirectory(prefix="snn5bench-stage-") as stage,
        tempfile.TemporaryDirectory(prefix="snn5-", dir=short, ignore_cleanup_errors=True) as temporary,
    ):
        code = shipping.stage(shipping.packages_of(cells), Path(stage))
        chosen = {name: os.environ[name] for name in ("SNN5BENCH_KERNELS", device.VARIABLE) if name in os.environ}
        start = Start(os.environ.get("RAY_ADDRESS") or None, jobs, stage, THREADS | chosen, temporary)
        campaign = Campaign(cells, done, history, code, say, limits)
        patience = 0.0
        while campaign.open:
            link, nodes = _connect(start, patience)
            patience = PATIENCE_S
            try:
                campaign.serve(link, nodes)
            except Gone as gone:
                campaign.sweep(str(gone))
            finally:
                link.close()


def _connect(start: Start, patience_s: float) -> tuple[Link, list[Node]]:
    """A link whose cluster answers, with its nodes; it is asked again for `patience_s`."""
    deadline = time.monotonic() + patience_s
    while True:
        why = _deaf(start.address)
        if not why:
            link = Link(start)
            try:
                news = link.receive(STARTING_S)
                if isinstance(news, Nodes):
                    return link, news.alive
                why = news.why if isinstance(news, Refused) else str(news)
            except Gone as gone:
                why = str(gone)
            except BaseException:
                link.close()
                raise
            link.close()
        if time.monotonic() >= deadline:
            raise BenchError(
                f"no Ray cluster answers: {why}",
                f"RAY_ADDRESS={start.address}" if start.address else "a cluster of this machine's own",
                "start it, or unset RAY_ADDRESS to use this machine alone; every cell that had ended is kept",
            )
        time.sleep(PAUSE_S)


def _deaf(address: str | None) -> str:
    """Why nobody listens at a plain `host:port`, which Ray would find out only after minutes; else nothing."""
    host, colon, port = (address or "").rpartition(":")
    if not colon or "/" in host or not port.isdigit():
        return ""
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE_S):
            return ""
    except OSError as error:
        return str(error.strerror or error)
