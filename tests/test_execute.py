"""The protocol of one cell: validation chooses, test is only noted, time is really cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from snn5bench import execute as module
from snn5bench import registry
from snn5bench.cell import Cell
from snn5bench.execute import TimeLeakError, execute, refuse_time
from snn5bench.record import Status

PULSES = {"T": 16, "min_gap": 2, "max_gap": 4, "train": 40, "val": 15, "test": 25}


def cell(**changes) -> Cell:
    method = changes.get("method", "lif")
    base = {
        "suite": "s", "method": method, "variant": method, "dataset": "pulse-order", "dataset_variant": "pulse-order",
        "dataset_params": registry.load("datasets", "pulse-order").Params(**PULSES).model_dump(mode="json"),
        "seed": 0, "epochs": 3, "batch_size": 16,
    }  # fmt: skip
    params = changes.pop("params", {"hidden": [12]} if method in ("lif", "glif") else {})
    base["method_params"] = registry.load("methods", method).Params.model_validate(params).model_dump(mode="json")
    return Cell.model_validate(base | changes)


SCRIPTED = """
    from snn5bench.contracts.method import Method
    from snn5bench.record import Fidelity


    class Scripted(Method):
        '''Three epochs of hand-made networks: the best on validation is neither the last nor the best on test.'''

        name = "scripted"
        fidelity = Fidelity.faithful("a script")
        answers = (0, 1, 0)

        def build(self, data):
            from torch import nn

            return nn.Linear(data.channels, data.n_classes)

        def fit(self, task):
            import torch

            net = task.prepare(self.build(task.spec))
            torch.nn.init.zeros_(net.weight)
            for epoch, answer in enumerate(self.answers):
                with torch.no_grad():
                    net.bias.zero_()
                    net.bias[answer] = 1.0
                task.report(net, epoch, None)
            return net


    class Silent(Scripted):
        '''Reports nothing.'''

        answers = ()
"""


@pytest.fixture
def scripted(install_plugin):
    return install_plugin("acme", {"s": SCRIPTED}, methods={"scripted": "acme.s:Scripted", "silent": "acme.s:Silent"})


def test_validation_chooses_and_the_first_of_equals_is_kept(scripted, monkeypatch):
    script = {0: (0.6, 0.1), 1: (0.7, 0.2), 2: (0.7, 0.9)}
    calls = iter([value for pair in script.values() for value in pair])
    real = module.predict

    def predict(model, batches, spec):
        wanted = next(calls)
        right = round(wanted * len(batches))
        labels = np.asarray(batches.labels)
        return np.where(np.arange(len(labels)) < right, labels, 1 - labels)

    monkeypatch.setattr(module, "predict", predict)
    outcome = execute(cell(method="acme/scripted", record_peeking=True))
    monkeypatch.setattr(module, "predict", real)
    record = outcome.record
    assert record.status is Status.DONE, record.reason
    assert record.selected_epoch == 1
    assert record.val_accuracy == pytest.approx(0.7, abs=0.02)
    assert record.test_accuracy_peeked == pytest.approx(0.9, abs=0.02), "the best test epoch is noted"
    assert set(outcome.arrays["prediction"].tolist()) == {1}, "the weights of epoch 1 were tested, not the last ones"
    assert record.test_accuracy == (outcome.arrays["label"] == 1).mean()


def test_peeking_moves_no_choice():
    plain, peeking = execute(cell()), execute(cell(record_peeking=True))
    assert plain.record.test_accuracy_peeked is None
    assert all(e.test_accuracy is None for e in plain.record.curve)
    assert peeking.record.test_accuracy_peeked == max(e.test_accuracy for e in peeking.record.curve)
    assert plain.record.selected_epoch == peeking.record.selected_epoch
    assert np.array_equal(plain.arrays["prediction"], peeking.arrays["prediction"])


def test_a_method_that_reports_nothing_has_no_number(scripted):
    record = execute(cell(method="acme/silent")).record
    assert record.status is Status.FAILED
    assert "reported no epoch" in record.reason
    assert record.test_accuracy is None


def test_the_same_cell_gives_the_same_bits():
    first, second = execute(cell()), execute(cell())
    assert first.arrays["prediction"].tobytes() == second.arrays["prediction"].tobytes()
    assert first.record.curve == second.record.curve
    assert first.record.layers == second.record.layers
    assert execute(cell(seed=1)).record.curve != first.record.curve


@pytest.mark.parametrize("method", ["lif", "glif", "tskips", "spikingssm", "sssa"])
def test_new_memory_and_the_evaluation_batch_move_no_bit(method, monkeypatch):
    """Training leaves new tensors unfilled; filled with NaN they give the same, so that nothing reads what it has not
    written. Nor does a sample's prediction depend on the samples evaluated beside it."""
    first = execute(cell(method=method))
    assert not torch.utils.deterministic.fill_uninitialized_memory
    seeded = torch.manual_seed

    def filling(seed):
        torch.utils.deterministic.fill_uninitialized_memory = True
        return seeded(seed)

    monkeypatch.setattr(torch, "manual_seed", filling)
    monkeypatch.setattr(module, "EVAL_BATCH", 7)
    second = execute(cell(method=method))
    assert torch.utils.deterministic.fill_uninitialized_memory
    torch.utils.deterministic.fill_uninitialized_memory = False
    assert first.record.status is Status.DONE
    assert first.record.curve == second.record.curve
    assert first.arrays["prediction"].tobytes() == second.arrays["prediction"].tobytes()


@pytest.mark.parametrize("method", ["lif", "glif", "tskips"])
def test_notd_is_exactly_at_chance_where_the_theorem_says_so(method):
    params = {"hidden": [12, 12]}
    record = execute(cell(method=method, twin="notd", params=params)).record
    assert record.status is Status.DONE, record.reason
    assert record.test_accuracy == 0.5


class Remembers(nn.Module):
    """Adds a trace of earlier steps: carries time where no one looks."""

    def forward(self, x):
        return x + 1e-3 * x.cumsum(0)


def test_a_forgotten_path_through_time_is_caught():
    x = torch.rand(6, 4, 3)
    refuse_time(nn.Linear(3, 2), x)
    with pytest.raises(TimeLeakError, match="still sees the order"):
        refuse_time(nn.Sequential(nn.Linear(3, 2), Remembers()), x)


def test_a_twin_that_leaks_time_is_a_failed_cell(install_plugin):
    code = """
        from snn5bench.contracts.method import Method
        from snn5bench.record import Fidelity


        class Leaky(Method):
            name = "leaky"
            fidelity = Fidelity.faithful("a running sum")

            def build(self, data):
                import torch
                from torch import nn

                class Sum(nn.Module):
                    def __init__(self):
                        super().__init__()
                        self.map = nn.Linear(data.channels, data.n_classes)

                    def forward(self, x):
                        return self.map(x).cumsum(0)

                return Sum()


        class Opaque(Leaky):
            name = "opaque"

            def build(self, data):
                from torch import nn

                return nn.Sequential(nn.Linear(data.channels, data.n_classes), nn.Softplus())
    """
    install_plugin("acme", {"leak": code}, methods={"leaky": "acme.leak:Leaky", "opaque": "acme.leak:Opaque"})
    leaky = execute(cell(method="acme/leaky", twin="notd")).record
    assert leaky.status is Status.FAILED
    assert "still sees the order" in leaky.reason
    opaque = execute(cell(method="acme/opaque", twin="notd")).record
    assert opaque.status is Status.INCOMPATIBLE
    assert "Softplus" in opaque.reason
