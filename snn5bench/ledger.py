"""`claims`: every published claim beside what was measured here."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from snn5bench import claims as ledger
from snn5bench.claim_verdict import Finding, Verdict, judge
from snn5bench.errors import BenchError
from snn5bench.expand import read
from snn5bench.record import Record
from snn5bench.store import Store
from snn5bench.suite import find
from snn5bench.views import emit

CLAIMS = Path("baselines/claims")


def findings(folder: Path, suites: Path, results: Path) -> list[Finding]:
    """What became of each claim, by the stored records of the suite that decides it."""
    claims = ledger.read(folder)
    stored: dict[str, tuple[Store, list[Record]]] = {}
    for name in ledger.suites(claims):
        try:
            _, planned = read(find(name, suites))
        except BenchError:
            continue
        store = Store(results, name)
        stored[name] = (store, store.records(p.cell for p in planned))
    out = []
    for claim in claims:
        if claim.suite in stored:
            store, records = stored[claim.suite]
            out.append(judge(claim, records, store.correct(records)))
        else:
            out.append(judge(claim, [], {}))
    return out


def show(found: list[Finding], console: Console, as_json: bool) -> None:
    """One line a claim, by verdict; then the counts."""
    if as_json:
        emit([one.model_dump(mode="json") for one in found])
        return
    table = Table(box=None, pad_edge=False)
    for title in ("claim", "verdict", "ours", "why", "command"):
        table.add_column(title, overflow="fold")
    order = list(Verdict)
    for one in sorted(found, key=lambda f: order.index(f.verdict)):
        table.add_row(f"{one.id}: {one.claim}", one.verdict.value, one.number or "n/a", one.reason, one.command)
    console.print(table, highlight=False, markup=False)
    counts = Counter(one.verdict for one in found)
    console.print(", ".join(f"{counts[v]} {v.value}" for v in Verdict if counts[v]), highlight=False)
