"""Energy models against hand arithmetic, against spikingjelly's profilers, and against what their papers say."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import ours
from spikingjelly.activation_based import functional, layer, neuron
from spikingjelly.activation_based.op_counter import (
    LemaireEnergyConfig,
    LemaireEnergyProfiler,
    estimate_simple_energy,
)
from torch import Tensor, nn

from snn5bench import registry
from snn5bench.errors import BenchError
from snn5bench.measure.energy.davidson_furber import DavidsonFurber
from snn5bench.measure.energy.horowitz import HorowitzFp32, HorowitzInt8
from snn5bench.measure.energy.lemaire import Lemaire
from snn5bench.measure.energy.model import CostModel, break_even
from snn5bench.measure.energy.prices import from_yaml, price_list
from snn5bench.measure.energy.shape import at_rate, dense_twin, event_rate, matched_bits
from snn5bench.measure.energy.simple import SimpleEnergy
from snn5bench.measure.energy.yan import YanV1, YanV4
from snn5bench.record import EnergyEstimate, LayerCounts

MODELS: dict[str, Callable[[], CostModel]] = {
    name: registry.load("energy_models", name) for name in registry.BUILTIN["energy_models"]
}


def flat(T: int, n_in: int, n_out: int, rate: float) -> list[LayerCounts]:
    """Counts of `n_in -> n_out` synapses and spiking neurons, all values spiking at `rate`."""
    acs, spikes = rate * T * n_in * n_out, rate * T * n_out
    return [
        LayerCounts(
            name="fc",
            kind="synapses",
            acs=acs,
            dense_macs=T * n_in * n_out,
            detail={
                "in_features": n_in, "out_features": n_out, "weights": n_in * n_out, "zero_weights": 0, "steps": T,
                "mac_steps": 0, "spikes_in": rate * T * n_in, "input_reads": rate * T * n_in, "weight_reads": acs,
                "dense_macs_padded": T * n_in * n_out, "borderless_fan_out": n_out, "outputs": T * n_out,
            },
        ),
        LayerCounts(
            name="lif",
            kind="neuron",
            neurons=n_out,
            spike_rate=rate,
            neuron_updates=T * n_out,
            detail={
                "steps": T, "outputs": T * n_out, "spikes": spikes, "output_writes": spikes, "out_features": n_out,
                "state_reads": T * n_out, "state_writes": T * n_out,
            },
        ),
    ]  # fmt: skip


def threshold(model: CostModel, T: int, n_in: int = 2395) -> float:
    """Break-even spike rate on a layer with `n_in` inputs to each neuron."""
    found = model.estimate(flat(T, n_in, 4096, 0.05), T).break_even_spike_rate
    assert found is not None
    return found


def mlp() -> nn.Module:
    torch.manual_seed(1)
    lif = [neuron.LIFNode(tau=2.0, v_threshold=0.3, v_reset=None) for _ in range(2)]
    net = nn.Sequential(layer.Linear(700, 128), lif[0], layer.Linear(128, 20), lif[1])
    functional.set_step_mode(net, "m")
    with torch.no_grad():
        net[0].weight.mul_(6)
        net[2].weight.mul_(3)
    return net.eval()


def conv(norm: bool) -> nn.Module:
    torch.manual_seed(2)

    def block(c_in: int, c_out: int) -> list[nn.Module]:
        mid = [layer.BatchNorm2d(c_out)] if norm else []
        spiking = neuron.LIFNode(tau=2.0, v_threshold=0.3, v_reset=None)
        return [layer.Conv2d(c_in, c_out, 3, padding=1, bias=not norm), *mid, spiking, layer.MaxPool2d(2)]

    net = nn.Sequential(*block(2, 8), *block(8, 16), layer.Flatten(), layer.Linear(256, 10, bias=not norm))
    net.append(neuron.LIFNode(tau=2.0, v_threshold=0.3, v_reset=None))
    functional.set_step_mode(net, "m")
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.mul_(3)
    return net.eval()


def events(*shape: int, rate: float) -> Tensor:
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(3)) < rate).float()


MLP_INPUT = events(20, 1, 700, rate=0.03)
CONV_INPUT = events(8, 1, 2, 16, 16, rate=0.1)


def counted(net: nn.Module, x: Tensor) -> list[LayerCounts]:
    return ours(net, x).layers


def parts_sum(found: EnergyEstimate) -> float:
    return sum(part or 0.0 for part in (found.operations_nj, found.memory_nj, found.addressing_nj))


# -- against hand arithmetic and spikingjelly


def test_naive_is_a_price_times_acs() -> None:
    layers = counted(mlp(), MLP_INPUT)
    acs = sum(entry.acs for entry in layers)
    fp32, int8 = HorowitzFp32().estimate(layers, 20), HorowitzInt8().estimate(layers, 20)
    assert fp32.energy_nj == pytest.approx(0.9 * acs / 1e3, rel=1e-12)
    assert int8.energy_nj == pytest.approx(0.03 * acs / 1e3, rel=1e-12)
    assert fp32.ann_twin_nj == pytest.approx(4.6 * (700 * 128 + 128 * 20) / 1e3, rel=1e-12)
    assert fp32.memory_nj == fp32.addressing_nj == 0


def test_simple_is_spikingjellys_on_a_binary_mlp() -> None:
    net = mlp()
    mine = SimpleEnergy().estimate(counted(net, MLP_INPUT), 20)
    functional.reset_net(net)
    theirs = estimate_simple_energy(net, MLP_INPUT)
    assert mine.energy_nj == pytest.approx(theirs.energy_total_pj / 1e3, rel=1e-12)
    assert mine.operations_nj == pytest.approx(theirs.energy_compute_pj / 1e3, rel=1e-12)
    assert mine.memory_nj == pytest.approx(theirs.energy_memory_pj / 1e3, rel=1e-12)


def test_simple_differs_by_the_profilers_own_reductions_on_convolutions() -> None:
    net = conv(norm=False)
    mine = SimpleEnergy().estimate(counted(net, CONV_INPUT), 8)
    functional.reset_net(net)
    theirs = estimate_simple_energy(net, CONV_INPUT)
    occupancy = (8 * 16 * 16 - 1) + (8 * 8 * 8 - 1)  # its helper sums one map per convolution, and counts that sum
    assert theirs.energy_total_pj / 1e3 - mine.energy_nj == pytest.approx(0.9 * occupancy / 1e3, rel=1e-9)


@pytest.mark.parametrize(("make", "x"), [(mlp, MLP_INPUT), (lambda: conv(norm=False), CONV_INPUT)], ids=["mlp", "conv"])
def test_lemaire_is_spikingjellys_for_one_binary_sample(make: Callable[[], nn.Module], x: Tensor) -> None:
    net = make()
    mine = Lemaire().estimate(counted(net, x), len(x))
    functional.reset_net(net)
    profiler = LemaireEnergyProfiler(config=LemaireEnergyConfig(strict=False))
    profiler.bind_model(net)
    with pytest.warns(RuntimeWarning) if x is CONV_INPUT else nullcontext(), profiler, torch.no_grad():
        net(x)
    theirs = profiler.get_report()
    assert mine.energy_nj == pytest.approx(theirs.total_pj / 1e3, rel=1e-12)
    addressing = theirs.counts["acc_addr"] * 0.1 + theirs.counts["mac_addr"] * 3.2
    assert mine.addressing_nj == pytest.approx(addressing / 1e3, rel=1e-12)
    operations = theirs.counts["ac"] * 0.1 + theirs.counts["mac"] * 3.2
    assert mine.operations_nj == pytest.approx(operations / 1e3, rel=1e-12)


def test_lemaire_prices_a_dense_frame_as_dense() -> None:
    found = Lemaire().parts(dense_twin(flat(5, 100, 10, 0.2)), 5)
    macs, words = 1000, 100 * 10
    per_word = 4 * 2.5 * min(words * 4 / 8192, 1)
    assert found.operations_pj == pytest.approx(3.2 * macs)
    assert found.addressing_pj == pytest.approx(0.1 * 110)
    small = 100 * 4 * 4 * 2.5 * 400 / 8192 / 4 + 10 * 4 * 2.5 * 40 / 8192
    assert found.memory_pj == pytest.approx(macs * per_word + small)


def test_the_choice_of_model_moves_the_result_by_two_orders_of_magnitude() -> None:
    layers = counted(mlp(), MLP_INPUT)
    nj = {name: model().estimate(layers, 20).energy_nj or math.nan for name, model in MODELS.items()}
    assert nj["simple"] / nj["horowitz-fp32"] > 100
    assert 40 < nj["lemaire"] / nj["horowitz-fp32"] < 70
    for name in ("simple", "lemaire"):
        found = MODELS[name]().estimate(layers, 20)
        assert found.memory_nj is not None and found.energy_nj is not None
        assert found.memory_nj / found.energy_nj > 0.98, "memory is nearly all of it"


# -- against the papers


@pytest.mark.parametrize(("T", "sparsity", "printed"), [(6, 0.925, 93), (16, 0.972, 97)])
def test_93_percent_is_reproduced_under_its_own_assumptions(T: int, sparsity: float, printed: int) -> None:
    found = 1 - threshold(YanV1(), T)
    assert found == pytest.approx(1 - (0.45 * 20.23 - 40.06 * T / 2395) / (20.03 * T), abs=1e-9)
    assert found == pytest.approx(sparsity, abs=5e-4)
    assert math.floor(100 * found + 0.5) == printed or round(100 * found) == printed


def test_93_percent_moves_under_other_assumptions() -> None:
    sparsity = {name: 1 - threshold(model(), 6) for name, model in MODELS.items()}
    assert sparsity["horowitz-fp32"] == pytest.approx(1 - 4.6 / 0.9 / 6)  # 14.8 %: compute alone
    assert sparsity["horowitz-int8"] == 0.0  # wins at any rate up to T = 7
    assert sparsity["davidson-furber"] == pytest.approx(1 - 12 / 7 / 6)  # 71.4 %
    assert sparsity["yan-v4"] == pytest.approx(0.953, abs=2e-3)
    assert max(sparsity.values()) - min(sparsity.values()) > 0.9
    small = 1 - threshold(YanV1(), 6, n_in=128)
    assert small > 0.935, "the same model asks for more on the layers of a small network"


def test_above_16_steps_sparsity_still_decides() -> None:
    assert 1 - threshold(YanV1(), 17) == pytest.approx(0.974, abs=5e-4)
    assert threshold(YanV1(), 544) > 0 == threshold(YanV1(), 545)
    assert threshold(YanV1(), 29, n_in=128) > 0 == threshold(YanV1(), 30, n_in=128)


def test_davidson_furber_is_about_all_spikes_of_a_presentation() -> None:
    for T in (2, 6, 50):
        assert T * threshold(DavidsonFurber(), T) == pytest.approx(12 / 7)


@pytest.mark.parametrize(("T", "bits", "published"), [(5, 4, 0.057), (2, 4, 0.104), (2, 8, 0.123), (3, 8, 0.082)])
def test_version_4_gives_its_published_thresholds(T: int, bits: int, published: float) -> None:
    class Wide(YanV4):
        weight_bits = bits
        mac_pj = 0.019 if bits == 4 else 0.03

    assert threshold(Wide(), T, n_in=4096) == pytest.approx(published, abs=1.5e-3)


def test_version_4_gives_its_published_sensitivity() -> None:
    class CheapSpikes(YanV4):
        spike_hop_pj = 1.5

    class CheapDense(YanV4):
        dense_bit_hop_pj = 0.125

    assert threshold(CheapSpikes(), 5, n_in=4096) == pytest.approx(0.108, abs=4e-3)
    assert threshold(CheapDense(), 5, n_in=4096) == pytest.approx(0.034, abs=2e-3)


# -- what holds for every model


@pytest.mark.parametrize("name", MODELS)
def test_every_model_says_what_it_is(name: str) -> None:
    model = MODELS[name]()
    assert model.name == name and 2010 <= model.year <= 2026
    for told in (model.source, model.technology, model.precision, model.leaves_out):
        assert len(told) > 3


@pytest.mark.parametrize("name", MODELS)
@settings(deadline=None, max_examples=40)
@given(T=st.integers(1, 60), n_in=st.integers(8, 3000), n_out=st.integers(1, 500), rate=st.floats(0, 1))
def test_parts_sum_and_break_even_is_where_both_cost_the_same(
    name: str, T: int, n_in: int, n_out: int, rate: float
) -> None:
    model = MODELS[name]()
    layers = flat(T, n_in, n_out, rate)
    found = model.estimate(layers, T)
    assert found.energy_nj is not None and found.ann_twin_nj is not None and found.break_even_spike_rate is not None
    assert parts_sum(found) == pytest.approx(found.energy_nj)
    even = found.break_even_spike_rate
    assert 0 <= even <= 1
    if 0 < even < 1:
        there = model.estimate(flat(T, n_in, n_out, even), T)
        assert there.energy_nj == pytest.approx(found.ann_twin_nj, rel=1e-6)
        assert (found.energy_nj < found.ann_twin_nj) == (rate < even) or rate == pytest.approx(even, rel=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_more_steps_ask_for_fewer_spikes(name: str) -> None:
    rates = [threshold(MODELS[name](), T) for T in (2, 4, 8, 16, 32, 64)]
    if name == "yan-v4":  # its twin gets wider with T as well
        assert rates[0] > rates[-1]
    else:
        assert rates == sorted(rates, reverse=True)


def test_a_dearer_multiplication_lets_more_spikes_pass() -> None:
    """Operations alone: T r = k a, k the price of a MAC in ACs, a the share of the twin's MACs that are done at all."""

    def rate(k: float, T: int, activity: float = 1.0) -> float:
        changed = {"operations_pj": {"macs": k, "acs": 1.0}, "ann_activity": activity}
        return threshold(price_list(HorowitzFp32.prices.model_copy(update=changed))(), T)

    for T in (6, 20):
        assert [rate(k, T) for k in (1, 2, 4.6 / 0.9, 30)] == pytest.approx([1 / T, 2 / T, 4.6 / 0.9 / T, 1.0])
        assert rate(4.0, T, 0.5) == pytest.approx(2 / T)
    assert rate(4.6 / 0.9, 6) == pytest.approx(0.852, abs=5e-4)


def test_bit_matched_twin() -> None:
    assert [matched_bits(T) for T in (1, 3, 4, 7, 8, 100)] == [1, 2, 3, 3, 4, 7]
    found = HorowitzFp32().compare(flat(6, 100, 10, 0.1), 6)
    assert found.ann_nj == pytest.approx(4.6)
    assert found.qnn_nj == pytest.approx(0.9 + 3.7 * 3 / 32)
    assert found.snn_nj == pytest.approx(0.9 * 0.6)
    assert found.ann_ratio == pytest.approx(0.54 / 4.6)
    assert found.qnn_break_even < found.ann_break_even
    assert found.measured_rate == pytest.approx(0.1)


def test_a_real_valued_first_layer_stays_when_the_rate_moves() -> None:
    layers = flat(6, 100, 10, 0.1)
    first = layers[0].model_copy(update={"acs": 0.0, "macs": 3000.0})
    first.detail.update(mac_steps=6, reals_in=300, spikes_in=0, weight_reads=3000)
    moved = at_rate([first, *layers[1:]], 0.7)
    assert moved[0].macs == 3000 and moved[0].acs == 0
    assert moved[1].detail["spikes"] == pytest.approx(0.7 * 60)
    assert event_rate([first]) is None


def test_zero_weights_lower_the_rate_one_count_and_not_the_twin() -> None:
    layers = flat(6, 100, 10, 0.1)
    layers[0].detail["zero_weights"] = 500
    layers[0].acs /= 2
    assert event_rate(layers) == pytest.approx(0.1)
    assert dense_twin(layers)[0].macs == 1000


@pytest.mark.parametrize(("low", "high", "dense", "even"), [(0, 10, 5, 0.5), (6, 10, 5, 0.0), (0, 4, 5, 1.0)])
def test_break_even_inside_and_at_both_ends(low: float, high: float, dense: float, even: float) -> None:
    assert break_even(lambda rate: low + rate * (high - low), dense) == pytest.approx(even)


def test_estimates_of_our_own_networks_have_a_number_for_every_model() -> None:
    from snn5bench.neurons.lif import LIF
    from snn5bench.neurons.network import SpikingNet

    torch.manual_seed(0)
    net = SpikingNet(40, (16, 12), 4, lambda n: LIF(recurrent=n))
    x = events(10, 3, 40, rate=0.1)
    net.calibrate(x, 0.2)
    found = ours(net, x)
    estimates = {name: model().estimate(found.layers, found.T) for name, model in MODELS.items()}
    for name, estimate in estimates.items():
        assert estimate.energy_nj is not None and estimate.energy_nj > 0, name
        assert estimate.ann_twin_nj is not None and estimate.ann_twin_nj > 0, name
    dense = 40 * 16 + 16 * 12 + 12 * 4 + 16 * 16 + 12 * 12
    assert estimates["horowitz-fp32"].ann_twin_nj == pytest.approx(4.6 * dense / 1e3)


# -- users' own models, and what goes wrong

OWN = """
name: my-chip
source: data sheet, table 3
year: 2025
technology: 12 nm
precision: 8-bit integer
leaves_out: off-chip memory
bits: 8
operations_pj: {macs: 0.1, acs: 0.02, neuron_updates: 0.05}
memory_pj: {weight_reads: 1.5}
addressing_pj: {spikes: 2.0}
"""


def test_a_users_model_in_yaml(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(OWN)
    model = from_yaml(path)
    assert (model.name, model.year) == ("my-chip", 2025)
    found = model.estimate(flat(2, 10, 5, 0.5), 2)
    assert found.operations_nj == pytest.approx((0.02 * 50 + 0.05 * 10) / 1e3)
    assert found.memory_nj == pytest.approx(1.5 * 50 / 1e3)
    assert found.addressing_nj == pytest.approx(2.0 * 5 / 1e3)
    assert found.ann_twin_nj == pytest.approx(1.6 * 50 / 1e3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("weight_reads", "wieght_reads"), "did you mean 'weight_reads'"),
        (("year: 2025", "year: soon"), "year"),
        (("bits: 8", "bites: 8"), "bites"),
        (("operations_pj: {", "operations_pj: {{"), "is not YAML"),
    ],
)
def test_mistakes_in_yaml_are_named(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(OWN.replace(*change))
    with pytest.raises(BenchError, match=message):
        from_yaml(path)


def test_nothing_counted_is_no_number() -> None:
    found = HorowitzFp32().estimate([], 5)
    assert found.energy_nj is None and found.reason


def test_energy_modules_need_no_torch() -> None:
    code = (
        "import sys; from snn5bench import registry; "
        "[registry.load('energy_models', n) for n in registry.BUILTIN['energy_models']]; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
