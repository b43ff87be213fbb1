"""Delay synapses: kernels, numpy loops of their own, delays that are learned, causality, time modes, counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from snn5bench.measure.counts import Counter
from snn5bench.neurons.dcls import DelayNet, DelaySynapses
from snn5bench.neurons.lif import LIF
from snn5bench.neurons.surrogate import Surrogate
from snn5bench.neurons.synapses import Synapses

C, N, LAGS, T, B = 5, 4, 7, 15, 3


def synapses(lags: int = LAGS, normed: bool = False) -> DelaySynapses:
    torch.manual_seed(0)
    return DelaySynapses(C, N, lags, normed).double()


def spikes(seed: int = 1, steps: int = T) -> torch.Tensor:
    return (torch.rand(steps, B, C, generator=torch.Generator().manual_seed(seed)) < 0.3).double()


def by_loops(x: np.ndarray, w: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """x_i[t] = sum_j w_ij sum_d K_ij[d] s_j[t - d], one term after another."""
    out = np.zeros((x.shape[0], x.shape[1], w.shape[0]))
    for t in range(x.shape[0]):
        for i in range(w.shape[0]):
            for j in range(w.shape[1]):
                for d in range(min(kernel.shape[-1], t + 1)):
                    out[t, :, i] += w[i, j] * kernel[i, j, d] * x[t - d, :, j]
    return out


def gaussians(position: np.ndarray, sigma: float, lags: int) -> np.ndarray:
    kernel = np.exp(-(((np.arange(lags) - position[..., None]) / sigma) ** 2) / 2)
    return kernel / kernel.sum(-1, keepdims=True)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 1.0])
def test_training_is_a_gaussian_around_each_delay(share: float) -> None:
    layer, x = synapses(), spikes()
    layer.anneal(share)
    sigma = 3.5 * (0.23 / 3.5) ** min(1, 4 * share)
    assert layer.sigma.item() == pytest.approx(sigma, rel=1e-6)
    kernel = gaussians(layer.position.detach().numpy(), layer.sigma.item(), LAGS)
    np.testing.assert_allclose(layer.kernel().detach().numpy(), kernel, atol=1e-12)
    np.testing.assert_allclose(
        layer(x).detach().numpy(), by_loops(x.numpy(), layer.weight.detach().numpy(), kernel), atol=1e-12
    )


def test_evaluation_is_one_whole_delay_a_synapse() -> None:
    layer, x = synapses().eval(), spikes()
    whole = np.rint(layer.position.detach().numpy()).astype(int)
    assert np.array_equal(layer.delays.numpy(), whole)
    kernel = np.eye(LAGS)[whole]
    np.testing.assert_allclose(
        layer(x).detach().numpy(), by_loops(x.numpy(), layer.weight.detach().numpy(), kernel), atol=1e-12
    )


def test_narrow_kernels_stand_on_whole_delays() -> None:
    """At sigma = 0.23 a whole P has more than 0.999 of the mass, so that rounding changes next to nothing."""
    layer, x = synapses(), spikes()
    layer.anneal(1.0)
    layer.position.data.round_()
    at_home = layer.kernel().detach().gather(-1, layer.delays[..., None])
    assert at_home.min() > 0.999
    trained = layer(x)
    assert torch.equal(layer.delays.double(), layer.position.detach())
    torch.testing.assert_close(layer.eval()(x), trained, atol=1e-3, rtol=0)


def test_delays_stay_in_range_and_their_gradient_is_right() -> None:
    layer, x = synapses(), spikes()
    layer.anneal(0.1)
    layer.position.data.clamp_(0.1, LAGS - 1.1)

    def current(position: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(layer, {"position": position, "weight": weight}, (x,))

    assert gradcheck(current, (layer.position.detach().requires_grad_(), layer.weight.detach().requires_grad_()))
    layer(x).square().sum().backward()
    torch.optim.SGD(layer.parameters(), lr=1e4).step()
    assert layer.position.min() < 0
    assert layer(x).isfinite().all()
    assert layer.position.min() >= 0
    assert layer.position.max() <= LAGS - 1
    assert layer.position.max() > 0


@pytest.mark.parametrize("delay", [3, 9])
def test_it_learns_to_copy_its_input_later(delay: int) -> None:
    torch.manual_seed(0)
    layer = DelaySynapses(1, 1, 13, normed=False)
    layer.weight.data.fill_(1.0)
    layer.weight.requires_grad_(False)
    x = (torch.rand(60, 8, 1) < 0.15).float()
    wanted = torch.cat([torch.zeros(delay, 8, 1), x[:-delay]])
    optimiser = torch.optim.Adam([layer.position], lr=0.1)
    for epoch in range(400):
        layer.anneal(epoch / 400)
        optimiser.zero_grad()
        (layer(x) - wanted).square().mean().backward()
        optimiser.step()
    assert layer.position.item() == pytest.approx(delay, abs=0.5)
    assert torch.equal(layer.eval()(x), wanted)


def test_whole_delays_start_equally_likely() -> None:
    torch.manual_seed(0)
    counts = DelaySynapses(100, 100, 5, normed=False).delays.flatten().bincount()
    assert counts.tolist() == pytest.approx([2000] * 5, abs=4 * (10_000 * 0.2 * 0.8) ** 0.5)


def test_without_lags_it_is_an_ordinary_layer() -> None:
    layer, x = synapses(lags=1), spikes()
    plain = Synapses(C, N, bias=False).double()
    plain.weight.data = layer.weight.data
    assert torch.equal(layer(x), layer.eval()(x))
    torch.testing.assert_close(layer(x), plain(x), rtol=0, atol=1e-15)
    with pytest.raises(ValueError, match="at least one lag"):
        DelaySynapses(C, N, 0, normed=False)


@pytest.mark.parametrize("training", [True, False])
def test_nothing_comes_early_and_the_steps_stay_as_many(training: bool) -> None:
    """Left padding by lags - 1 alone: causal, T out is T in (the published SHD recipe pads on the right as well)."""
    layer, x = synapses().train(training), spikes()
    before = layer(x)
    assert before.shape == (T, B, N)
    x[8] = 1 - x[8]
    assert torch.equal(layer(x)[:8], before[:8])
    assert not torch.equal(layer(x)[8:], before[8:])
    if not training:
        late = torch.zeros(T, 1, C, dtype=torch.float64)
        late[3, 0, 2] = 1
        arrived = layer(late)[:, 0] != 0
        assert arrived.nonzero().tolist() == sorted([3 + d.item(), i] for i, d in enumerate(layer.delays[:, 2]))


def test_time_modes() -> None:
    layer, x = synapses(), spikes().requires_grad_()
    full = layer(x)
    layer.set_time("sdbp")
    cut = layer(x)
    assert torch.equal(cut, full)
    cut[9].sum().backward()
    assert x.grad is not None
    assert x.grad.abs().amax((1, 2)).nonzero().flatten().tolist() == [9]
    layer.set_time("notd")
    torch.testing.assert_close(layer(x), x @ layer.weight.t())
    assert layer.delay_bits == 0
    layer.set_time("full")
    assert layer.delay_bits == int(layer.delays.max()) * C


def net(**more: bool) -> DelayNet:
    torch.manual_seed(0)
    made = DelayNet(C, (6, N), 3, lambda n: LIF(0.005, 1.0, "hard", Surrogate("atan", 0.2)), LAGS, **more).double()
    made.calibrate(spikes())
    return made


@pytest.mark.parametrize("readout_delays", [True, False])
def test_the_network_is_the_published_one(readout_delays: bool) -> None:
    """Convolution over delays, batch norm, hard-reset LIF, layer by layer; the read-out without norm."""
    made, x = net(readout_delays=readout_delays).eval(), spikes(2)
    signal = x.numpy()
    for synapse in made.connections():
        signal = by_loops(signal, synapse.weight.detach().numpy(), np.eye(LAGS)[synapse.delays.numpy()])
        assert synapse.delays.any() == (readout_delays or synapse is not made.readout)
        if synapse is made.readout:
            break
        norm = synapse.norm
        signal = (signal - norm.running_mean.numpy()) / np.sqrt(norm.running_var.numpy() + norm.eps)
        v, fired = np.zeros(signal.shape[1:]), []
        for current in signal:
            v = 0.005 * v + current
            fired.append((v >= 1).astype(float))
            v = v * (1 - fired[-1])
        signal = np.stack(fired)
        assert 0.02 < signal.mean() < 0.5
    np.testing.assert_allclose(made(x).detach().numpy(), signal, atol=1e-10)


def test_calibration_starts_with_logits_of_deviation_one() -> None:
    made = net()
    assert made(spikes()).sum(0).std().item() == pytest.approx(1)


@pytest.mark.parametrize("readout_delays", [True, False])
def test_every_operation_is_counted_with_its_buffers(readout_delays: bool) -> None:
    made, x = net(readout_delays=readout_delays).eval(), spikes(2)
    with torch.no_grad(), Counter(made) as counter:
        made(x)
    counts = counter.result()
    assert not counts.missing
    with torch.no_grad():
        sent = [x, *made.activity(x)[:-1]]
    by_hand = sum(
        int((layer.weight[:, j] != 0).sum()) * int(s[:, :, j].sum())
        for s, layer in zip(sent, made.connections(), strict=True)
        for j in range(s.shape[2])
    )
    assert counts.synops_per_sample == pytest.approx(by_hand / B)
    assert counts.macs_per_sample == 0
    buffers = [int(layer.delays.max()) * layer.in_features for layer in made.connections()[: 2 + readout_delays]]
    assert [layer.detail["delay_bits"] for layer in counts.layers if layer.kind == "delay"] == buffers


def test_the_twin_without_time_sees_a_bag_of_steps() -> None:
    made, x = net().eval(), spikes(2)
    made.set_time("notd")
    order = torch.randperm(T, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(made(x)[order], made(x[order]), rtol=1e-12, atol=1e-12)
