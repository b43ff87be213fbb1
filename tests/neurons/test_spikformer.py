"""Spikformer against spikingjelly's own, its product against loops, time modes, counts, and what the attention sees."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based.layer import SpikingSelfAttention
from spikingjelly.activation_based.model.spikformer import Spikformer
from spikingjelly.activation_based.neuron import LIFNode
from torch import Tensor, nn

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.measure.counts import Counter
from snn5bench.methods import spikformer
from snn5bench.neurons.lif import LIF
from snn5bench.neurons.norms import adopting
from snn5bench.neurons.spike_attention import SpikeProduct, by_tokens, wake
from snn5bench.neurons.spikformer import LineTokens, Node, PictureTokens, SelfAttention, SpikformerNet
from snn5bench.neurons.surrogate import Surrogate

T, B, D = 4, 3, 16


def spikes(*shape: int, rate: float = 0.3, seed: int = 0) -> Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < rate).float()


def pictures(**more: object) -> SpikformerNet:
    torch.manual_seed(0)
    return SpikformerNet(PictureTokens((2, 8, 8), 4, D), D, 4, 2, 4, 3, **more)  # type: ignore[arg-type]


def line(**more: object) -> SpikformerNet:
    torch.manual_seed(0)
    return SpikformerNet(LineTokens(11, 4, D), D, 4, 1, 2, 3, **more)  # type: ignore[arg-type]


# Against spikingjelly.


@pytest.mark.parametrize("training", [True, False])
def test_equals_spikingjellys_network(training: bool) -> None:
    ours = pictures()
    theirs = Spikformer(T, 2, 8, 8, 4, num_classes=3, embed_dims=D, num_heads=4, depths=2)
    weights = {
        name.replace("tokens.stem", "patch_embed").replace("readout", "head"): value
        for name, value in ours.state_dict().items()
        if not name.endswith("gain")
    }
    theirs.load_state_dict(weights)
    x = torch.rand(T, B, 128, generator=torch.Generator().manual_seed(1))
    for net in (ours, theirs):
        for module in net.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.weight.data.fill_(4.0)  # at the published start next to nothing fires
    with adopting(ours), adopting(theirs):
        ours(x), theirs(x.view(T, B, 2, 8, 8))
    functional.reset_net(theirs)
    ours.train(training), theirs.train(training)
    mine, expected = ours(x), theirs(x.view(T, B, 2, 8, 8))
    assert torch.equal(mine, expected)
    assert mine.std() > 0
    mine.sum().backward()
    expected.sum().backward()
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.equal(cast("Tensor", p.grad), cast("Tensor", q.grad)), name


def test_the_size_reported_for_the_small_one() -> None:
    net = SpikformerNet(PictureTokens((1, 28, 28), 4, 64), 64, 4, 1, 4, 10)
    assert sum(p.numel() for p in net.parameters()) == 112_450


@pytest.mark.parametrize("tau", [2.0, 5.0])
def test_the_node_is_spikingjellys_and_nearly_our_lif(tau: float) -> None:
    x = 3 * torch.randn(30, B, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    mine = Node(tau).double()(x)
    assert torch.equal(mine, LIFNode(tau, detach_reset=True, step_mode="m").double()(x))
    ours = LIF(1 - 1 / tau, 1.0, "hard", Surrogate("sigmoid", 0.25), detach_reset=True)(x / tau)
    assert (mine != ours).double().mean() < 1e-3


def test_two_calls_are_two_sequences() -> None:
    """spikingjelly's network needs a reset between batches; ours leaves none to forget."""
    net, x = line().eval(), spikes(T, B, 11)
    for _ in range(3):
        net.train()(x)
    net.eval()
    first = net(x)
    assert torch.equal(first, net(x))
    assert all(node.v == 0.0 for node in net.nodes())


# The product.


@pytest.mark.parametrize(("tokens", "channels"), [(7, 4), (3, 8)])
def test_the_product_and_its_additions_by_definition(tokens: int, channels: int) -> None:
    q, k, v = (spikes(2, B, 2, channels, tokens, seed=seed) for seed in (1, 2, 3))
    product = SpikeProduct()
    found = product(q, k, v)
    expected, adds = np.zeros(found.shape), np.zeros((2, B), int)
    Q, K, V = q.numpy(), k.numpy(), v.numpy()
    for t, b, h in np.ndindex(2, B, 2):
        for d, n in np.ndindex(channels, tokens):
            for m, e in np.ndindex(tokens, channels):
                expected[t, b, h, d, n] += V[t, b, h, d, m] * K[t, b, h, e, m] * Q[t, b, h, e, n]
        one, other = (K[t, b, h].T, Q[t, b, h]) if tokens < channels else (V[t, b, h], K[t, b, h].T)
        between = one @ other
        for i, j, m in np.ndindex(len(one), other.shape[1], one.shape[1]):
            adds[t, b] += int(one[i, m] * other[m, j])
        left, right = (V[t, b, h], between) if tokens < channels else (between, Q[t, b, h])
        for i, j, m in np.ndindex(len(left), right.shape[1], left.shape[1]):
            adds[t, b] += int(left[i, m] != 0 and right[m, j] != 0)
    assert by_tokens(q) == (tokens < channels)
    assert np.array_equal(found.numpy(), expected)
    assert np.array_equal(product.operations((q, k, v), found)["matmul_acs"].numpy(), adds)


def test_both_orders_are_equal_to_the_bit() -> None:
    q, k, v = (spikes(2, B, 2, 24, 64, rate=0.5, seed=seed) for seed in (1, 2, 3))
    assert torch.equal(v @ (k.transpose(-2, -1) @ q), (v @ k.transpose(-2, -1)) @ q)


def test_the_attention_equals_spikingjellys() -> None:
    torch.manual_seed(0)
    mine, theirs = SelfAttention(D, 4), SpikingSelfAttention(D, 4)
    theirs.load_state_dict(mine.state_dict(), strict=False)
    for layer in (mine, theirs):
        cast("nn.BatchNorm1d", layer.qkv_conv_bn[1]).weight.data.fill_(4.0)
    x = spikes(T, B, D, 30, rate=0.5)
    assert torch.equal(mine(x), theirs(x))
    assert mine(x).sum() > 0


# What it sees.


def test_permuting_the_tokens_permutes_the_output() -> None:
    net = line()
    x, order = spikes(T, B, D, 1, 7), torch.randperm(7)
    net.calibrate(spikes(T, B, 11), 0.1)
    for block in net.blocks:
        out = block(x)
        net.reset()
        torch.testing.assert_close(block(x[..., order]), out[..., order])
        net.reset()
        assert not torch.equal(out, x)


def test_steps_are_causal_and_tokens_are_not() -> None:
    net, x = line(), spikes(T, B, 11)
    net.calibrate(x, 0.2)
    net.eval().double()
    changed = x.double().clone()
    changed[2] = 1 - changed[2]
    before, after = net(x.double()), net(changed)
    assert torch.equal(before[:2], after[:2])
    assert not torch.equal(before[2:], after[2:])
    attention = SelfAttention(D, 4)
    tokens = spikes(T, 1, D, 30, rate=0.5, seed=3)
    with adopting(attention):
        wake(attention, tokens, Node, 0.3)
    attention.eval()
    edited = tokens.clone()
    edited[..., 20] = 1 - edited[..., 20]
    seen = []
    for given in (tokens, edited):
        functional.reset_net(attention)
        seen.append(attention.attend(given))
    moved = (seen[0] != seen[1]).any(0).any(0).any(0)
    assert moved[:20].any(), "a token sees those behind it"
    assert moved[21:].any(), "and those before"


def test_the_published_start_is_silent_behind_the_attention() -> None:
    """And the projection behind it gets no gradient, unless the first batch sets the scale."""
    x = spikes(T, 16, 11, rate=0.5)
    for rate in (0.0, 0.05):
        net = line()
        net.calibrate(x, rate)
        attention = net.blocks[0].attn
        fired = []
        attention.attn_lif.register_forward_hook(
            lambda module, given, out, fired=fired: fired.append(out.mean().item())
        )
        net(x).square().sum().backward()
        gradient = attention.proj_conv_bn[0].weight.grad.abs().max()
        if rate:
            assert fired[0] >= 0.04
            assert gradient > 0
        else:
            assert fired[0] == 0
            assert gradient == 0


@pytest.mark.parametrize("mode", ["full", "notd"])
def test_no_layer_starts_silent(mode: str) -> None:
    """By one forward pass; the scales that it leaves reproduce what it saw."""
    net, x = pictures(), torch.rand(T, 16, 128, generator=torch.Generator().manual_seed(1))
    net.set_time(mode)
    net.calibrate(x, 0.05)
    rates = {}
    for name, module in net.named_modules():
        if isinstance(module, Node):
            module.register_forward_hook(lambda m, given, out, name=name: rates.update({name: out.mean().item()}))
    net(x)
    low = {name: rate for name, rate in rates.items() if rate < 0.05}
    assert not [name for name in low if "attn_lif" not in name], low
    assert all(rate > 0 for rate in low.values()), "the gain of an attention ends at 8"
    for block in net.blocks:
        assert block.attn.gain >= 1
        assert (block.attn.qkv_conv_bn[1].weight >= 1).all()


def test_without_attention() -> None:
    net, x = line(attention=False), spikes(T, B, 11)
    net.calibrate(x, 0.05)
    assert not any(isinstance(module, SelfAttention) for module in net.modules())
    assert net(x).std() > 0
    with Counter(net.eval()) as counter, torch.no_grad():
        net(x)
    assert counter.result().missing == {}
    assert "matmul_acs" not in counter.result().totals


# Time.


def test_notd_is_the_first_step_again_and_again() -> None:
    net, x = line(), spikes(T, B, 11, rate=0.5)
    net.calibrate(x, 0.1)
    net.eval().double()
    x = x.double()
    first = torch.cat([net(x[t : t + 1]) for t in range(T)])
    assert not torch.allclose(net(x), first)
    net.set_time("notd")
    torch.testing.assert_close(net(x), first)
    assert all(node.v == 0.0 for node in net.nodes())


def test_sdbp_same_spikes_no_gradient_through_time() -> None:
    layer = Node(4.0).double()
    x = 3 * torch.randn(20, B, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x.requires_grad_()
    full = layer(x)
    (full[-1] * torch.arange(1, 6)).sum().backward()
    assert x.grad is not None
    assert (x.grad[:-1] != 0).any()
    layer.reset()
    layer.set_time("sdbp")
    x.grad = None
    cut = layer(x)
    assert torch.equal(cut, full)
    (cut[-1] * torch.arange(1, 6)).sum().backward()
    assert x.grad is not None
    assert x.grad[:-1].abs().max() == 0
    assert x.grad[-1].abs().max() > 0


# Counts.


@pytest.mark.parametrize("make", [pictures, line])
def test_counts_are_complete_and_sums_of_spikes_are_multi_bit(make) -> None:  # type: ignore[no-untyped-def]
    net = make()
    x = spikes(T, B, 128 if make is pictures else 11, rate=0.5)
    net.calibrate(x, 0.2)
    net.eval()
    stream: list[Tensor] = []
    net.blocks[-1].register_forward_hook(lambda module, given, out: stream.extend((given[0], out)))
    with Counter(net) as counter, torch.no_grad():
        net(x)
    counts = counter.result()
    assert counts.missing == {}
    assert counts.totals["matmul_acs"] > 0
    for values in stream:
        assert torch.equal(values, values.floor())
        assert values.min() == 0
    assert stream[-1].max() > 1, "residuals add spikes"
    second = next(layer for layer in counts.layers if layer.name.endswith(f"blocks.{len(net.blocks) - 1}.mlp.fc1.0"))
    assert second.detail["integer_macs"] > 0
    assert second.macs == second.detail["integer_macs"]
    sums = 5 if make is pictures else 2
    assert counts.totals["residual_adds"] == T * sums * 4 * D, "two in a block, and the one of the position"


# The method.


def test_parameters_and_support() -> None:
    with pytest.raises(ValueError, match=r"heads \(3\) must divide width \(64\)"):
        spikformer.Spikformer.Params(heads=3)
    small = DatasetSpec(name="toy", n_classes=3, T=T, channels=9, shape=(1, 3, 3), coding="repeated", temporal=False)
    verdict = spikformer.Spikformer(spikformer.Spikformer.Params()).supports(small)
    assert not verdict
    assert "holds no patch of 4" in verdict.reason
