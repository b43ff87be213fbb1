"""The neuron models: three steps by hand, loops of their own, ranges, stability, and the time modes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based.neuron import ParametricLIFNode
from spikingjelly.activation_based.surrogate import ATan
from torch import Tensor

from snn5bench.neurons.adlif import AdLIF, SEAdLIF
from snn5bench.neurons.alif import ALIF
from snn5bench.neurons.dh_lif import DHLIF, BranchSynapses
from snn5bench.neurons.lif import LIF
from snn5bench.neurons.loop import LoopNeuron, MultiGaussian
from snn5bench.neurons.neuron import Memory
from snn5bench.neurons.plif import PLIF
from snn5bench.neurons.silif import CSiLIF, SiLIF
from snn5bench.neurons.surrogate import Surrogate
from snn5bench.neurons.tc_lif import TCLIF

N = 5
MAKE = {
    "adlif": lambda: AdLIF(N),
    "radlif": lambda: AdLIF(N, recurrent=True),
    "se": lambda: SEAdLIF(N),
    "ef": lambda: SEAdLIF(N, symplectic=False, recurrent=True),
    "alif": lambda: ALIF(N),
    "plif": lambda: PLIF(),
    "tc-lif": lambda: TCLIF(threshold=1.0, recurrent=N),
    "silif": lambda: SiLIF(N),
    "c-silif": lambda: CSiLIF(N),
    "dh-lif": lambda: DHLIF(N, 3),
}


def make(name: str) -> LoopNeuron:
    torch.manual_seed(0)
    return MAKE[name]().double()


def current(name: str = "", steps: int = 25, batch: int = 3) -> Tensor:
    size = (steps, batch, 3 * N if name == "dh-lif" else N)
    scale = 20 if name in ("adlif", "radlif", "se", "ef", "silif", "dh-lif") else 2
    return scale * torch.randn(size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def run(layer: LoopNeuron, x: list[float]) -> tuple[list[float], tuple[Tensor, ...]]:
    memory = Memory()
    spikes = layer.double()(torch.tensor(x, dtype=torch.float64).view(-1, 1, 1), memory)
    return spikes.flatten().tolist(), tuple(part.flatten() for part in memory.state[1:])


def put(layer: torch.nn.Module, **values: float) -> None:
    for name, value in values.items():
        getattr(layer, name).data.fill_(value)


# By hand. Each: the numbers of three steps, a spike at the second (t = 1).


def test_adlif_by_hand() -> None:
    """alpha .85, beta .98, a .5, b 1; x = 4, 4, 0.
    t0: w 0; u = .15 * 4 = .6. t1: w = .3; u = .51 + .15 * 3.7 = 1.065, spike.
    t2: w = .294 + .5325 + 1 = 1.8265; u = .85 * .065 - .15 * 1.8265 = -.218725."""
    layer = AdLIF(1)
    put(layer, alpha=0.85, beta=0.98, a=0.5, b=1.0)
    spikes, (u, w) = run(layer, [4, 4, 0])
    assert spikes == [0, 1, 0]
    assert u.item() == pytest.approx(-0.218725, abs=1e-6)
    assert w.item() == pytest.approx(1.8265, abs=1e-6)


@pytest.mark.parametrize(
    ("symplectic", "u", "w"),
    [
        # tau_u 10, tau_w 100, a .5, b 1, q 100: alpha = e^-.1 = .9048374, beta = e^-.01 = .9900498, gain g = .9950166
        # SE, I = 8, 12, 0. t0: v = .7613007, w = g .5 v = .3787534.
        # t1: v = .9048374 * .7613007 + .0951626 * 11.6212466 = 1.7947524, spike, u = 0, w = .9900498 w + g = 1.3700013
        # t2: v = -.0951626 * 1.3700013 = -.1303729, u = v, w = .9900498 * 1.3700013 + g .5 u = 1.2915078
        (True, -0.1303729, 1.2915078),
        # EF. t0: v = .7613007, w = 0. t1: v = .6888533 + 1.1419510 = 1.8308043, spike, u = 0, w = g .5 .7613007 = .3787534
        # t2: v = -.0951626 * .3787534 = -.0360432, w = .9900498 * .3787534 + g (0 + 1) = 1.3700013
        (False, -0.0360432, 1.3700013),
    ],
)
def test_se_adlif_by_hand(symplectic: bool, u: float, w: float) -> None:
    layer = SEAdLIF(1, symplectic, q=100)
    put(layer, place_u=0.25, place_w=40 / 240, a=0.5, b=1.0)
    spikes, (found_u, found_w) = run(layer, [8, 12, 0])
    assert spikes == [0, 1, 0]
    assert found_u.item() == pytest.approx(u, abs=1e-6)
    assert found_w.item() == pytest.approx(w, abs=1e-6)


def test_alif_by_hand() -> None:
    """tau_m 10, tau_adp 100, b0 .5, beta 2: alpha .9048374, rho .9900498; I = 4, 4, 4.
    t0: u = .3806503. t1: u = .3444266 + .3806503 = .7250769 > .5, spike.
    t2: eta = .0099502, theta = .5199003; u = .6560768 + .3806503 - .5199003 = .5168268, not above theta. (With the old
    threshold, .5, the reset would leave .5367271, and a spike.)"""
    layer = ALIF(1, b0=0.5, beta=2.0)
    put(layer, tau_m=10, tau_adp=100)
    spikes, (u, eta) = run(layer, [4, 4, 4])
    assert spikes == [0, 1, 0]
    assert u.item() == pytest.approx(0.5168268, abs=1e-6)
    assert eta.item() == pytest.approx(0.0099502, abs=1e-6)


def test_plif_by_hand() -> None:
    """tau 2: v = 0 + 1.6/2 = .8; .8 + (1.6 - .8)/2 = 1.2, spike, 0; then .3."""
    spikes, (v,) = run(PLIF(), [1.6, 1.6, 0.6])
    assert spikes == [0, 1, 0]
    assert v.item() == pytest.approx(0.3, abs=1e-9)


def test_tc_lif_by_hand() -> None:
    """beta -.5, .5, gamma .5, V_th 1; I = 1, 1.5, 0. t0: D 1, S .5. t1: D = 1 - .25 + 1.5 = 2.25, S = .5 + 1.125 = 1.625,
    spike. t2: D = 2.25 - .8125 - .5 = .9375, S = 1.625 + .46875 - 1 = 1.09375, spike."""
    spikes, (dendrite, soma) = run(TCLIF(threshold=1.0), [1, 1.5, 0])
    assert spikes == [0, 1, 1]
    assert dendrite.item() == pytest.approx(0.9375, abs=1e-6)
    assert soma.item() == pytest.approx(1.09375, abs=1e-6)


def test_silif_by_hand() -> None:
    """alpha .85, beta .98, a .5, b 1: the numbers of adLIF."""
    layer = SiLIF(1)
    put(layer, delta=0.0, p_alpha=math.log(-math.log(0.85)), p_beta=math.log(-math.log(0.98)), a=0.5, b=1.0)
    spikes, (u, w) = run(layer, [4, 4, 0])
    assert spikes == [0, 1, 0]
    assert u.item() == pytest.approx(-0.218725, abs=1e-6)
    assert w.item() == pytest.approx(1.8265, abs=1e-6)


def test_c_silif_by_hand() -> None:
    """A quarter turn and half the size a step: alpha = .5 i. b = 1, x = .4, .8, 0.
    t0: u = .4, 2 Re u = .8. t1: u = .2 i + .8, 1.6, spike. t2: u = .5 i (.3 + .2 i) = -.1 + .15 i."""
    layer = CSiLIF(1)
    put(layer, delta=0.0, p=math.log(math.log(2)), omega=math.pi / 2, b=1.0)
    spikes, (re, im) = run(layer, [0.4, 0.8, 0.0])
    assert spikes == [0, 1, 0]
    assert re.item() == pytest.approx(-0.1, abs=1e-6)
    assert im.item() == pytest.approx(0.15, abs=1e-6)


def test_dh_lif_by_hand() -> None:
    """alpha .5, beta .5 and .75, theta 1; currents (2, 4), (4, 4), (0, 0).
    t0: d 1, 1; u = .5 * 2 = 1, not above 1. t1: d = .5 + 2 = 2.5, .75 + 1 = 1.75; u = .5 + 2.125 = 2.625, spike.
    t2: d 1.25, 1.3125; u = 1.3125 + 1.28125 - 1 = 1.59375, spike. (Without the factor 1 - alpha t0 would spike.)"""
    layer = DHLIF(1, 2).double()
    put(layer, m=0.0)
    layer.n.data = torch.tensor([0.0, math.log(3)], dtype=torch.float64)
    memory = Memory()
    x = torch.tensor([[[2.0, 4.0]], [[4.0, 4.0]], [[0.0, 0.0]]], dtype=torch.float64)
    assert layer(x, memory).flatten().tolist() == [0, 1, 1]
    assert memory.state[1].item() == pytest.approx(1.59375, abs=1e-6)
    torch.testing.assert_close(memory.state[2].flatten(), torch.tensor([1.25, 1.3125], dtype=torch.float64))


# Against other models.


@pytest.mark.parametrize("symplectic", [True, False])
def test_without_adaptation_it_is_a_hard_reset_lif(symplectic: bool) -> None:
    layer = SEAdLIF(N, symplectic).double()
    put(layer, a=0.0, b=0.0, place_u=0.5)
    x, alpha = current("se", 60), layer.coefficients()[0][0].item()
    lif = LIF(alpha, math.nextafter(1.0, 2.0), "hard")  # its >= at the next number is our >
    assert layer(x).mean() > 0.05
    assert torch.equal(layer(x), lif((1 - alpha) * x))


def test_symplectic_and_forward_part_at_the_second_step() -> None:
    one, two = make("se"), make("se")
    assert isinstance(two, SEAdLIF)
    two.symplectic = False
    memories = Memory(), Memory()
    x = torch.full((1, 1, N), 2.0, dtype=torch.float64)
    first = [layer(x, memory) for layer, memory in zip((one, two), memories, strict=True)]
    assert torch.equal(*first)
    assert torch.equal(memories[0].state[1], memories[1].state[1])
    for layer, memory in zip((one, two), memories, strict=True):
        layer(x, memory)
    assert not torch.allclose(memories[0].state[1], memories[1].state[1])


@pytest.mark.parametrize(
    ("symplectic", "q", "radius"),
    [(False, 120.0, 1.079), (False, 60.0, 0.9925), (True, 120.0, 0.897), (True, 60.0, 0.897)],
)
def test_stability_of_the_discretisations(symplectic: bool, q: float, radius: float) -> None:
    """Spectral radius of the map (u, w) below threshold at tau_u 5, tau_w 60, a 1, read off the neuron itself."""
    layer = SEAdLIF(1, symplectic, q).double()
    put(layer, place_u=0.0, place_w=0.0, a=1.0, b=0.0)
    zero = torch.zeros(1, dtype=torch.float64)
    columns = []
    for u, w in ((1e-3, 0.0), (0.0, 1e-3)):
        state = (zero, zero + u, zero + w)
        columns.append([part.item() / 1e-3 for part in layer.step(zero, state, layer.coefficients())[1:]])
    matrix = np.array(columns).T
    assert max(abs(np.linalg.eigvals(matrix))) == pytest.approx(radius, abs=1e-3)
    alpha, beta = (c.item() for c in layer.coefficients()[:2])
    if symplectic:
        assert np.linalg.det(matrix) == pytest.approx(alpha * beta)


def test_two_compartments_ring_for_ever() -> None:
    layer = TCLIF(threshold=1e9).double()
    zero = torch.zeros(1, dtype=torch.float64)
    columns = [
        [p.item() for p in layer.step(zero, (zero, zero + a, zero + b), layer.coefficients())[1:]]
        for a, b in ((1, 0), (0, 1))
    ]
    matrix = np.array(columns).T
    np.testing.assert_allclose(matrix, [[1, -0.5], [0.5, 0.75]])
    assert np.linalg.det(matrix) == pytest.approx(1)
    np.testing.assert_allclose(abs(np.linalg.eigvals(matrix)), 1)
    memory = Memory()
    x = torch.zeros(2000, 1, 1, dtype=torch.float64)
    x[0] = 1
    layer(x[:1000], memory)
    early = sum(part.abs().item() for part in memory.state[1:])
    layer(x[1000:], memory)
    assert sum(part.abs().item() for part in memory.state[1:]) > 0.3 * early


@pytest.mark.parametrize("tau", [1.5, 2.0, 5.0])
def test_plif_equals_spikingjelly(tau: float) -> None:
    x = tau * current(steps=40)
    node = ParametricLIFNode(init_tau=tau, detach_reset=True, step_mode="m", surrogate_function=ATan(2.0)).double()
    ours = PLIF(tau).double()
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    weight = torch.linspace(-1, 2, x.numel(), dtype=x.dtype).view_as(x)
    theirs, mine = node(a), ours(b)
    (theirs * weight).sum().backward()
    (mine * weight).sum().backward()
    functional.reset_net(node)
    assert 0.05 < mine.mean() < 0.6
    assert torch.equal(theirs, mine)
    torch.testing.assert_close(b.grad, a.grad, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(ours.w.grad, node.w.grad, rtol=1e-6, atol=1e-9)


def test_plif_with_its_leak_frozen_is_a_lif() -> None:
    x = current(steps=40)
    layer = PLIF().double()
    assert layer.w.item() == 0
    assert [p.numel() for p in layer.parameters()] == [1]
    assert torch.equal(layer(x), LIF(0.5, 1.0, "hard")(0.5 * x))


def test_silif_with_the_decays_of_an_adlif_is_one() -> None:
    adlif, silif = make("adlif"), make("silif")
    assert isinstance(adlif, AdLIF)
    assert isinstance(silif, SiLIF)
    adlif.a.data.abs_()
    silif.delta.data.zero_()
    silif.p_alpha.data = torch.log(-torch.log(adlif.alpha.data))
    silif.p_beta.data = torch.log(-torch.log(adlif.beta.data))
    silif.a.data, silif.b.data = adlif.a.data, adlif.b.data
    x = current("adlif", 80)
    assert torch.equal(adlif(x), silif(x))


def test_c_silif_impulse_response() -> None:
    layer = CSiLIF(3).double()
    put(layer, b=1e-3)
    x = torch.zeros(30, 1, 3, dtype=torch.float64)
    x[0] = 1
    memory = Memory()
    assert layer(x, memory).sum() == 0
    dt = layer.delta.exp()
    u = torch.complex(*memory.state[1:])[0]
    torch.testing.assert_close(u.abs(), 1e-3 * torch.exp(-0.5 * dt * 29), rtol=1e-5, atol=0)
    torch.testing.assert_close(torch.cos(math.pi * dt * 29), (u / u.abs()).real, rtol=1e-4, atol=1e-5)


def test_one_branch_without_memory_is_a_soft_reset_lif() -> None:
    layer = DHLIF(N, 1).double()
    put(layer, n=-800.0, m=0.4)
    alpha = torch.sigmoid(layer.m)[0].item()
    x = current("adlif", 60)
    lif = LIF(alpha, math.nextafter(1.0, 2.0), "soft")
    assert layer(x).mean() > 0.05
    assert (layer(x) != lif((1 - alpha) * x)).double().mean() < 1e-3
    put(layer, m=0.0)  # alpha = 1/2, and currents of few bits: no rounding anywhere
    x = (8 * x).round() / 8
    found = layer(x)
    assert 0.05 < found.mean() < 0.6
    assert torch.equal(found, LIF(0.5, math.nextafter(1.0, 2.0), "soft")(0.5 * x))


def test_branches_share_out_the_inputs_and_stay_so() -> None:
    torch.manual_seed(0)
    layer = BranchSynapses(10, 6, 3)
    per_branch = layer.mask.view(3, 6, 10)
    assert (per_branch.sum(0) == 1).all(), "every input goes to one branch of each neuron"
    assert per_branch.sum(2).unique().tolist() == [2, 4]
    assert len({tuple(row) for row in per_branch[0].tolist()}) > 1, "each neuron deals them out its own way"
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.5)
    layer(torch.rand(4, 2, 10)).square().sum().backward()
    optimiser.step()
    assert (layer.effective_weight() != 0).view(3, 6, 10).sum((0, 2)).tolist() == [10] * 6
    with pytest.raises(ValueError, match="branches"):
        BranchSynapses(2, 6, 3)


# All of them.


@pytest.mark.parametrize("name", MAKE)
def test_notd_is_the_first_step_again_and_again(name: str) -> None:
    layer, x = make(name), current(name)
    first = torch.cat([layer(x[t : t + 1]) for t in range(len(x))])
    assert not torch.equal(layer(x), first)
    layer.set_time("notd")
    assert torch.equal(layer(x), first)
    assert first.mean() > 0.02


@pytest.mark.parametrize("name", MAKE)
def test_sdbp_same_spikes_no_gradient_through_time(name: str) -> None:
    layer, x = make(name), current(name).requires_grad_()
    layer.surrogate = Surrogate("triangle", 20.0)
    full = layer(x)
    assert 0.02 < full.mean() < 0.7
    (full[-1] * torch.arange(1, N + 1)).sum().backward()
    assert x.grad is not None
    reach = x.grad.abs().amax((1, 2)) > 0
    assert reach[:-1].any()
    layer.set_time("sdbp")
    x.grad = None
    cut = layer(x)
    assert torch.equal(cut, full)
    (cut[-1] * torch.arange(1, N + 1)).sum().backward()
    assert x.grad is not None
    assert x.grad[:-1].abs().max() == 0


@pytest.mark.parametrize("mode", ["full", "sdbp", "notd"])
@pytest.mark.parametrize("name", MAKE)
def test_chunks_equal_the_whole_sequence(name: str, mode: str) -> None:
    layer, x, memory = make(name), current(name), Memory()
    layer.set_time(mode)
    parts = torch.cat([layer(part, memory) for part in x.split([4, 1, 20])])
    assert torch.equal(parts, layer(x))
    assert memory.step == 25


@pytest.mark.parametrize("name", MAKE)
def test_every_parameter_learns_and_stays_in_range(name: str) -> None:
    layer, x = make(name), current(name)
    optimiser = torch.optim.SGD(layer.parameters(), lr=1e4)
    (layer(x) * torch.linspace(-1, 2, layer(x).numel()).view_as(layer(x))).sum().backward()
    for key, p in layer.named_parameters():
        assert p.grad is not None, key
        assert p.grad.abs().max() > 0, key
    optimiser.step()
    assert layer(x).isfinite().all()
    ranges = {
        "adlif": {"alpha": AdLIF.ALPHA, "beta": AdLIF.BETA, "a": (-1, 1), "b": (0, 2)},
        "se": {"place_u": (0, 1), "place_w": (0, 1), "a": (0, 1), "b": (0, 2)},
        "silif": {"a": (0, 1), "b": (0, 2)},
        "alif": {"tau_m": (0.1, math.inf), "tau_adp": (0.1, math.inf)},
    }
    for key, (low, high) in ranges.get(name, {}).items():
        value = getattr(layer, key).detach()
        assert value.min() >= low
        assert value.max() <= high
    for decay in layer.coefficients()[:2] if name in ("adlif", "se", "silif", "alif", "dh-lif") else ():
        assert decay.min() >= 0
        assert decay.max() <= 1


def test_multi_gaussian_by_hand() -> None:
    """At the threshold with w = .5: g (1.15 * .7978846 - .3 N(.5; 0, 3)), N = .1329808 e^(-1/72) = .1311467."""
    surrogate = MultiGaussian().double()
    found = surrogate.derivative(torch.zeros(1, dtype=torch.float64)).item()
    assert found == pytest.approx(0.5 * (1.15 * 0.7978846 - 0.3 * 0.1311467), abs=1e-6)
    with pytest.raises(ValueError, match="no compiled kernel"):
        _ = surrogate.id


def test_published_surrogates() -> None:
    at = torch.tensor([0.0, 0.2, 0.6], dtype=torch.float64)
    slayer = SEAdLIF(1).double().surrogate.derivative(at)
    torch.testing.assert_close(slayer, 0.4 * 5 / (2 * torch.exp(5 * at)))
    assert AdLIF(1).surrogate.derivative(at).tolist() == [1, 1, 0]
    assert isinstance(ALIF(1).surrogate, MultiGaussian)
    assert AdLIF(1, Surrogate("atan", 0.5)).surrogate.shape == "atan"


def test_start_ranges() -> None:
    torch.manual_seed(0)
    alpha, beta, *_ = SiLIF(2000).coefficients()
    assert (alpha.min().item(), alpha.max().item()) == pytest.approx((0.368, 0.961), abs=0.005)
    assert (beta.min().item(), beta.max().item()) == pytest.approx((0.961, 0.990), abs=0.002)
    re, im, _ = CSiLIF(2000).coefficients()
    size = (re**2 + im**2).sqrt()
    assert (size.min().item(), size.max().item()) == pytest.approx((0.779, 0.995), abs=0.003)
    assert TCLIF().coefficients()[0].item() == pytest.approx(-0.5)
    for bad in ({"beta1": 0.5}, {"beta2": 1.0}):
        with pytest.raises(ValueError, match="beta1"):
            TCLIF(**bad)
    with pytest.raises(ValueError, match="tau"):
        PLIF(1.0)
