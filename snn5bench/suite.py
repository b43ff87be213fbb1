"""Suites: the schema of the YAML files that say what to run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from snn5bench.errors import BenchError, did_you_mean

MOST_PATTERNS = 200
"""In one list: each is held against every row."""


class Block(BaseModel):
    """Base of the suite's blocks: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class BudgetBlock(Block):
    """How long a method trains. A missing entry is taken from the wider block."""

    epochs: int | None = Field(None, ge=1, le=100_000)
    """Passes over the train split."""
    batch_size: int | None = Field(None, ge=1, le=65_536)
    """Samples per step."""


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class MethodBlock(Block):
    """One method, with fixed parameters and a grid."""

    name: str
    """Registered name; a plugin's is `package/name`."""
    label: str | None = Field(None, min_length=1, max_length=60)
    """What the row is called; the name with its grid parameters by default."""
    params: dict[str, Any] = {}
    """Parameters that differ from the method's defaults."""
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    """Parameter name to the values to try; every combination is a row."""
    on: dict[str, dict[str, Any]] = Field({}, max_length=MOST_PATTERNS)
    """Dataset pattern (or `temporal`) to parameters that hold on these datasets alone."""
    budget: dict[str, BudgetBlock] = Field({}, max_length=MOST_PATTERNS)
    """Dataset pattern (or `temporal`) to a budget of its own."""


class DatasetBlock(Block):
    """One dataset, with fixed parameters and a grid (T among them)."""

    name: str
    """Registered name."""
    label: str | None = Field(None, min_length=1, max_length=60)
    """What its section is called; the name with its grid parameters by default."""
    params: dict[str, Any] = {}
    """Parameters that differ from the dataset's defaults."""
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    """Parameter name to the values to try; every combination is a dataset of its own."""
    budget: BudgetBlock = BudgetBlock()
    """The budget on this dataset."""


class Pairs(Block):
    """Patterns of method and dataset rows."""

    methods: list[str] = Field(["*"], max_length=MOST_PATTERNS)
    """Names or labels, `*` allowed."""
    datasets: list[str] = Field(["*"], max_length=MOST_PATTERNS)
    """Names or labels, `*` allowed; `temporal` means each dataset that is meant to need time."""


class Twins(Block):
    """Which pairs are run a second time without time, without temporal gradient, or on shuffled steps."""

    notd: Pairs | None = Pairs(datasets=["temporal"])
    """The network with its state cut between steps."""
    sdbp: Pairs | None = None
    """The network without gradient through time."""
    shuffled: Pairs | None = None
    """The data with their steps permuted; by default for the baseline on each temporal dataset."""


class Incompatible(Block):
    """A pair that is expected not to run."""

    method: str
    """Name, label or pattern."""
    dataset: str
    """Name, label or pattern."""
    reason: str = Field(min_length=1)
    """Printed by the plan and in the row."""


class Limits(Block):
    """What a cell may take before it is stopped and recorded as `failed`. Not part of a key: a limit moves no number."""

    cell_minutes: float | None = Field(None, gt=0)
    """Wall minutes of one cell; without it a cell may run for ever."""
    cell_memory_gib: float | None = Field(None, gt=0)
    """GiB of memory that one cell's process and its children may hold, beyond files they read."""
    write_minutes: float = Field(10, ge=0)
    """How long a record that cannot be written (disk full, share gone) is held and tried again before the run stops."""

    @property
    def stop_cells(self) -> bool:
        """Whether a cell may have to be stopped, which needs a process of its own."""
        return self.cell_minutes is not None or self.cell_memory_gib is not None


class Suite(Block):
    """One file of `suites/`."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=60)]
    """Name of the file and of its folder under `results/`."""
    description: str = ""
    """One paragraph for the head of the leaderboard."""
    seeds: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)
    """Seeds; each method gets the same streams from the same seed."""
    budget: BudgetBlock = BudgetBlock()
    """The budget where nothing narrower says otherwise."""
    limits: Limits = Limits()
    """What a cell may take."""
    baseline: str | None = None
    """Name or label of the method that others are read against; the first one by default."""
    record_peeking: bool = False
    """Also note what choosing the best test epoch would have shown."""
    twins: Twins = Twins()
    """Which twins run."""
    datasets: list[Annotated[DatasetBlock, BeforeValidator(_named)]] = Field(min_length=1)
    """The datasets."""
    methods: list[Annotated[MethodBlock, BeforeValidator(_named)]] = Field(min_length=1)
    """The methods."""
    incompatible: list[Incompatible] = Field([], max_length=MOST_PATTERNS)
    """Pairs that are expected not to run."""


def find(suite: str, folder: Path) -> Path:
    """The file of a suite given by name or path."""
    path = Path(suite)
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise BenchError(f"there is no file {path}", do="give a suite's name, or the path of a YAML file")
        return path
    candidate = folder / f"{suite}.yaml"
    if "/" in suite or not candidate.is_file():
        known = [p.stem for p in sorted(folder.glob("*.yaml"))]
        raise BenchError(f"no suite is called '{suite}' in {folder}", do=did_you_mean(suite, known))
    return candidate
