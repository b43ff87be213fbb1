"""Skip connections: the checks that pin direction, delay and mix."""

from __future__ import annotations

import itertools

import pytest
import torch

from snn5bench.contracts.method import set_time
from snn5bench.neurons.lif import LIF
from snn5bench.neurons.lif_scan import lif_loop
from snn5bench.neurons.network import SpikingNet
from snn5bench.neurons.neuron import Neuron
from snn5bench.neurons.skips import Skip, SkipSpec, Track
from snn5bench.neurons.surrogate import Surrogate

T, B, C, H = 24, 5, 10, 16


def neuron(n: int) -> Neuron:
    return LIF(0.5, 1.0, "hard", Surrogate("atan", 0.5))


def build(*skips: tuple[int, int, int], layers: int = 2, seed: int = 0, **options: object) -> SpikingNet:
    torch.manual_seed(seed)
    net = SpikingNet(C, (H,) * layers, 3, neuron, skips=[SkipSpec(*s) for s in skips], **options)  # type: ignore[arg-type]
    for layer in range(1, layers + 1):
        net.feed(layer).rescale(4.0)
    return net.double()


def signal(seed: int = 0) -> torch.Tensor:
    return (torch.rand(T, B, C, generator=torch.Generator().manual_seed(seed)) < 0.2).double()


def share_weights(net: SpikingNet, plain: SpikingNet) -> None:
    plain.load_state_dict({k: v for k, v in net.state_dict().items() if not k.startswith("skips")})


@pytest.mark.parametrize("kernels", ["numba", "torch"])
@pytest.mark.parametrize("mix", ["add", "convex"])
def test_zero_weight_is_no_skip_bit_for_bit(monkeypatch: pytest.MonkeyPatch, kernels: str, mix: str) -> None:
    monkeypatch.setenv("SNN5BENCH_KERNELS", kernels)
    net, plain = build((0, 2, 5), (2, 1, 3), mix=mix), build()
    share_weights(net, plain)
    assert not torch.equal(net(signal()), plain(signal()))
    for skip in net.skips:
        skip.alpha.data.zero_()  # type: ignore[union-attr, operator]
    assert torch.equal(net(signal()), plain(signal()))


@pytest.mark.parametrize("span", [1, 5, 24, 40])
def test_a_cut_track_has_the_same_windows(span: int) -> None:
    sent = torch.arange(float(T)).view(T, 1, 1)
    track = Track([sent])
    track.cut(span)
    assert [len(chunk) for chunk in track.chunks] == [min(span, T - at) for at in range(0, T, span)]
    for start, stop in itertools.product(range(-3, T), range(T + 1)):
        wanted, found = Track([sent]).window(start, stop), track.window(start, stop)
        assert (wanted is None) == (found is None)
        assert wanted is None or found is None or torch.equal(wanted, found)


def test_delay_zero_is_a_plain_skip() -> None:
    net = build((0, 2, 0), (1, 3, 0))
    x = signal()
    first = net.neurons[0](net.synapses[0](x))
    current = net.synapses[1](first) + net.skips[0].alpha * net.skips[0].projection(x)
    logits = net.readout(net.neurons[1](current)) + net.skips[1].alpha * net.skips[1].projection(first)
    torch.testing.assert_close(net(x), logits, rtol=1e-12, atol=1e-12)


def definition(net: SpikingNet, x: torch.Tensor) -> torch.Tensor:
    """Logits of a net with skips out of hidden layers, step by step in torch operations that autograd differentiates; each
    delayed current is multiplied by alpha, as the definition says."""
    carries = [torch.zeros(x.shape[1], H, dtype=x.dtype)] * net.depth
    sent: list[list[torch.Tensor]] = [[] for _ in range(net.depth + 2)]
    for t in range(len(x)):
        sent[0].append(x[t])
        for layer in range(1, net.depth + 2):
            feed = net.feed(layer)
            current = sent[layer - 1][t] @ feed.weight.t() + feed.bias
            for skip in net.skips:
                if skip.spec.dst == layer:
                    if skip.mix_form == "convex":
                        current = (1 - skip.alpha) * current
                    if t >= skip.spec.delay:
                        spikes = sent[skip.spec.src][t - skip.spec.delay]
                        current = current + skip.alpha * (spikes @ skip.projection.weight.t())
            if layer <= net.depth:
                one: LIF = net.neurons[layer - 1]  # type: ignore[assignment]
                spiked, carries[layer - 1] = lif_loop(current[None], carries[layer - 1], one.constants, one.surrogate)
                current = spiked[0]
            sent[layer].append(current)
    return torch.stack(sent[-1])


@pytest.mark.parametrize("kernels", ["numba", "torch"])
@pytest.mark.parametrize("mix", ["add", "convex"])
@pytest.mark.parametrize("delays", [(5, 10, 5), (3, 0, 5), (7, 2, 4)])
def test_gradients_are_those_of_the_definition(
    monkeypatch: pytest.MonkeyPatch, kernels: str, mix: str, delays: tuple[int, int, int]
) -> None:
    """Of all weights, biases and every alpha, where chunks arrive whole, late or in parts."""
    monkeypatch.setenv("SNN5BENCH_KERNELS", kernels)
    net = build((1, 2, delays[0]), (1, 3, delays[1]), (2, 1, delays[2]), mix=mix)
    for k, skip in enumerate(net.skips):
        skip.alpha.data.fill_(0.7 - 0.5 * k)  # type: ignore[union-attr, operator]
    x = signal()
    found, wanted = net(x), definition(net, x)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)
    target = torch.randn(wanted.shape, dtype=wanted.dtype, generator=torch.Generator().manual_seed(1))
    of = list(net.parameters())
    for a, b in zip(
        torch.autograd.grad((found * target).sum(), of), torch.autograd.grad((wanted * target).sum(), of), strict=True
    ):
        assert b.abs().max() > 0
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kernels", ["numba", "torch"])
def test_counts_do_not_depend_on_alpha(monkeypatch: pytest.MonkeyPatch, kernels: str) -> None:
    """A hook on a projection is given the delayed spikes, and finds the learned weights, never alpha times these."""
    monkeypatch.setenv("SNN5BENCH_KERNELS", kernels)
    net = build((1, 2, 5), (2, 1, 5))
    net.skips[0].alpha.data.zero_()  # type: ignore[union-attr, operator]
    seen: list[tuple[torch.Tensor, ...]] = []
    net.skips[0].projection.register_forward_hook(lambda module, inputs, output: seen.append(inputs))  # type: ignore[union-attr, operator]
    first = net.activity(signal())[0]
    assert all(len(inputs) == 1 for inputs in seen)
    assert torch.equal(torch.cat([inputs[0] for inputs in seen]), first[: T - 5])


@pytest.mark.parametrize(
    ("skip", "reason"),
    [
        ((2, 1, 0), "at least 1 step"),
        ((1, 1, 0), "at least 1 step"),
        ((1, 2, -1), "the future"),
        ((3, 1, 1), "source must be"),
        ((1, 4, 1), "target must be"),
        ((1, 0, 1), "target must be"),
    ],
)
def test_impossible_connections_are_refused(skip: tuple[int, int, int], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        build(skip)


@pytest.mark.parametrize("kernels", ["numba", "torch"])
def test_backward_delay_one_is_an_ordinary_recurrent_layer(monkeypatch: pytest.MonkeyPatch, kernels: str) -> None:
    monkeypatch.setenv("SNN5BENCH_KERNELS", kernels)
    net = build((1, 1, 1), layers=1)
    recurrent = SpikingNet(C, (H,), 3, lambda n: LIF(0.5, 1.0, "hard", Surrogate("atan", 0.5), recurrent=n)).double()
    weight = net.skips[0].projection.weight
    share = {k: v for k, v in net.state_dict().items() if not k.startswith("skips")}
    recurrent.load_state_dict(share | {"neurons.0.recurrent_weight": weight.detach()})
    x = signal()
    assert torch.equal(net.activity(x)[0], recurrent.activity(x)[0])
    grads = torch.autograd.grad(net(x).square().sum(), [weight, net.synapses[0].weight])
    expected = torch.autograd.grad(
        recurrent(x).square().sum(), [recurrent.neurons[0].recurrent_weight, recurrent.synapses[0].weight]
    )
    for a, b in zip(grads, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def silence_main_path(net: SpikingNet, skip: Skip, dst: int) -> None:
    """Leave the first layer's one-to-one drive and the skip alone."""
    for layer in range(1, net.depth + 2):
        net.feed(layer).weight.data.zero_()
    net.feed(1).weight.data[:C, :C] = 3 * torch.eye(C, dtype=torch.float64)
    assert skip.projection is not None
    skip.projection.weight.data.zero_()
    skip.projection.weight.data.fill_diagonal_(2.0)


@pytest.mark.parametrize("delay", [0, 1, 4, 9])
def test_forward_impulse_arrives_after_the_delay_only(delay: int) -> None:
    net = build((1, 2, delay))
    silence_main_path(net, net.skips[0], 2)
    x = torch.zeros(T, 1, C, dtype=torch.float64)
    x[6, 0, 2] = 1
    first, second, _ = net.activity(x)
    assert first.nonzero().tolist() == [[6, 0, 2]]
    assert second.nonzero().tolist() == [[6 + delay, 0, 2]]


@pytest.mark.parametrize("delay", [1, 4, 9])
def test_backward_impulse_comes_back_after_each_delay(delay: int) -> None:
    net = build((2, 1, delay))
    silence_main_path(net, net.skips[0], 1)
    net.feed(2).weight.data.fill_diagonal_(2.0)
    x = torch.zeros(T, 1, C, dtype=torch.float64)
    x[3, 0, 2] = 1
    first, second, _ = net.activity(x)
    expected = [[t, 0, 2] for t in range(3, T, delay)]
    assert first.nonzero().tolist() == expected
    assert second.nonzero().tolist() == expected


def test_causality_through_a_forward_connection_alone() -> None:
    net = build((0, 2, 7))
    net.feed(2).weight.data.zero_()
    x = signal()
    changed = x.clone()
    changed[4] = 1 - changed[4]
    assert torch.equal(net(x)[:11], net(changed)[:11])
    assert not torch.equal(net(x)[11], net(changed)[11])


@pytest.mark.parametrize("skip", [(1, 2, T), (2, 1, T), (0, 2, T + 5), (2, 2, 3 * T)])
def test_delay_beyond_the_sequence_is_no_connection(skip: tuple[int, int, int]) -> None:
    net, plain = build(skip), build()
    share_weights(net, plain)
    assert torch.equal(net(signal()), plain(signal()))


def step_by_step(net: SpikingNet, x: torch.Tensor) -> torch.Tensor:
    """The definition, one step and one layer at a time, without any of the network's own scheduling."""
    L = net.depth
    v = [torch.zeros(x.shape[1], H, dtype=x.dtype) for _ in range(L)]
    sent: list[list[torch.Tensor]] = [[] for _ in range(L + 1)]
    logits = []
    for t in range(len(x)):
        sent[0].append(x[t])
        for layer in range(1, L + 2):
            feed = net.feed(layer)
            current = sent[layer - 1][t] @ feed.weight.t() + feed.bias
            for skip in net.skips:
                if skip.spec.dst == layer:
                    late = t - skip.spec.delay
                    arrived = sent[skip.spec.src][late] @ skip.projection.weight.t() if late >= 0 else 0
                    kept = current if skip.mix_form == "add" else (1 - skip.alpha) * current
                    current = kept + skip.alpha * arrived
            if layer > L:
                logits.append(current)
                continue
            before = sent[layer][-1] if sent[layer] else torch.zeros_like(v[0])
            v[layer - 1] = 0.5 * v[layer - 1] * (1 - before) + current
            sent[layer].append((v[layer - 1] >= 1).to(x.dtype))
    return torch.stack(logits)


@pytest.mark.parametrize("mix", ["add", "convex"])
@pytest.mark.parametrize(
    "skips",
    [
        [(1, 2, 3), (1, 3, 1)],
        [(2, 1, 4)],
        [(3, 2, 2), (1, 4, 3)],
        [(2, 1, 5), (3, 3, 3), (0, 3, 2), (1, 3, 4), (2, 4, 1)],
        [(3, 1, 1), (1, 2, 30)],
        [(2, 2, 1), (2, 1, 7), (1, 2, 0)],
    ],
)
def test_chunked_run_equals_the_definition(skips: list[tuple[int, int, int]], mix: str) -> None:
    for seed in range(3):
        net = build(*skips, layers=3, seed=seed, mix=mix)
        x = signal(seed)
        net.calibrate(x, 0.2)
        assert 0.05 < net.activity(x)[2].mean().item() < 0.5
        torch.testing.assert_close(net(x), step_by_step(net, x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("delay", [0, 2])
def test_identity_connection(delay: int) -> None:
    net = build((1, 2, delay), project=False)
    first = net.activity(signal())[0]
    late = torch.cat([torch.zeros_like(first[:delay]), first[: T - delay]])
    torch.testing.assert_close(net.activity(signal())[1], net.neurons[1](net.synapses[1](first) + late))
    for wrong in ((0, 2, 1), (1, 3, 0)):
        with pytest.raises(ValueError, match="equal size"):
            build(wrong, project=False)


def test_notd_removes_delayed_and_backward_connections_only() -> None:
    net = set_time(build((1, 2, 3), (2, 1, 1), (1, 3, 0)), "notd")
    kept = set_time(build((1, 3, 0)), "notd")
    state = {k.replace("skips.2", "skips.0"): v for k, v in net.state_dict().items() if "s.0.p" not in k}
    kept.load_state_dict({k: v for k, v in state.items() if k in kept.state_dict()})
    kept.skips[0].load_state_dict(net.skips[2].state_dict())
    assert torch.equal(net(signal()), kept(signal()))
    assert [skip.delay_bits for skip in net.skips] == [0, 0, 0]


def test_cost_of_a_skip() -> None:
    """A ring buffer of delay x sources bits a sample; accumulates = spikes sent in time x targets."""
    net = build((1, 2, 3), (0, 2, 2), (2, 1, 1))
    assert [skip.delay_bits for skip in net.skips] == [3 * H, 2 * C, H]
    seen = []
    net.skips[0].projection.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    first = net.activity(signal())[0]
    assert sum(chunk.sum().item() for chunk in seen) == first[: T - 3].sum().item()


def test_every_pair_of_delays_runs() -> None:
    for forward, backward in itertools.product((0, 1, 5), (1, 4)):
        net = build((1, 2, forward), (2, 1, backward))
        torch.testing.assert_close(net(signal()), step_by_step(net, signal()), rtol=1e-9, atol=1e-9)
