"""The result of one cell: the schema that every runner writes and every report reads."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1

TwinKind = Literal["none", "notd", "sdbp", "shuffled"]


class Status(StrEnum):
    """How a cell ended. Only `done` carries numbers."""

    DONE = "done"
    FAILED = "failed"
    INCOMPATIBLE = "incompatible"
    NEEDS_DATA = "needs_data"
    NOT_INSTALLED = "not_installed"
    INTERRUPTED = "interrupted"


class Fidelity(BaseModel):
    """How close a technique is to its paper, in one word and one sentence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["faithful", "reconstruction", "inspired"]
    note: str

    @classmethod
    def faithful(cls, note: str) -> Fidelity:
        """The published equations, checked."""
        return cls(kind="faithful", note=note)

    @classmethod
    def reconstruction(cls, note: str) -> Fidelity:
        """Built from incomplete sources; `note` says what is guessed."""
        return cls(kind="reconstruction", note=note)

    @classmethod
    def inspired(cls, note: str) -> Fidelity:
        """Takes the idea only; `note` says what differs."""
        return cls(kind="inspired", note=note)


class Epoch(BaseModel):
    """One epoch of a training curve."""

    model_config = ConfigDict(extra="forbid")

    epoch: int
    train_loss: float | None
    val_accuracy: float
    test_accuracy: float | None = None
    """Only where the suite asks for `record_peeking`; no choice is made with it."""


class LayerCounts(BaseModel):
    """What one layer does for one sample, averaged over the test samples."""

    model_config = ConfigDict(extra="forbid")

    name: str
    kind: str
    """`synapses`, `neuron`, `norm`, ... : what was counted."""
    neurons: int | None = None
    spike_rate: float | None = None
    """Spikes per neuron and step, for layers that spike."""
    activation_sparsity: float | None = None
    """Share of exact zeros in the output."""
    macs: float = 0.0
    acs: float = 0.0
    bias_adds: float = 0.0
    neuron_updates: float = 0.0
    dense_macs: float = 0.0
    """What a dense layer of the same shape would multiply, over all T steps."""
    silent_neurons: int | None = None
    saturated_neurons: int | None = None
    detail: dict[str, float] = Field(default_factory=dict)
    """Further counts per sample by name (memory reads, residual adds, ...)."""


class EnergyEstimate(BaseModel):
    """One energy model's estimate for one sample, split as far as the model splits it."""

    model_config = ConfigDict(extra="forbid")

    energy_nj: float | None
    operations_nj: float | None = None
    memory_nj: float | None = None
    addressing_nj: float | None = None
    ann_twin_nj: float | None = None
    break_even_spike_rate: float | None = None
    reason: str = ""
    """Why the number is missing or partial."""


class Environment(BaseModel):
    """What ran the cell."""

    model_config = ConfigDict(extra="forbid")

    python: str
    platform: str
    cpu: str
    device: str = "cpu"
    """`cpu`, or the GPU's model and the CUDA that torch was built with."""
    backend: str = ""
    """The kernels that ran: `numba` or `torch` on the CPU, `triton` or `torch` on a GPU."""
    threads: int = 1
    versions: dict[str, str] = Field(default_factory=dict)


class Record(BaseModel):
    """All that is known of one cell after it ran (or did not)."""

    model_config = ConfigDict(extra="forbid")

    schema_version: int = SCHEMA_VERSION
    suite: str
    method: str
    """Registered name of the method."""
    variant: str
    """The name a row carries: the method's name, with the parameters that tell it from its siblings."""
    method_params: dict[str, Any]
    """Every parameter, defaults written out."""
    method_version: str = ""
    """Version of the package that brings the method."""
    fidelity: Fidelity | None = None
    dataset: str
    """The name a leaderboard section carries: the dataset's name, with the parameters that tell it from its siblings."""
    dataset_name: str = ""
    """Registered name of the dataset."""
    dataset_params: dict[str, Any]
    dataset_fingerprint: str | None = None
    """Digest of the samples actually fed, with their split."""
    transform: dict[str, Any] = Field(default_factory=dict)
    temporal: bool = True
    """Whether the dataset is meant to need time (a control is not)."""
    twin: TwinKind = "none"
    seed: int
    budget: dict[str, Any] = Field(default_factory=dict)
    key: str
    key_parts: dict[str, Any] = Field(default_factory=dict)
    """What the key was made of: config, code hash by module, versions, data."""
    status: Status
    reason: str = ""
    """Why the cell is not `done`; empty otherwise."""
    selection_rule: str = ""
    split_rule: str = ""
    """Where the validation split comes from."""
    selected_epoch: int | None = None
    train_accuracy: float | None = None
    val_accuracy: float | None = None
    test_accuracy: float | None = None
    test_accuracy_peeked: float | None = None
    """What choosing the best *test* epoch would have shown."""
    n_train: int | None = None
    n_val: int | None = None
    n_test: int | None = None
    n_classes: int | None = None
    T: int | None = None
    params: int | None = None
    """Trainable parameters."""
    spike_rate: float | None = None
    activation_sparsity: float | None = None
    weight_sparsity: float | None = None
    macs_per_sample: float | None = None
    acs_per_sample: float | None = None
    synops_per_sample: float | None = None
    layers: list[LayerCounts] = Field(default_factory=list)
    missing: dict[str, str] = Field(default_factory=dict)
    """Metric name to the reason why it is `n/a`."""
    energy_nj: dict[str, float | None] = Field(default_factory=dict)
    ann_twin_energy_nj: dict[str, float | None] = Field(default_factory=dict)
    energy: dict[str, EnergyEstimate] = Field(default_factory=dict)
    ran_because: list[str] = Field(default_factory=list)
    """What differed from the record this one replaced; empty at a first run."""
    notes: list[str] = Field(default_factory=list)
    """Sentences that a reader of the row must know."""
    curve: list[Epoch] = Field(default_factory=list)
    train_seconds: float | None = None
    train_steps: int | None = None
    eval_seconds: float | None = None
    peak_memory_bytes: int | None = None
    gpu_share: float | None = None
    """Largest share of one GPU's memory that the cell held; None where it used no GPU."""
    attempts: int = 1
    environment: Environment | None = None
    started_at: str = ""
    git_commit: str | None = None
    git_dirty: bool | None = None
