"""Yes, or no with the reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """Whether a method can run on a dataset, with the reason that `plan` prints."""

    ok: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.ok

    @classmethod
    def yes(cls) -> Verdict:
        """It can."""
        return cls(True)

    @classmethod
    def no(cls, reason: str) -> Verdict:
        """It cannot, because of `reason`."""
        return cls(False, reason)
