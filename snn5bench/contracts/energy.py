"""An energy model: counts of one sample in, nanojoules with their parts out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from snn5bench.record import EnergyEstimate, LayerCounts


class EnergyModel(ABC):
    """One published way to turn counts into energy, with its assumptions."""

    name: ClassVar[str]
    source: ClassVar[str]
    year: ClassVar[int]
    technology: ClassVar[str]
    precision: ClassVar[str]
    leaves_out: ClassVar[str]
    """What the model does not see, in one sentence."""

    @abstractmethod
    def estimate(self, layers: Sequence[LayerCounts], T: int) -> EnergyEstimate:
        """Energy of one sample, in nanojoules."""
