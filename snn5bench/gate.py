"""`compare` and `lock`: the stored records of a suite against its locked baseline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from snn5bench import baseline as locked
from snn5bench.compare import compare
from snn5bench.errors import BenchError
from snn5bench.expand import PlannedCell
from snn5bench.report import compare_views
from snn5bench.store import Store
from snn5bench.suite import Suite

LOCKED = Path("baselines/locked")


def compare_suite(
    suite: Suite,
    planned: Sequence[PlannedCell],
    store: Store,
    baseline: Path | None,
    console: Console,
    markdown: Path | None,
    junit: Path | None,
    as_json: bool,
) -> int:
    """Print the comparison, write it where asked, and return the exit code of its verdict."""
    path = baseline or LOCKED / f"{suite.name}.json"
    if not path.is_file():
        raise BenchError(
            "there is no locked baseline", str(path), f"run `snn5bench lock {suite.name}`, or give --baseline FILE"
        )
    records = store.records(p.cell for p in planned)
    if not records:
        raise BenchError("there are no records to compare", str(store.cells), f"run `snn5bench run {suite.name}` first")
    comparison = compare(locked.read(path), records, store.correct(records))
    if markdown is not None:
        markdown.write_text(compare_views.markdown(comparison), encoding="utf-8")
    if junit is not None:
        junit.write_text(compare_views.junit(comparison), encoding="utf-8")
    if as_json:
        print(compare_views.as_json(comparison))
    else:
        console.print(compare_views.terminal(comparison))
    return int(comparison.exit_code)


def lock_suite(suite: Suite, planned: Sequence[PlannedCell], store: Store, console: Console) -> None:
    """Write today's records as `baselines/locked/SUITE.json`. Refused while a cell of the suite has no record."""
    records = store.records(p.cell for p in planned)
    missing = {p.cell.identity for p in planned} - {(r.variant, r.dataset, r.twin, r.seed) for r in records}
    if missing:
        raise BenchError(
            f"{len(missing)} of {len(planned)} cells have no record",
            str(store.cells),
            f"run `snn5bench run {suite.name}` first",
        )
    path = LOCKED / f"{suite.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    locked.write(locked.lock(records, store.correct(records)), path)
    console.print(f"locked {len(records)} records in {path}", highlight=False)
