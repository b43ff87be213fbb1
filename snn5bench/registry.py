"""Names to classes, lazily: nothing is imported before it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
        "conversion": "snn5bench.methods.conversion:RateCoding",
        "qcfs": "snn5bench.methods.conversion:QCFS",
        "ecl": "snn5bench.methods.conversion:ErrorCompensation",
        "sfn": "snn5bench.methods.conversion:ScaleFire",
        "compressed": "snn5bench.methods.compression:Compressed",
        "dstp": "snn5bench.methods.dstp:DynamicPruning",
        "spquant": "snn5bench.methods.spquant:SpQuant",
        "ff": "snn5bench.methods.forward_forward:ForwardForward",
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
        "pmsn": "snn5bench.methods.pmsn:PMSN",
        "dcls": "snn5bench.methods.dcls:DCLS",
        "asrc": "snn5bench.methods.asrc:ASRC",
        "rec-delays": "snn5bench.methods.rec_delays:RecDelays",
        "adaptive-slope": "snn5bench.methods.adaptive_slope:AdaptiveSlope",
        "ce-lif": "snn5bench.methods.ce_lif:CELIF",
        "spikformer": "snn5bench.methods.spikformer:Spikformer",
        "s4nn": "snn5bench.methods.s4nn:S4NN",
        "sglformer": "snn5bench.methods.sglformer:SGLFormer",
    },
    "datasets": {
        "speech-digits": "snn5bench.data.speech_digits:SpeechDigits",
        "pulse-order": "snn5bench.data.pulse_order:PulseOrder",
        "digits": "snn5bench.data.digits:Digits",
        "delayed-cue": "snn5bench.data.delayed_cue:DelayedCue",
        "binary-adding": "snn5bench.data.binary_adding:BinaryAdding",
        "randman": "snn5bench.data.randman:Randman",
        "listops": "snn5bench.data.listops:ListOps",
        "ps-mnist": "snn5bench.data.ps_mnist:PSMnist",
        "mnist-1d": "snn5bench.data.mnist_1d:Mnist1D",
        "shd": "snn5bench.data.heidelberg:SHD",
        "ssc": "snn5bench.data.heidelberg:SSC",
        "spike-file": "snn5bench.data.heidelberg:SpikeFile",
        "speech-commands": "snn5bench.data.speech_commands:SpeechCommands",
        "n-mnist": "snn5bench.data.nmnist:NMnist",
        "dvs-gesture": "snn5bench.data.dvs_gesture:DvsGesture",
        "cifar10-dvs": "snn5bench.data.cifar10_dvs:Cifar10Dvs",
        "mnist": "snn5bench.data.pictures:Mnist",
        "fashion-mnist": "snn5bench.data.pictures:FashionMnist",
        "cifar10": "snn5bench.data.pictures:Cifar10",
        "cifar100": "snn5bench.data.pictures:Cifar100",
        "lra-listops": "snn5bench.data.lra:LraListOps",
        "lra-text": "snn5bench.data.lra:LraText",
        "lra-retrieval": "snn5bench.data.lra:LraRetrieval",
        "lra-image": "snn5bench.data.lra_pictures:LraImage",
        "lra-pathfinder": "snn5bench.data.lra_pictures:LraPathfinder",
        "event-chain": "snn5bench.data.event_chain:EventChain",
        "pathfinder": "snn5bench.data.pathfinder:Pathfinder",
        "fsdd": "snn5bench.data.fsdd:FSDD",
    },
    "energy_models": {
        "horowitz-fp32": "snn5bench.measure.energy.horowitz:HorowitzFp32",
        "horowitz-int8": "snn5bench.measure.energy.horowitz:HorowitzInt8",
        "simple": "snn5bench.measure.energy.simple:SimpleEnergy",
        "lemaire": "snn5bench.measure.energy.lemaire:Lemaire",
        "yan-v1": "snn5bench.measure.energy.yan:YanV1",
        "yan-v4": "snn5bench.measure.energy.yan:YanV4",
        "davidson-furber": "snn5bench.measure.energy.davidson_furber:DavidsonFurber",
    },
}

CONTRACTS: Mapping[Kind, str] = {
    "methods": "snn5bench.contracts.method:Method",
    "datasets": "snn5bench.contracts.dataset:Dataset",
    "energy_models": "snn5bench.contracts.energy:EnergyModel",
}
"""What the class of a plugin must derive from."""


class BrokenPlugin(BenchError):
    """A plugin that is installed and does not work; the message has its name and its package."""


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


@cache
def absence(kind: Kind, name: str) -> str:
    """Why a plugin's `package/name` cannot be used here: its package is not installed, or breaks on import. Empty for
    what loads, and for names that are a mistake rather than absent."""
    package = name.partition("/")[0]
    if name not in entries(kind):
        known = {found.package for found in entries(kind).values()}
        return f"package {package} is not installed" if "/" in name and package not in known else ""
    try:
        load(kind, name)
    except BenchError as broken:
        return broken.problems[0].what
    return ""


def load(kind: Kind, name: str) -> Any:
    """The class called `name`. Raises `BrokenPlugin` for a plugin that breaks on import, or is not of its kind."""
    found = entry(kind, name)
    with blaming(kind, name, "could not be imported"):
        cls = _get(found.target)
        if found.package != "snn5bench":
            contract = _get(CONTRACTS[kind])
            if not (isinstance(cls, type) and issubclass(cls, contract)):
                raise TypeError(f"{found.target} is no subclass of {contract.__name__}")
        return cls


@contextmanager
def blaming(kind: Kind, name: str, what: str) -> Iterator[None]:
    """Around a call into the class called `name`: whatever a plugin raises becomes a `BrokenPlugin` that says `what`.
    Mistakes that it reports itself (`BenchError`), and those of our own code, pass as they are."""
    try:
        yield
    except BenchError:
        raise
    except (Exception, SystemExit) as broken:
        found = entry(kind, name)
        if found.package == "snn5bench":
            raise
        words = " ".join(str(broken).split())
        raise BrokenPlugin(
            f"{kind[:-1].replace('_', ' ')} '{name}' {what}: {type(broken).__name__}: {words:.300}",
            where=f"package {found.package} {found.version}, {found.target}",
            do=f"mend or reinstall {found.package}; everything else works without it",
        ) from broken


def _get(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
