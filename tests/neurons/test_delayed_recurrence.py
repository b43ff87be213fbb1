"""ASRC and recurrent delays: by hand, against numpy loops and ordinary recurrence, time modes, counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from snn5bench.measure.counts import Counter
from snn5bench.neurons.delayed_recurrence import ASRC, DelayedRecurrence, RecDelays
from snn5bench.neurons.lif import LIF
from snn5bench.neurons.network import SpikingNet
from snn5bench.neurons.neuron import Memory
from snn5bench.neurons.surrogate import Surrogate

N, T, B = 5, 25, 3


def asrc(skip: int = 4, **more: object) -> ASRC:
    torch.manual_seed(0)
    layer = ASRC(N, skip, **more).double()  # type: ignore[arg-type]
    if layer.p is not None:
        layer.p.data = torch.linspace(-0.5, 0.7, skip, dtype=torch.float64).roll(2)
    return layer


def rec(longest: int = 6, spread: float = 3.0, sigma: float = 2.0) -> RecDelays:
    torch.manual_seed(0)
    return RecDelays(N, longest, spread, sigma).double()


MAKE = {"asrc": asrc, "src": lambda: asrc(adaptive=False), "rec-delays": rec}


def current(steps: int = T) -> torch.Tensor:
    return 1.2 * torch.randn(steps, B, N, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def by_loops(x: np.ndarray, weight: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Spikes of the published equations, with every past spike looked up. `kernel[l - 1, j]` is K of lag l."""
    spikes = np.zeros_like(x)
    v = np.zeros(x.shape[1:])
    for t in range(len(x)):
        v = 0.5 * v + x[t] - (spikes[t - 1] if t else 0)
        for lag in range(1, min(len(kernel), t) + 1):
            for j in range(x.shape[2]):
                v += np.outer(kernel[lag - 1, j] * spikes[t - lag, :, j], weight[:, j])
        spikes[t] = v >= 1
    return spikes


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_asrc_against_loops(share: float) -> None:
    layer, x = asrc(), current()
    layer.anneal(share)
    assert layer.temperature.item() == pytest.approx(0.96 ** (100 * share))
    p = layer.p.detach().numpy()
    soft = np.exp(p / layer.temperature.item())
    for kernel in (soft / soft.sum(), np.eye(4)[p.argmax()]):
        wanted = by_loops(x.numpy(), layer.recurrent_weight.detach().numpy(), np.tile(kernel[:, None], N))
        assert 0.1 < wanted.mean() < 0.6
        np.testing.assert_array_equal(layer(x).detach().numpy(), wanted)
        layer.eval()


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_recurrent_delays_against_loops(share: float) -> None:
    layer, x = rec(), current()
    layer.anneal(share)
    sigma = layer.sigma.item()
    assert sigma == pytest.approx(2 * 0.95 ** (100 * share))
    d, lags = layer.d.detach().numpy(), np.arange(1, 12)[:, None]
    triangle = np.maximum(0, 1 + sigma - abs(lags - (1 + d))) / (1 + sigma) ** 2
    for kernel in (triangle, (lags == 1 + np.rint(d)).astype(float)):
        wanted = by_loops(x.numpy(), layer.recurrent_weight.detach().numpy(), kernel)
        assert 0.1 < wanted.mean() < 0.6
        np.testing.assert_array_equal(layer(x).detach().numpy(), wanted)
        layer.eval()


def test_triangles_by_hand() -> None:
    """sigma 0, delay 3.25: 3/4 at lag 3, 1/4 at lag 4. sigma 1, delay 1: 1/2 at lag 1, 1/4 at lag 2, and 1/4 lost at 0.
    sigma 0, delay 6, the longest: all of it at lag 6."""
    layer = rec(sigma=0.0)
    layer.d.data[:3] = torch.tensor([2.25, 0.0, 5.0])
    torch.testing.assert_close(layer.kernel()[:, 0].detach(), torch.tensor([0, 0, 0.75, 0.25, 0, 0]).double())
    assert layer.kernel()[:, 2].tolist() == [0, 0, 0, 0, 0, 1]
    assert layer.lags()[:3].tolist() == [3, 1, 6]
    layer.sigma.fill_(1)
    torch.testing.assert_close(layer.kernel()[:3, 1].detach(), torch.tensor([0.5, 0.25, 0.0]).double())
    assert layer.kernel()[:, 2].sum().item() == pytest.approx(1), (
        "the tail beyond the longest delay is kept in training"
    )


def test_a_spike_comes_back_after_its_delay_and_never_else() -> None:
    """Each neuron drives itself alone, strongly: one kick at step 2, then a spike each time its delay has passed."""
    layer = rec().eval()
    layer.decay = 0.0
    layer.recurrent_weight.data = 2 * torch.eye(N, dtype=torch.float64)
    kick = torch.zeros(20, 1, N, dtype=torch.float64)
    kick[2] = 1.0
    spikes, lags = layer(kick)[:, 0], layer.lags().tolist()
    assert len(set(lags)) > 2
    for j, lag in enumerate(lags):
        assert spikes[:, j].nonzero().flatten().tolist() == list(range(2, 20, lag))


def test_one_hot_p_is_the_fixed_skip() -> None:
    fixed, soft, x = asrc(adaptive=False), asrc(), current()
    soft.p.data = torch.tensor([-1e4, -1e4, -1e4, 0.0], dtype=torch.float64)
    assert torch.equal(soft(x), fixed(x))
    assert torch.equal(soft.eval()(x), fixed.eval()(x))


def test_cold_softmax_is_argmax() -> None:
    layer, x = asrc(), current()
    warm = layer(x)
    layer.temperature.fill_(1e-4)
    assert torch.equal(layer(x), layer.eval()(x))
    assert not torch.equal(warm, layer(x))


@pytest.mark.parametrize("kernels", ["torch", "numba"])
@pytest.mark.parametrize("make", [lambda: asrc(skip=1), lambda: asrc(skip=1, adaptive=False), lambda: rec(sigma=0.0)])
def test_a_lag_of_one_is_ordinary_recurrence(monkeypatch: pytest.MonkeyPatch, kernels: str, make) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("SNN5BENCH_KERNELS", kernels)
    layer = make()
    if isinstance(layer, RecDelays):
        layer.d.data.zero_()
    plain = LIF(0.5, 1.0, "soft", Surrogate("triangle", 1.0), recurrent=N).double()
    plain.recurrent_weight.data = layer.recurrent_weight.data.clone()
    a, b = current().requires_grad_(), current().requires_grad_()
    mine, theirs = layer(a), plain(b)
    assert torch.equal(mine, theirs)
    weight = torch.linspace(-1, 2, mine.numel(), dtype=mine.dtype).view_as(mine)
    (mine * weight).sum().backward()
    (theirs * weight).sum().backward()
    torch.testing.assert_close(a.grad, b.grad)
    torch.testing.assert_close(layer.recurrent_weight.grad, plain.recurrent_weight.grad)
    assert torch.equal(layer.eval()(a), mine)


def test_gradients_of_the_kernels() -> None:
    layer = rec(sigma=0.73)
    layer.d.data = torch.tensor([0.3, 1.2, 2.6, 3.4, 0.9], dtype=torch.float64)
    assert gradcheck(lambda d: torch.func.functional_call(Kernel(layer), {"layer.d": d}, ()), layer.d)
    cool = asrc()
    cool.anneal(0.3)
    assert gradcheck(lambda p: torch.func.functional_call(Kernel(cool), {"layer.p": p}, ()), cool.p)


class Kernel(torch.nn.Module):
    def __init__(self, layer: DelayedRecurrence) -> None:
        super().__init__()
        self.layer = layer

    def forward(self) -> torch.Tensor:
        return self.layer.kernel()


@pytest.mark.parametrize("name", MAKE)
def test_time_modes_and_chunks(name: str) -> None:
    x = current().requires_grad_()
    for training in (True, False):
        layer = MAKE[name]().train(training)
        layer.surrogate = Surrogate("triangle", 5.0)
        full = layer(x)
        memory = Memory()
        assert torch.equal(torch.cat([layer(part, memory) for part in x.split([4, 1, 20])]), full)
        assert memory.step == T
        (full[-1] * torch.arange(1, N + 1)).sum().backward()
        assert x.grad is not None
        assert (x.grad.abs().amax((1, 2)) > 0)[:-1].any()
        x.grad = None
        layer.set_time("sdbp")
        cut = layer(x)
        assert torch.equal(cut, full)
        (cut[-1] * torch.arange(1, N + 1)).sum().backward()
        assert x.grad is not None
        assert x.grad[:-1].abs().max() == 0
        x.grad = None
        layer.set_time("notd")
        assert torch.equal(layer(x), (x >= 1).double())
        assert layer.delay_bits == 0


@pytest.mark.parametrize("name", MAKE)
def test_every_parameter_learns_and_stays_in_range(name: str) -> None:
    layer, x = MAKE[name](), current()
    spikes = layer(x)
    (spikes * torch.linspace(-1, 2, spikes.numel()).view_as(spikes)).sum().backward()
    for key, p in layer.named_parameters():
        assert p.grad is not None, key
        assert p.grad.abs().max() > 0, key
    torch.optim.SGD(layer.parameters(), lr=1e3).step()
    assert layer(x).isfinite().all()
    assert layer.lags().min() >= 1
    assert layer.lags().max() <= layer.longest
    if isinstance(layer, RecDelays):
        assert 0 <= layer.d.min() <= layer.d.max() <= 5


@pytest.mark.parametrize("name", MAKE)
def test_counts_are_those_of_a_loop_over_spikes(name: str) -> None:
    torch.manual_seed(0)
    net = SpikingNet(6, (N, N), 3, lambda n: MAKE[name]()).double().eval()
    x = (torch.rand(T, B, 6, generator=torch.Generator().manual_seed(2)) < 0.3).double()
    net.calibrate(x, 0.25)
    with torch.no_grad():
        net.neurons[0].recurrent_weight[1:3, 2] = 0
        with Counter(net) as counter:
            net(x)
        spikes = [x, *net.activity(x)[:-1]]
    counts = counter.result()
    assert not counts.missing
    by_hand = sum(int(s.sum()) * len(w.weight) for s, w in zip(spikes, (*net.synapses, net.readout), strict=True))
    buffers = []
    for layer, s in zip(net.neurons, spikes[1:], strict=True):
        lags = layer.lags().expand(N).tolist()
        buffers.append(sum(lags))
        for j, lag in enumerate(lags):
            by_hand += int(s[: T - lag, :, j].sum()) * int((layer.recurrent_weight[:, j] != 0).sum())
    assert counts.acs_per_sample == pytest.approx(by_hand / B)
    assert counts.macs_per_sample == 0
    assert [layer.detail["delay_bits"] for layer in counts.layers if layer.kind == "delay"] == buffers
    hidden = [layer for layer in counts.layers if layer.kind == "neuron"]
    assert [layer.dense_macs for layer in hidden] == [T * N * N] * 2
    assert [layer.detail["zero_weights"] for layer in hidden] == [2, 0]


def test_impossible_layers_are_refused() -> None:
    with pytest.raises(ValueError, match="skip must be at least 1"):
        ASRC(N, 0)
    with pytest.raises(ValueError, match="longest delay must be at least 1"):
        RecDelays(N, 0)
