"""QCFS, integrate-and-fire, the signed neuron and the multi-threshold neuron: exact identities and known errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from spikingjelly.activation_based import functional
from spikingjelly.activation_based.neuron import IFNode

from snn5bench.neurons.conversion import IntegrateFire, ScaleAndFire, integrate_fire, multi_threshold, qcfs
from snn5bench.neurons.neuron import Memory

GRID = [1, 2, 4, 8, 32]


def constant(x: torch.Tensor, T: int) -> torch.Tensor:
    return x.expand(T, 1, -1)


# QCFS and integrate-and-fire


@pytest.mark.parametrize("T", GRID)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_qcfs_is_the_mean_of_integrate_and_fire_for_t_equal_l(T: int, dtype: torch.dtype) -> None:
    """theta a power of two and x on a fine binary grid: no rounding anywhere, the bin edges (inclusive) among them."""
    theta = torch.tensor(2.0, dtype=dtype)
    x = torch.arange(-1024, 3072, dtype=dtype) / 1024
    spikes = integrate_fire(constant(x, T), theta)
    assert torch.equal(theta * spikes.mean(0)[0], qcfs(x, theta, T))
    edge = theta / (2 * T)
    assert integrate_fire(constant(edge[None], T), theta).sum() == 1 == qcfs(edge, theta, T) * T / theta


@pytest.mark.parametrize("T", GRID)
def test_float32_ties_are_few(T: int) -> None:
    """A threshold that is no power of two: float64 has no mismatch on random inputs, float32 at most a few."""
    x = torch.rand(20_000, generator=torch.Generator().manual_seed(T), dtype=torch.float64) * 3 - 0.5
    off = {}
    for dtype in (torch.float64, torch.float32):
        theta = torch.tensor(1.7, dtype=dtype)
        counts = integrate_fire(constant(x.to(dtype), T), theta).sum(0)[0]
        off[dtype] = int((counts != (qcfs(x.to(dtype), theta, T) * T / theta).round()).sum())
    assert off[torch.float64] == 0
    assert off[torch.float32] <= 20


@pytest.mark.parametrize(("levels", "T"), [(4, 2), (4, 8), (8, 4)])
def test_the_half_threshold_start_leaves_no_bias(levels: int, T: int) -> None:
    """T != L: the mean error is zero from v(0) = theta/2, and -theta/(2T) from v(0) = 0, for x uniform in [0, theta]."""
    theta, n = torch.tensor(1.7, dtype=torch.float64), 40_000
    x = theta * (torch.arange(n, dtype=torch.float64) + 0.5) / n
    for start, expected in ((0.5, 0.0), (0.0, -1.7 / (2 * T))):
        error = theta * integrate_fire(constant(x, T), theta, start).mean(0)[0] - qcfs(x, theta, levels)
        assert abs(error.mean().item() - expected) < 3 * error.std().item() / math.sqrt(n) + 1e-4


def test_the_error_shrinks_as_t_and_l_grow() -> None:
    theta = torch.tensor(1.7, dtype=torch.float64)
    x = theta * (torch.arange(40_000, dtype=torch.float64) + 0.5) / 40_000
    spread = []
    for levels, T in ((4, 2), (4, 8), (8, 16)):
        error = theta * integrate_fire(constant(x, T), theta).mean(0)[0] - qcfs(x, theta, levels)
        spread.append(error.std().item())
    assert spread == pytest.approx([0.30, 0.15, 0.075], rel=0.15)


def test_gradients_of_qcfs_have_the_closed_form() -> None:
    """da/dx = 1 on [0, lambda], else 0; da/dlambda = q - x/lambda inside, 1 above, 0 below."""
    x = torch.tensor([-0.4, 0.3, 0.75, 1.1, 2.5], dtype=torch.float64, requires_grad=True)
    for i, (dx, dlam) in enumerate([(0, 0), (1, 1 / 4 - 0.2), (1, 2 / 4 - 0.5), (1, 3 / 4 - 1.1 / 1.5), (0, 1)]):
        lam = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
        grads = torch.autograd.grad(qcfs(x, lam, 4)[i], [x, lam])
        assert grads[0][i].item() == pytest.approx(dx, abs=1e-12)
        assert grads[1].item() == pytest.approx(dlam, abs=1e-12)


@given(st.integers(1, 64), st.floats(0.1, 5), st.floats(-3, 8))
def test_qcfs_stays_on_its_grid(levels: int, lam: float, x: float) -> None:
    value = qcfs(torch.tensor(x, dtype=torch.float64), torch.tensor(lam, dtype=torch.float64), levels).item()
    assert 0 <= value <= lam * (1 + 1e-12)
    assert value * levels / lam == pytest.approx(round(value * levels / lam), abs=1e-9)
    assert abs(value - min(max(x, 0), lam)) <= lam / (2 * levels) + 1e-9


def test_without_start_it_is_spikingjellys_if_node() -> None:
    x = torch.randn(30, 4, 25, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    node = IFNode(v_threshold=1.5, v_reset=None, step_mode="m")
    theirs = node(x)
    functional.reset_net(node)
    ours = integrate_fire(x, torch.tensor(1.5, dtype=torch.float64), start=0.0)
    assert ours.mean() > 0.05
    assert torch.equal(ours, theirs)


# the signed neuron


def signed_loop(x: list[float], theta: float, start: float, negative: float) -> list[int]:
    v, n, out = start * theta, 0, []
    for value in x:
        m = v + value
        if m >= theta:
            y, n = 1, n + 1
        elif m < -negative * theta and n > 0:
            y, n = -1, n - 1
        else:
            y = 0
        v = m - theta * y
        out.append(y)
    return out


def test_the_signed_neuron_by_hand() -> None:
    """theta = 1 from 1/2: 1.7 fires (0.7 left); -0.9 falls to -0.2 and takes it back (0.8); -2 has nothing to take."""
    x = torch.tensor([1.2, -0.9, -2.0, 3.0])[:, None, None]
    assert integrate_fire(x, torch.tensor(1.0), 0.5, 0.0).flatten().tolist() == [1, -1, 0, 1]
    assert integrate_fire(x, torch.tensor(1.0), 0.5, 0.5).flatten().tolist() == [1, 0, -1, 1]


@pytest.mark.parametrize("negative", [0.0, 0.4])
def test_the_signed_neuron_equals_a_loop_and_never_owes(negative: float) -> None:
    x = torch.randn(40, 3, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    spikes = integrate_fire(x, torch.tensor(0.8, dtype=torch.float64), 0.5, negative)
    for b in range(3):
        for j in range(20):
            assert spikes[:, b, j].tolist() == signed_loop(x[:, b, j].tolist(), 0.8, 0.5, negative)
    assert (spikes.cumsum(0) >= 0).all()
    assert (spikes == -1).any()


@pytest.mark.parametrize("T", [2, 4, 8])
def test_the_signed_neuron_mends_uneven_arrival(T: int) -> None:
    """Spikes at random times through signed weights: fewer neurons differ from QCFS than with plain spikes."""
    g = torch.Generator().manual_seed(T)
    weight = torch.randn(64, 200, generator=g, dtype=torch.float64) / 8
    rate = torch.rand(300, 64, generator=g, dtype=torch.float64)
    order = torch.rand(T, 300, 64, generator=g, dtype=torch.float64).argsort(0)
    x = (order < (rate * T).round()).double() @ weight
    theta = torch.tensor(1.0, dtype=torch.float64)
    wanted = (qcfs(x.mean(0), theta, T) * T).round()
    plain = (integrate_fire(x, theta).sum(0) != wanted).double().mean().item()
    signed = (integrate_fire(x, theta, negative=0.0).sum(0) != wanted).double().mean().item()
    assert signed < plain / 2
    assert plain > 0.02


def test_chunks_equal_the_whole_and_cut_time_forgets() -> None:
    x = torch.randn(12, 2, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) + 0.3
    for negative in (None, 0.0):
        layer, memory = IntegrateFire(4, negative=negative).double(), Memory()
        assert torch.equal(torch.cat([layer(x[:5], memory), layer(x[5:], memory)]), layer(x))
        assert memory.step == 12
        layer.set_time("notd")
        assert torch.equal(layer(x), (x + 0.5 >= 1).double())


# the multi-threshold neuron


@pytest.mark.parametrize("T", [2, 4, 8, 32])
@pytest.mark.parametrize("start", [0.0, 0.5])
@pytest.mark.parametrize("even", [True, False])
def test_theorem_1_time_into_levels(T: int, start: float, even: bool) -> None:
    """Inputs in [0, theta] at each step, multiples of theta/2^k: T steps of integrate-and-fire = T levels on the mean."""
    g = torch.Generator().manual_seed(T)
    theta = torch.tensor(2.0, dtype=torch.float64)
    x = torch.randint(0, 257, (1 if even else T, 1, 5000), generator=g).double() / 256 * theta
    x = x.expand(T, 1, -1)
    counts = integrate_fire(x, theta, start).sum(0)
    assert torch.equal(counts, multi_threshold(x.mean(0), theta / T, T, start))


@pytest.mark.parametrize(("T", "share"), [(2, 0.112), (4, 0.268), (8, 0.380), (32, 0.425)])
def test_theorem_1_needs_bounded_inputs(T: int, share: float) -> None:
    """Each input in [-theta, 2 theta]: the measured share of neurons that differ."""
    x = torch.rand(T, 1, 20_000, generator=torch.Generator().manual_seed(T), dtype=torch.float64) * 3 - 1
    theta = torch.tensor(1.0, dtype=torch.float64)
    off = (integrate_fire(x, theta, 0.0).sum(0) != multi_threshold(x.mean(0), theta / T, T, 0.0)).double().mean()
    assert off.item() == pytest.approx(share, abs=0.08)


def test_theorem_1_counterexample_by_hand() -> None:
    theta = torch.tensor(1.0)
    x = torch.tensor([1.5, -1.0])[:, None, None]
    assert integrate_fire(x, theta, 0.0).flatten().tolist() == [1, 0]
    assert multi_threshold(x.mean(0), theta / 2, 2, 0.0).item() == 0


@pytest.mark.parametrize("levels", [1, 3, 32])
def test_levels_are_rounding_half_up(levels: int) -> None:
    x = np.arange(-640, 4096) / 1024
    layer = ScaleAndFire(levels, threshold=levels / 8).double()
    expected = np.clip(np.floor(x * 8 + 0.5), 0, levels)
    np.testing.assert_array_equal(layer(torch.from_numpy(x)).detach().numpy(), expected)
    assert layer.scale.item() == 1 / 8
