"""SpikingNet: three kinds of input, the three time modes, gradient reach, order, and the initial scaling."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from snn5bench.contracts.inputs import Events, Repeated
from snn5bench.contracts.method import set_time
from snn5bench.neurons.glif import GLIF
from snn5bench.neurons.lif import LIF
from snn5bench.neurons.network import SpikingNet
from snn5bench.neurons.neuron import Neuron
from snn5bench.neurons.skips import SkipSpec
from snn5bench.neurons.surrogate import Surrogate

T, B, C = 20, 6, 15
SKIPS = (SkipSpec(0, 2, 5), SkipSpec(1, 2, 2), SkipSpec(2, 1, 3), SkipSpec(1, 3, 0), SkipSpec(2, 3, 1))


def events() -> Events:
    x = np.random.default_rng(0).random((B, T, C)) < 0.15
    sample, step, channel = np.nonzero(x)
    indptr = np.searchsorted(sample, np.arange(B + 1)).astype(np.int64)
    return Events(indptr, step.astype(np.int32), channel.astype(np.int32), T, C)


def lif(n: int) -> Neuron:
    return LIF(0.9, 1.0, "soft", Surrogate("atan", 0.5))


def recurrent(n: int) -> Neuron:
    return LIF(0.9, 1.0, "hard", Surrogate("atan", 0.5), recurrent=n)


def glif(n: int) -> Neuron:
    return GLIF(n, T, surrogate=Surrogate("triangle"))


def build(neuron: Callable[[int], Neuron], skips: tuple[SkipSpec, ...] = (), seed: int = 0) -> SpikingNet:
    torch.manual_seed(seed)
    net = SpikingNet(C, (12, 12), 3, neuron, skips=skips).double()
    net.calibrate(events(), 0.2)
    return net


KINDS = [(lif, ()), (recurrent, ()), (glif, ()), (lif, SKIPS), (glif, SKIPS)]
EACH_KIND = pytest.mark.parametrize(("neuron", "skips"), KINDS, ids=["lif", "recurrent", "glif", "skips", "glif+skips"])


@EACH_KIND
def test_kernels_equal_the_oracle(monkeypatch: pytest.MonkeyPatch, neuron, skips) -> None:  # type: ignore[no-untyped-def]
    net = build(neuron, skips)
    found = []
    for kernels in ("numba", "torch"):
        monkeypatch.setenv("SNN5BENCH_KERNELS", kernels)
        net.zero_grad()
        loss = F.cross_entropy(net(events()).sum(0), torch.arange(B) % 3)
        loss.backward()
        found.append([loss.detach(), *(p.grad for p in net.parameters())])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-12)


@EACH_KIND
def test_events_dense_and_repeated_inputs_agree(neuron, skips) -> None:  # type: ignore[no-untyped-def]
    net = build(neuron, skips)
    dense = events().dense().double()
    torch.testing.assert_close(net(events()), net(dense), rtol=1e-9, atol=1e-12)
    frame = torch.rand(B, C, dtype=torch.float64)
    torch.testing.assert_close(net(Repeated(frame, T)), net(frame.expand(T, -1, -1)), rtol=1e-9, atol=1e-12)


@EACH_KIND
def test_sdbp_forward_is_bit_identical_and_notd_is_not(neuron, skips) -> None:  # type: ignore[no-untyped-def]
    net = build(neuron, skips).float()
    full = net(events())
    assert torch.equal(set_time(net, "sdbp")(events()), full)
    assert not torch.equal(set_time(net, "notd")(events()), full)
    assert torch.equal(set_time(net, "full")(events()), full)


@EACH_KIND
def test_gradient_reach(neuron, skips) -> None:  # type: ignore[no-untyped-def]
    """The last step's output depends, through the gradient, on every step (STBP) or on the last alone (SDBP, NoTD)."""
    net = build(neuron, skips)
    reach = {}
    for mode in ("full", "sdbp", "notd"):
        set_time(net, mode)
        x = events().dense().double().requires_grad_()
        net(x)[-1].square().sum().backward()
        assert x.grad is not None
        reach[mode] = (x.grad.abs().sum((1, 2)) > 0).nonzero().flatten().tolist()
    assert reach["full"] == list(range(T))
    assert reach["sdbp"] == [T - 1]
    assert reach["notd"] == [T - 1]


@EACH_KIND
def test_notd_ignores_the_order_of_the_steps(neuron, skips) -> None:  # type: ignore[no-untyped-def]
    net = build(neuron, skips)
    x, order = events().dense().double(), torch.randperm(T, generator=torch.Generator().manual_seed(1))
    assert not torch.allclose(net(x).sum(0), net(x[order]).sum(0), atol=1e-3)
    set_time(net, "notd")
    torch.testing.assert_close(net(x)[order], net(x[order]), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(net(x).sum(0), net(x[order]).sum(0), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("neuron", "skips"), [(lif, ()), (recurrent, ()), (lif, SKIPS)], ids=["lif", "recurrent", "skips"]
)
def test_one_step_is_a_classifier_of_counts(neuron, skips) -> None:  # type: ignore[no-untyped-def]
    """All of a sample in one bin: nothing is left that time could tell, and the twin is the network."""
    net = build(neuron, skips)
    x = events().dense().double().sum(0, keepdim=True)
    whole = net(x)
    assert whole.abs().max() > 0
    assert torch.equal(set_time(net, "notd")(x), whole)


@EACH_KIND
def test_causality(neuron, skips) -> None:  # type: ignore[no-untyped-def]
    net = build(neuron, skips)
    x = events().dense().double()
    changed = x.clone()
    changed[9] = 1 - changed[9]
    assert torch.equal(net(x)[:9], net(changed)[:9])
    assert not torch.equal(net(x)[9:], net(changed)[9:])


@EACH_KIND
def test_every_parameter_learns(neuron, skips) -> None:  # type: ignore[no-untyped-def]
    net = build(neuron, skips)
    net(events()).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@EACH_KIND
def test_a_copy_and_its_state_give_the_same_bits(neuron, skips) -> None:  # type: ignore[no-untyped-def]
    net = build(neuron, skips).float()
    other = build(neuron, skips, seed=5).float()
    other.load_state_dict(net.state_dict())
    assert torch.equal(net(events()), other(events()))
    assert torch.equal(net(events()), copy.deepcopy(net)(events()))


@pytest.mark.parametrize("mode", ["full", "sdbp", "notd"])
def test_calibration_reaches_the_rate_and_unit_logits(mode: str) -> None:
    torch.manual_seed(0)
    net = set_time(SpikingNet(C, (40, 40), 3, lif), mode)
    reached = net.calibrate(events(), 0.1)
    with torch.no_grad():
        for layer, spikes in enumerate(net.activity(events())[:-1], start=1):
            assert spikes.mean().item() == pytest.approx(0.1, rel=0.2)
            assert spikes.mean().item() == pytest.approx(reached[layer], rel=1e-5)
        assert net(events()).sum(0).std().item() == pytest.approx(1, rel=1e-4)


def test_calibration_is_deterministic_and_the_same_for_the_sdbp_twin() -> None:
    nets = []
    for mode in ("full", "full", "sdbp"):
        torch.manual_seed(0)
        net = set_time(SpikingNet(C, (40, 40), 3, lif, skips=SKIPS), mode)
        net.calibrate(events())
        nets.append(net)
    for a, b, c in zip(*(net.parameters() for net in nets), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)


def test_calibration_leaves_a_silent_batch_alone_and_halves_an_unreachable_rate() -> None:
    net = build(lif)
    before = [p.clone() for p in net.parameters()]
    assert net.calibrate(torch.zeros(T, B, C, dtype=torch.float64)) == {1: 0.0, 2: 0.0}
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    rare = torch.zeros(T, B, C, dtype=torch.float64)
    rare[3, :, :4] = 1
    set_time(net, "notd")
    most = 1 / T
    assert 0 < net.calibrate(rare, 0.3)[1] < most


def test_calibration_refuses_an_impossible_rate() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        build(lif).calibrate(events(), 0.0)


def test_last_read_out_is_scaled_at_the_last_step() -> None:
    torch.manual_seed(0)
    net = SpikingNet(C, (40,), 3, lif, readout="last")
    net.calibrate(events(), 0.3)
    with torch.no_grad():
        assert net(events())[-1].std().item() == pytest.approx(1, rel=1e-4)
