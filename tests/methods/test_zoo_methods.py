"""PMSN, CE-LIF, the spiking Transformers and S4NN, end to end on a minute's data: trained, tested, counted, cut."""

from __future__ import annotations

import re

import pytest

from snn5bench import registry
from snn5bench.cell import Cell
from snn5bench.execute import execute
from snn5bench.record import Record, Status

METHODS: dict[str, dict[str, object]] = {
    "pmsn": {"hidden": [8, 8]},
    "ce-lif": {"hidden": [8, 8], "recurrent": True},
    "spikformer": {"width": 16, "mlp": 2, "tokens": 4},
    "s4nn": {"hidden": 30},
    "sglformer": {"width": 24, "mlp": 2, "tokens": 4, "pools": 1},
}
SLOW = ("spikformer", "sglformer", "s4nn")
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
    if method == "s4nn" and twin != "none":
        assert record.status is Status.INCOMPATIBLE
        assert "twin" in record.reason
        return
    assert record.status is Status.DONE, record.reason
    assert record.missing == {}
    assert record.spike_rate is not None
    assert 0 < record.spike_rate < 1
    assert record.synops_per_sample
    if twin == "notd":
        assert record.test_accuracy == 0.5, "the order is all that tells the classes apart"


@pytest.mark.parametrize(
    "method", [name if name not in SLOW else pytest.param(name, marks=pytest.mark.slow) for name in METHODS]
)
def test_digits(method: str) -> None:
    record = run(method, "digits", {"T": 4}, epochs=3 if method == "s4nn" else 1)
    assert record.status is Status.DONE, record.reason
    assert record.missing == {}
    assert record.test_accuracy is not None
    assert record.test_accuracy > 0.15
    for layer in record.layers:
        if layer.name.endswith("attn_lif"):
            assert layer.spike_rate, "after training the attention spikes"


def test_the_record_of_s4nn_has_the_accuracy_of_every_rule_for_ties() -> None:
    record = run("s4nn", "digits", {"T": 4})
    assert record.val_accuracy is not None
    (note,) = record.notes
    by_rule = dict(re.findall(r"(potential|index|random|optimistic) (0\.\d{4})", note))
    assert float(by_rule["potential"]) == pytest.approx(record.val_accuracy, abs=5e-5)
    assert float(by_rule["optimistic"]) >= float(by_rule["random"])
    decision = next(layer for layer in record.layers if layer.name == "decision")
    assert 0 <= decision.detail["tied_samples"] <= 1
    assert 0 <= decision.detail["silent_samples"] <= 1
    events = run("s4nn", "pulse-order", PULSES)
    assert events.notes[0] == "S4NN sees the first event of each channel, and no later one"
