"""The key of a cell, taken before the run: config, code, versions and data."""

from __future__ import annotations

import os
from functools import cache
from importlib import metadata
from typing import Any

from snn5bench import registry
from snn5bench.cell import Cell, KeyParts
from snn5bench.closure import closure

LIBRARIES = ("torch", "spikingjelly", "tonic", "numpy", "numba")
"""Their versions can move a number of any cell."""

PROTOCOL = "snn5bench.execute"
"""The module whose import closure is the protocol."""


@cache
def code_of(*modules: str) -> dict[str, str]:
    """Digest by module, over the closure of `modules` and of the protocol."""
    return closure(*modules, PROTOCOL)


@cache
def versions() -> dict[str, str]:
    """Installed versions of the libraries that can move a number, and the kernels in use. Imports none of them."""
    found: dict[str, str] = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    found["kernels"] = os.environ.get("SNN5BENCH_KERNELS", "numba")
    return found


def parts_of(cell: Cell, fingerprint: str, transform: dict[str, Any]) -> KeyParts:
    """What the key of `cell` is made of, given its packed data."""
    with registry.blaming("methods", cell.method, "does not say what it builds on"):
        methods = (cell.method, *registry.load("methods", cell.method).builds_on(cell.method_params))
    entries = [registry.entry("methods", name) for name in methods] + [registry.entry("datasets", cell.dataset)]
    modules = [entry.target.partition(":")[0] for entry in entries]
    return KeyParts(
        config=cell.config(),
        code=code_of(*modules),
        versions=versions(),
        data=fingerprint,
        transform=transform,
    )
