"""PMSN: by hand, against a loop and a Fourier transform, the reset that drops crossings, causality, time modes, counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from snn5bench.measure.counts import Counter
from snn5bench.neurons.neuron import Memory
from snn5bench.neurons.pmsn import PMSN, PMSNNet, cable, remainders

N = 5


def make(steps: int = 25) -> tuple[PMSN, Tensor]:
    """A layer at evaluation, in float64, that has seen one batch; and a current."""
    torch.manual_seed(0)
    layer = PMSN(N).double()
    x = 2 * torch.randn(steps, 3, N, dtype=torch.float64)
    for _ in range(50):
        layer(x)
    return layer.eval(), x


def loop(layer: PMSN, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y and the spikes for the normalised current z `[T, B, N]`: step after step, neuron after neuron, in complex128."""
    p = {name: value.detach().numpy().astype(np.float64) for name, value in layer.named_parameters()}
    y, spikes = np.zeros_like(z, dtype=np.float64), np.zeros_like(z)
    for b in range(z.shape[1]):
        for n in range(z.shape[2]):
            A = -np.exp(p["log_decay"][n]) + 1j * p["frequency"][n]
            B, C = (p[k][n][:, 0] + 1j * p[k][n][:, 1] for k in ("B", "C"))
            a = np.exp(A * np.exp(p["log_dt"][n]))
            h, v = np.zeros(4, complex), 0.0
            for t in range(len(z)):
                h = a * h + (a - 1) * B / A * z[t, b, n]
                y[t, b, n] = (C * h).real.sum() + p["D"][n] * z[t, b, n]
                v = v % 1.0 + max(y[t, b, n], 0.0)
                spikes[t, b, n] = v >= 1.0
    return y, spikes


def test_by_hand() -> None:
    """One compartment at work: C_1 = 1 - i, B_1 = A_1 so that b = a - 1; a quarter turn and half the size a step, a = .5i,
    b = -1 + .5i; D = 2. z = 1, 1, 0.
    h: -1 + .5i; .5i (-1 + .5i) + b = -1.25 + 0i; -.625i. Re C h: -.5; -1.25; -.625.
    y: 1.5, .75, -.625. v: 1.5, spike; .5 + .75 = 1.25, spike; .25."""
    layer = PMSN(1).double().eval()
    layer.norm.eps = 0.0
    with torch.no_grad():
        layer.log_dt.zero_()
        layer.log_decay.fill_(np.log(np.log(2)))
        layer.frequency.fill_(np.pi / 2)
        layer.C.zero_()
        layer.C[0, 0] = torch.tensor([1.0, -1.0])
        layer.B[0, 0] = torch.tensor([-np.log(2), np.pi / 2])
        layer.D.fill_(2.0)
    z = torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64).view(3, 1, 1)
    torch.testing.assert_close(layer.response(z).flatten(), torch.tensor([1.5, 0.75, -0.625], dtype=torch.float64))
    torch.testing.assert_close(layer.potential(z).flatten(), torch.tensor([1.5, 1.25, 0.25], dtype=torch.float64))
    assert layer(z).flatten().tolist() == [1, 1, 0]


def test_equals_a_loop_over_steps() -> None:
    layer, x = make(150)
    y, spikes = loop(layer, layer.norm(x).detach().numpy())
    np.testing.assert_allclose(layer.response(layer.norm(x)).detach().numpy(), y, atol=1e-10)
    assert np.array_equal(layer(x).detach().numpy(), spikes)
    assert 0.05 < spikes.mean() < 0.9


def test_the_parallel_form_in_float32_equals_a_fourier_transform_and_the_recurrence() -> None:
    """To 1e-5 of the largest output, over 300 steps."""
    layer, _ = make()
    layer = layer.float()
    z = torch.randn(300, 2, N)
    found = layer.response(z).detach().numpy()
    log_a, b, c = (part.detach().numpy().astype(complex) for part in layer.system())
    lag = np.arange(300)
    kernel = ((c * b)[..., None] * np.exp(log_a[..., None] * lag)).real.sum(1)  # [N, lag]
    spectrum = np.fft.rfft(kernel, 600)[None] * np.fft.rfft(z.numpy().transpose(1, 2, 0), 600)
    by_fft = np.fft.irfft(spectrum, 600)[..., :300].transpose(2, 0, 1) + layer.D.detach().numpy() * z.numpy()
    by_loop, _ = loop(layer, z.numpy())
    scale = np.abs(by_loop).max()
    np.testing.assert_allclose(found, by_fft, atol=1e-5 * scale)
    np.testing.assert_allclose(found, by_loop, atol=1e-5 * scale)


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=60),
    st.sampled_from([1.0, 3.0, 7.0]),
)
def test_cumulative_sums_are_the_modulo_recurrence_to_the_bit(r: list[int], theta: float) -> None:
    v, expected = 0.0, []
    for now in r:
        v = v % theta + now
        expected.append(v)
    assert remainders(torch.tensor(r, dtype=torch.float32), theta=theta).tolist() == expected


def test_a_long_sequence_keeps_its_remainder() -> None:
    """20,000 steps of 0.8125 + 2^-14: their sum needs 29 bits, more than float32 has."""
    r = torch.full((20_000,), 0.8125 + 2**-14)
    exact = (19_999 * (0.8125 + 2**-14)) % 1
    assert remainders(r)[-1].item() - r[-1].item() == pytest.approx(exact, abs=1e-9)


# The trap: one spike a step, whatever was crossed.


def test_two_and_a_half_thresholds_are_one_spike_and_leave_half() -> None:
    v = remainders(torch.tensor([2.5, 0.0, 0.5]))
    assert v.tolist() == [2.5, 0.5, 1.0]
    assert (v >= 1).tolist() == [True, False, True], "three thresholds came in, two spikes went out"


@pytest.mark.parametrize(("size", "share"), [(0.2, 0.93), (0.5, 0.58), (1.0, 0.33)])
def test_share_of_crossings_that_spike(size: float, share: float) -> None:
    """r = max(N(0, size), 0) at a threshold of 0.3: spikes over crossings, as reported for the authors' formula."""
    r = size * torch.randn(200_000, generator=torch.Generator().manual_seed(0)).clamp(min=0)
    v = remainders(r, theta=0.3)
    spikes = (v >= 0.3).sum().item()
    assert spikes / (v / 0.3).floor().sum().item() == pytest.approx(share, abs=0.01)
    assert (v / 0.3).floor().sum().item() == pytest.approx(r.double().sum().item() / 0.3, abs=2)


def test_the_record_counts_what_is_dropped() -> None:
    torch.manual_seed(0)
    net = PMSNNet(8, (N,), 3, PMSN)
    x = (torch.rand(20, 4, 8) < 0.3).float()
    net.calibrate(x, 0.5)
    net.eval()
    with Counter(net) as counter, torch.no_grad():
        net(x)
    counts = counter.result()
    assert counts.missing == {}
    layer = net.neurons[0]
    assert isinstance(layer, PMSN)
    y, spikes = loop(layer, layer.norm(net.synapses[0](x)).detach().numpy())
    crossed = np.floor(np.maximum(y, 0).sum(0)).sum() / 4
    found = next(entry for entry in counts.layers if entry.name == "neurons.0")
    assert found.detail["crossings"] == crossed
    assert found.detail["crossings_dropped"] == crossed - spikes.sum() / 4
    assert found.detail["crossings_dropped"] > 0.1 * crossed
    assert found.macs == 20 * N * 25
    assert found.detail["state_reads"] == 20 * N * 9


# Start, surrogate, causality, time.


def test_the_start() -> None:
    A, B, C = cable()
    np.testing.assert_allclose(A, -0.5 + 1j * np.array([-18.251, -4.109, 4.109, 18.251]), atol=5e-4)
    chain = np.array([[-0.5, 5, 0, 0], [-5, -0.5, 10, 0], [0, -10, -0.5, 15], [0, 0, -15, -0.5]])
    for lag in (0.01, 0.1, 0.7):  # a pulse into every compartment of the chain, read at the last
        power = np.linalg.matrix_power(np.eye(4) + chain * lag / 2**20, 2**20)
        assert (C * np.exp(A * lag) * B).sum() == pytest.approx((power @ np.ones(4))[-1], abs=1e-4)
    torch.manual_seed(0)
    layer = PMSN(4000)
    dt = layer.log_dt.exp()
    assert (dt.min().item(), dt.max().item()) == pytest.approx((1e-3, 1e-1), rel=0.01)
    assert layer.log_dt.mean().item() == pytest.approx(np.log(1e-2), abs=0.1)
    assert layer.D.std().item() == pytest.approx(1, abs=0.05)


def test_the_gradient_goes_through_the_same_step_alone() -> None:
    """s[t] by r[t] is 1 within 1 of the threshold and 0 beyond; by earlier r it is nothing. With D alone, s = f(r)."""
    layer, _ = make()
    with torch.no_grad():
        layer.C.zero_()
        layer.D.fill_(1.0)
    z = torch.tensor([0.4, 1.9, 2.5, -0.3], dtype=torch.float64).view(4, 1, 1).expand(4, 1, N).clone().requires_grad_()
    layer.norm = torch.nn.Identity()  # type: ignore[assignment]
    assert layer.potential(z)[:, 0, 0].tolist() == pytest.approx([0.4, 2.3, 2.8, 0.8])
    layer(z)[:, 0, 0].sum().backward()
    assert z.grad is not None
    assert z.grad[:, 0, 0].tolist() == [1, 0, 0, 0]
    z.grad = None
    layer(z)[1:, 0, 0].sum().backward()
    assert z.grad[0, 0, 0] == 0


def test_causal_at_evaluation_and_not_in_training() -> None:
    layer, x = make()
    changed = x.clone()
    changed[12] += 3
    assert torch.equal(layer(changed)[:12], layer(x)[:12])
    assert not torch.equal(layer(changed)[12:], layer(x)[12:])
    layer.train()
    assert not torch.equal(layer.potential(changed)[:12], layer.potential(x)[:12])


def test_notd_is_the_first_step_again_and_again() -> None:
    layer, x = make()
    first = torch.cat([layer(x[t : t + 1]) for t in range(len(x))])
    assert not torch.equal(layer(x), first)
    layer.set_time("notd")
    assert torch.equal(layer(x), first)
    assert 0 < first.mean() < 0.9


def test_sdbp_same_spikes_no_gradient_through_time() -> None:
    layer, x = make()
    x.requires_grad_()
    full = layer(x)
    (full[-1] * torch.arange(1, N + 1)).sum().backward()
    assert x.grad is not None
    assert (x.grad[:-1] != 0).any()
    layer.set_time("sdbp")
    x.grad = None
    cut = layer(x)
    torch.testing.assert_close(layer.potential(x), make()[0].potential(x), rtol=0, atol=1e-10)
    assert torch.equal(cut, full)
    (cut[-1] * torch.arange(1, N + 1)).sum().backward()
    assert x.grad is not None
    assert x.grad[:-1].abs().max() == 0


@pytest.mark.parametrize("mode", ["full", "sdbp", "notd"])
def test_chunks_carry_the_state(mode: str) -> None:
    layer, x = make()
    layer.set_time(mode)
    memory = Memory()
    parts = [layer.potential(x[part], memory) for part in (slice(4), slice(4, 5), slice(5, 25))]
    torch.testing.assert_close(torch.cat(parts), layer.potential(x), rtol=0, atol=1e-10)
    layer(x, memory)
    assert memory.step == 25


def test_every_parameter_learns_and_the_state_stays_stable() -> None:
    layer, x = make()
    optimiser = torch.optim.SGD(layer.parameters(), lr=1e3)
    (layer(x) * torch.linspace(-1, 2, x.numel()).view_as(x)).sum().backward()
    for key, p in layer.named_parameters():
        assert p.grad is not None, key
        assert p.grad.abs().max() > 0, key
    optimiser.step()
    assert (torch.exp(layer.system()[0]).abs() <= 1).all()
    assert layer(x).isfinite().all()


def test_the_network_starts_at_its_rate() -> None:
    torch.manual_seed(0)
    net = PMSNNet(8, (30, 20), 3, PMSN)
    x = (torch.rand(20, 16, 8) < 0.3).float()
    reached = net.calibrate(x, 0.1)
    assert reached == pytest.approx({1: 0.1, 2: 0.1}, rel=0.05)
    assert all(synapses.bias is None for synapses in net.synapses)
    net.eval()
    again = [spikes.mean().item() for spikes in net.activity(x)[:2]]
    assert again == pytest.approx([0.1, 0.1], rel=0.1), "the batch norms keep the statistics of the batch"
