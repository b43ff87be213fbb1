"""The leaderboard as one object: every rendering reads it, none computes a number of its own."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from snn5bench.record import Environment, Status, TwinKind

RowStatus = Status | Literal["partial"]
"""A cell's status where all cells of the row share it, else `partial`."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Value(_Frozen):
    """A number, or the reason why there is none."""

    value: float | None = None
    reason: str = ""


class Estimate(_Frozen):
    """A mean with its 95 % interval over seeds and test samples, or the reason why there is none."""

    mean: float | None = None
    low: float | None = None
    high: float | None = None
    seeds: int = 0
    samples: int = 0
    reason: str = ""


class Span(_Frozen):
    """Lowest to highest over the energy models, or the reason why there is none."""

    low: float | None = None
    high: float | None = None
    by_model: dict[str, float] = {}
    """The seeds' mean for each model that gave a number."""
    reason: str = ""


class BreakEven(_Frozen):
    """The rate of spikes beside the rate at which the network would need as much energy as its dense ANN twin.

    Both are spikes per value that feeds synapses and step, as the energy models take them; below the break-even the
    spiking network needs less.
    """

    rate: Value = Value()
    """Measured, mean over the seeds."""
    low: float | None = None
    high: float | None = None
    """The seeds with the lowest and the highest rate."""
    by_model: dict[str, float] = {}
    """The seeds' mean for each model that gave one; 0 where it wins at no rate, 1 where it wins at any."""
    reason: str = ""
    """Why there is no break-even, or which models gave none."""


class Mark(_Frozen):
    """One sign beside a row, and the sentence that it stands for."""

    symbol: str
    text: str


class Claimed(_Frozen):
    """A published claim, and what became of it here."""

    text: str
    """As published."""
    verdict: str
    """One of the ledger's verdicts, or which suite decides."""
    number: str = ""
    """Ours, with its interval."""
    reason: str = ""
    """Why there is no verdict, or what the published number would need."""
    source: str = ""
    command: str = ""
    """What brings our number."""

    @property
    def account(self) -> str:
        """All but the claim itself, in a sentence."""
        parts = (
            f"{self.verdict}{f' with {self.number}' if self.number else ''}",
            self.reason,
            f"source: {self.source}" if self.source else "",
        )
        return "; ".join(part for part in parts if part)


class Curve(_Frozen):
    """Validation accuracy by epoch: mean, lowest and highest over the seeds that reached it."""

    epoch: list[int] = []
    mean: list[float] = []
    low: list[float] = []
    high: list[float] = []


class Source(_Frozen):
    """One record that a row rests on."""

    twin: TwinKind
    seed: int
    status: Status
    reason: str
    key: str
    file: str | None
    git_commit: str | None
    git_dirty: bool | None
    started_at: str


class Setup(_Frozen):
    """How the row's cells were set up: what a reader needs to get the same number again."""

    method_params: dict[str, Any]
    method_version: str
    dataset_name: str
    """Registered name."""
    dataset_params: dict[str, Any]
    transform: dict[str, Any]
    budget: dict[str, Any]
    fingerprints: dict[int, str]
    """Seed to the digest of the samples fed."""
    environments: list[Environment]


class Row(_Frozen):
    """One method on one dataset, over its seeds."""

    id: str
    """`variant@dataset`: what `snn5bench reproduce` takes."""
    dataset: str
    """The dataset's name, with the parameters that tell it from its siblings in this table."""
    temporal: bool
    method: str
    """Registered name."""
    variant: str
    """The name shown."""
    status: RowStatus
    reason: str = ""
    """Why the row is not `done`."""
    rank: int | None = None
    tied: int = 1
    """Rows that share the rank, this one among them."""
    rank_reason: str = ""
    accuracy: Estimate = Estimate()
    by_seed: dict[int, float] = {}
    temporal_gain: Estimate = Estimate()
    """Accuracy minus that of the twin whose state is cut between steps."""
    shuffled_gain: Estimate = Estimate()
    """Accuracy minus that on the same data with its steps shuffled."""
    sdbp_gain: Estimate = Estimate()
    """Accuracy minus that of the twin trained without gradient through time."""
    T: Value = Value()
    params: Value = Value()
    spike_rate: Value = Value()
    activation_sparsity: Value = Value()
    weight_sparsity: Value = Value()
    synops_per_sample: Value = Value()
    energy_nj: Span = Span()
    ann_ratio: Span = Span()
    """Energy over that of the dense ANN twin under the same model; below 1 the spiking network is cheaper."""
    break_even: BreakEven = BreakEven()
    train_seconds: Value = Value()
    peeking_gap: Value = Value()
    """What choosing the best test epoch would have added to the accuracy."""
    seeds: list[int] = []
    """Seeds that are done."""
    fidelity: str | None = None
    selection_rule: str = ""
    marks: list[Mark] = []
    claims: list[Claimed] = []
    curve: Curve = Curve()
    setup: Setup
    sources: list[Source] = []


class Table(_Frozen):
    """All rows of a suite, by dataset (those that need time first), then rank, then accuracy."""

    suite: str
    description: str = ""
    """What the suite is for."""
    rows: list[Row]
    selection_rule: str = ""
    """The rule of most rows; a row with another carries a mark."""

    @property
    def datasets(self) -> list[str]:
        """Names of the datasets, in the order of the rows."""
        return list(dict.fromkeys(row.dataset for row in self.rows))

    def of(self, dataset: str) -> list[Row]:
        """The rows of one dataset, best first."""
        return [row for row in self.rows if row.dataset == dataset]

    @property
    def legend(self) -> list[Mark]:
        """Each sign that occurs, once, with its general meaning."""
        used = {mark.symbol for row in self.rows for mark in row.marks}
        return [Mark(symbol=symbol, text=text) for symbol, text in ALPHABET.items() if symbol in used]


ALPHABET = {
    "r": "reconstruction: built from incomplete sources",
    "i": "inspired: takes the paper's idea only",
    "s": "another selection rule than most rows",
    "!": "some seeds did not finish",
    "m": "seeds are missing that other rows of the dataset have",
    "1": "one seed: the interval does not know how much seeds differ",
    "x": "not comparable with the other rows: other samples, or unlike cells in one row",
    "t": "could not be stripped of time, so it has no temporal gain",
    "d": "older records of the same cell were left out",
    "*": "a note from the run",
}
"""Every sign a row can carry, in the order in which they are shown."""
