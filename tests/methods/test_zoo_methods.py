"""PMSN, CE-LIF, the spiking Transformers and S4NN, end to end on a minute's data: trained, tested, counted, cut."""

from __future__ import annotations

import pytest

from snn5bench import registry
from snn5bench.cell import Cell
from snn5bench.execute import execute
from snn5bench.record import Record, Status

METHODS: dict[str, dict[str, object]] = {
    "pmsn": {"hidden": [8, 8]},
    "ce-lif": {"hidden": [8, 8], "recurrent": True},
    "spikformer": {"width": 16, "mlp": 2, "tokens": 4},
}
PULSES = {"T": 12, "min_gap": 2, "max_gap": 4, "train": 20, "val": 10, "test": 20}


def run(
    method: str, dataset: str, params: dict[str, object], twin: str = "none", epochs: int = 1, **options: object
) -> Record:
    """One cell of a method on a dataset, by the whole protocol."""
    M, D = registry.load("methods", method), registry.load("datasets", dataset)
    cell = Cell(
        suite="tiny",
        method=method,
        variant=method,
        method_params=M.Params.model_validate({**METHODS[method], **options}).model_dump(mode="json"),
        dataset=dataset,
        dataset_variant=dataset,
        dataset_params=D.Params.model_validate(params).model_dump(mode="json"),
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
    record = run(method, "digits", {"T": 3}, epochs=2)
    assert record.status is Status.DONE, record.reason
    assert record.missing == {}
    assert record.test_accuracy is not None
    assert record.test_accuracy > 0.15
