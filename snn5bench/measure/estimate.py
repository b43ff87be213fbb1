"""Energy of a record: every registered model, applied to its counts. Arithmetic on the record, outside the cell's key."""

from __future__ import annotations

from math import inf

from snn5bench import registry
from snn5bench.errors import BenchError
from snn5bench.record import EnergyEstimate, Record, Status


def fill(record: Record) -> None:
    """Fill the energy fields of a finished record, in place. A model that raises, or counts that are missing, give `n/a`
    with the reason."""
    if record.status is not Status.DONE or record.T is None:
        return
    for name in registry.entries("energy_models"):
        record.energy[name] = _estimate(name, record, record.T)
        record.energy_nj[name] = record.energy[name].energy_nj
        record.ann_twin_energy_nj[name] = record.energy[name].ann_twin_nj


def _estimate(name: str, record: Record, T: int) -> EnergyEstimate:
    unseen = record.missing.get("synops_per_sample")
    if unseen:
        return EnergyEstimate(energy_nj=None, reason=f"the operations are not all known: {unseen}")
    try:
        with registry.blaming("energy_models", name, "gives no estimate"):
            found = registry.load("energy_models", name)().estimate(record.layers, T)
            if not isinstance(found, EnergyEstimate):
                raise TypeError(f"it returned {type(found).__name__}, not an EnergyEstimate")
    except BenchError as broken:
        return EnergyEstimate(energy_nj=None, reason=broken.problems[0].what)
    except Exception as error:
        return EnergyEstimate(energy_nj=None, reason=f"{type(error).__name__}: {error}")
    numbers = (found.energy_nj, found.ann_twin_nj)
    if wrong := [value for value in numbers if value is not None and not 0 <= value < inf]:
        return EnergyEstimate(energy_nj=None, reason=f"{name} gives {wrong[0]} nJ, which is no energy")
    return found
