"""A sample of the hostile input campaign; the nightly job runs ten thousand (`python -m tests.hostile.campaign`)."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from hypothesis import strategies as st

from snn5bench.atomic import replace
from tests.hostile.box import Box
from tests.hostile.case import Case, Target, lay
from tests.hostile.documents import stock_submission
from tests.hostile.guard import watched
from tests.hostile.judge import Ended, Finding, judge
from tests.hostile.worker import TARGETS, Explorer

ROOT = Path(__file__).parents[2]
DATA = [target for target in TARGETS if target.name.startswith("data: ")]
OTHER = [target for target in TARGETS if target not in DATA and not target.starts_processes]


def sample(target: Target, box: Box, count: int) -> None:
    """The same few inputs every time; none may be a fault."""
    ended: list[tuple[Case, Finding]] = []
    box.fresh()
    Explorer(target, box).explore(count, 20, lambda case: lambda finding: ended.append((case, finding)))
    assert len(ended) == count
    assert not [(finding.what, case) for case, finding in ended if finding.ended is Ended.FAULT]


def test_a_sample_of_data_files(box: Box):
    for target in DATA:
        target.stock(box)
        sample(target, box, 3)


def test_a_sample_of_documents_and_command_lines(box: Box):
    stock_submission(box)
    for target in OTHER:
        sample(target, box, 6)


@pytest.mark.slow
def test_a_thousand_inputs(tmp_path: Path):
    command = [
        sys.executable,
        "-m",
        "tests.hostile.campaign",
        "--inputs",
        "1000",
        "--seed",
        "7",
        "--keep",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]


def _target(run) -> Target:
    return Target("planted", 1, st.nothing, run, Box.enter)


def _raises(case: Case, folder: Path) -> str:
    raise KeyError("oops")


def _writes(case: Case, folder: Path) -> str:
    (folder / "owned").write_text("x")
    return ""


def _moves(case: Case, folder: Path) -> str:
    (folder / "a.txt").rename(folder / "results.txt")
    return ""


def _starts(case: Case, folder: Path) -> str:
    subprocess.run(["true"], check=True)
    return ""


def _unpickles(case: Case, folder: Path) -> str:
    import pickle

    pickle.loads(pickle.dumps(Path("x")))
    return ""


def _warns(case: Case, folder: Path) -> str:
    warnings.warn("invalid value", RuntimeWarning, stacklevel=1)
    return ""


def _spins(case: Case, folder: Path) -> str:
    import time

    end = time.process_time() + 5.1
    while time.process_time() < end:
        pass
    return ""


PLANTED = [
    (_raises, "traceback: KeyError"),
    (_writes, "reached out: open for writing"),
    (_moves, "reached out: os.rename"),
    (_starts, "reached out: subprocess.Popen"),
    (_unpickles, r"reached out: unpickled"),
    (_warns, "warned: invalid value"),
    (lambda case, folder: "no such thing", "no place"),
    (lambda case, folder: "a.txt: \x1b[2J", "control characters"),
    pytest.param(_spins, "slow", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("run", "what"), PLANTED)
def test_the_campaign_sees_what_it_must(box: Box, run, what: str):
    finding = judge(_target(run), Case((("a.txt", b"x"),)), box)
    assert finding.ended is Ended.FAULT and finding.what.startswith(what)


def test_what_is_allowed_is_no_fault(tmp_path: Path):
    with watched(tmp_path / "results") as guard:
        (tmp_path / "results").mkdir()
        (tmp_path / "results" / "x").touch()
        (tmp_path / "results" / "x").unlink()
    assert not guard.faults
    lay(Case((("a/b", b"x"),)), tmp_path)
    assert (tmp_path / "a" / "b").read_bytes() == b"x"


def test_a_file_that_a_word_names_may_have_a_draft_beside_it_and_no_other(box: Box):
    def writes(name: str):
        return lambda case, folder: replaced(folder / name) and ""

    words = ("data", "prepare", "mine", "--manifest", "told.json")
    assert judge(_target(writes("told.json")), Case((), words), box).ended is Ended.TAKEN
    assert judge(_target(writes("other.json")), Case((), words), box).ended is Ended.FAULT


def replaced(path: Path) -> Path:
    return replace(path, "{}")
