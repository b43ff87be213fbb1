"""Tiny suites that the tests of methods run through the whole protocol."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from snn5bench.expand import read
from snn5bench.progress import Display
from snn5bench.record import Record
from snn5bench.run import run
from snn5bench.store import Store
from snn5bench.tracking import NoTracker

PULSE_ORDER = "{name: pulse-order, params: {T: 12, min_gap: 2, max_gap: 4, train: 40, val: 20, test: 20}}"


def records_of(
    folder: Path, methods: list[str], datasets: list[str], epochs: int = 1, twins: str = "null"
) -> dict[str, Record]:
    """Run methods on datasets (each a YAML flow mapping) at one seed; the records by row (`lif+notd@digits`)."""
    path = folder / "tiny.yaml"
    path.write_text(
        f"seeds: [0]\nbudget: {{epochs: {epochs}, batch_size: 64}}\ntwins: {{notd: {twins}, shuffled: null}}\n"
        f"datasets: [{', '.join(datasets)}]\nmethods: [{', '.join(methods)}]\n"
    )
    suite, planned = read(path)
    store = Store(folder / "results", suite.name)
    run(planned, store, NoTracker(), Display(Console(quiet=True)), "serial", 1)
    rows = {}
    for record in store.records():
        twin = "" if record.twin == "none" else f"+{record.twin}"
        rows[f"{record.variant}{twin}@{record.dataset_name}"] = record
    return rows
