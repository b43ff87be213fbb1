"""Forward-Forward: embedding, locality, goodness, normalisation, silence, and learning on digits."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.inputs import Events, Repeated, dense
from snn5bench.contracts.method import Budget, Task
from snn5bench.errors import BenchError
from snn5bench.execute import refuse_time
from snn5bench.methods.forward_forward import ForwardForward, contrast, false_labels
from snn5bench.neurons.forward_forward import Length, goodness, running_goodness
from tests.methods.cells import PULSE_ORDER, records_of

SPEC = DatasetSpec(name="toy", n_classes=4, T=10, channels=12, coding="repeated", temporal=False)


def build(spec: DatasetSpec = SPEC, **params: Any) -> Any:
    torch.manual_seed(0)
    return ForwardForward(ForwardForward.Params(hidden=(24, 16), **params)).build(spec)


class Toy:
    """Four noisy prototypes, as the batches of a task."""

    def __init__(self, samples: int, seed: int, size: int = 32) -> None:
        rng = np.random.default_rng(seed)
        self.y = torch.from_numpy(rng.integers(0, 4, samples))
        centre = np.random.default_rng(7).random((4, 12))
        self.x = torch.from_numpy((centre[self.y] + 0.2 * rng.normal(size=(samples, 12))).astype(np.float32))
        self.size = size

    def __len__(self) -> int:
        return len(self.y)

    def epoch(self) -> Any:
        for start in range(0, len(self.y), self.size):
            part = slice(start, start + self.size)
            yield Repeated(self.x[part], SPEC.T), self.y[part]


def fit(change: Any = lambda net: net, spec: DatasetSpec = SPEC, epochs: int = 3, **params: Any) -> tuple[Any, list]:
    torch.manual_seed(1)
    reported: list[Any] = []
    task = Task(
        spec=spec, train=Toy(160, 0), val=Toy(64, 1), budget=Budget(epochs=epochs, batch_size=32),
        report=lambda model, epoch, loss: reported.append((epoch, loss)) or 0.0,
        bptt=lambda model, params: model, prepare=change,
    )  # fmt: skip
    return ForwardForward(ForwardForward.Params(hidden=(24, 16), **params)).fit(task), reported


# 1. locality


def test_no_gradient_crosses_a_layer() -> None:
    net = build(gain=0.6)
    x, y = next(Toy(16, 0).epoch())
    pair = [net.one_hot(y), net.one_hot((y + 1) % 4)]
    members = net.members()
    assert sum(len(m) for m in members) == len(list(net.parameters()))
    for k, (true, false) in enumerate(net.layers(net.drive(x), pair)):
        net.zero_grad(set_to_none=True)
        contrast(goodness(true), goodness(false), "swish", 10.0, 0.1).backward()
        for j, own in enumerate(members):
            for parameter in own:
                if j == k:
                    assert parameter.grad is not None and parameter.grad.abs().max() > 0
                else:
                    assert parameter.grad is None


def test_a_layer_trains_the_same_bits_whatever_stands_above_it() -> None:
    def other_top(net: Any) -> Any:
        with torch.no_grad():
            net.stack[1].synapses.weight.neg_().mul_(0.5)
        return net

    plain, _ = fit(gain=0.6)
    other, _ = fit(other_top, gain=0.6)
    for a, b in zip(plain.members()[0], other.members()[0], strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(plain.stack[1].synapses.weight, other.stack[1].synapses.weight)


# 2. embedding and negatives


@pytest.mark.parametrize("embedding", ["append", "overwrite"])
@pytest.mark.parametrize("form", ["tensor", "events", "repeated"])
def test_the_first_current_is_that_of_the_embedded_input(embedding: str, form: str) -> None:
    """Oracle: the embedded input written out, divided by its length, through one matrix. Append leaves the data as they
    are; overwrite changes the first C inputs only, and two entries between two labels."""
    net = build(embedding=embedding, gain=0.5).double()
    rng = np.random.default_rng(0)
    if form == "repeated":
        x: Any = Repeated(torch.from_numpy(rng.random((3, 12))), 10)
    else:
        spikes = rng.random((10, 3, 12)) < 0.3
        step, sample, channel = np.nonzero(spikes)
        order = np.lexsort((channel, step, sample))
        indptr = np.concatenate([[0], np.cumsum(np.bincount(sample, minlength=3))]).astype(np.int64)
        events = Events(indptr, step[order].astype(np.int32), channel[order].astype(np.int32), 10, 12)
        x = events if form == "events" else events.dense().double()
    data = dense(x).double().numpy()
    shown = {}
    for label in (1, 3):
        one_hot = np.zeros((10, 3, 4))
        one_hot[..., label] = 1
        if embedding == "append":
            shown[label] = np.concatenate([data, one_hot], -1)
            assert np.array_equal(shown[label][..., :12], data)
        else:
            shown[label] = np.concatenate([one_hot, data[..., 4:]], -1)
            assert np.array_equal(shown[label][..., 4:], data[..., 4:])
        weight = net.first.synapses.weight.detach().numpy()
        lab = net.label.weight.detach().numpy()
        matrix = np.concatenate([weight, lab], 1) if embedding == "append" else np.concatenate([lab, weight[:, 4:]], 1)
        scaled = 0.5 * math.sqrt(shown[label].shape[-1]) * shown[label]
        expected = scaled / (np.linalg.norm(shown[label], axis=-1, keepdims=True) + 1e-4) @ matrix.T
        seen: list[Tensor] = []
        handle = net.first.length.register_forward_hook(lambda module, inputs, output, seen=seen: seen.append(output))
        list(net.layers(net.drive(x), [net.one_hot(torch.full((3,), label))]))
        handle.remove()
        np.testing.assert_allclose(seen[0].detach().numpy(), expected, atol=1e-6)
    assert int((shown[1] != shown[3]).any((0, 1)).sum()) == 2


def test_negatives_are_never_true_and_permuted_ones_sometimes_are() -> None:
    torch.manual_seed(0)
    labels = torch.randint(0, 10, (20_000,))
    wrong = false_labels(labels, 10, "exclude")
    assert (wrong != labels).all()
    assert torch.bincount((wrong - labels) % 10, minlength=10)[1:].min() > 20_000 / 9 * 0.9
    permuted = false_labels(labels, 10, "permute")
    assert torch.equal(permuted.sort().values, labels.sort().values)
    share = (permuted == labels).double().mean().item()
    assert abs(share - 0.1) < 5 * math.sqrt(0.1 * 0.9 / 20_000)


# the formulas


def test_goodness_by_hand() -> None:
    spikes = torch.tensor([[[1.0, 0]], [[1, 1]], [[0, 0]], [[1, 0]]])
    # rates 3/4 and 1/4: mean of 9/16 and 1/16
    assert goodness(spikes).item() == 10 / 32
    # t=1: (1, 0); t=2: (1, 1/2); t=3: (2/3, 1/3)
    expected = torch.tensor([1 / 2, 5 / 8, 5 / 18, 10 / 32])
    torch.testing.assert_close(running_goodness(spikes)[:, 0], expected)


def test_losses_by_hand() -> None:
    positive, negative = torch.tensor([0.3]), torch.tensor([0.1])
    softplus = lambda z: math.log1p(math.exp(z))  # noqa: E731
    assert contrast(positive, negative, "threshold", 10.0, 0.2).item() == pytest.approx(2 * softplus(-1.0), rel=1e-6)
    assert contrast(positive, negative, "symba", 10.0, 0.2).item() == pytest.approx(softplus(-2.0), rel=1e-6)
    assert contrast(positive, negative, "swish", 10.0, 0.2).item() == pytest.approx(-2 / (1 + math.exp(2)), rel=1e-6)


def test_the_swish_loss_stops_pushing_at_a_gap_of_1_2785() -> None:
    gap = torch.tensor([1.2, 1.2785, 1.4], dtype=torch.float64, requires_grad=True)
    loss = contrast(gap, torch.zeros(3, dtype=torch.float64), "swish", 1.0, 0.1) * 3
    (slope,) = torch.autograd.grad(loss, gap)
    assert slope[0] < 0 < slope[2] and abs(slope[1]) < 1e-4
    assert contrast(gap[1:2], torch.zeros(1), "swish", 1.0, 0.1).item() == pytest.approx(-0.2785, abs=1e-4)


# 4. normalisation


def test_the_length_of_the_input_does_not_matter() -> None:
    net, loud = build(gain=0.5), build(gain=0.5, normalise=False)
    length, plain = net.stack[1].length, loud.stack[1].length
    current, squared = torch.randn(10, 8, 16), torch.rand(10, 8, 1) * 20 + 1
    for factor in (0.2, 7.0):
        torch.testing.assert_close(
            length(current * factor, squared * factor**2), length(current, squared), rtol=1e-3, atol=1e-4
        )
        assert not torch.allclose(plain(current * factor, squared * factor**2), plain(current, squared), rtol=1e-2)


def test_a_layer_cannot_read_the_length_of_what_the_one_below_sends() -> None:
    """Identity weights: the current has the same length for one spike as for sixteen; without normalisation its root."""
    sent = torch.triu(torch.ones(16, 16)).unsqueeze(1)  # at step t the first 16 - t neurons spike
    for normalise in (True, False):
        layer = build(SPEC, gain=0.5, normalise=normalise).stack[1].length
        length = layer(sent, sent.square().sum(-1, keepdim=True)).norm(dim=-1).flatten()
        wanted = torch.full((16,), layer.gain.item()) if normalise else layer.gain * sent.sum(-1).sqrt().flatten()
        torch.testing.assert_close(length, wanted, rtol=2e-4, atol=0)


# 6. silence


def test_a_silent_layer_stops_the_training() -> None:
    """T = 1 and a small fixed gain: no neuron reaches threshold in one step."""
    one_step = SPEC.model_copy(update={"T": 1})
    with pytest.raises(BenchError, match="never spikes on the first batch") as caught:
        fit(spec=one_step, gain=0.02)
    assert "gain" in caught.value.problems[0].do


def test_the_gain_is_found_for_the_network_and_for_its_twin() -> None:
    for mode in ("full", "notd"):
        net = build()
        net.set_time(mode)
        x, y = next(Toy(64, 0, 64).epoch())
        net.calibrate(x, y, 0.05)
        assert net.rates(x, y) == pytest.approx([0.05, 0.05], rel=0.25)


# time


@pytest.mark.parametrize("readout", ["sum", "last"])
def test_logits_are_causal_and_add_up_to_the_goodness(readout: str) -> None:
    net = build(SPEC.model_copy(update={"readout": readout}), gain=1.0).double()
    x = torch.rand(10, 5, 12, dtype=torch.float64)
    logits = net(x)
    read = logits[-1] if readout == "last" else logits.sum(0)
    for label in range(4):
        total = torch.zeros(5, dtype=torch.float64)
        for (spikes,) in net.layers(net.drive(x), [net.one_hot(torch.full((5,), label))]):
            total += goodness(spikes)
        torch.testing.assert_close(read[:, label], total)
    torch.testing.assert_close(net(x[:6]), logits[:6])
    assert read.std() > 0


@pytest.mark.parametrize("readout", ["sum", "last"])
def test_the_twin_without_time_passes_the_probe_and_the_network_does_not(readout: str) -> None:
    spec = SPEC.model_copy(update={"readout": readout})
    x = torch.rand(10, 5, 12)
    net = build(spec, gain=1.5)
    with pytest.raises(RuntimeError, match="order of its inputs"):
        refuse_time(net, x)
    method = ForwardForward(ForwardForward.Params())
    before = net(x)
    twin = method.timeless(net)
    refuse_time(twin, x)
    assert twin(x).std() > 0 and not torch.equal(twin(x), before)


def test_sdbp_sees_the_same_and_learns_otherwise() -> None:
    x, y = next(Toy(16, 0).epoch())
    grads, outs = [], []
    for mode in ("full", "sdbp"):
        net = build(gain=0.6)
        net.set_time(mode)
        outs.append(net(x))
        (spikes,) = next(net.layers(net.drive(x), [net.one_hot(y)]))
        goodness(spikes).sum().backward()
        grads.append(net.first.synapses.weight.grad.clone())
    assert torch.equal(outs[0], outs[1])
    assert not torch.allclose(grads[0], grads[1])


def test_overwriting_needs_room() -> None:
    method = ForwardForward(ForwardForward.Params(embedding="overwrite"))
    assert method.supports(SPEC)
    verdict = method.supports(SPEC.model_copy(update={"channels": 3}))
    assert not verdict and "append" in verdict.reason


# 3, 5, 7. learning, and what the record says


def test_true_labels_end_with_more_goodness_in_every_layer() -> None:
    net, reported = fit(epochs=8, lr=5e-3)
    assert [epoch for epoch, _ in reported] == list(range(8))
    assert reported[-1][1] < reported[0][1]
    x, y = next(Toy(200, 5, 200).epoch())
    pair = [net.one_hot(y), net.one_hot((y + 1) % 4)]
    for true, false in net.layers(net.drive(x), pair):
        assert goodness(true).mean() > goodness(false).mean()


def test_the_threshold_loss_puts_true_and_false_labels_on_either_side_of_theta() -> None:
    net, _ = fit(epochs=20, lr=5e-3, loss="threshold", theta=0.1)
    x, y = next(Toy(200, 5, 200).epoch())
    pair = [net.one_hot(y), net.one_hot((y + 1) % 4)]
    for true, false in net.layers(net.drive(x), pair):
        assert (goodness(true) > 0.1).float().mean() > 0.6
        assert (goodness(false) < 0.1).float().mean() > 0.6


def test_an_untrained_network_is_at_chance_on_digits() -> None:
    """Mean of five networks: a tenth, within 4 points."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    x, y = torch.from_numpy(digits.data[:600] / 16).float(), torch.from_numpy(digits.target[:600])
    spec = SPEC.model_copy(update={"n_classes": 10, "channels": 64})
    found = []
    for seed in range(5):
        torch.manual_seed(seed)
        net: Any = ForwardForward(ForwardForward.Params(hidden=(24, 16))).build(spec)
        net.calibrate(Repeated(x[:64], 10), y[:64], 0.2)
        with torch.no_grad():
            found.append((net(Repeated(x, 10)).sum(0).argmax(1) == y).double().mean().item())
    assert sum(found) / 5 == pytest.approx(0.1, abs=0.04), found


def test_digits_through_the_protocol(tmp_path: Any) -> None:
    """Untrained is chance (0.10); 4 epochs reach most of it. The full budget is in the slow test."""
    rows = records_of(
        tmp_path, ["{name: ff, params: {hidden: [64, 64], lr: 0.01}}"], ["{name: digits, params: {T: 8}}"], epochs=4
    )
    record = rows["ff@digits"]
    assert record.status == "done", record.reason
    assert record.test_accuracy is not None and record.test_accuracy > 0.6
    assert record.missing == {} and record.acs_per_sample and record.acs_per_sample > 0
    assert record.notes and all(word in record.notes[0] for word in ("swish", "append", "exclude", "layers summed"))
    assert "each layer" in record.notes[1] and len(record.notes) == 2, "pictures have no order"
    assert record.fidelity is not None and record.fidelity.kind == "reconstruction"


def test_pulse_order_and_its_twin_through_the_protocol(tmp_path: Any) -> None:
    """Without time, pulse-order is exactly chance: the twin must give identical scores to a base's two orders."""
    rows = records_of(tmp_path, ["ff"], [PULSE_ORDER], epochs=1, twins="{}")
    assert rows["ff@pulse-order"].status == rows["ff+notd@pulse-order"].status == "done"
    assert rows["ff+notd@pulse-order"].test_accuracy == 0.5
    assert "order reaches it through the leak alone" in rows["ff@pulse-order"].notes[2]


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["threshold", "symba", "swish"])
def test_digits_with_a_whole_budget(tmp_path: Any, loss: str) -> None:
    rows = records_of(
        tmp_path, [f"{{name: ff, params: {{loss: {loss}}}}}"], ["{name: digits, params: {T: 10}}"], epochs=30
    )
    accuracy = rows["ff@digits"].test_accuracy
    assert accuracy is not None and accuracy >= 0.85


def test_a_deep_copy_predicts_the_same() -> None:
    net, _ = fit()
    x, _ = next(Toy(16, 3).epoch())
    assert torch.equal(copy.deepcopy(net)(x), net(x))


# compiled parts


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 2, 7), (9, 5, 130), (50, 3, 256)])
def test_the_compiled_goodness_has_the_bits_of_torch(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    for dtype in (torch.float32, torch.float64):
        spikes = (torch.rand(shape, generator=generator) < 0.3).to(dtype)
        compiled = running_goodness(spikes)
        with monkeypatch.context() as patch:
            patch.setenv("SNN5BENCH_KERNELS", "torch")
            assert torch.equal(compiled, running_goodness(spikes))


@pytest.mark.parametrize("repeated", [False, True])
def test_the_compiled_scaling_has_the_bits_of_torch(repeated: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Output, and gradients of current and bias; the length is that of every step where the data are one frame."""
    torch.manual_seed(0)
    length = Length(12, 37, 0.4, normalise=True)
    torch.nn.init.normal_(length.bias)
    squared = torch.rand(1 if repeated else 6, 5, 1).expand(6, -1, -1) * 9
    pulled = torch.randn(6, 5, 37)
    current = torch.randn(6, 5, 37, requires_grad=True)

    def run() -> tuple[Tensor, ...]:
        out = length(current, squared)
        return (out.detach(), *torch.autograd.grad(out, (current, length.bias), pulled))

    compiled = run()
    monkeypatch.setenv("SNN5BENCH_KERNELS", "torch")
    for ours, plain in zip(compiled, run(), strict=True):
        assert torch.equal(ours, plain)
