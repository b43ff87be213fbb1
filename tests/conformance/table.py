"""docs/conformance.md: which check caught which broken method, as the checks say it. `python -m tests.conformance.table`
writes it anew; test_broken.py compares every line of it with a run."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory

from snn5bench.conformance import check_method
from snn5bench.conformance.checks import CHECKS, OTHER_PROCESS

SOURCE = (Path(__file__).parent / "broken.py").read_text()
PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"
ELSEWHERE = ("HashesNames", "NeedsItsParent")
"""Those that only another process tells from sound ones."""

HEAD = f"""\
# What the checks catch

`snn5bench check METHOD` makes {len(CHECKS)} checks. Each must be able to fail: below is a method broken on purpose for
each of them (`tests/conformance/broken.py`, installed by the tests as a plugin), with the check that caught it. This page is
written by `python -m tests.conformance.table` from a run of the checks, and the tests compare it with one. Our own methods
pass all of them (`tests/conformance/test_ours.py`), and so do the sound methods in `broken.py` that look odd: one whose gate
starts shut, one whose `fit` returns other modules than `build`, one that refuses its NoTD twin with a reason.

| Broken method | What is wrong with it | Caught by | Fails in consequence |
|:---|:---|:---|:---|
"""


def wrong_with(name: str) -> str:
    """The first line of a broken class's docstring."""
    (found,) = [node for node in ast.parse(SOURCE).body if isinstance(node, ast.ClassDef) and node.name == name]
    return (ast.get_docstring(found) or "").splitlines()[0]


def line(name: str, meant: str, failed: Collection[str]) -> str:
    """A row of the table: `failed` in the order of the checks."""
    others = [check for check in CHECKS if check in failed and check != meant]
    return f"| {name} | {wrong_with(name)} | {meant if meant in failed else 'NOTHING'} | {'; '.join(others)} |"


def write() -> None:
    """Run every broken method, and write the page."""
    from tests.conformance.test_broken import CAUGHT

    names = [*CAUGHT, *ELSEWHERE]
    with TemporaryDirectory() as site:
        info = Path(site, "broken-1.0.dist-info")
        info.mkdir()
        Path(site, "broken").mkdir()
        Path(site, "broken", "__init__.py").touch()
        Path(site, "broken", "methods.py").write_text(SOURCE)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
        points = "\n".join(f"{name.lower()} = broken.methods:{name}" for name in names)
        (info / "entry_points.txt").write_text(f"[snn5bench.methods]\n{points}\n")
        sys.path.insert(0, site)
        os.environ["SNN5BENCH_TEST_PARENT"] = str(os.getpid())
        lines = []
        for name in names:
            only = [check for check in CHECKS if name in ELSEWHERE or check != OTHER_PROCESS]
            failed = {check.name for check in check_method(f"broken/{name.lower()}", only=only) if check.failed}
            lines.append(line(name, OTHER_PROCESS if name in ELSEWHERE else CAUGHT[name][0], failed))
    PAGE.write_text(HEAD + "\n".join(lines) + "\n")


if __name__ == "__main__":
    write()
