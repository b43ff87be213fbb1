"""One target's inputs, in a process that may die of them: `python -m tests.hostile.worker TARGET COUNT SEED FOLDER`."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import hypothesis.configuration
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.hostile.box import Box
from tests.hostile.case import Case, Target
from tests.hostile.commands import TARGETS as COMMANDS
from tests.hostile.console import snn5bench
from tests.hostile.datafiles import TARGETS as DATA
from tests.hostile.documents import TARGETS as DOCUMENTS
from tests.hostile.judge import Ended, Finding, judge

MEMORY_BYTES = 6 << 30
"""Of private memory; an input that fills the memory must not take the machine with it."""
TARGETS: tuple[Target, ...] = (*DOCUMENTS, *DATA, *COMMANDS)
_WARM = (
    ["plan", "mine"],
    ["report", "mine", "--json"],
    ["claims"],
    ["compare", "mine"],
    ["submit", "x", "--suite", "mine"],
)


def prepare(target: Target, box: Box) -> None:
    """Make the box whole, and have everything imported that the target needs: first uses write caches of their own."""
    box.enter()
    target.stock(box)
    box.fresh()
    for words in () if target.name.startswith("data: ") else _WARM:
        snn5bench(*words)
    box.fresh()


Seen = Callable[[Case], Callable[[Finding], None]]


class Explorer:
    """Draws inputs, each different from all before it, and has them judged."""

    def __init__(self, target: Target, box: Box) -> None:
        self.target, self.box, self.cases = target, box, target.cases()
        self.before: set[int] = set()

    def explore(self, count: int, number: int, seen: Seen) -> None:
        """Judge `count` inputs, from the seed `number` on; `seen` is told of each before and after."""
        wanted, rounds = len(self.before) + count, 0
        while len(self.before) < wanted and rounds < 50 + count:
            self._round(wanted, number + rounds, seen)
            rounds += 1

    def _round(self, wanted: int, number: int, seen: Seen) -> None:
        draws = min(200, max(10, wanted - len(self.before)))

        @seed(number)
        @settings(
            max_examples=draws,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(self.cases)
        def one(case: Case) -> None:
            if len(self.before) < wanted and (what := hash(case)) not in self.before:
                self.before.add(what)
                seen(case)(judge(self.target, case, self.box))

        one()


def _text(finding: Finding, case: Case) -> str:
    return repr(case) if finding.ended is Ended.FAULT else ""


def main(name: str, count: int, number: int, folder: Path) -> None:
    """A line of JSON before each input and after it."""
    sys.dont_write_bytecode = True
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    box = Box(folder / "box")
    hypothesis.configuration.set_hypothesis_home_dir(box.temporary / "hypothesis")
    (target,) = (one for one in TARGETS if one.name == name)
    report = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    prepare(target, box)
    current = folder / "current.txt"

    def seen(case: Case) -> Callable[[Finding], None]:
        current.write_text(repr(case))
        print(json.dumps({"begin": time.time()}), file=report)
        return lambda finding: print(
            json.dumps({"ended": finding.ended, "what": finding.what, "case": _text(finding, case)}), file=report
        )

    Explorer(target, box).explore(count, number, seen)
    os.chdir("/")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]).resolve())
