"""What the listing verbs print: a table for people, one JSON document for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from snn5bench import registry
from snn5bench.atomic import replace
from snn5bench.contracts.dataset import Dataset
from snn5bench.data.brought import Brought
from snn5bench.data.cache import folder_of
from snn5bench.data.stored import meta_of
from snn5bench.errors import BenchError
from snn5bench.expand import PlannedCell
from snn5bench.plan import State, Step, make_dataset, source_of, total_minutes
from snn5bench.record import Record
from snn5bench.run import Summary


def emit(document: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(document, indent=1, ensure_ascii=False))


def print_plan(steps: Sequence[Step], jobs: int, console: Console, as_json: bool) -> None:
    """Each cell with its state and reason; seeds of a row that share both are one line."""
    minutes = total_minutes(steps, jobs)
    counts = Counter(step.state for step in steps)
    if as_json:
        emit(
            {
                "cells": [
                    {"cell": s.cell.label, **s.model_dump(mode="json", exclude={"cell"})} for s in steps
                ],
                "counts": {state.value: counts[state] for state in State},
                "minutes": minutes,
                "jobs": jobs,
            }
        )  # fmt: skip
        return
    grouped: dict[tuple[str, str, State, str], list[Step]] = {}
    for step in steps:
        row, _, dataset = step.cell.row.partition("@")
        grouped.setdefault((dataset, row, step.state, step.reason), []).append(step)
    table = Table(box=None, pad_edge=False)
    for title in ("dataset", "method", "seeds", "state", "minutes", "reason"):
        table.add_column(title, overflow="fold", justify="right" if title == "minutes" else "left")
    for (dataset, row, state, reason), members in grouped.items():
        known = [m.minutes for m in members if m.minutes is not None]
        shown = f"{sum(known):.2f}" if len(known) == len(members) else "n/a" if state is State.RUN else ""
        table.add_row(dataset, row, ",".join(str(m.cell.seed) for m in members), state.value, shown, reason)
    console.print(table, highlight=False, markup=False)
    words = ", ".join(f"{counts[state]} {state.value}" for state in State if counts[state])
    if counts[State.RUN] == 0:
        time = "nothing to run"
    elif minutes is None:
        time = "time unknown: no earlier record of this machine"
    else:
        time = f"about {minutes:.1f} min on {jobs} processes, from earlier records of this machine"
    console.print(f"{len(steps)} cells: {words}; {time}", highlight=False)


def print_summary(suite: str, summary: Summary, console: Console) -> None:
    """One line for a finished run, and one for each failure."""
    lent = f" ({summary.lent} run before by other suites)" if summary.lent else ""
    words = [f"{summary.cached} cached{lent}"] + [f"{n} {status.value}" for status, n in summary.ended.items()]
    console.print(f"{suite}: {', '.join(words)}", highlight=False)
    for failure in summary.failures:
        console.print(f"  failed: {failure}", highlight=False, markup=False)


def print_why(found: Sequence[tuple[Step, Record | None]], console: Console, as_json: bool) -> None:
    """Why each cell would run or hit, and why its stored record once ran."""
    rows = [
        {
            "cell": step.cell.label,
            "state": step.state.value,
            "reason": step.reason,
            "because": step.because,
            "stored": None
            if old is None
            else {"key": old.key, "status": old.status.value, "ran_because": old.ran_because},
        }
        for step, old in found
    ]
    if as_json:
        emit(rows)
        return
    for row, (step, old) in zip(rows, found, strict=True):
        console.print(f"{row['cell']}: {row['state']}: {row['reason']}", highlight=False, markup=False)
        for change in step.because:
            console.print(f"    {change}", highlight=False, markup=False)
        if old is not None and old.ran_because:
            console.print(
                f"  its record replaced another one, because: {'; '.join(old.ran_because)}",
                highlight=False,
                markup=False,
            )


def datasets() -> list[dict[str, Any]]:
    """Every registered dataset under its default parameters."""
    out: list[dict[str, Any]] = []
    for name, entry in registry.entries("datasets").items():
        row: dict[str, Any] = {"name": name, "package": entry.package}
        try:
            with registry.blaming("datasets", name, "does not say what it is"):
                row |= _looked_at(name)
        except BenchError as error:
            row |= {"state": "broken", "do": str(error)}
        out.append(row)
    return out


def _looked_at(name: str) -> dict[str, Any]:
    cls: type[Dataset] = registry.load("datasets", name)
    made = cls(cls.Params())
    meta, verdict = meta_of(made), made.available()
    missing = "must be brought" if isinstance(made, Brought) else "needs a package"
    return {
        "summary": cls.summary,
        "licence": cls.licence,
        "spec": made.spec().model_dump(mode="json"),
        "state": "made" if meta else "can be made" if verdict else missing,
        "looked_for": [str(folder) for folder in made.folders()] if isinstance(made, Brought) else None,
        "counted": meta.counted if meta else None,
        "do": verdict.reason,
        "folder": str(folder_of(made)),
        "samples": meta.samples if meta else None,
    }


def print_datasets(console: Console, as_json: bool) -> None:
    """Every dataset with its licence, shape and state."""
    rows = datasets()
    if as_json:
        emit(rows)
        return
    table = Table(box=None, pad_edge=False)
    for title in ("dataset", "state", "T", "channels", "classes", "samples"):
        table.add_column(title, no_wrap=True)
    for row in rows:
        spec = row.get("spec", {})
        samples = row.get("samples")
        table.add_row(
            row["name"], row["state"], *(str(spec.get(k, "n/a")) for k in ("T", "channels", "n_classes")),
            "n/a" if samples is None else "/".join(str(v) for v in samples.values()),
        )  # fmt: skip
    console.print(table, highlight=False, markup=False)
    for row in rows:
        words = (row.get("summary"), row.get("licence"), "" if row["state"].startswith(("made", "can")) else row["do"])
        console.print(f"{row['name']}: {'; '.join(word for word in words if word)}", highlight=False, markup=False)


def write_manifest(planned: Sequence[PlannedCell], path: Path, failed: Mapping[str, str]) -> None:
    """What a suite is fed: for each dataset its fingerprint, split, transform and size, or why it is not there (`failed`,
    by `source_of` its cells, for what could not be made). Byte-stable."""
    out: dict[str, Any] = {}
    for plan in planned:
        name = plan.cell.dataset_variant
        if name not in out:
            out[name] = _fed(plan, failed.get(source_of(plan.cell), ""))
    replace(path, json.dumps(out, indent=1, sort_keys=True) + "\n")


def _fed(plan: PlannedCell, failed: str) -> dict[str, Any]:
    if failed:
        return {"state": "failed", "reason": failed}
    try:
        with registry.blaming("datasets", plan.cell.dataset, "does not say whether it is here"):
            made = make_dataset(plan.cell)
            meta = meta_of(made)
            made.available()
    except BenchError as broken:
        return {"state": "not installed", "reason": broken.problems[0].what}
    return {"state": "needs data"} if meta is None else meta.model_dump(mode="json")
