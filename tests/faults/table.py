"""The table of docs/faults.md, from what campaigns wrote: `python -m tests.faults.table faults.json ...`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

HEAD = """\
| fault | tried | finished results there | lost | reruns bit-equal | other findings | s per try | load |
|---|---:|---:|---:|---:|---:|---:|---:|"""


def rows(files: list[Path]) -> list[str]:
    """A line for each row that was tried."""
    found = [row for file in files for row in json.loads(file.read_text())["faults"] if row["tried"]]
    return [
        f"| {row['fault']} | {row['tried']} | {row['kept']} | {row['lost']} | {row['bit_equal']} of {row['reruns']} | "
        f"{len(row['problems'])} | {row['seconds'] / row['tried']:.1f} | {row['load']:g} |"
        for row in found
    ]


if __name__ == "__main__":
    print("\n".join([HEAD, *rows([Path(name) for name in sys.argv[1:]])]))
