"""What is wrong with one record, found by computing again all that can be computed without training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from snn5bench import keys, registry
from snn5bench.cell import Cell, KeyParts, differences
from snn5bench.data.packed import Packed
from snn5bench.data.splits import TEST, TRAIN, VAL
from snn5bench.execute import SELECTION_RULE
from snn5bench.measure.counts import operations
from snn5bench.measure.estimate import fill
from snn5bench.outcome import blank
from snn5bench.record import Record, Status
from snn5bench.store import config_of

Fault = tuple[str, str]
"""What is wrong, and what to do."""

_AGAIN = "run the suite with the code of this repository, and submit what it writes"


def faults(cell: Cell, record: Record, arrays: Mapping[str, np.ndarray], packed: Packed | None) -> Iterator[Fault]:
    """Every disagreement of a record with its suite, its own key, its predictions and itself. `packed` is its dataset;
    None where that is not here."""
    yield from _identity(cell, record)
    yield from _own_key(record, packed)
    if record.status is Status.DONE:
        yield from _accuracy(record, arrays, packed)
        yield from _choice(record)
        yield from _counts(record)
        yield from _derived(record)
    elif record.status is not Status.INCOMPATIBLE or cell.twin == "none":
        yield f"its status is '{record.status}'", "run it to its end"
    elif record.test_accuracy is not None or arrays:
        yield "a cell that did not run has numbers", _AGAIN


def strange_to(cell: Cell, record: Record, packed: Packed) -> Iterator[Fault]:
    """Every disagreement of a record with the code, versions and data that are here."""
    for name, value in config_of(record).items():
        if cell.config()[name] != value:
            yield f"{name} is {value!r:.80}, the suite says {cell.config()[name]!r:.80}", _AGAIN
    here = keys.parts_of(cell, packed.meta.fingerprint, packed.meta.transform)
    for change in differences(record.key_parts, here.model_dump(mode="json")):
        yield f"it was made by something else than what is here: {change:.200}", _AGAIN
    told = blank(cell, record.status)
    said = {name: (getattr(record, name), getattr(told, name)) for name in _DESCRIBED}
    if record.status is Status.DONE:
        for name, split in (("n_train", TRAIN), ("n_val", VAL)):
            said[name] = getattr(record, name), len(packed.indices(split))
        said["split_rule"] = record.split_rule, packed.meta.split_rule
        said["selection_rule"] = record.selection_rule, SELECTION_RULE
    for name, (value, wanted) in said.items():
        if value != wanted:
            yield f"{name} is {value!s:.120}, it is {wanted!s:.120} here", _AGAIN


_DESCRIBED = ("fidelity", "temporal", "T", "n_classes")
"""What a record says of its method and its data, apart from what it was configured with."""


def _identity(cell: Cell, record: Record) -> Iterator[Fault]:
    """Where a plugin is not here, the suite's parameters lack its defaults: those that are stated must be the record's."""
    stated = cell.config()
    for name, value in config_of(record).items():
        wanted = stated[name]
        if isinstance(wanted, dict) and isinstance(value, dict):
            value = {part: value.get(part) for part in wanted}
        if value != wanted:
            yield f"{name} is {value!r:.80}, the suite says {wanted!r:.80}", _AGAIN
    if record.suite != cell.suite:
        yield f"it is a record of the suite '{record.suite:.60}'", _AGAIN


def _own_key(record: Record, packed: Packed | None) -> Iterator[Fault]:
    try:
        parts = KeyParts.model_validate(record.key_parts)
        key = parts.key()
    except ValueError:
        yield "what its key was made of is not whole", _AGAIN
        return
    if key != record.key:
        yield f"its key is {record.key:.40}, its parts give {key}", "do not edit records"
    said = {**config_of(record), "fingerprint": record.dataset_fingerprint, "transform": record.transform}
    made_of = {**parts.config, "fingerprint": parts.data, "transform": parts.transform}
    for name, value in said.items():
        if made_of.get(name) != value:
            yield f"{name} is {value!r:.80}, its key was made of {made_of.get(name)!r:.80}", "do not edit records"
    data = None if packed is None else (packed.meta.fingerprint, packed.meta.transform)
    if data is not None and data != (record.dataset_fingerprint, record.transform):
        yield "its data are not those of the dataset here", _AGAIN


def _accuracy(record: Record, arrays: Mapping[str, np.ndarray], packed: Packed | None) -> Iterator[Fault]:
    n = record.n_test if packed is None else packed.n_test
    for name in ("index", "label", "prediction"):
        if name not in arrays or arrays[name].shape != (n,) or arrays[name].dtype.kind not in "iu" or not n:
            yield f"`{name}` is not one whole number for each of the {n} test samples", _AGAIN
            return
    label = arrays["label"]
    if packed is not None:
        index = packed.indices(TEST)
        label = packed.label[index]
        if not np.array_equal(arrays["index"], index):
            yield "the predictions are of other samples than the dataset's test split", _AGAIN
        if wrong := int((arrays["label"] != label).sum()):
            yield f"{wrong} labels are not the dataset's own", _AGAIN
    computed = float((arrays["prediction"] == label).mean())
    if record.test_accuracy != computed:
        yield f"test accuracy is {record.test_accuracy}, its predictions give {computed}", "do not edit records"
    if record.n_test != n:
        yield f"n_test is {record.n_test}, the dataset has {n}", _AGAIN


def _choice(record: Record) -> Iterator[Fault]:
    """The epoch that validation chose, and what peeking would have shown, by the curve that the record shows."""
    peeked = max((epoch.test_accuracy for epoch in record.curve if epoch.test_accuracy is not None), default=None)
    if record.test_accuracy_peeked != peeked:
        yield f"test_accuracy_peeked is {record.test_accuracy_peeked}, its curve gives {peeked}", "do not edit records"
    best = max((epoch.val_accuracy for epoch in record.curve), default=None)
    chosen = next((epoch.epoch for epoch in record.curve if epoch.val_accuracy == best), None)
    if (record.val_accuracy, record.selected_epoch) != (best, chosen):
        yield (
            f"epoch {record.selected_epoch} with validation accuracy {record.val_accuracy} was chosen, the curve's best is "
            f"{best} at epoch {chosen}",
            "do not edit records",
        )


def _counts(record: Record) -> Iterator[Fault]:
    """What a network costs, from the counts of its layers."""
    layers = record.layers
    computed = {name: None if name in record.missing else value for name, value in operations(layers).items()}
    weights, zeros = (sum(layer.detail.get(name, 0.0) for layer in layers) for name in ("weights", "zero_weights"))
    computed["weight_sparsity"] = zeros / weights if weights else None
    if record.spike_rate is not None and record.activation_sparsity is not None:
        computed["activation_sparsity"] = 1.0 - record.spike_rate
    for name, value in computed.items():
        if getattr(record, name) != value:
            yield f"{name} is {getattr(record, name)}, its layers give {value}", "do not edit records"
    rates = [layer.spike_rate for layer in layers if layer.spike_rate is not None]
    if record.spike_rate is not None and not (rates and min(rates) - 1e-9 <= record.spike_rate <= max(rates) + 1e-9):
        yield f"spike_rate is {record.spike_rate}, those of its layers are {rates!s:.80}", "do not edit records"


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
