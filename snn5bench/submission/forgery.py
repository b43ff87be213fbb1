"""What is wrong with one record, found by computing again all that can be computed without training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from pydantic import ValidationError

from snn5bench import keys, registry
from snn5bench.cell import Cell, KeyParts, differences
from snn5bench.data.packed import Packed
from snn5bench.data.splits import TEST
from snn5bench.measure.estimate import fill
from snn5bench.record import Record, Status

Fault = tuple[str, str]
"""What is wrong, and what to do."""

_AGAIN = "run the suite with the code of this repository, and submit what it writes"


def faults(cell: Cell, record: Record, arrays: Mapping[str, np.ndarray], packed: Packed) -> Iterator[Fault]:
    """Every disagreement of a record with its suite, its key, its predictions and the dataset here."""
    yield from _identity(cell, record)
    yield from _key(cell, record, packed)
    if record.status is Status.DONE:
        yield from _accuracy(record, arrays, packed)
        yield from _choice(record, cell)
        yield from _derived(record)
    elif record.status is not Status.INCOMPATIBLE or cell.twin == "none":
        yield f"its status is '{record.status}'", "run it to its end"
    elif record.test_accuracy is not None or arrays:
        yield "a cell that did not run has numbers", _AGAIN


def _identity(cell: Cell, record: Record) -> Iterator[Fault]:
    said = {
        "method": record.method,
        "method_params": record.method_params,
        "dataset": record.dataset_name,
        "dataset_params": record.dataset_params,
        "twin": record.twin,
        "seed": record.seed,
        **record.budget,
    }
    stated = cell.config()
    for name, value in said.items():
        if stated.get(name) != value:
            yield f"{name} is {value!r:.80}, the suite says {stated.get(name)!r:.80}", _AGAIN
    if record.suite != cell.suite:
        yield f"it is a record of the suite '{record.suite:.60}'", _AGAIN


def _key(cell: Cell, record: Record, packed: Packed) -> Iterator[Fault]:
    try:
        parts = KeyParts.model_validate(record.key_parts)
    except ValidationError:
        yield "what its key was made of is not whole", _AGAIN
        return
    if parts.key() != record.key:
        yield f"its key is {record.key:.40}, its parts give {parts.key()}", "do not edit records"
    here = keys.parts_of(cell, packed.meta.fingerprint, packed.meta.transform)
    for change in differences(record.key_parts, here.model_dump(mode="json")):
        yield f"it was made by something else than what is here: {change:.200}", _AGAIN
    if record.dataset_fingerprint != packed.meta.fingerprint or record.transform != packed.meta.transform:
        yield "its data are not those of the dataset here", _AGAIN


def _accuracy(record: Record, arrays: Mapping[str, np.ndarray], packed: Packed) -> Iterator[Fault]:
    index = packed.indices(TEST)
    for name in ("index", "label", "prediction"):
        if name not in arrays or arrays[name].shape != index.shape or arrays[name].dtype.kind not in "iu":
            yield f"`{name}` is not one whole number for each of the {len(index)} test samples", _AGAIN
            return
    if not np.array_equal(arrays["index"], index):
        yield "the predictions are of other samples than the dataset's test split", _AGAIN
    if not np.array_equal(arrays["label"], packed.label[index]):
        wrong = int((arrays["label"] != packed.label[index]).sum())
        yield f"{wrong} labels are not the dataset's own", _AGAIN
    computed = float((arrays["prediction"] == packed.label[index]).mean())
    if record.test_accuracy != computed:
        yield f"test accuracy is {record.test_accuracy}, its predictions give {computed}", "do not edit records"
    if record.n_test != len(index):
        yield f"n_test is {record.n_test}, the dataset has {len(index)}", _AGAIN


def _choice(record: Record, cell: Cell) -> Iterator[Fault]:
    """The epoch that validation chose, by the curve that the record shows."""
    best = max((epoch.val_accuracy for epoch in record.curve), default=None)
    chosen = next((epoch.epoch for epoch in record.curve if epoch.val_accuracy == best), None)
    if (record.val_accuracy, record.selected_epoch) != (best, chosen):
        yield (
            f"epoch {record.selected_epoch} with validation accuracy {record.val_accuracy} was chosen, the curve's best is "
            f"{best} at epoch {chosen}",
            "do not edit records",
        )


def unchecked(record: Record) -> list[str]:
    """Energy models of plugins that are not here, whose numbers cannot be computed again."""
    found = {name: registry.absence("energy_models", name) for name in (*record.energy_nj, *record.ann_twin_energy_nj)}
    return [f"its energy by {name:.60} was not computed again: {why}" for name, why in found.items() if why]


def _derived(record: Record) -> Iterator[Fault]:
    """Energy, from the counts, by each model that is ours or that the record names and that is here."""
    again = record.model_copy(deep=True, update={"energy": {}, "energy_nj": {}, "ann_twin_energy_nj": {}})
    fill(again)
    for name in ("energy_nj", "ann_twin_energy_nj"):
        said, computed = getattr(record, name), getattr(again, name)
        models = {model for model in computed if "/" not in model} | said.keys()
        for model in sorted(models):
            known = registry.absence("energy_models", model) == ""
            if known and said.get(model, "none") != computed.get(model, "none here"):
                yield f"{name} is not what its counts give by {model:.60}", _AGAIN
