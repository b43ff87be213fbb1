"""What a comparison says: a mark for each row and metric, and the verdict of the night."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from snn5bench.baseline import RowName
from snn5bench.errors import ExitCode
from snn5bench.record import TwinKind

Metric = Literal["accuracy", "spike_rate", "operations", "time"]
METRICS: tuple[Metric, ...] = get_args(Metric)


class Mark(StrEnum):
    """asv's marks, and `=`."""

    BETTER = "+"
    WORSE = "-"
    BROKE = "!"
    FIXED = "*"
    INCOMPARABLE = "x"
    UNDECIDED = "~"
    SAME = "="


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Judgement(_Frozen):
    """One metric of one row."""

    mark: Mark
    before: float | None = None
    """Mean over the seeds (time: median)."""
    after: float | None = None
    low: float | None = None
    """Interval of the change: a difference of shares for accuracy, a relative change for the others."""
    high: float | None = None
    p: float | None = None
    """One-sided, in the direction of the change, corrected over the rows."""
    reason: str = ""
    open: bool = False
    """Whether the night cannot pass before more is known."""
    blind: bool = False
    """Whether a serious drop lies inside the interval."""


class RowVerdict(_Frozen):
    """All metrics of one row; `accuracy` carries what became of the row as a whole."""

    variant: str
    dataset: str
    twin: TwinKind
    metrics: dict[Metric, Judgement]

    @property
    def name(self) -> RowName:
        """The row."""
        return RowName(self.variant, self.dataset, self.twin)


class Verdict(StrEnum):
    """What the night says."""

    REGRESSION = "regression"
    CANNOT_TELL = "cannot tell"
    BETTER = "better"
    SAME = "no regression"


class Comparison(_Frozen):
    """The outcome of `compare`."""

    suite: str
    locked_at: str
    git_commit: str | None
    margin: float
    serious: float
    alpha: float
    decides: tuple[Metric, ...]
    """Metrics that the verdict rests on."""
    changes: list[str]
    """What changed since the baseline."""
    rows: list[RowVerdict]
    second_look: list[str] = []
    """Rows that were suspect and were run with further seeds before this comparison; empty where it is the only look."""

    @property
    def suspects(self) -> list[RowName]:
        """Rows that ran, and that more seeds could clear or convict."""
        found = [row for row in self.rows if row.metrics["accuracy"].open and row.metrics["accuracy"].after is not None]
        return [row.name for row in found]

    @property
    def verdict(self) -> Verdict:
        """Worse or broken rows first, then open questions; that no row says anything is one of them."""
        judged = [row.metrics[metric] for row in self.rows for metric in self.decides if metric in row.metrics]
        marks = {judgement.mark for judgement in judged}
        if marks & {Mark.WORSE, Mark.BROKE}:
            return Verdict.REGRESSION
        mute = all(judgement.blind or judgement.mark is Mark.INCOMPARABLE for judgement in judged)
        if mute or any(judgement.open for judgement in judged):
            return Verdict.CANNOT_TELL
        return Verdict.BETTER if marks & {Mark.BETTER, Mark.FIXED} else Verdict.SAME

    @property
    def exit_code(self) -> ExitCode:
        """0 passed, 1 regression, 3 cannot tell."""
        codes = {Verdict.REGRESSION: ExitCode.REGRESSION, Verdict.CANNOT_TELL: ExitCode.CANNOT_TELL}
        return codes.get(self.verdict, ExitCode.OK)

    def count(self) -> dict[Mark, int]:
        """Rows by their accuracy mark, in the order of `Mark`."""
        found = Counter(row.metrics["accuracy"].mark for row in self.rows)
        return {mark: found[mark] for mark in Mark if found[mark]}
