"""The key of a cell, taken before the run: config, code, versions and data."""

from __future__ import annotations

import os
from functools import cache
from importlib import metadata
from typing import Any

from snn5bench import device, registry
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


def device_of(cell: Cell) -> str:
    """`cuda` where the user chose it and the cell's method, and what it builds on, can train there; else `cpu`."""
    chosen = device.chosen()
    there = chosen == device.CPU or all(registry.load("methods", name).on_gpu for name in _methods_of(cell))
    return chosen if there else device.CPU


def _methods_of(cell: Cell) -> tuple[str, ...]:
    with registry.blaming("methods", cell.method, "does not say what it builds on"):
        return (cell.method, *registry.load("methods", cell.method).builds_on(cell.method_params))


def _device_versions(where: str) -> dict[str, str]:
    """What a cell on a GPU has in its key besides; nothing for the CPU, so that such keys know of no other device."""
    if where == device.CPU:
        return {}
    try:
        return {"device": where, "triton": metadata.version("triton")}
    except metadata.PackageNotFoundError:
        return {"device": where, "triton": "absent"}


def parts_of(cell: Cell, fingerprint: str, transform: dict[str, Any]) -> KeyParts:
    """What the key of `cell` is made of, given its packed data."""
    methods = _methods_of(cell)
    entries = [registry.entry("methods", name) for name in methods] + [registry.entry("datasets", cell.dataset)]
    modules = [entry.target.partition(":")[0] for entry in entries]
    return KeyParts(
        config=cell.config(),
        code=code_of(*modules),
        versions=versions() | _device_versions(device_of(cell)),
        data=fingerprint,
        transform=transform,
    )
