"""The fused stack: the bits of the layers run one by one, the gradients of the plain loops, and when it steps aside."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import gradcheck

from snn5bench.contracts.inputs import BatchInput, Events, Repeated
from snn5bench.contracts.method import set_time
from snn5bench.neurons import fused
from snn5bench.neurons.glif import GLIF
from snn5bench.neurons.lif import LIF
from snn5bench.neurons.lif_scan import LifConstants
from snn5bench.neurons.network import SpikingNet
from snn5bench.neurons.skips import SkipSpec
from snn5bench.neurons.surrogate import SHAPES, Surrogate

T, B, C = 14, 11, 15


def trains(batch: int = B, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((T, batch, C)) < 0.2).double()


def to_events(x: Tensor) -> Events:
    sample, step, channel = np.nonzero(x.permute(1, 0, 2).numpy())
    indptr = np.searchsorted(sample, np.arange(x.shape[1] + 1)).astype(np.int64)
    return Events(indptr, step.astype(np.int32), channel.astype(np.int32), *x.shape[::2])


def build(
    hidden: tuple[int, ...] = (70, 13),
    reset: str = "soft",
    shape: str = "atan",
    detach: bool = False,
    skips: tuple[SkipSpec, ...] = (),
) -> SpikingNet:
    torch.manual_seed(0)
    surrogate = Surrogate(shape, 0.7, 1.3)  # type: ignore[arg-type]
    net = SpikingNet(C, hidden, 3, lambda n: LIF(0.9, 1.0, reset, surrogate, detach), skips=skips).double()
    net.calibrate(to_events(trains()), 0.2)
    return net


def layer_by_layer(net: SpikingNet, x: BatchInput) -> Tensor:
    return net.activity(x)[-1]


FORMS = {
    "events": lambda: to_events(trains()),
    "dense": trains,
    "repeated": lambda: Repeated(torch.rand(B, C, generator=torch.Generator().manual_seed(3)).double(), T),
}
READ = {"sum": lambda out: out.sum(0), "last": lambda out: out[-1], "each": lambda out: out.flatten(0, 1).tanh()}


def gradients(net: SpikingNet, logits: Tensor, read: str) -> dict[str, Tensor]:
    net.zero_grad()
    scores = READ[read](logits)
    F.cross_entropy(scores, torch.arange(len(scores)) % 3).backward()
    return {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one at each fused pass."""
    made: list[int] = []
    original = fused.run
    monkeypatch.setattr(fused, "run", lambda *args: made.append(1) or original(*args))
    return made


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("reset", ["hard", "soft"])
@pytest.mark.parametrize("hidden", [(12,), (64, 70), (130, 128, 1)])
def test_same_bits_as_layer_by_layer(calls: list[int], hidden: tuple[int, ...], reset: str, form: str) -> None:
    net = build(hidden, reset).float()
    x = FORMS[form]()
    if isinstance(x, Tensor):
        x = x.float()
    together = net(x)
    assert calls
    assert 0.02 < torch.stack([s.mean() for s in net.activity(x)[:-1]]).mean() < 0.6
    assert torch.equal(together, layer_by_layer(net, x))
    with torch.no_grad():
        assert torch.equal(net(x), together)


@pytest.mark.parametrize("read", READ)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("time", ["full", "sdbp", "notd"])
@pytest.mark.parametrize("reset", ["hard", "soft"])
def test_gradients_equal_the_plain_loops(
    monkeypatch: pytest.MonkeyPatch, calls: list[int], reset: str, time: str, form: str, read: str
) -> None:
    net, x = set_time(build(reset=reset), time), FORMS[form]()
    calls.clear()
    found = gradients(net, net(x), read)
    monkeypatch.setenv("SNN5BENCH_KERNELS", "torch")
    expected = gradients(net, net(x), read)
    assert len(calls) == 1
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-12, msg=name)
        assert value.abs().max() > 0


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reset", ["hard", "soft"])
def test_every_surrogate(monkeypatch: pytest.MonkeyPatch, reset: str, shape: str, detach: bool) -> None:
    net, x = build(reset=reset, shape=shape, detach=detach), to_events(trains())
    found = gradients(net, net(x), "sum")
    monkeypatch.setenv("SNN5BENCH_KERNELS", "torch")
    for name, value in gradients(net, net(x), "sum").items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-12, msg=name)


def test_gradient_of_a_dense_input() -> None:
    net = build()
    a, b = trains().requires_grad_(), trains().requires_grad_()
    net(a).square().sum().backward()
    layer_by_layer(net, b).square().sum().backward()
    torch.testing.assert_close(a.grad, b.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("hard", [True, False])
def test_gradcheck(hard: bool) -> None:
    """As in `test_gradcheck`: the surrogate is zero away from the threshold, and what is left is exact."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 5), (3,), (4, 3), (4,), (2, 4), (2,)]
    parameters = [torch.randn(*s, dtype=torch.float64, generator=generator).requires_grad_() for s in shapes]
    narrow = fused.Layer(3, LifConstants(0.8, 0.7, hard, False, True), Surrogate("rectangle", 1e-9))
    layers = [narrow, narrow._replace(neurons=4)]
    events = to_events(trains(2)[..., :5])
    assert gradcheck(lambda *p: fused.lif_stack(events, T, layers, p)[0], parameters)
    current = torch.randn(T, 2, 3, dtype=torch.float64, generator=generator).requires_grad_()
    assert gradcheck(lambda x, *p: fused.lif_stack(x, T, layers, p)[0], (current, *parameters[2:]))


def test_a_sample_does_not_depend_on_its_batch() -> None:
    net, x = build().float(), trains()
    assert torch.equal(net(to_events(x))[:, 7], net(to_events(x[:, 7:8]))[:, 0])


def test_same_bits_each_time_and_graphs_do_not_mix() -> None:
    net, x, y = build().float(), to_events(trains()), to_events(trains(B, 1))
    first, again = gradients(net, net(x), "sum"), gradients(net, net(x), "sum")
    kept = net(x)
    net(y)
    late = gradients(net, kept, "sum")
    for name, value in first.items():
        assert torch.equal(value, again[name])
        assert torch.equal(value, late[name])


def test_frozen_weights_stay_without_gradient() -> None:
    net = build()
    net.feed(1).weight.requires_grad_(False)
    assert net.feed(1).weight.grad is None
    assert "synapses.0.weight" not in gradients(net, net(to_events(trains())), "sum")


def test_a_hook_on_any_part_is_served(calls: list[int]) -> None:
    x = to_events(trains())
    for name in ("synapses.1", "neurons.0", "readout"):
        net, seen = build(), []
        expected = net(x)
        before = len(calls)
        handle = net.get_submodule(name).register_forward_hook(lambda m, i, o, seen=seen: seen.append(o.shape))
        assert torch.equal(net(x), expected)
        assert len(seen) == 1
        assert len(calls) == before
        handle.remove()
        net(x)
        assert len(calls) == before + 1


class Louder(LIF):
    """A neuron with a forward of its own."""

    def forward(self, x: Tensor, memory: object = None) -> Tensor:
        return super().forward(2 * x)


def test_other_networks_go_layer_by_layer(calls: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    x = to_events(trains())
    other = SpikingNet(C, (8,), 3, lambda n: GLIF(n, T))
    others = [other, SpikingNet(C, (8,), 3, lambda n: LIF(recurrent=n)), SpikingNet(C, (8,), 3, lambda n: Louder())]
    others += [SpikingNet(C, (), 3, lambda n: LIF()), build(skips=(SkipSpec(1, 2, 1),))]
    for net in others:
        net(x)
    assert not calls
    net = build()
    calls.clear()
    copied = copy.deepcopy(net)
    copied.feed(2).bias = None
    copied(x)
    net.neurons[0] = nn.Identity()  # type: ignore[assignment]
    with pytest.raises(TypeError):
        net(x)
    monkeypatch.setenv("SNN5BENCH_KERNELS", "torch")
    build()(x)
    assert not calls
