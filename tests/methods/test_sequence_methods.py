"""The methods with memory of their own, end to end on a minute's data: trained, tested, counted, and stripped of time."""

from __future__ import annotations

import pytest

from snn5bench import registry
from snn5bench.cell import Cell
from snn5bench.execute import execute
from snn5bench.record import Status

METHODS = {
    "spikingssm": {"d_model": 8, "states": 4},
    "sssa": {"width": 8, "tokens": 4},
    "adlif": {"hidden": [8, 8]},
    "se-adlif": {"hidden": [8], "recurrent": True},
    "alif": {"hidden": [8]},
    "plif": {"hidden": [8]},
    "tc-lif": {"hidden": [8]},
    "silif": {"hidden": [8]},
    "c-silif": {"hidden": [32]},
    "dh-lif": {"hidden": [8, 8]},
}
PULSES = {"T": 12, "min_gap": 2, "max_gap": 4, "train": 20, "val": 10, "test": 20}


def run(method: str, dataset: str, params: dict[str, object], twin: str = "none", epochs: int = 1, **options: object):
    kinds = {"methods": (method, {**METHODS[method], **options}), "datasets": (dataset, params)}
    full = {
        kind: registry.load(kind, name).Params.model_validate(given).model_dump(mode="json")  # type: ignore[arg-type]
        for kind, (name, given) in kinds.items()
    }
    cell = Cell(
        suite="tiny",
        method=method,
        variant=method,
        method_params=full["methods"],
        dataset=dataset,
        dataset_variant=dataset,
        dataset_params=full["datasets"],
        twin=twin,  # type: ignore[arg-type]
        seed=0,
        epochs=epochs,
        batch_size=20,
    )
    return execute(cell).record


@pytest.mark.parametrize("twin", ["none", "notd", "sdbp"])
@pytest.mark.parametrize("method", METHODS)
def test_pulse_order(method: str, twin: str) -> None:
    record = run(method, "pulse-order", PULSES, twin)
    assert record.status is Status.DONE, record.reason
    assert record.missing == {}
    assert record.spike_rate is not None
    assert 0 < record.spike_rate < 1
    assert record.synops_per_sample
    if twin == "notd":
        assert record.test_accuracy == 0.5, "the order is all that tells the classes apart"


@pytest.mark.parametrize("method", METHODS)
def test_digits(method: str) -> None:
    record = run(method, "digits", {"T": 3}, epochs=3)
    assert record.status is Status.DONE, record.reason
    assert record.missing == {}
    assert record.test_accuracy is not None
    assert record.test_accuracy > 0.15


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("spikingssm", {"neuron": "sdn", "norm": "batch", "prenorm": False}),
        ("spikingssm", {"bidirectional": True, "train_b": True, "dropout": 0.2}),
        ("sssa", {"form": "v2-decoupled", "blocks": 2}),
        ("sssa", {"form": "v1"}),
        ("se-adlif", {"discretisation": "ef"}),
        ("alif", {"recurrent": True, "surrogate": "triangle"}),
    ],
)
def test_options(method: str, options: dict[str, object]) -> None:
    record = run(method, "pulse-order", PULSES, **options)
    assert record.status is Status.DONE, record.reason
    assert record.missing == {}
