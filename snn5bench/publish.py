"""`report`: the leaderboard's files and the table on the terminal, from stored records alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from snn5bench.claim_verdict import judge
from snn5bench.claims import Claim, beside
from snn5bench.claims import read as read_claims
from snn5bench.data.probe import WHAT
from snn5bench.errors import BenchError
from snn5bench.expand import PlannedCell
from snn5bench.record import Record
from snn5bench.report import index, stored, terminal, write
from snn5bench.report.across import DataKey, Probe, Probed, data_key
from snn5bench.report.build import build_table, text_of
from snn5bench.report.table import Claimed, Estimate, Table
from snn5bench.shelf import read_probes
from snn5bench.store import Store
from snn5bench.suite import Suite

CLAIMS = Path("baselines/claims")


def table_of(suite: Suite, planned: Sequence[PlannedCell], store: Store) -> Table:
    """The leaderboard of a suite's present cells."""
    records = store.records(p.cell for p in planned)
    if not records:
        raise BenchError("there are no records yet", str(store.cells), f"run `snn5bench run {suite.name}` first")
    files = {record.key: f"cells/{store.path(record).name}" for record in records}
    correct = store.correct(records)
    ledger = read_claims(CLAIMS) if any(CLAIMS.glob("*.yaml")) else []
    claims = {
        row: [claimed(claim, suite.name, records, correct) for claim in told] for row, told in beside(ledger).items()
    }
    return build_table(records, correct, claims=claims, files=files, suite=suite.name, description=suite.description)


def claimed(claim: Claim, suite: str, records: Sequence[Record], correct: Mapping[str, np.ndarray]) -> Claimed:
    """A claim as a row shows it. One that the records of another suite decide is only pointed at: a leaderboard rests on
    its own suite's records and on nothing else."""
    if claim.suite not in ("", suite):
        return Claimed(
            text=claim.claim,
            verdict=f"decided by suite {claim.suite}",
            source=claim.source,
            command=f"snn5bench report {claim.suite}",
        )
    found = judge(claim, records, correct)
    return Claimed(
        text=claim.claim,
        verdict=found.verdict.value,
        number=found.number,
        reason=found.reason,
        source=claim.source,
        command=found.command,
    )


def leaderboard(
    suite: Suite, planned: Sequence[PlannedCell], store: Store, console: Console, figures: Path | None, as_json: bool
) -> None:
    """Write leaderboard.md, .csv, .json and .html beside the cells, and print the table."""
    table = table_of(suite, planned, store)
    paths = write.write(table, store.folder)
    if figures is not None:
        from snn5bench.report import figures as drawn

        paths += drawn.save(table, figures)
    if as_json:
        print(table.model_dump_json(indent=1))
        return
    terminal.show(table, console)
    for path in paths:
        console.print(f"wrote {path}", highlight=False, markup=False)


def front_page(suites: Path, results: Path, console: Console) -> None:
    """Write `results/index.html` over the suites that have a leaderboard. It rests on those leaderboards and probes alone,
    since they are in git and the records are not: who has run one suite does not lose the others."""
    tables: list[Table] = []
    unread: list[str] = []
    probes: dict[DataKey, Probe] = {}
    for path in sorted(suites.glob("*.yaml")):
        folder = results / path.stem
        if not (folder / "leaderboard.json").is_file():
            continue
        try:
            table = stored.load(folder / "leaderboard.json")
        except ValueError:
            unread.append(path.stem)
            continue
        tables.append(table)
        probes |= probes_of(table, folder / "probes.json")
    page = write.replace(results / "index.html", index.render(tables, probes, unread))
    console.print(f"wrote {page}", highlight=False, markup=False)


def probes_of(table: Table, path: Path) -> dict[DataKey, Probe]:
    """The probes in the file, of those datasets that hold the very samples that the table's rows were fed."""
    fed: dict[DataKey, set[str]] = {}
    for row in table.rows:
        fed.setdefault(data_key(row), set()).update(row.setup.fingerprints.values())
    found = {(probe.dataset, text_of(probe.params)): probe for probe in read_probes(path)}
    return {
        key: Probe(
            probe.chance,
            [
                Probed(
                    name,
                    WHAT.get(name, ""),
                    Estimate(mean=line.accuracy, low=line.low, high=line.high, seeds=line.seeds, reason=line.reason),
                )
                for name, line in probe.lines.items()
            ],
        )
        for key, probe in found.items()
        if probe.fingerprint in fed.get(key, ())
    }
