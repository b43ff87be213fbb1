"""What `snn5bench data get|check|path|probe` do and print."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.status import Status
from rich.table import Table

from snn5bench import registry
from snn5bench.atomic import replace
from snn5bench.contracts.dataset import Dataset
from snn5bench.data.brought import Brought, Finding
from snn5bench.data.cache import folder_of
from snn5bench.data.probe import WHAT, Probe
from snn5bench.data.stored import meta_of
from snn5bench.errors import BenchError, ExitCode, Problem
from snn5bench.plain import unusable
from snn5bench.views import emit

MAX_PROBES_BYTES = 16 << 20


def look_in(folder: Path | None) -> None:
    """Have brought data looked for under `folder` first, before the folders of `SNN5BENCH_DATA`."""
    if folder is not None:
        named = os.environ.get("SNN5BENCH_DATA")
        os.environ["SNN5BENCH_DATA"] = str(folder) if not named else os.pathsep.join([str(folder), named])


def make(name: str, settings: Sequence[str] = ()) -> Dataset:
    """The dataset called `name` under `key=value` settings (values as in JSON, else taken as text)."""
    cls: type[Dataset] = registry.load("datasets", name)
    params: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise BenchError(f"'{setting}' is no setting", where="--set", do="write key=value, like T=50")
        try:
            params[key] = json.loads(value)
        except RecursionError as error:
            raise BenchError(
                f"'{value[:20]}...' is nested too deep", f"--set {key:.80}", "write a plain value"
            ) from error
        except ValueError:
            params[key] = value
    if odd := unusable(params):
        raise BenchError("the value is not a finite number, or too large", f"--set {odd[0]}", "write a number")
    try:
        checked = cls.Params.model_validate(params)
        with registry.blaming("datasets", name, "cannot be set up"):
            made = cls(checked)
            made.spec()
        return made
    except ValidationError as error:
        known = ", ".join(cls.Params.model_fields)
        raise BenchError(
            [
                Problem(e["msg"], f"{name}: {'.'.join(map(str, e['loc']))}", f"its parameters are: {known}")
                for e in error.errors()
            ]
        ) from error


def get(name: str, console: Console) -> None:
    """Download a brought dataset, or say how to get it; then look whether it is whole."""
    from snn5bench.data.downloads import get as download

    dataset = make(name)
    if not isinstance(dataset, Brought):
        verdict = dataset.available()
        how = (
            f"`{verdict.reason}` brings it" if not verdict else "nothing to get: it is made on this machine when needed"
        )
        console.print(f"{name}: {how}", highlight=False, markup=False, soft_wrap=True)
        return
    folder = download(dataset, lambda line: console.print(line, highlight=False, markup=False, soft_wrap=True))
    console.print(f"{name}: in {folder}, checksums right", highlight=False, markup=False, soft_wrap=True)


def check(names: Sequence[str], settings: Sequence[str], console: Console, as_json: bool) -> ExitCode:
    """Look at the files of the named datasets (or of all brought ones that are here) and at what is packed of them."""
    from snn5bench.data.whole import check_packed

    rows: list[dict[str, str]] = []
    for name in names or registry.entries("datasets"):
        try:
            dataset = make(name, settings)
        except registry.BrokenPlugin as broken:
            if names:
                raise
            first = broken.problems[0]
            rows.append({"dataset": name, **Finding(first.where, first.what, "a dataset that loads")._asdict()})
            continue
        found: list[Finding] = []
        if isinstance(dataset, Brought) and (names or dataset.folder().is_dir()):
            found += dataset.check()
        if (folder_of(dataset) / "meta.json").exists():
            found.append(check_packed(folder_of(dataset)))
        elif names and not isinstance(dataset, Brought):
            found.append(Finding(str(folder_of(dataset)), "", "not packed yet: nothing to check"))
        rows += [{"dataset": name, **finding._asdict()} for finding in found]
    bad = [row for row in rows if row["problem"]]
    if as_json:
        emit(rows)
    else:
        for row in bad:
            _say(console, f"{row['dataset']}: {row['path']}: {row['problem']}\n    -> expected {row['expected']}")
        _say(console, f"{len(rows)} looked at, {len(rows) - len(bad)} as expected, {len(bad)} not")
    return ExitCode.USER_ERROR if bad else ExitCode.OK


def path(name: str, settings: Sequence[str], console: Console, as_json: bool) -> None:
    """Where a dataset is looked for, what must be there, and where its packed form is."""
    dataset = make(name, settings)
    row: dict[str, Any] = {
        "dataset": name,
        "packed": str(folder_of(dataset)),
        "is_packed": meta_of(dataset) is not None,
    }
    if isinstance(dataset, Brought):
        row |= {
            "looked_for": [str(folder) for folder in dataset.folders()],
            "found": str(dataset.folder()) if dataset.folder().is_dir() else None,
            "expects": dataset.expects,
            "how": dataset.how,
        }
    if as_json:
        emit(row)
        return
    if isinstance(dataset, Brought):
        _say(console, f"looked for in: {', '.join(row['looked_for'])}")
        _say(console, f"found:         {row['found'] or 'no'}")
        _say(console, f"expects:       {dataset.expects}")
        _say(console, f"how to get it: {dataset.how}")
    _say(console, f"packed:        {row['packed']}{'' if row['is_packed'] else ' (not yet)'}")


def read_probes(path: Path) -> list[Probe]:
    """The probes that `data probes` wrote; none where there is no such file, or one of another version or too large."""
    try:
        if path.stat().st_size > MAX_PROBES_BYTES:
            return []
        return [Probe.model_validate(found) for found in json.loads(path.read_text(encoding="utf-8")).values()]
    except (OSError, ValueError, AttributeError, RecursionError):
        return []


def probes(named: Mapping[str, Dataset], seeds: str, path: Path, console: Console) -> None:
    """Measure (or read) the probe of each dataset that is here, and write them into one file, for the front page. Those of
    datasets that are not here stay as they are."""
    from snn5bench.data.probe import probe as measure

    found = {
        name: probe
        for name, dataset in named.items()
        for probe in read_probes(path)
        if (probe.dataset, probe.params) == (dataset.name, dataset.params.model_dump(mode="json"))
    }
    for name, dataset in named.items():
        verdict = dataset.available()
        if not verdict:
            _say(console, f"{name}: not here: {verdict.reason}")
            continue
        with console.status(f"{name}: packing the data") as status:
            found[name] = measure(dataset, _numbers(seeds), partial(_told, status, name))
        _say(console, f"{name}: {found[name].seconds:.0f} s when it was measured")
        document = {key: found[key].model_dump(mode="json") for key in sorted(found)}
        replace(path, json.dumps(document, indent=1) + "\n")
    _say(console, f"wrote {path}")


def _told(status: Status, name: str, line: str) -> None:
    status.update(f"{name}: {line}")


def _numbers(seeds: str) -> list[int]:
    try:
        return [int(seed) for seed in seeds.split(",")]
    except ValueError as error:
        raise BenchError(f"'{seeds}' is no list of seeds", where="--seeds", do="write 0 or 0,1,2") from error


def probe(name: str, settings: Sequence[str], seeds: str, console: Console, as_json: bool) -> None:
    """Measure (or read) whether a dataset needs time, and print the table."""
    from snn5bench.data.probe import probe as measure

    numbers = _numbers(seeds)
    dataset = make(name, settings)
    with console.status("packing the data") as status:
        found = measure(dataset, numbers, lambda line: status.update(f"{name}: {line}"))
    if as_json:
        emit(found.model_dump(mode="json"))
        return
    table = Table(box=None, pad_edge=False)
    for title in ("probe", "accuracy", "95 % interval", "sees"):
        table.add_column(title, overflow="fold", justify="right" if title == "accuracy" else "left")
    for line_name, line in found.lines.items():
        if line.accuracy is None:
            table.add_row(line_name, "n/a", "", line.reason)
        else:
            table.add_row(line_name, f"{line.accuracy:.3f}", f"{line.low:.3f} to {line.high:.3f}", WHAT[line_name])
    console.print(table, highlight=False, markup=False)
    counts = "/".join(str(n) for n in found.samples.values())
    _say(
        console,
        f"{name}: {counts} samples, T={found.T}, read out: {found.readout}, chance {found.chance:.3f}, seeds {seeds}, "
        f"{found.seconds:.0f} s when it was measured",
    )


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
