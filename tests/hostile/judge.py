"""What became of one input: taken, refused with the place, or a fault."""

from __future__ import annotations

import os
import re
import resource
import time
import traceback
import warnings
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from snn5bench.errors import BenchError
from tests.hostile.box import Box
from tests.hostile.case import Case, Target, lay
from tests.hostile.guard import watched

SECONDS = 5.0
"""Of processor time for one input."""
_CELL = re.compile(r"\w+@\S+#\d+: ")
WRITES_WHERE_TOLD = frozenset({"--results", "--manifest", "--markdown", "--junit", "--to", "--figures"})
"""Options that name a place to write to."""
GROWTH_BYTES = 1 << 30
"""Of memory for one input."""


class Ended(StrEnum):
    """How an input ended."""

    TAKEN = "taken"
    REFUSED = "refused"
    FAULT = "fault"


class Finding(NamedTuple):
    """One input's end, and for a fault what it was."""

    ended: Ended
    what: str = ""


def judge(target: Target, case: Case, box: Box) -> Finding:
    """Lay one input down in a fresh box, run it and look at all that it did."""
    box.fresh()
    lay(case, box.work)
    begin, peak = time.process_time(), _peak()
    with (
        warnings.catch_warnings(record=True) as warned,
        watched(*_allowed(box, case), processes=target.starts_processes) as guard,
    ):
        warnings.simplefilter("always")
        try:
            words = target.run(case, box.work)
        except BenchError as error:
            words = str(error)
        except (Exception, SystemExit) as error:
            return Finding(Ended.FAULT, _where(error))
    seconds = time.process_time() - begin
    if guard.faults:
        return Finding(Ended.FAULT, f"reached out: {guard.faults[0]}")
    if seconds > SECONDS:
        return Finding(Ended.FAULT, f"slow: {seconds:.1f} s")
    if _peak() - peak > GROWTH_BYTES:
        return Finding(Ended.FAULT, f"large: {(_peak() - peak) >> 20} MiB more")
    ours = [w for w in warned if issubclass(w.category, RuntimeWarning)]
    if ours:
        return Finding(Ended.FAULT, f"warned: {ours[0].message} ({Path(ours[0].filename).name}:{ours[0].lineno})")
    if not words:
        return Finding(Ended.TAKEN)
    if "\x1b" in words or "\x00" in words:
        return Finding(Ended.FAULT, f"control characters in its words: {words!r:.200}")
    if target.names_place and not _names(words, case, box):
        return Finding(Ended.FAULT, f"no place: {words!r:.300}")
    return Finding(Ended.REFUSED)


def _allowed(box: Box, case: Case) -> tuple[Path, ...]:
    """Where an input may have files written: results, the cache, what a word names (with the draft
    beside it that takes its name), and the box's own temporary folder."""
    words = [Path(w) for option, w in zip(case.words, case.words[1:], strict=False) if option in WRITES_WHERE_TOLD]
    told = (*words, *(path.with_name(f".{path.name}.{os.getpid()}.part") for path in words if path.name))
    own = (box.work / name for name in ("results", "cache", "baselines/locked", "submissions"))
    here = (box.work,) if case.words[:2] == ("new", "method") and "--to" not in case.words else ()
    return (*own, box.temporary, *told, *here)


def _names(words: str, case: Case, box: Box) -> bool:
    """Whether a spoilt file, or the folder in which it stands, or the dataset with its sample, or a cell or an option, is
    named."""
    if words.startswith("dataset ") or _CELL.search(words) or any(w in words for w in case.words if w.startswith("--")):
        return True
    if str(box.work / "data") in words:
        return True
    for name, _ in case.files:
        path = Path(name)
        key = path.stem.rpartition("--")[2]
        if path.name in words or str(path.parent) in words or path.stem in words or (len(key) == 8 and key in words):
            return True
    return not case.files


def _where(error: BaseException) -> str:
    ours = [
        f
        for f in traceback.extract_tb(error.__traceback__)
        if "snn5bench/" in f.filename and "tests/" not in f.filename
    ]
    at = f"{Path(ours[-1].filename).name}:{ours[-1].lineno} {ours[-1].name}" if ours else "outside"
    return f"traceback: {type(error).__name__} at {at}: {error!s:.300}"


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
