"""Check what `dvc repro leaderboard@smoke` left: every cell done, every row there, time told from no time."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from snn5bench.expand import read
from snn5bench.record import Status
from snn5bench.report.html import named
from snn5bench.store import Store

_, planned = read(Path("suites/smoke.yaml"))
store = Store(Path("results"), "smoke")
records = store.records(p.cell for p in planned)
wrong = [
    f"{r.variant} {r.twin} {r.dataset} {r.seed}: {r.status} {r.reason}" for r in records if r.status is not Status.DONE
]
if len(records) != len(planned):
    wrong.append(f"{len(records)} records for {len(planned)} cells")
for record in records:
    if record.twin == "notd" and record.dataset == "pulse-order" and abs(record.test_accuracy - 0.5) > 0.01:
        wrong.append(
            f"NoTD of {record.variant} is at {record.test_accuracy} on pulse-order, where it must be at chance"
        )
table = pd.read_csv("results/smoke/leaderboard.csv")
rows = {(p.cell.dataset_variant, p.cell.variant) for p in planned}
if set(zip(table.dataset, table.method, strict=True)) != rows:
    wrong.append("the rows of leaderboard.csv are not those of the suite")
for name in ("leaderboard.md", "leaderboard.json", "leaderboard.html"):
    if not Path("results/smoke", name).is_file():
        wrong.append(f"{name} is missing")
front = Path("results/index.html").read_text(encoding="utf-8")
for dataset, variant in sorted(rows):
    if f'href="smoke/leaderboard.html#{named("row", f"{variant}@{dataset}")}"' not in front:
        wrong.append(f"index.html does not lead to {variant} on {dataset}")
sys.exit("\n".join(wrong) or 0)
