"""The command line in this process, with the streams it has in a terminal, and what became of it."""

from __future__ import annotations

import functools
import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple
from unittest.mock import patch

import typer.main

_get_command = functools.cache(typer.main.get_command)
"""Building the commands takes longer than most of them."""


class Said(NamedTuple):
    """How a verb ended."""

    code: int
    out: str
    err: str


def snn5bench(*words: str) -> Said:
    """Run `snn5bench WORDS` through its real entry point. What that does not catch comes through."""
    from snn5bench import cli

    out, err = io.BytesIO(), io.BytesIO()
    before, code = sys.argv, 0
    sys.argv = ["snn5bench", *words]
    try:
        with (
            io.TextIOWrapper(out, "utf-8", "strict", write_through=True) as stdout,
            io.TextIOWrapper(err, "utf-8", "backslashreplace", write_through=True) as stderr,
            redirect_stdout(stdout),
            redirect_stderr(stderr),
            patch.object(typer.main, "get_command", _get_command),
        ):
            try:
                cli.main()
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
            stdout.flush()
            stderr.flush()
            return Said(code, out.getvalue().decode(errors="replace"), err.getvalue().decode(errors="replace"))
    finally:
        sys.argv = before
