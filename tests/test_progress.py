"""Progress: bars with the time left on a terminal, plain lines in a log file."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from snn5bench.progress import Display, _left
from snn5bench.record import Record, Status


def record(status: Status, reason: str = "") -> Record:
    """How a cell ended."""
    return Record(
        suite="s", method="m", variant="m", method_params={}, dataset="d", dataset_params={}, seed=0, key="0" * 32,
        status=status, reason=reason,
    )  # fmt: skip


def shown(terminal: bool, width: int = 80) -> str:
    """All that was written while a dataset was made and three cells ran, one of which failed."""
    file = io.StringIO()
    display = Display(Console(file=file, force_terminal=terminal, width=width, _environ={"TERM": "xterm"}), every_s=0.0)
    with display.data("digits") as progress:
        progress(1, 2)
        progress(2, 2)
    with display.cells(3) as advance:
        for status, reason in ((Status.DONE, ""), (Status.FAILED, "loss became [NaN]"), (Status.DONE, "")):
            advance("lif@digits#0", record(status, reason))
            time.sleep(0.2 if terminal else 0.0)
    return file.getvalue()


def test_a_log_file_gets_lines_and_nothing_that_moves() -> None:
    text = shown(terminal=False)
    assert "\x1b" not in text and "\r" not in text
    lines = text.splitlines()
    assert lines[0] == "making digits: 1 of 2, about 0 s left" and lines[2].startswith("made digits in ")
    assert lines[3:] == [
        "1 of 3 cells, about 0 s left",
        "failed: lif@digits#0: loss became [NaN]",
        "2 of 3 cells, about 0 s left",
        "3 of 3 cells, about 0 s left",
    ]


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_terminal_gets_a_bar_with_the_time_left(width: int) -> None:
    text = shown(terminal=True, width=width)
    assert "\x1b[" in text and "1/3" in text and "s left" in text
    assert "failed: lif@digits#0: loss became [NaN]" in text


def test_time_left_in_words() -> None:
    told = [_left(*numbers) for numbers in ((10.0, 0, 5), (10.0, 1, 200), (10.0, 5, 10), (100.0, 1, 4))]
    assert told == ["time left unknown", "time left unknown", "about 10 s left", "about 5.0 min left"]
