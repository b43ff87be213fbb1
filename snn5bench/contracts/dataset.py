"""A dataset: what it is, whether it is here, and its samples one after another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from typing import ClassVar, Literal, NamedTuple, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict

from snn5bench.contracts.params import DatasetParams
from snn5bench.contracts.verdict import Verdict

SplitName = Literal["train", "val", "test"]


class DatasetSpec(BaseModel):
    """Shape and protocol of a dataset under given parameters; known before any sample exists."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str
    n_classes: int
    T: int
    """Timesteps of a sample."""
    channels: int
    """Inputs per step."""
    shape: tuple[int, ...] = ()
    """How the channels are laid out (for images: channels, height, width); empty where they are a plain list."""
    coding: Literal["events", "repeated"]
    """Binary events, or one real-valued frame repeated T times."""
    readout: Literal["sum", "last"] = "sum"
    """Logits are summed over the steps, or taken at the last one."""
    temporal: bool
    """Whether the dataset is meant to need time; a control is not."""
    bin_ms: float | None = None
    """Width of a step, where steps have one."""


class Sample(NamedTuple):
    """One recording: events (`step`, `channel`) or a `frame`, its class, its split and who made it."""

    label: int
    split: SplitName
    group: int = -1
    """Speaker, user or subject; -1 where there is none. Train and validation never share a group where groups exist."""
    step: np.ndarray | None = None
    channel: np.ndarray | None = None
    frame: np.ndarray | None = None


class Write(Protocol):
    """Takes one sample into the packed store; samples are numbered in the order written."""

    def __call__(self, sample: Sample) -> None: ...


Progress = Callable[[int, int], None]
"""Called with (done, total) while samples are made."""


class Dataset(ABC):
    """One named source of samples. Subclasses set `name`, `summary`, `licence`, and implement `spec` and `generate`."""

    name: ClassVar[str]
    summary: ClassVar[str]
    licence: ClassVar[str]
    Params: ClassVar[type[DatasetParams]] = DatasetParams

    def __init__(self, params: DatasetParams) -> None:
        self.params = params
        self.counted: Counter[str] = Counter()
        """What `generate` repaired, dropped or found empty, by a name in words; stored with the packed data and shown."""

    @abstractmethod
    def spec(self) -> DatasetSpec:
        """Shape and protocol; must not touch the disk."""

    def available(self) -> Verdict:
        """Whether `generate` can run here; no with the path to fill and how to get the data."""
        return Verdict.yes()

    def transform(self) -> dict[str, object]:
        """What was done to the raw recording (bins, dropped events, ...): a part of the data's identity."""
        return self.params.model_dump(mode="json")

    @abstractmethod
    def generate(self, write: Write, progress: Progress) -> None:
        """Write every sample, in an order that never changes. Splits are the official ones; where no sample is marked
        `val`, the harness carves a validation split out of `train`."""
