"""The table as a file that can be read back: records are not in git, leaderboards are, and the front page rests on these."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from snn5bench.report.table import Table

LEFT_OUT: dict[str, Any] = {"curve": True, "sources": True, "setup": {"environments"}}
"""What of a row only its suite's page shows."""
DIGITS = 8
"""Of each number: more than any page prints, fewer than a sum in another order changes."""


MAX_BYTES = 64 << 20
"""Of a leaderboard's file that is read; that of `bundled` has 0.13 MB."""


def render(table: Table) -> str:
    """JSON with a line for each row, so that a difference shows which one moved."""
    document = table.model_dump(mode="json", exclude={"rows": {"__all__": LEFT_OUT}}, exclude_defaults=True)
    rows = ",\n".join(json.dumps(_rounded(row), ensure_ascii=False) for row in document.pop("rows", []))
    head = json.dumps(document, ensure_ascii=False)
    return f'{head[:-1]}{", " if document else ""}"rows": [\n{rows}\n]}}\n'


def load(path: Path) -> Table:
    """The table in a file; ValueError where it is none, one of another version, or larger than any."""
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    return read(path.read_text(encoding="utf-8"))


def read(text: str) -> Table:
    """The table again; ValueError where the text is none, or one of another version."""
    try:
        document = json.loads(text)
        for row in document["rows"]:
            row["setup"] |= {"environments": []}
        return Table.model_validate(document)
    except (ValidationError, KeyError, TypeError, AttributeError) as error:
        raise ValueError("not a leaderboard of this version") from error


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
