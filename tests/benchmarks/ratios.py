"""Compare the ratios of a benchmark run with the stored ones: `python tests/benchmarks/ratios.py RUN.json`.

RUN.json is what `pytest tests/benchmarks --benchmark-json RUN.json` wrote. A benchmark is *better* or *worse* when its
ratio left the stored one by more than the tolerance and the quartiles of the two do not overlap. Prints a Markdown table.
Exit code 1 where one is worse on the kind of machine that the stored ratios are from; another kind is only told.
`--store` writes the run as the stored one; benchmarks that were not run keep what they had.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

STORED = Path(__file__).with_name("ratios.json")
TOLERANCE = 0.15


@dataclass(frozen=True)
class Ratio:
    """How many times as long the peer takes."""

    ratio: float
    low: float
    high: float
    """Quartiles over the rounds."""
    least: float
    """The target."""
    load: list[float]
    """Load of the machine before and after."""


@dataclass(frozen=True)
class Run:
    """The ratios of one run, by benchmark."""

    cpu: str
    ratios: dict[str, Ratio]


def read_run(path: Path) -> Run:
    """From pytest-benchmark's own file. Benchmarks without a ratio are left out."""
    data = json.loads(path.read_text())
    found: dict[str, Ratio] = {}
    for entry in data["benchmarks"]:
        info = entry["extra_info"]
        if "ratio" in info:
            name = entry["fullname"].rpartition("/")[2]
            found[name] = Ratio(**{key: info[key] for key in Ratio.__dataclass_fields__})
    return Run(str(data["machine_info"]["cpu"].get("brand_raw", "unknown")), found)


def read_stored(path: Path) -> Run:
    """From the file that `store` wrote."""
    data = json.loads(path.read_text())
    return Run(data["cpu"], {name: Ratio(**value) for name, value in data["ratios"].items()})


def store(run: Run, path: Path) -> None:
    """Keep a run, rounded to what it can mean."""

    def rounded(value: Any) -> Any:
        return [round(v, 1) for v in value] if isinstance(value, list) else float(f"{value:.3g}")

    ratios = {n: {k: rounded(v) for k, v in asdict(r).items()} for n, r in sorted(run.ratios.items())}
    path.write_text(json.dumps({"cpu": run.cpu, "ratios": ratios}, indent=1) + "\n")


def verdict(old: Ratio | None, new: Ratio | None) -> str:
    """better, same, worse; new or gone where one side is missing."""
    if old is None or new is None:
        return "new" if old is None else "gone"
    if new.ratio > old.ratio * (1 + TOLERANCE) and new.low > old.high:
        return "better"
    if new.ratio < old.ratio / (1 + TOLERANCE) and new.high < old.low:
        return "worse"
    return "same"


def table(old: Run, new: Run) -> tuple[str, list[str]]:
    """The comparison in Markdown, and the benchmarks that are worse."""
    lines = [
        "| benchmark | ratio (quartiles) | stored | target | met | verdict | load |",
        "|---|---|---|---|---|---|---|",
    ]
    worse = []
    for name in sorted({*old.ratios, *new.ratios}):
        before, now = old.ratios.get(name), new.ratios.get(name)
        word = verdict(before, now)
        if word == "worse":
            worse.append(name)
        stored = f"{before.ratio:.3g}" if before else ""
        if now is None:
            lines.append(f"| {name} | | {stored} | | | {word} | |")
            continue
        met = "yes" if now.ratio >= now.least else "no"
        load = " to ".join(f"{v:.1f}" for v in now.load)
        spread = f"{now.ratio:.3g} ({now.low:.3g} to {now.high:.3g})"
        lines.append(f"| {name} | {spread} | {stored} | {now.least:.3g} | {met} | {word} | {load} |")
    return "\n".join(lines), worse


def main(words: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Compare benchmark ratios with the stored ones.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--stored", type=Path, default=STORED)
    parser.add_argument("--store", action="store_true", help="write the run as the stored one")
    options = parser.parse_args(words)
    run = read_run(options.run)
    if options.store:
        kept = read_stored(options.stored).ratios if options.stored.is_file() else {}
        store(Run(run.cpu, {**kept, **run.ratios}), options.stored)
        return 0
    old = read_stored(options.stored)
    text, worse = table(old, run)
    print(text)
    if run.cpu != old.cpu:
        print(f"\nThe stored ratios are from another machine ({old.cpu}; this is {run.cpu}): verdicts are a hint.")
        return 0
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
