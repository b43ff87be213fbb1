"""Names to classes, lazily: nothing is imported before it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from typing import Any, Literal, NamedTuple

from snn5bench.errors import BenchError, did_you_mean

Kind = Literal["methods", "datasets", "energy_models"]

BUILTIN: Mapping[Kind, Mapping[str, str]] = {
    "methods": {
        "lif": "snn5bench.methods.lif:LIF",
        "glif": "snn5bench.methods.glif:GLIF",
        "tskips": "snn5bench.methods.tskips:TSkips",
        "spikingssm": "snn5bench.methods.spikingssm:SpikingSSM",
        "sssa": "snn5bench.methods.sssa:SSSA",
        "adlif": "snn5bench.methods.adlif:AdLIF",
        "se-adlif": "snn5bench.methods.adlif:SEAdLIF",
        "alif": "snn5bench.methods.alif:ALIF",
        "plif": "snn5bench.methods.plif:PLIF",
        "tc-lif": "snn5bench.methods.tc_lif:TCLIF",
        "silif": "snn5bench.methods.silif:SiLIF",
        "c-silif": "snn5bench.methods.silif:CSiLIF",
        "dh-lif": "snn5bench.methods.dh_lif:DHLIF",
    },
    "datasets": {
        "speech-digits": "snn5bench.data.speech_digits:SpeechDigits",
        "pulse-order": "snn5bench.data.pulse_order:PulseOrder",
        "digits": "snn5bench.data.digits:Digits",
    },
    "energy_models": {},
}


class Entry(NamedTuple):
    """One registered name: where its class stands and which package brings it."""

    name: str
    target: str
    """`package.module:Class`"""
    package: str
    version: str


@cache
def own_version() -> str:
    """Version of the installed snn5bench; `uninstalled` where it runs from a bare checkout."""
    try:
        return metadata.version("snn5bench")
    except metadata.PackageNotFoundError:
        return "uninstalled"


@cache
def entries(kind: Kind) -> dict[str, Entry]:
    """Every registered name of a kind; our own plain, a plugin's as `package/name`. Imports no plugin."""
    found = {name: Entry(name, target, "snn5bench", own_version()) for name, target in BUILTIN[kind].items()}
    for point in metadata.entry_points(group=f"snn5bench.{kind}"):
        dist = point.dist
        package, version = (dist.name, dist.version) if dist is not None else ("unknown", "")
        name = f"{package}/{point.name}"
        found[name] = Entry(name, point.value, package, version)
    return found


def entry(kind: Kind, name: str) -> Entry:
    """The entry called `name`, or an error that suggests the nearest one."""
    known = entries(kind)
    if name not in known:
        raise BenchError(f"no {kind[:-1].replace('_', ' ')} is called '{name}'", do=did_you_mean(name, known))
    return known[name]


def load(kind: Kind, name: str) -> Any:
    """The class called `name`. A plugin that breaks on import is reported with its name and package."""
    found = entry(kind, name)
    module, _, attribute = found.target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as broken:
        if found.package == "snn5bench":
            raise
        raise BenchError(
            f"{kind[:-1]} '{name}' could not be imported: {type(broken).__name__}: {broken}",
            where=f"package {found.package} {found.version}, {found.target}",
            do=f"mend or reinstall {found.package}; everything else works without it",
        ) from broken
