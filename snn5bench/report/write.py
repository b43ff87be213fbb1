"""The leaderboard files of a suite, each replaced in one step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from snn5bench.report import csv, html, markdown, stored
from snn5bench.report.folded import fold
from snn5bench.report.table import Table

RENDERINGS: dict[str, Callable[[Table], str]] = {
    "md": markdown.render,
    "csv": csv.render,
    "json": stored.render,
    "html": lambda table: fold(html.render(table)),
}
"""By the suffix of the file."""


def write(table: Table, folder: Path) -> list[Path]:
    """Write `leaderboard.md`, `.csv`, `.json` and `.html` into `folder`; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    return [replace(folder / f"leaderboard.{suffix}", render(table)) for suffix, render in RENDERINGS.items()]


def replace(path: Path, text: str) -> Path:
    """Put `text` at `path`, or leave what was there: a reader never sees half a file."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8", newline="\n")
    part.replace(path)
    return path
