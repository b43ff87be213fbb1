"""All models over one network's counts, or the reason why there is no number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from snn5bench.contracts.energy import EnergyModel
from snn5bench.record import EnergyEstimate, LayerCounts


def estimate_all(
    models: Mapping[str, EnergyModel], layers: Sequence[LayerCounts], T: int, missing: Mapping[str, str]
) -> dict[str, EnergyEstimate]:
    """One estimate a model. Where operations are missing, energies are too, with the same reason; a model that raises
    is `n/a` and does not take the others with it."""
    lost = missing.get("synops_per_sample") or missing.get("macs_per_sample") or missing.get("acs_per_sample")
    if lost:
        return {name: EnergyEstimate(energy_nj=None, reason=lost) for name in models}
    return {name: _estimate(model, layers, T) for name, model in models.items()}


def _estimate(model: EnergyModel, layers: Sequence[LayerCounts], T: int) -> EnergyEstimate:
    try:
        return model.estimate(layers, T)
    except Exception as failed:
        return EnergyEstimate(energy_nj=None, reason=f"{type(failed).__name__}: {failed}")
