"""Quantisers, pruning scores and the two orders: grids, inequalities and the properties that the papers state."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from snn5bench.neurons.compression import Compressor, order_errors, weights_of
from snn5bench.neurons.lif import LIF
from snn5bench.neurons.network import SpikingNet
from snn5bench.neurons.prune import keep_largest, lamp, masks, ties
from snn5bench.neurons.quantise import quantise, span

KINDS = ["max", "rescaw", "vanilla"]


def gaussian(n: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale


# 1. quantisers


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_points_of_the_grid_stay_and_others_move_half_a_step(bits: int) -> None:
    top, s = 2 ** (bits - 1) - 1, 2**bits - 1
    grid = torch.arange(-top, top + 1, dtype=torch.float64) * 0.5 / top
    torch.testing.assert_close(quantise(grid, bits, "max"), grid, rtol=0, atol=1e-15)
    codes = torch.arange(s + 1, dtype=torch.float64) * 2 / s - 1
    torch.testing.assert_close(quantise(codes, bits, "vanilla"), codes, rtol=0, atol=1e-15)
    w = gaussian(5000, bits)
    for kind, step in (("max", 1 / top), ("rescaw", 2 / s), ("vanilla", 2 / s)):
        gamma = span(w, kind)  # type: ignore[arg-type]
        error = (quantise(w, bits, kind) - w.clamp(-gamma, gamma)).abs()  # type: ignore[arg-type]
        assert error.max() <= gamma * step / 2 + 1e-12
        assert len(quantise(w, bits, kind).unique()) <= 2**bits  # type: ignore[arg-type]


def test_zero_is_on_the_symmetric_grid_and_not_on_the_other() -> None:
    w = torch.tensor([0.0, 0.3, -1.0])
    assert quantise(w, 2, "max")[0] == 0
    assert quantise(w, 2, "vanilla").tolist() == pytest.approx([1 / 3, 1 / 3, -1])


@pytest.mark.parametrize("kind", ["max", "rescaw"])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_scaled_quantisers_follow_the_scale(kind: str, bits: int) -> None:
    w = gaussian(1000)
    for factor in (0.25, 8.0):
        assert torch.equal(quantise(factor * w, bits, kind), factor * quantise(w, bits, kind))  # type: ignore[arg-type]
    torch.testing.assert_close(quantise(1.7 * w, bits, kind), 1.7 * quantise(w, bits, kind))  # type: ignore[arg-type]
    assert not torch.equal(quantise(0.25 * w, bits, "vanilla"), 0.25 * quantise(w, bits, "vanilla"))


@pytest.mark.parametrize("a", [0.14, 0.32])
def test_the_unscaled_grid_is_hardly_used(a: float) -> None:
    """R = (1 + a s) / (s + 1) for weights that span a of the range: 14 to 32 % of the 8-bit codes; ReScaW uses more."""
    w = torch.linspace(-a, a, 100_001, dtype=torch.float64)
    used = len(quantise(w, 8, "vanilla").unique()) / 256
    assert used == pytest.approx((1 + a * 255) / 256, abs=2 / 256)
    assert len(quantise(w, 8, "rescaw").unique()) / 256 > 0.95


def test_rescaw_measures_what_pruning_left() -> None:
    assert span(torch.tensor([0.0, 0, 0, 2, -4]), "rescaw") == 3
    for kind in KINDS:
        assert span(torch.zeros(3), kind) == 1  # type: ignore[arg-type]
    assert quantise(torch.zeros(3), 4, "max").tolist() == [0, 0, 0]


def test_the_gradient_passes_inside_the_range_only() -> None:
    w = torch.tensor([0.1, -0.2, 0.9, -3.0], requires_grad=True)
    quantise(w, 4, "vanilla").sum().backward()
    assert w.grad.tolist() == [1, 1, 1, 0]  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="2 bits"):
        quantise(w, 1)


# 4. LAMP, and the collapse that it prevents


def test_lamp_by_hand() -> None:
    # squares ascending 1, 4, 9, 36: 1/50, 4/49, 9/45, 36/36
    scores = lamp(torch.tensor([[2.0, -6.0], [1.0, 3.0]]))
    assert scores.flatten().tolist() == pytest.approx([4 / 49, 1, 1 / 50, 9 / 45])
    assert lamp(torch.zeros(3)).tolist() == [0, 0, 0]


@given(
    st.lists(st.floats(-100, 100).filter(lambda v: abs(v) > 1e-3), min_size=1, max_size=40), st.sampled_from([0.01, 7])
)
def test_lamp_properties(values: list[float], factor: float) -> None:
    w = torch.tensor(values, dtype=torch.float64)
    scores = lamp(w)
    assert scores.max() == 1 and (scores > 0).all() and (scores <= 1).all()
    order = w.abs().argsort()
    assert (scores[order].diff()[w.abs()[order].diff() > 0] >= 0).all()
    torch.testing.assert_close(lamp(factor * w), scores)


def test_global_magnitude_empties_badly_scaled_layers_and_lamp_does_not() -> None:
    layers = [gaussian(5000, 1, 0.1), gaussian(600, 2, 1.0), gaussian(70, 3, 0.01)]
    kept = {p: [int(m.sum()) for m in masks(layers, 0.98, p)] for p in ("magnitude", "global", "lamp")}  # type: ignore[arg-type]
    assert kept["global"] == [0, 113, 0]
    assert min(kept["lamp"]) >= 15 and sum(kept["lamp"]) == 113
    assert kept["magnitude"] == [100, 12, 1]


@given(st.integers(1, 60), st.floats(0, 0.99), st.integers(0, 5))
def test_masks_keep_the_largest(n: int, sparsity: float, seed: int) -> None:
    w = gaussian(n, seed)
    (mask,) = masks([w], sparsity, "magnitude")
    assert int(mask.sum()) == round((1 - sparsity) * n)
    if mask.any() and not mask.all():
        assert w[mask].abs().min() >= w[~mask].abs().max()


def test_ties_are_counted_and_broken_all_over_the_tensor() -> None:
    w = torch.tensor([2.0, 1, 1, 1, 0])
    assert ties(w, torch.tensor([1, 1, 0, 0, 0])) == 3
    assert ties(w, torch.tensor([1, 1, 1, 1, 0])) == 0
    flat = keep_largest(torch.ones(1000), 500).view(10, 100).sum(1)
    assert flat.min() > 30, "not row by row"
    assert torch.equal(keep_largest(torch.ones(1000), 500), keep_largest(torch.ones(1000), 500))


# 2. the two orders


def norm(v: Tensor) -> float:
    return v.abs().sum().item()


@pytest.mark.parametrize("bits", range(2, 9))
def test_prune_quantise_stays_within_the_sum_of_the_errors(bits: int) -> None:
    """10,000 random vectors (1,430 a bit width), half pruned, L1: never beyond 1e-12 (theorem 3.5)."""
    rng = torch.Generator().manual_seed(bits)
    for _ in range(1430):
        w = torch.randn(8, generator=rng, dtype=torch.float64)
        mask = keep_largest(w.abs(), 4)
        both = norm(quantise(w * mask, bits) * mask - w)
        assert both <= norm(w * mask - w) + norm(quantise(w, bits) - w) + 1e-12


def test_quantise_prune_can_exceed_it() -> None:
    """Four weights, 2 bits: ties make the pruner drop a large one. The worst excess found is of order one."""
    rng, worst = torch.Generator().manual_seed(0), 0.0
    for _ in range(3000):
        w = torch.randn(4, generator=rng, dtype=torch.float64)
        q = quantise(w, 2)
        excess = norm(q * keep_largest(q.abs(), 2) - w) - norm(w * keep_largest(w.abs(), 2) - w) - norm(q - w)
        worst = max(worst, excess)
    assert worst > 0.5


@pytest.mark.parametrize(("bits", "ratio", "mismatch"), [(2, 1.0, 0.446), (4, 1.058, 0.137), (8, 1.0, 0.007)])
def test_the_measured_size_of_the_order(bits: int, ratio: float, mismatch: float) -> None:
    """4,096 Gaussian weights, half pruned, mean of 5 seeds."""
    found = [order_errors([gaussian(4096, seed)], 0.5, bits) for seed in range(5)]
    assert np.mean([e.quantise_prune / e.prune_quantise for e in found]) == pytest.approx(ratio, abs=0.03)
    assert np.mean([e.mask_mismatch for e in found]) == pytest.approx(mismatch, abs=0.1 if bits == 2 else 0.06)
    assert all(e.orthogonal for e in found)


# the parametrisation


def network() -> SpikingNet:
    torch.manual_seed(0)
    return SpikingNet(12, (20, 16), 4, lambda n: LIF(recurrent=n))


def test_every_weight_is_found() -> None:
    names = [(type(w.module).__name__, w.name) for w in weights_of(network())]
    assert names.count(("Synapses", "weight")) == 3 and names.count(("LIF", "recurrent_weight")) == 2
    assert len(weights_of(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(3, 4)))) == 2


@pytest.mark.parametrize("order", ["prune-quantise", "quantise-prune"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_compressed_network_holds_few_values_and_its_zeros(order: str, kind: str) -> None:
    net = network()
    net.calibrate((torch.rand(8, 30, 12) < 0.4).float())
    dense = [w.value.clone() for w in weights_of(net)]
    compressor = Compressor(net, order, "magnitude", kind)  # type: ignore[arg-type]
    assert all(torch.equal(a, b) for a, b in zip(compressor.values(), dense, strict=True))
    steps = {"prune": lambda: compressor.prune(0.75), "quantise": lambda: compressor.quantise(3)}
    for step in order.split("-"):
        steps[step]()
    for value, before in zip(compressor.values(), dense, strict=True):
        kept = masks([quantise(before, 3, kind) if order[0] == "q" else before], 0.75, "magnitude")[0]  # type: ignore[arg-type]
        expected = quantise(before * kept if order[0] == "p" else before, 3, kind) * kept  # type: ignore[arg-type]
        assert torch.equal(value, expected)
        assert len(value.unique()) <= 2**3 + 1
        assert (value == 0).double().mean() >= 0.74
    x = (torch.rand(8, 5, 12) < 0.4).float()
    net(x).sum().backward()
    for squeeze in (m for m in net.modules() if type(m).__name__ == "Squeeze"):
        assert squeeze.bits == 3
    first = net.synapses[0].parametrizations["weight"].original  # type: ignore[index, union-attr]
    gone = net.synapses[0].parametrizations["weight"][0].mask == 0  # type: ignore[index, union-attr]
    assert (first.grad[gone] == 0).all() and (first.grad[~gone] != 0).any()


def test_a_compressed_network_is_saved_and_loaded() -> None:
    nets = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        net = SpikingNet(12, (20,), 4, lambda n: LIF())
        compressor = Compressor(net, "prune-quantise", "lamp", "max")
        compressor.prune(0.5)
        compressor.quantise(4)
        nets.append(net)
    nets[1].load_state_dict(nets[0].state_dict())
    x = (torch.rand(8, 5, 12) < 0.4).float()
    assert torch.equal(nets[0](x), nets[1](x))


def test_the_state_of_a_compressed_network_holds_its_bits() -> None:
    net = nn.Linear(9, 4)
    rounded, plain = copy.deepcopy(net), copy.deepcopy(net)
    Compressor(rounded, "prune-quantise", "magnitude", "max").quantise(3)
    Compressor(plain, "prune-quantise", "magnitude", "max")
    assert not torch.equal(rounded.weight, plain.weight)
    plain.load_state_dict(rounded.state_dict())
    assert torch.equal(rounded.weight, plain.weight)
