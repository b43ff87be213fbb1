"""What every cost model shares: three parts, a dense twin, and the spike rate at which the two break even."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from scipy.optimize import brentq

from snn5bench.contracts.energy import EnergyModel
from snn5bench.measure.energy.shape import at_rate, dense_twin, event_rate, matched_bits
from snn5bench.record import EnergyEstimate, LayerCounts


class Parts(NamedTuple):
    """Energy of one sample in picojoules, by what spends it."""

    operations_pj: float
    memory_pj: float = 0.0
    addressing_pj: float = 0.0

    @property
    def total_pj(self) -> float:
        """The sum."""
        return self.operations_pj + self.memory_pj + self.addressing_pj


class Comparison(NamedTuple):
    """A spiking network beside its dense twins, all under one model."""

    snn_nj: float
    ann_nj: float
    """Dense, one pass, at the precision of the model."""
    qnn_nj: float
    """The same with activations of ceil(log2(T + 1)) bits: as many levels as a spike count over T steps has."""
    ann_ratio: float
    """Spiking over dense: below 1 the spiking network needs less."""
    qnn_ratio: float
    ann_break_even: float
    """Spikes per value and step at which the spiking network costs as much as the dense one; in 0..1, 1 where it wins
    at any rate, 0 where it wins at none."""
    qnn_break_even: float
    measured_rate: float | None
    """Where the network stands: see `shape.event_rate`."""


class CostModel(EnergyModel):
    """An energy model made of sums over counts. Subclasses give `parts`."""

    ann_activity: ClassVar[float] = 1.0
    """Share of the dense twin's products that are not skipped, where the model assumes that some are."""
    partial: ClassVar[str] = ""
    """Why the number is partial on every network, where it is."""

    @abstractmethod
    def parts(self, layers: Sequence[LayerCounts], T: int, bits: int | None = None) -> Parts:
        """Energy of one sample. `bits` is the width of activations in MACs, where not that of the model."""

    def twin_bits(self, T: int) -> int | None:
        """Width of the dense twin's activations; None for the model's own."""
        return None

    def estimate(self, layers: Sequence[LayerCounts], T: int) -> EnergyEstimate:
        """Energy of one sample, its dense twin's, and the break-even spike rate between them."""
        if not layers:
            return EnergyEstimate(energy_nj=None, reason="no operation was counted")
        parts = self.parts(layers, T)
        twin_pj = self._twin_pj(layers, T, self.twin_bits(T))
        return EnergyEstimate(
            energy_nj=parts.total_pj / 1e3,
            operations_nj=parts.operations_pj / 1e3,
            memory_nj=parts.memory_pj / 1e3,
            addressing_nj=parts.addressing_pj / 1e3,
            ann_twin_nj=twin_pj / 1e3,
            break_even_spike_rate=self._break_even(layers, T, twin_pj),
            reason=self.partial,
        )

    def compare(self, layers: Sequence[LayerCounts], T: int) -> Comparison:
        """The network beside its dense and its bit-matched twin."""
        snn = self.parts(layers, T).total_pj
        ann, qnn = self._twin_pj(layers, T, None), self._twin_pj(layers, T, matched_bits(T))
        return Comparison(
            snn / 1e3,
            ann / 1e3,
            qnn / 1e3,
            snn / ann,
            snn / qnn,
            self._break_even(layers, T, ann),
            self._break_even(layers, T, qnn),
            event_rate(layers),
        )

    def _twin_pj(self, layers: Sequence[LayerCounts], T: int, bits: int | None) -> float:
        return self.parts(dense_twin(layers, self.ann_activity), T, bits).total_pj

    def _break_even(self, layers: Sequence[LayerCounts], T: int, twin_pj: float) -> float:
        return break_even(lambda rate: self.parts(at_rate(layers, rate), T).total_pj, twin_pj)


def break_even(spiking_pj: Callable[[float], float], dense_pj: float) -> float:
    """The spike rate in 0..1 at which `spiking_pj` reaches `dense_pj`; 0 if it is above at rate 0, 1 if below at 1."""
    if spiking_pj(0.0) >= dense_pj:
        return 0.0
    if spiking_pj(1.0) <= dense_pj:
        return 1.0
    return float(brentq(lambda rate: spiking_pj(rate) - dense_pj, 0.0, 1.0, xtol=1e-12))
