"""Conversion: the two lives of one network agree where theory says so, and the records tell what was done."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based.ann2snn import Converter
from spikingjelly.activation_based.ann2snn.recipes.rate_coding import RateCodingRecipe
from torch import Tensor, nn

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.inputs import Events, Repeated
from snn5bench.contracts.method import Budget, Task
from snn5bench.execute import refuse_time
from snn5bench.methods.conversion import QCFS, ErrorCompensation, RateCoding, ScaleFire, balance
from snn5bench.neurons.converted import mean_over_time
from tests.methods.cells import PULSE_ORDER, records_of

SPEC = DatasetSpec(name="toy", n_classes=10, T=4, channels=64, coding="repeated", temporal=False)
METHODS: list[Any] = [RateCoding, QCFS, ErrorCompensation, ScaleFire]


class Digits:
    """scikit-learn's digits as the batches of a task: 1,200 to train, the rest to judge."""

    def __init__(self, part: slice, T: int = 4) -> None:
        from sklearn.datasets import load_digits

        bunch = load_digits()
        order = np.random.default_rng(0).permutation(len(bunch.target))[part]
        self.x = torch.from_numpy((bunch.data[order] / 16).astype(np.float32))
        self.y, self.T = torch.from_numpy(bunch.target[order]), T

    def __len__(self) -> int:
        return len(self.y)

    def epoch(self) -> Any:
        for start in range(0, len(self.y), 64):
            yield Repeated(self.x[start : start + 64], self.T), self.y[start : start + 64]


TEST = slice(1200, None)


def fit(method: Any, epochs: int, **params: Any) -> Any:
    torch.manual_seed(0)
    task = Task(
        spec=SPEC, train=Digits(slice(1200)), val=Digits(TEST), budget=Budget(epochs=epochs, batch_size=64),
        report=lambda model, epoch, loss: float(epoch), bptt=lambda model, params: model, prepare=lambda model: model,
    )  # fmt: skip
    net = method(method.Params(hidden=(64, 64), lr=5e-3, **params)).fit(task)
    return net.eval()


@torch.no_grad()
def accuracy(net: Any, T: int) -> float:
    data = Digits(TEST)
    return float((net(Repeated(data.x, T)).sum(0).argmax(1) == data.y).double().mean())


@torch.no_grad()
def source(net: Any) -> float:
    data = Digits(TEST)
    return float((net.ann(data.x).argmax(1) == data.y).double().mean())


@pytest.fixture(scope="module")
def trained() -> dict[str, Any]:
    return {
        "conversion": fit(RateCoding, 8),
        "qcfs": fit(QCFS, 8, levels=4),
        "ecl": fit(ErrorCompensation, 8, levels=4),
        "sfn": fit(ScaleFire, 8),
    }


def test_accuracy_goes_to_that_of_the_artificial_network(trained: dict[str, Any]) -> None:
    for name in ("conversion", "qcfs", "ecl"):
        net, found = trained[name], [accuracy(trained[name], T) for T in (1, 2, 4, 8, 32)]
        assert source(net) > 0.9, name
        assert found[2] > source(net) - 0.06, (name, found)
        assert abs(found[-1] - source(net)) <= 0.01, (name, found)
        assert all(later >= earlier - 0.02 for earlier, later in pairwise(found)), (name, found)


def test_the_signed_neuron_is_nearer_to_the_artificial_network() -> None:
    """The same weights, two kinds of neuron, T = L: mean distance of the logits."""
    plain = fit(QCFS, 4, levels=4)
    signed = ErrorCompensation(ErrorCompensation.Params(hidden=(64, 64), levels=4)).build(SPEC)
    signed.load_state_dict(plain.state_dict())
    data = Digits(TEST)
    with torch.no_grad():
        away = [(net(Repeated(data.x, 4)).mean(0) - plain.ann(data.x)).abs().mean().item() for net in (plain, signed)]
    assert away[1] < away[0]


def test_one_hidden_layer_is_exact_at_t_equal_l() -> None:
    net = fit(QCFS, 2, levels=8)
    one = QCFS(QCFS.Params(hidden=(64,), levels=8)).build(SPEC)
    one.synapses[0].load_state_dict(net.synapses[0].state_dict())
    one.double()
    with torch.no_grad():
        one.neurons[0].threshold.fill_(2.0)
        x = Digits(TEST).x.double()
        torch.testing.assert_close(one(Repeated(x, 8)).mean(0), one.ann(x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("T", [1, 5, 16])
def test_rate_coding_at_the_maximum_is_spikingjellys_recipe(T: int) -> None:
    torch.manual_seed(3)
    ann = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10)).double()
    x = Digits(slice(200)).x.double()
    recipe = RateCodingRecipe(dataloader=[(x, None)], mode="Max")
    theirs = Converter(recipe=recipe).convert(ann)
    net: Any = RateCoding(RateCoding.Params(hidden=(32, 32), start=0.0)).build(SPEC)
    net.double()
    for ours, linear in zip(net.synapses, (ann[0], ann[2], ann[4]), strict=True):
        ours.load_state_dict(linear.state_dict())
    with torch.no_grad():
        balance(net, x, 100.0)
        functional.reset_net(theirs)
        functional.set_step_mode(theirs, "m")
        expected = theirs(x.expand(T, -1, -1)).mean(0)
        torch.testing.assert_close(net(Repeated(x, T)).mean(0), expected, rtol=1e-9, atol=1e-9)
    assert expected.std() > 0


def quantised_ann(net: Any, x: Tensor) -> Tensor:
    """The honest control: the artificial network with each activation rounded half up to its N levels."""
    step = torch.ones((), dtype=x.dtype)
    for k, linear in enumerate(net.synapses):
        current = nn.functional.linear(x, linear.weight * step, linear.bias)
        if k == len(net.neurons):
            return current
        levels = net.neurons[k].levels
        step = net.neurons[k].threshold / levels
        x = (current / step + 0.5).floor().clamp(0, levels)
    raise AssertionError("no read-out")


def test_scale_and_fire_is_the_quantised_ann_bit_for_bit(trained: dict[str, Any]) -> None:
    for dtype in (torch.float32, torch.float64):
        net, x = trained["sfn"].to(dtype), Digits(TEST).x.to(dtype)
        with torch.no_grad():
            logits = net(Repeated(x, 4))
            assert torch.equal(logits[0], quantised_ann(net, x))
            assert torch.equal(logits[0], logits[3])
    trained["sfn"].float()


def test_more_levels_come_nearer_to_the_artificial_network(trained: dict[str, Any]) -> None:
    net, found = trained["sfn"], []
    for levels in (2, 4, 8, 16, 32):
        for neuron in net.neurons:
            neuron.levels = levels
        found.append(accuracy(net, 1))
    assert all(later >= earlier - 0.02 for earlier, later in pairwise(found)), found
    assert abs(found[-1] - source(net)) <= 0.01


def test_the_mean_over_time_of_each_form() -> None:
    rng = np.random.default_rng(0)
    spikes = rng.random((6, 3, 5)) < 0.3
    step, sample, channel = np.nonzero(spikes)
    order = np.lexsort((channel, step, sample))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(sample, minlength=3))]).astype(np.int64)
    events = Events(indptr, step[order].astype(np.int32), channel[order].astype(np.int32), 6, 5)
    like, expected = torch.zeros(1, dtype=torch.float64), torch.from_numpy(spikes.mean(0))
    torch.testing.assert_close(mean_over_time(events, like), expected)
    torch.testing.assert_close(mean_over_time(events.dense(), like), expected)
    assert torch.equal(mean_over_time(Repeated(expected, 9), like), expected)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("readout", ["sum", "last"])
def test_the_twin_ignores_order_and_answers_the_same(method: Any, readout: str) -> None:
    """Shown a mean, the network never sees order: its twin is itself, and the temporal gain is zero by construction."""
    torch.manual_seed(0)
    made = method(method.Params(hidden=(32,)))
    net = made.build(SPEC.model_copy(update={"T": 9, "readout": readout, "channels": 12}))
    x = (torch.rand(9, 20, 12) < 0.4).float()
    with torch.no_grad():
        before = net(x)
        assert torch.equal(before, net(x[torch.randperm(9)]))
        twin = made.timeless(net)
        refuse_time(twin, x) if readout == "sum" else None
        read = (lambda y: y[-1]) if readout == "last" else (lambda y: y.sum(0))
        torch.testing.assert_close(read(twin(x)), read(before), rtol=1e-5, atol=1e-6)


def test_fed_step_by_step_time_can_be_cut() -> None:
    torch.manual_seed(0)
    method = QCFS(QCFS.Params(hidden=(32,), present="steps"))
    net: Any = method.build(SPEC.model_copy(update={"channels": 12}))
    x = (torch.rand(9, 20, 12) < 0.4).float()
    with torch.no_grad():
        assert torch.equal(net(x)[:5], net(x[:5]))
        with pytest.raises(RuntimeError, match="order of its inputs"):
            refuse_time(net, x)
        refuse_time(method.timeless(net), x)


def test_all_four_through_the_protocol(tmp_path: Any) -> None:
    """Digits (T = 4) and pulse-order with its twin. Pulse-order cannot be told from mean rates: exactly chance."""
    methods = ["conversion", "{name: qcfs, params: {levels: 4}}", "{name: ecl, params: {levels: 4}}", "sfn"]
    rows = records_of(tmp_path, methods, ["{name: digits, params: {T: 4}}", PULSE_ORDER], epochs=6, twins="{}")
    assert {row.status for row in rows.values()} == {"done"}, [row.reason for row in rows.values()]
    for name in ("conversion", "qcfs", "ecl", "sfn"):
        digits, pulses, twin = rows[f"{name}@digits"], rows[f"{name}@pulse-order"], rows[f"{name}+notd@pulse-order"]
        assert digits.test_accuracy is not None and digits.test_accuracy > 0.7, name
        assert pulses.test_accuracy == twin.test_accuracy == 0.5
        assert any("blind to their order" in note for note in pulses.notes)
        assert not any("blind" in note for note in digits.notes)
        assert any("before conversion" in note for note in digits.notes)
        assert digits.missing == pulses.missing == {}
    one, many = rows["sfn@digits"], rows["conversion@digits"]
    assert any("32 levels, 6 bits" in note for note in one.notes)
    assert any("lambda" in note and "training samples" in note for note in one.notes)
    first = {row: rows[row].layers[0].macs for row in ("sfn@digits", "conversion@digits")}
    assert 4 * first["sfn@digits"] == first["conversion@digits"] > 0, "one step is counted once"
    assert many.acs_per_sample and not one.acs_per_sample, "levels are multiplied, spikes are added"
    assert rows["ecl@digits"].fidelity.kind == rows["sfn@digits"].fidelity.kind == "reconstruction"  # type: ignore[union-attr]
    assert "partial" in rows["ecl@digits"].fidelity.note  # type: ignore[union-attr]
