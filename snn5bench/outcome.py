"""What a cell gives back: a record with its arrays. Without PyTorch, so that a driver of workers need not import it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from snn5bench import environment, registry
from snn5bench.cell import Cell
from snn5bench.record import Record, Status


@dataclass
class Outcome:
    """A record and its per-sample arrays (`label`, `prediction`, `index` of the test samples)."""

    record: Record
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


def blank(cell: Cell, status: Status, reason: str = "", key: str = "", started_at: str = "") -> Record:
    """A record of `cell` without numbers."""
    absent = registry.absence("methods", cell.method)
    entry = None if absent else registry.entry("methods", cell.method)
    dataset = registry.load("datasets", cell.dataset)
    spec = dataset(dataset.Params.model_validate(cell.dataset_params)).spec()
    commit, dirty = environment.checkout()
    return Record(
        suite=cell.suite,
        method=cell.method,
        variant=cell.variant,
        method_params=cell.method_params,
        method_version="" if entry is None else f"{entry.package} {entry.version}",
        fidelity=None if entry is None else getattr(registry.load("methods", cell.method), "fidelity", None),
        dataset=cell.dataset_variant,
        dataset_name=cell.dataset,
        dataset_params=cell.dataset_params,
        temporal=spec.temporal,
        T=spec.T,
        n_classes=spec.n_classes,
        twin=cell.twin,
        seed=cell.seed,
        budget={"epochs": cell.epochs, "batch_size": cell.batch_size},
        key=key,
        status=status,
        reason=reason,
        started_at=started_at,
        git_commit=commit,
        git_dirty=dirty,
    )
