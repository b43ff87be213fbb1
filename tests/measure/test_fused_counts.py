"""Counts of fused stacks, taken from the bits of their spikes: those of the same layers run one by one, field by field."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from measure_nets import events, loop_linear
from torch import Tensor, nn

from snn5bench.contracts.inputs import BatchInput, BitsHook, Events, Repeated, SpikeBits
from snn5bench.measure import counts
from snn5bench.measure.counts import Counter, Counts
from snn5bench.measure.frames import events_by_step, look
from snn5bench.neurons import fused
from snn5bench.neurons.lif import LIF
from snn5bench.neurons.network import SpikingNet

T, C = 14, 30
SIZES = (3, 5, 5, 1, 4)


def as_events(x: Tensor) -> Events:
    sample, step, channel = np.nonzero(x.permute(1, 0, 2).numpy())
    indptr = np.searchsorted(sample, np.arange(x.shape[1] + 1))
    return Events(indptr, step.astype(np.int32), channel.astype(np.int32), *x.shape[::2])


def repeated(x: Tensor) -> Repeated:
    return Repeated(x.sum(0) / 2, len(x))


FORMS: dict[str, Callable[[Tensor], BatchInput]] = {"dense": lambda x: x, "events": as_events, "repeated": repeated}


def batches(form: str, seed: int = 0, steps: int = T) -> list[BatchInput]:
    return [FORMS[form](events(steps, size, C, 0.2, 10 * seed + k)) for k, size in enumerate(SIZES)]


def net(hidden: tuple[int, ...] = (70, 12), reset: str = "hard", pruned: bool = False, seed: int = 0) -> SpikingNet:
    torch.manual_seed(seed)
    made = SpikingNet(C, hidden, 4, lambda n: LIF(reset=reset)).eval()
    made.calibrate(events(T, 8, C, 0.2, seed), 0.15)
    if pruned:
        with torch.no_grad():
            for layer in (*made.synapses, made.readout):
                layer.weight[:, ::3] = 0
                layer.weight[0, -1] = 0
    return made


def counted(model: nn.Module, inputs: list[Any]) -> tuple[Counts, list[Tensor]]:
    with Counter(model) as counter, torch.no_grad():
        logits = [model(x) for x in inputs]
    return counter.result(), logits


def hooked(model: SpikingNet) -> SpikingNet:
    """The same with a hook that wants tensors, so that it runs layer by layer."""
    other = copy.deepcopy(model)
    other.neurons[0].register_forward_hook(lambda module, inputs, output: None)
    return other


def assert_same(found: Counts, expected: Counts) -> None:
    mine, other = asdict(found), asdict(expected)
    profiles = mine.pop("profile"), other.pop("profile")
    assert mine == other
    assert profiles[0].keys() == profiles[1].keys()
    for name, by_key in profiles[0].items():
        assert by_key.keys() == profiles[1][name].keys()
        for key, values in by_key.items():
            assert values.dtype == profiles[1][name][key].dtype
            assert np.array_equal(values, profiles[1][name][key])


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one at each fused pass of a network in `Counter`, or with hooks of a test."""
    made: list[int] = []
    original = fused.run

    def run(synapses: Any, neurons: Any, x: Any) -> Tensor:
        made.extend([1] * bool(synapses[0]._forward_hooks))
        return original(synapses, neurons, x)

    monkeypatch.setattr(fused, "run", run)
    return made


@pytest.mark.parametrize("pruned", [False, True])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("reset", ["hard", "soft"])
@pytest.mark.parametrize(("hidden", "seed"), [((70, 12), 0), ((64,), 1), ((130, 128, 1), 2)])
def test_every_field_as_layer_by_layer(
    calls: list[int], hidden: tuple[int, ...], seed: int, reset: str, form: str, pruned: bool
) -> None:
    model, inputs = net(hidden, reset, pruned, seed), batches(form, seed)
    found, logits = counted(model, inputs)
    assert len(calls) == len(SIZES) - 1, "only the first batch, which the guard watches, goes layer by layer"
    expected, others = counted(hooked(model), inputs)
    assert len(calls) == len(SIZES) - 1
    assert_same(found, expected)
    assert 0 < found.spike_rate < 1 and not found.missing
    for mine, other in zip(logits, others, strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize("held", [0, 5000, 2**30])
def test_it_does_not_matter_how_long_spikes_wait(monkeypatch: pytest.MonkeyPatch, held: int) -> None:
    monkeypatch.setattr(counts, "_HELD", held)
    model, inputs = net(), [*batches("events"), *batches("events", 1, steps=9), *batches("dense", 2)]
    assert_same(counted(model, inputs)[0], counted(hooked(model), inputs)[0])


def test_the_loop_over_spikes() -> None:
    """Operations, spikes, silent and saturated neurons by hand, from the activity of the layers."""
    model, inputs = net(pruned=True), batches("dense")
    with torch.no_grad():
        model.neurons[1].threshold = 1e-3
        found, _ = counted(model, inputs)
        fired = [np.zeros(70), np.zeros(12)]
        synops = np.zeros((3, T))
        for x in inputs:
            sent = [x.numpy(), *(layer.numpy() for layer in model.activity(x))]
            for k, layer in enumerate((*model.synapses, model.readout)):
                for t, frame in enumerate(sent[k]):
                    synops[k, t] += sum(loop_linear(row, layer.weight.numpy()) for row in frame)
            for k in (0, 1):
                fired[k] += sent[k + 1].sum((0, 1))
    samples = sum(SIZES)
    assert found.samples == samples
    assert found.acs_per_sample == pytest.approx(synops.sum() / samples, rel=1e-14)
    for k, name in enumerate(("synapses.0", "synapses.1", "readout")):
        assert np.array_equal(found.profile[name]["synops"], synops[k] / samples)
    assert found.spike_rate == sum(f.sum() for f in fired) / (samples * T * 82)
    assert found.silent_neurons == sum((f == 0).sum() for f in fired)
    assert found.saturated_neurons == sum((f == samples * T).sum() for f in fired)


def test_results_between_batches_and_a_second_entry(calls: list[int]) -> None:
    model, inputs = net(), batches("events")
    other = hooked(model)
    mine, theirs = Counter(model), Counter(other)
    with torch.no_grad():
        for x in inputs:
            with mine, theirs:
                model(x), other(x)
            assert_same(mine.result(), theirs.result())
            model(x), other(x)
    assert calls
    assert_same(mine.result(), theirs.result())


def test_two_counters_and_a_gradient(calls: list[int]) -> None:
    model, inputs = net(), batches("events")
    expected, _ = counted(hooked(model), inputs)
    with Counter(model) as first, Counter(model) as second:
        logits = [model(x) for x in inputs]
    assert len(calls) == len(SIZES) - 1
    assert_same(first.result(), expected)
    assert_same(second.result(), expected)
    alone = copy.deepcopy(model)
    for one in (model, alone):
        (logits[-1] if one is model else one(inputs[-1])).square().sum().backward()
    for mine, other in zip(model.parameters(), alone.parameters(), strict=True):
        assert torch.equal(mine.grad, other.grad)


def test_other_hooks_see_tensors(calls: list[int]) -> None:
    model, inputs = net(), batches("events")
    expected = [layer.detach() for layer in model.activity(inputs[1])]
    seen: list[Any] = []
    with Counter(model), torch.no_grad():
        model(inputs[0])
        for part in (model.neurons[0], model.synapses[1], model.readout):
            handle = part.register_forward_hook(lambda module, received, sent: seen.extend((received[0], sent)))
            model(inputs[1])
            handle.remove()
        handle = model.readout.register_forward_pre_hook(lambda module, received: seen.append(received[0]))
        model(inputs[1])
        handle.remove()
    assert not calls
    for k, value in ((1, expected[0]), (2, expected[0]), (4, expected[1]), (5, expected[2]), (6, expected[1])):
        assert torch.equal(seen[k], value)


def test_a_hook_that_takes_bits(calls: list[int]) -> None:
    model, x = net(), batches("events")[1]
    first, second, logits = model.activity(x)
    seen: dict[str, tuple[Any, Any]] = {}
    for name in ("synapses.0", "neurons.0", "synapses.1", "readout"):
        hook = BitsHook(lambda module, received, sent, name=name: seen.update({name: (received[0], sent)}))
        model.get_submodule(name).register_forward_hook(hook)
    assert torch.equal(model(x), logits)
    assert calls
    assert seen["synapses.0"] == (x, None)
    assert seen["neurons.0"][0] is None
    assert seen["neurons.0"][1] is seen["synapses.1"][0]
    assert seen["synapses.1"][1] is None
    for bits, spikes in ((seen["neurons.0"][1], first), (seen["readout"][0], second)):
        assert isinstance(bits, SpikeBits)
        assert bits.shape == spikes.shape
        assert torch.equal(bits.dense(), spikes)


class Telling(LIF):
    """Reports its own operations, from its current and its spikes."""

    def operations(self, inputs: tuple[Tensor], output: Tensor) -> dict[str, Tensor]:
        return {"acs": (inputs[0] > 0).sum((0, 2)), "spikes": output.sum((0, 2), dtype=torch.int64)}


def test_a_neuron_that_reports_is_shown_its_tensors(calls: list[int]) -> None:
    torch.manual_seed(0)
    model = SpikingNet(C, (12,), 4, lambda n: Telling()).eval()
    found, _ = counted(model, batches("events"))
    assert not calls
    assert not found.missing
    assert found.layers[1].acs > 0


class Outside(nn.Module):
    """A network around one, that has the batch first, or calls it on half the steps."""

    def __init__(self, inner: SpikingNet, halves: bool) -> None:
        super().__init__()
        self.inner, self.halves = inner, halves

    def forward(self, x: Tensor) -> Tensor:
        if not self.halves:
            return self.inner(x.transpose(0, 1).contiguous()).transpose(0, 1)
        return torch.cat([self.inner(part) for part in x.split(len(x) // 2)])


@pytest.mark.parametrize("halves", [False, True])
def test_inside_another_network(calls: list[int], halves: bool) -> None:
    inner, inputs = net(), batches("dense")
    inputs = inputs if halves else [x.transpose(0, 1).contiguous() for x in inputs]
    found, _ = counted(Outside(inner, halves), inputs)
    assert calls
    assert_same(found, counted(Outside(hooked(inner), halves), inputs)[0])


def test_copies_and_pickles(calls: list[int]) -> None:
    model, inputs = net(), batches("events")
    expected = model(inputs[0])
    with Counter(model) as counter, torch.no_grad():
        model(inputs[0])
        copied = copy.deepcopy(model)
        assert torch.equal(copied(inputs[0]), expected)
    counted_once = counter.result()
    assert_same(counted_once, counted(hooked(model), inputs[:1])[0])
    again = pickle.loads(pickle.dumps(model))
    assert not any(part._forward_hooks for part in again.modules())
    assert_same(counted(again, inputs[:1])[0], counted(hooked(model), inputs[:1])[0])
    assert counted_once.samples == SIZES[0]


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 9), st.integers(1, 70), st.integers(1, 200), st.floats(0, 1), st.integers(0, 99))
def test_a_look_at_bits_is_one_at_numbers(steps: int, batch: int, n: int, rate: float, seed: int) -> None:
    spikes = np.random.default_rng(seed).random((steps, batch, n)) < rate
    packed = np.zeros((batch, steps, -(-n // 64) * 64), bool)
    packed[..., :n] = spikes.transpose(1, 0, 2)
    bits = SpikeBits(np.packbits(packed, axis=-1, bitorder="little").view(np.uint64), n)
    dense = torch.from_numpy(spikes).float()
    assert torch.equal(bits.dense(), dense)
    found, expected = look(bits), look(dense)
    assert np.array_equal(found.by_step, expected.by_step)
    assert np.array_equal(found.by_value, expected.by_value)
    assert (found.total, found.unit, found.fired) == (expected.total, expected.unit, None)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 40), max_size=300), st.booleans())
def test_events_by_step(drawn: list[int], in_order: bool) -> None:
    step = np.array(sorted(drawn) if in_order else drawn, np.int32)
    assert np.array_equal(events_by_step(step, 41), np.bincount(step, minlength=41))
