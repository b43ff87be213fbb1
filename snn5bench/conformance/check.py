"""What one check found: a verdict and, where it failed, what was seen, what was expected and what usually causes it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    """It could not be made, because another one failed."""


class Fault(Exception):
    """A method does not do what it must."""

    def __init__(self, seen: str, expected: str, cause: str) -> None:
        self.seen, self.expected, self.cause = seen, expected, cause
        super().__init__(seen)


class Unfit(Exception):
    """There is no trained network to check; the message says which check tells why."""


@dataclass(frozen=True)
class Check:
    """The result of one check."""

    name: str
    verdict: Verdict
    seconds: float
    note: str = ""
    """What a reader should know of a check that passed or was skipped (a twin refused with its reason, ...)."""
    seen: str = ""
    expected: str = ""
    cause: str = ""
    """What usually causes such a failure."""

    @property
    def failed(self) -> bool:
        """Whether the method must be mended."""
        return self.verdict is Verdict.FAILED
