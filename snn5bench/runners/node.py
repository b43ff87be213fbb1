"""What a node does with one order: agree with the driver on code and data, then run the cell."""

from __future__ import annotations

import os
import pickle
import socket
from functools import cache
from pathlib import Path
from typing import Any

import ray

from snn5bench import keys
from snn5bench.cell import Cell, differences
from snn5bench.data import arrival
from snn5bench.data.cache import folder_of
from snn5bench.outcome import Outcome
from snn5bench.plan import make_dataset
from snn5bench.runners.messages import Answer, Order, Unlike, Wants
from snn5bench.runners.serial import attempt
from snn5bench.runners.shipping import digest_of
from snn5bench.suite import Limits


def work(order: bytes, files: list[ray.ObjectRef[arrival.Files]]) -> bytes:
    """The pickled `Answer` to a pickled `Order`. `files` holds the packed data, where the driver sent them along."""
    return pickle.dumps(_answer(pickle.loads(order), files))


def _answer(order: Order, files: list[ray.ObjectRef[arrival.Files]]) -> Answer:
    """Run the cell, or say what stands against it."""
    if found := _differences(order):
        return _unlike(found)
    _share_cache(order.cache)
    folder = folder_of(make_dataset(order.cell))
    if not arrival.is_whole(folder, order.parts.data):
        if not files:
            return Wants()
        arrival.receive(folder, ray.get(files[0]), order.parts.data)
    outcome = _run(order.cell, order.limits)
    if outcome.record.key not in ("", order.parts.key()):
        return _unlike(differences(order.parts.model_dump(mode="json"), outcome.record.key_parts))
    return outcome


def _run(cell: Cell, limits: Limits) -> Outcome:
    """In this process; where a limit may have to stop the cell, in one of its own."""
    if not limits.stop_cells:
        return attempt(cell)
    from snn5bench.runners import processes

    ended: list[Outcome] = []
    processes.run([cell], lambda _, outcome: ended.append(outcome), 1, limits)
    return ended[0]


def _differences(order: Order) -> list[str]:
    code = [f"code: package {name} is not the driver's" for name in order.code if _digest(name) != order.code[name]]
    if code:
        return code
    here = keys.parts_of(order.cell, order.parts.data, order.parts.transform)
    return differences(order.parts.model_dump(mode="json"), here.model_dump(mode="json"))


@cache
def _digest(package: str) -> str:
    return digest_of(package)


def _unlike(found: list[str]) -> Unlike:
    node: Any = ray.get_runtime_context().get_node_id()
    return Unlike(node, socket.gethostname(), found)


def _share_cache(drivers: str) -> None:
    """The node's own `SNN5BENCH_CACHE` is kept; else the driver's cache folder is used where the node sees it."""
    if "SNN5BENCH_CACHE" not in os.environ and Path(drivers).is_dir():
        os.environ["SNN5BENCH_CACHE"] = drivers
