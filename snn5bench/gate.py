"""`compare` and `lock`: the stored records of a suite against its locked baseline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from snn5bench import baseline as locked
from snn5bench import further
from snn5bench.compare import FIRST, ONLY, SECOND, compare
from snn5bench.errors import BenchError
from snn5bench.expand import PlannedCell
from snn5bench.judgement import Verdict
from snn5bench.progress import Display
from snn5bench.record import Record
from snn5bench.report import compare_views
from snn5bench.run import run
from snn5bench.store import Store
from snn5bench.suite import Suite
from snn5bench.tracking import NoTracker

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
    settle: int = 0,
    jobs: int = 1,
) -> int:
    """Print the comparison, write it where asked, and return the exit code of its verdict. `settle`: run suspect rows with
    so many further seeds, and look again."""
    path = baseline or LOCKED / f"{suite.name}.json"
    if not path.is_file():
        raise BenchError(
            "there is no locked baseline", str(path), f"run `snn5bench lock {suite.name}`, or give --baseline FILE"
        )
    before = locked.read(path)
    comparison = compare(before, *_records(suite, planned, store), look=FIRST if settle else ONLY)
    if settle and comparison.verdict is not Verdict.REGRESSION and (suspects := comparison.suspects):
        more = further.cells(planned, settle, suspects)
        run(more, further.store_of(store), NoTracker(), Display(Console(stderr=True)), jobs=jobs, limits=suite.limits)
        comparison = compare(before, *_records(suite, planned, store), look=SECOND).model_copy(
            update={"second_look": [str(name) for name in suspects]}
        )
    if markdown is not None:
        markdown.write_text(compare_views.markdown(comparison), encoding="utf-8")
    if junit is not None:
        junit.write_text(compare_views.junit(comparison), encoding="utf-8")
    if as_json:
        print(compare_views.as_json(comparison))
    else:
        console.print(compare_views.terminal(comparison))
    return int(comparison.exit_code)


def _records(
    suite: Suite, planned: Sequence[PlannedCell], store: Store
) -> tuple[list[Record], dict[str, NDArray[np.bool_]]]:
    """Today's records, those of further seeds among them, with their answers."""
    own = store.records(p.cell for p in planned)
    if not own:
        raise BenchError("there are no records to compare", str(store.cells), f"run `snn5bench run {suite.name}` first")
    more = further.current(planned, store)
    return own + more, store.correct(own) | further.store_of(store).correct(more)


def lock_suite(suite: Suite, planned: Sequence[PlannedCell], store: Store, console: Console) -> None:
    """Write today's records as `baselines/locked/SUITE.json`, those of further seeds among them. Refused while a cell of
    the suite has no record."""
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
    everything, correct = _records(suite, planned, store)
    locked.write(locked.lock(everything, correct), path)
    beyond = len(everything) - len(records)
    words = f", {beyond} of them of seeds beyond the suite's" if beyond else ""
    console.print(f"locked {len(everything)} records in {path}{words}", highlight=False)
