"""Progress for people: bars on a terminal, plain lines elsewhere, with the time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from snn5bench.record import Record, Status

Advance = Callable[[str, Record], None]


class Display:
    """Where a run shows what it does. Nothing animates in a log file."""

    def __init__(self, console: Console, every_s: float = 10.0) -> None:
        self.console = console
        self.every_s = every_s
        """Least seconds between two lines in a log file."""

    def _bar(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )

    def say(self, text: str) -> None:
        """One line for people, above whatever bar is shown."""
        self.console.print(text, markup=False, highlight=False)

    @contextmanager
    def data(self, name: str) -> Iterator[Callable[[int, int], None]]:
        """While a dataset is made: yields `progress(done, total)`."""
        started = last = time.monotonic()
        with self._bar() as bar:
            task = bar.add_task(f"making {name}", total=None, left="")

            def progress(done: int, total: int) -> None:
                nonlocal last
                now = time.monotonic()
                bar.update(task, completed=done, total=total, left=_left(now - started, done, total))
                if not self.console.is_terminal and now - last > self.every_s:
                    last = now
                    self.console.print(f"making {name}: {done} of {total}, {_left(now - started, done, total)}")

            yield progress
        self.console.print(f"made {name} in {time.monotonic() - started:.1f} s")

    @contextmanager
    def cells(self, total: int) -> Iterator[Advance]:
        """While cells run: yields `advance(label, record)` to call as each ends."""
        started = last = time.monotonic()
        done = 0
        with self._bar() as bar:
            task = bar.add_task("cells", total=total, left="")

            def advance(label: str, record: Record) -> None:
                nonlocal last, done
                done += 1
                now = time.monotonic()
                bar.update(task, completed=done, left=_left(now - started, done, total))
                if record.status is not Status.DONE:
                    self.console.print(
                        f"{record.status.value}: {label}: {record.reason}", markup=False, highlight=False
                    )
                if not self.console.is_terminal and (now - last > self.every_s or done == total):
                    last = now
                    self.console.print(f"{done} of {total} cells, {_left(now - started, done, total)}", highlight=False)

            yield advance


def _left(elapsed: float, done: int, total: int) -> str:
    """In words; unknown for the first fiftieth, which also pays for imports and for reading the source."""
    if 50 * done < total or not done:
        return "time left unknown"
    seconds = elapsed / done * (total - done)
    return f"about {seconds / 60:.1f} min left" if seconds > 90 else f"about {seconds:.0f} s left"
