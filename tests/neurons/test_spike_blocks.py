"""The fused layers of the saccadic Transformer against the same layers run part by part: spikes, statistics, gradients."""

from __future__ import annotations

import copy
import gc
import weakref

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck

from snn5bench.neurons import spike_blocks
from snn5bench.neurons.lif import LIF
from snn5bench.neurons.neuron import Neuron
from snn5bench.neurons.norms import StepBatchNorm
from snn5bench.neurons.plif import PLIF
from snn5bench.neurons.saccade import Saccade
from snn5bench.neurons.snn_vit import Attention, ChannelTokens, Perceptron, SpikingTransformer
from snn5bench.neurons.surrogate import SHAPES, Surrogate

T, B, N, D, HEADS = 9, 5, 3, 12, 2
Layer = Attention | Perceptron


def neuron(reset: str = "hard", shape: str = "atan", detach: bool = False) -> Neuron:
    return LIF(0.5, 0.6, reset, Surrogate(shape, 0.5, 1.3), detach)  # type: ignore[arg-type]


def layer_of(kind: str, width: int = D, form: str = "v2", **options: object) -> Layer:
    torch.manual_seed(1)

    def make() -> Neuron:
        return neuron(**options)  # type: ignore[arg-type]

    if kind == "attention":
        layer: Layer = Attention(width, HEADS, Saccade(T, form, 0.8), make)  # type: ignore[arg-type]
    else:
        layer = Perceptron(width, 2 * width, make)
    for norm in layer.modules():
        if isinstance(norm, StepBatchNorm):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.uniform_(norm.bias, -0.5, 0.5)
    layer = layer.double()
    if isinstance(layer, Attention):
        layer.saccade.calibrate(*copy.deepcopy(layer).qkv(currents(width))[:2], 0.4)
    return layer


def currents(width: int = D, seed: int = 0) -> Tensor:
    return torch.randn(T, B, N, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + 0.2


def both(layer: Layer, x: Tensor) -> list[tuple[Tensor, dict[str, Tensor]]]:
    """Output, then gradients and statistics, of the fused layer and of its parts."""
    seen = []
    weights = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(5))
    for fused in (True, False):
        twin, source = copy.deepcopy(layer), x.clone().requires_grad_()
        out = twin.added(source) if fused else source + twin(source)
        (out.tanh() * weights).sum().backward()
        told = {name: p.grad for name, p in twin.named_parameters() if p.grad is not None}
        told |= {name: b.clone() for name, b in twin.named_buffers()}
        seen.append((out.detach(), {**told, "x": source.grad}))  # type: ignore[dict-item]
    return seen


def agree(layer: Layer, x: Tensor) -> None:
    assert spike_blocks.fusible(x, layer)
    (mine, told), (theirs, expected) = both(layer, x)
    torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)
    assert told.keys() == expected.keys()
    for name, value in expected.items():
        assert name == "x" or value.abs().sum() > 0, name
        torch.testing.assert_close(told[name], value, rtol=1e-8, atol=1e-10, msg=name)


@pytest.mark.parametrize("kind", ["attention", "perceptron"])
@pytest.mark.parametrize("reset", ["hard", "soft"])
@pytest.mark.parametrize("detach", [False, True])
def test_equals_its_parts(kind: str, reset: str, detach: bool) -> None:
    agree(layer_of(kind, reset=reset, detach=detach), currents())


@pytest.mark.parametrize("shape", SHAPES)
def test_every_surrogate(shape: str) -> None:
    agree(layer_of("perceptron", shape=shape), currents())


@pytest.mark.parametrize("kind", ["attention", "perceptron"])
@pytest.mark.parametrize("width", [2, 34, 64, 70, 150])
def test_widths_that_fill_words_and_blocks_or_do_not(kind: str, width: int) -> None:
    agree(layer_of(kind, width), currents(width))


def test_a_layer_wider_than_a_block() -> None:
    agree(layer_of("perceptron", 600), currents(600))


@pytest.mark.parametrize("form", ["v1", "v2-decoupled"])
def test_other_forms_of_the_attention(form: str) -> None:
    layer, x = layer_of("attention", form=form), currents()
    agree(layer, x)
    layer.eval()
    with torch.no_grad():
        torch.testing.assert_close(layer.added(x), x + layer(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["attention", "perceptron"])
@pytest.mark.parametrize("mode", ["sdbp", "notd"])
def test_with_time_cut(kind: str, mode: str) -> None:
    layer = layer_of(kind)
    for part in layer.modules():
        if isinstance(part, Neuron | Saccade):
            part.set_time(mode)
    agree(layer, currents())


@pytest.mark.parametrize("kind", ["attention", "perceptron"])
def test_evaluation_uses_the_running_statistics(kind: str) -> None:
    layer, x = layer_of(kind), currents()
    layer.added(currents(seed=3))
    layer.eval()
    with torch.no_grad():
        assert spike_blocks.fusible(x, layer)
        torch.testing.assert_close(layer.added(x), x + layer(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["attention", "perceptron"])
def test_gradients_of_what_is_smooth(kind: str) -> None:
    """Spikes do not move under a small change of the last norm, so that finite differences hold there."""
    layer, x = layer_of(kind), currents()
    factor = layer.norm.weight.detach().clone().requires_grad_()

    def out(weight: Tensor) -> Tensor:
        twin = copy.deepcopy(layer)
        del twin.norm.weight
        twin.norm.weight = weight
        return twin.added(x)

    assert gradcheck(out, (factor,))


@pytest.mark.parametrize("kind", ["attention", "perceptron"])
def test_steps_aside_where_it_would_not_do_the_same(kind: str) -> None:
    x = currents()
    hooked = layer_of(kind)
    hooked.norm.register_forward_hook(lambda *_: None)
    frozen = layer_of(kind)
    frozen.norm.weight.requires_grad_(False)
    mixed = layer_of(kind)
    mixed.norm.eval()
    other = layer_of(kind)
    spiking = other.q if isinstance(other, Attention) else other.hidden
    spiking.neuron = LIF(0.5, 0.6, recurrent=D).double()
    another = layer_of(kind)
    another.neuron = PLIF().double()
    for layer in (hooked, frozen, mixed, other, another, layer_of(kind).eval()):
        assert not spike_blocks.fusible(x, layer)
    with torch.no_grad():
        assert spike_blocks.fusible(x, layer_of(kind).eval())


def test_queries_with_another_slope_than_keys_go_part_by_part() -> None:
    layer = layer_of("attention")
    assert isinstance(layer, Attention)
    layer.k.neuron.surrogate.width.fill_(0.7)  # type: ignore[union-attr, operator]
    assert not spike_blocks.fusible(currents(), layer)
    torch.testing.assert_close(layer.added(currents()), currents() + copy.deepcopy(layer)(currents()))


def test_a_network_gives_the_logits_of_its_parts_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    net = SpikingTransformer(
        ChannelTokens(40, 4, 16), 16, [Attention(16, 2, Saccade(T), neuron)], [Perceptron(16, 32, neuron)], 5, neuron
    )
    x = (torch.rand(T, 16, 40, generator=torch.Generator().manual_seed(2)) < 0.2).float()
    net.calibrate(x, 0.4)
    twin = copy.deepcopy(net)
    fused = net(x)
    monkeypatch.setattr(spike_blocks, "fusible", lambda *parts: False)
    torch.testing.assert_close(fused, twin(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["attention", "perceptron"])
def test_what_a_pass_keeps_goes_with_its_output(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the garbage collector: a circle from the output back to itself would hold every step's memory."""
    seen: list[weakref.ref[spike_blocks._Pass]] = []
    original = spike_blocks._Pass.out
    monkeypatch.setattr(spike_blocks._Pass, "out", lambda self: seen.append(weakref.ref(self)) or original(self))
    layer = layer_of(kind)
    gc.disable()
    try:
        out = layer.added(currents().requires_grad_())
        assert [last() is None for last in seen] == [False]
        del out
        assert [last() is None for last in seen] == [True]
    finally:
        gc.enable()
