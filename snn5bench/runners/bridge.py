"""The link's far end: the only process of a run that is a Ray driver. It ends with its parent, and may die alone."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from snn5bench.data import arrival
from snn5bench.orphans import end_with
from snn5bench.runners.messages import Answered, Lost, News, Node, Nodes, Refused, Start, Task
from snn5bench.runners.needs import Needs

EVERY_S = 1.0
"""Between two looks at the nodes."""
WAIT_S = 0.02
"""Longest wait for a result before new tasks are looked for."""
ENDING_S = 20.0
"""How long putting away may take once the driver is gone."""
START_S = 120
"""How long a local cluster may take to start; Ray's own 30 s are too short for a machine that others load."""
OBJECT_STORE = 200 << 20
"""Bytes of a local cluster's object store; its workers read packed data from the cache folder."""


def main(channel: int) -> None:
    """Serve the parent at the other end of the pipe `channel` until it says `None`. A local cluster takes orders from
    nobody else: its token lives as long as it, and not in the user's home, where Ray would keep one."""
    end_with(os.getppid(), ENDING_S)
    parent = Connection(channel)
    start: Start = parent.recv()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_raylet_start_wait_time_s", str(START_S))
    if start.address is None and "RAY_AUTH_MODE" not in os.environ:
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    import ray

    try:
        _connect(start)
    except Exception as error:  # whatever Ray raises here, the parent words it
        parent.send(Refused(f"{type(error).__name__}: {error}"))
        return
    try:
        Bridge(parent).serve()
    except (EOFError, BrokenPipeError):  # the driver was killed: its folders are put away here
        ray.shutdown()
        for folder in (start.stage, start.temporary):
            shutil.rmtree(folder, ignore_errors=True)
    else:
        ray.shutdown()


def _connect(start: Start) -> None:
    import ray

    here: dict[str, Any] = {
        "num_cpus": start.cpus,
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE,
        "_temp_dir": start.temporary,
    }
    ray.init(
        address=start.address or "local",
        logging_level=logging.ERROR,
        log_to_driver=False,
        runtime_env={"working_dir": start.stage, "env_vars": dict(start.env)},
        **({} if start.address else here),
    )


def work(order: bytes, files: list[Any]) -> bytes:
    """`node.work`, which is imported on the nodes alone."""
    from snn5bench.runners import node

    return node.work(order, files)


class Bridge:
    """Passes tasks to Ray and answers back, and tells of the nodes."""

    def __init__(self, parent: Connection) -> None:
        import ray

        self.ray, self.parent = ray, parent
        self.work = ray.remote(max_retries=0)(work)
        self.flying: dict[Any, int] = {}
        self.sent: dict[str, Any] = {}
        self.looked = 0.0

    def serve(self) -> None:
        """Until the parent says `None`."""
        while True:
            if time.monotonic() - self.looked >= EVERY_S:
                self._say(Nodes(self._nodes()))
                self.looked = time.monotonic()
            while self.parent.poll(0 if self.flying else WAIT_S):
                task: Task | None = self.parent.recv()
                if task is None:
                    return
                self._submit(task)
            if self.flying:
                self._collect()

    def _say(self, news: News) -> None:
        self.parent.send(news)

    def _nodes(self) -> list[Node]:
        found = []
        for node in self.ray.nodes():
            has = node["Resources"]
            if node["Alive"]:
                needs = Needs(has.get("CPU", 0.0), int(has.get("memory", 0)), has.get("GPU", 0.0))
                found.append(Node(node["NodeID"], node["NodeManagerHostname"], needs))
        return found

    def _submit(self, task: Task) -> None:
        options: dict[str, Any] = {
            "num_cpus": task.needs.cpus,
            "memory": task.needs.memory_bytes,
            "num_gpus": task.needs.gpus,
            "name": task.label,
        }
        if task.avoid:
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(task.avoid)})"}
        files = [] if task.folder is None else [self._put(task.folder)]
        self.flying[self.work.options(**options).remote(task.order, files)] = task.number

    def _put(self, folder: str) -> Any:
        """The packed data in the object store, put there once; wrapped by the caller, so that only nodes that lack them
        fetch them."""
        if folder not in self.sent:
            self.sent[folder] = self.ray.put(arrival.pack(Path(folder)))
        return self.sent[folder]

    def _collect(self) -> None:
        ready, _ = self.ray.wait(list(self.flying), num_returns=1, timeout=WAIT_S)
        for reference in ready:
            number = self.flying.pop(reference)
            try:
                self._say(Answered(number, self.ray.get(reference)))
            except self.ray.exceptions.OutOfMemoryError as error:
                self._say(Lost(number, "memory", _reason(error)))
            except self.ray.exceptions.RayError as error:
                self._say(Lost(number, "worker", _reason(error)))


def _reason(error: Exception) -> str:
    """What went wrong in one line: the task's own exception where it raised one, else what Ray says first."""
    cause = getattr(error, "cause", None) or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return f"{type(cause).__name__}: {lines[0] if lines else 'no reason given'}"[:300]
