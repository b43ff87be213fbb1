"""The one error a user sees: what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every verb."""

    OK = 0
    REGRESSION = 1
    USER_ERROR = 2
    CANNOT_TELL = 3


@dataclass(frozen=True)
class Problem:
    """One mistake: what is wrong, where it stands, and what to do about it."""

    what: str
    where: str = ""
    """File, line and key, as far as they are known: `suites/a.yaml:12 methods[0].name`."""
    do: str = ""

    def __str__(self) -> str:
        place = f"{printable(self.where)}: " if self.where else ""
        remedy = f"\n    -> {printable(self.do)}" if self.do else ""
        return f"{place}{printable(self.what)}{remedy}"


class BenchError(Exception):
    """A mistake of the user's (or of their machine's), shown without a traceback."""

    def __init__(self, what: str | Sequence[Problem], where: str = "", do: str = "") -> None:
        self.problems: tuple[Problem, ...] = (Problem(what, where, do),) if isinstance(what, str) else tuple(what)
        super().__init__("\n".join(map(str, self.problems)))


def printable(text: str) -> str:
    """The text with what a terminal would obey, hide or choke on written out; files quote themselves in their errors."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?` for the nearest known word, else the list of what is known."""
    options = sorted(set(known))
    near = difflib.get_close_matches(word, options, n=1, cutoff=0.6)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"known: {', '.join(options)}" if options else "none is known here"
