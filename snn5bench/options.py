"""The arguments and options that several verbs take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snn5bench.device import VARIABLE, choose


def _chosen(name: str) -> str:
    """Takes effect as it is parsed, whatever verb it belongs to."""
    choose(name)
    return name


SuiteArg = Annotated[str, typer.Argument(metavar="SUITE", help="A suite's name, or the path of its YAML file.")]
SuitesDir = Annotated[Path, typer.Option("--suites", metavar="DIR", help="Where suites are looked for.")]
ResultsDir = Annotated[Path, typer.Option("--results", metavar="DIR", help="Where records and leaderboards are.")]
Only = Annotated[
    str | None, typer.Option("--only", metavar="PATTERN", help="Only rows whose method matches, like 'glif*'.")
]
Seeds = Annotated[str | None, typer.Option("--seeds", metavar="0,1,2", help="Only these seeds.")]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=0, help="Worker processes; 0 means one per core.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Device = Annotated[
    str,
    typer.Option(
        "--device", envvar=VARIABLE, callback=_chosen, help="Where cells run: cpu, or cuda for an NVIDIA GPU."
    ),
]
DataArg = Annotated[str, typer.Argument(metavar="NAME", help="A dataset's name; `data list` shows them.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A parameter of the dataset; may be repeated.")
]
From = Annotated[Path | None, typer.Option("--from", metavar="DIR", help="Look for brought data under DIR first.")]
