"""`check METHOD`: a line for each check, and for each that failed what to do about it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from snn5bench.conformance.check import Check, Verdict
from snn5bench.conformance.checks import check_method
from snn5bench.errors import BenchError, ExitCode

_MARKS = {Verdict.PASSED: "passed", Verdict.FAILED: "FAILED", Verdict.SKIPPED: "skipped"}


def check_and_show(method: str, params: str | None, console: Console, as_json: bool) -> ExitCode:
    """Run the checks, print them, and say whether one failed."""
    try:
        checks = check_method(method, _parameters(params))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise BenchError(
            first["msg"], f"--params {'.'.join(map(str, first['loc']))}", "see the method's Params"
        ) from None
    failed = sum(check.failed for check in checks)
    if as_json:
        document = {"method": method, "passed": not failed, "checks": [asdict(check) for check in checks]}
        print(json.dumps(document, indent=1, ensure_ascii=False))
    else:
        _table(checks, console)
        words = f"{failed} of {len(checks)} checks failed" if failed else f"all {len(checks)} checks passed"
        seconds = sum(check.seconds for check in checks)
        console.print(f"{method}: {words} in {seconds:.1f} s", highlight=False, markup=False)
    return ExitCode.REGRESSION if failed else ExitCode.OK


def _parameters(text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise BenchError(f"not JSON: {error}", "--params", """write --params '{"decay": 0.8}'""") from None
    if not isinstance(value, dict):
        raise BenchError("not a JSON object", "--params", """write --params '{"decay": 0.8}'""")
    return value


def _table(checks: list[Check], console: Console) -> None:
    from rich.markup import escape

    table = Table(box=None, pad_edge=False)
    for title in ("check", "verdict", "what was found"):
        table.add_column(title, overflow="fold")
    for check in checks:
        found = check.note
        if check.failed:
            found = f"seen: {check.seen}\nexpected: {check.expected}\nusual cause: {check.cause}"
        table.add_row(check.name, _MARKS[check.verdict], escape(found))
    console.print(table, highlight=False)
