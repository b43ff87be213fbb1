"""What the driver, its link to Ray and the nodes say to each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from snn5bench.cell import Cell, KeyParts
from snn5bench.runners.needs import Needs

if TYPE_CHECKING:
    from snn5bench.outcome import Outcome
    from snn5bench.suite import Limits


class Order(NamedTuple):
    """One cell for a node, with all that the node must agree with."""

    cell: Cell
    parts: KeyParts
    """What the driver's key of the cell is made of."""
    code: Mapping[str, str]
    """Package to the digest of its sources, as the driver shipped them."""
    cache: str
    """The driver's cache folder, which the node may share."""
    limits: Limits


class Wants(NamedTuple):
    """A node does not have the data of its order."""


class Unlike(NamedTuple):
    """A node whose code, libraries or keys are not the driver's."""

    node: str
    host: str
    differences: list[str]


Answer: TypeAlias = "Outcome | Wants | Unlike"
"""What a node gives back for an order."""


class Start(NamedTuple):
    """How the link reaches Ray."""

    address: str | None
    """Of an existing cluster; None for a local one."""
    cpus: int
    """Of the local one."""
    stage: str
    """Folder with the packages that the nodes run."""
    env: Mapping[str, str]
    """Environment of the workers."""
    temporary: str
    """Where a local cluster keeps its sockets and logs."""


class Task(NamedTuple):
    """An order on its way to Ray."""

    number: int
    label: str
    order: bytes
    """A pickled `Order`: the link does not look into it, and so needs neither its classes nor PyTorch."""
    needs: Needs
    folder: str | None
    """Packed data to send along, where some node had asked for them."""
    avoid: tuple[str, ...]
    """Nodes that must not have it."""


class Node(NamedTuple):
    """What one living node of the cluster has in all."""

    id: str
    host: str
    has: Needs


class Nodes(NamedTuple):
    """The living nodes; said at least every `bridge.EVERY_S` seconds, so that silence means death."""

    alive: list[Node]


class Answered(NamedTuple):
    """A node's answer to a task."""

    number: int
    answer: bytes
    """A pickled `Answer`."""


class Lost(NamedTuple):
    """A task whose worker or node died."""

    number: int
    how: Literal["worker", "memory"]
    why: str


class Refused(NamedTuple):
    """The cluster could not be reached or started."""

    why: str


News = Nodes | Answered | Lost | Refused
