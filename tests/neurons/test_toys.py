"""What the neurons must be able to learn, and what their twins must not. Fixed budgets, no selection."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from snn5bench.neurons.dh_lif import DHLIF, DendriticNet
from snn5bench.neurons.glif import GLIF
from snn5bench.neurons.lif import LIF
from snn5bench.neurons.network import SpikingNet
from snn5bench.neurons.neuron import Neuron
from snn5bench.neurons.skips import SkipSpec
from snn5bench.neurons.surrogate import Surrogate
from tests.neurons.neuron_toys import ASKED, accuracy, delayed_xor, first_pulse, gaps, pulses, train


def lif(n: int) -> Neuron:
    return LIF(0.95, 1.0, "soft", Surrogate("atan", 0.5))


def glif(n: int) -> Neuron:
    return GLIF(n, 20)


def learn(order: bool, mode: str, neuron=lif, epochs: int = 20) -> float:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    net = SpikingNet(21, (64, 64), 2, neuron)
    net.set_time(mode)
    train(net, *pulses(1000, 20, 0, order), epochs=epochs)
    return accuracy(net, *pulses(2000, 20, 1, order))


@pytest.mark.parametrize("neuron", [lif, glif])
def test_order_needs_time(neuron) -> None:  # type: ignore[no-untyped-def]
    assert learn(True, "full", neuron) > 0.95
    assert learn(True, "notd", neuron, epochs=10) == pytest.approx(0.5, abs=3 * 0.5 / 2000**0.5)


def test_order_with_the_state_but_without_its_gradient_lies_between() -> None:
    assert 0.55 < learn(True, "sdbp") < 0.95


def test_count_needs_no_time() -> None:
    assert learn(False, "full", epochs=12) > 0.95
    assert learn(False, "notd", epochs=12) > 0.95


def test_static_digits() -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = torch.randperm(len(digits.target), generator=torch.Generator().manual_seed(0))
    x, y = torch.from_numpy(digits.data / 16).float()[order], torch.from_numpy(digits.target)[order]
    torch.manual_seed(0)
    net = SpikingNet(64, (64, 64), 10, lif)
    train(net, x[:1400], y[:1400], epochs=12, T=10)
    assert accuracy(net, x[1400:], y[1400:], T=10) > 0.95


@pytest.mark.parametrize(
    ("skips", "least", "most"),
    [
        ([], 0.0, 0.35),
        ([(1, 2, 0)], 0.0, 0.35),
        ([(1, 2, 19)], 0.9, 1.0),  # a step early: still in the membrane
        ([(1, 2, 20)], 0.95, 1.0),
        ([(1, 2, 21)], 0.0, 0.35),
        ([(2, 1, 20)], 0.95, 1.0),
        pytest.param([(2, 1, 1)], 0.0, 0.35, marks=pytest.mark.slow),
    ],
)
def test_delay_only_task(skips: list[tuple[int, int, int]], least: float, most: float) -> None:
    """One pulse at step 0, read at step 20: only a delay of that length brings it there. Chance is 0.25."""
    torch.manual_seed(0)
    net = SpikingNet(
        8, (32, 32), 4, lambda n: LIF(0.5, 1.0, "hard", Surrogate("atan", 0.5)),
        skips=[SkipSpec(*s) for s in skips], readout="last",
    )  # fmt: skip
    train(net, *first_pulse(1000, 21, 0), epochs=20)
    assert least <= accuracy(net, *first_pulse(1000, 21, 1)) <= most


def test_wider_bins_show_a_time_code_to_a_network_without_time() -> None:
    """Two pulses, 2 or 6 steps apart. In bins of one step no bin has both: chance, exactly. In bins of four the near pair
    meets in every second sample, and more than those cannot be told: what the twin gets right is what a count gets right."""
    for width in (1, 4):
        (x, y), (test, label) = gaps(1000, 24, 0, width), gaps(2000, 24, 1, width)
        torch.manual_seed(0)
        net = SpikingNet(3, (32,), 2, lif)
        net.set_time("notd")
        train(net, x, y, epochs=10, lr=0.02)
        meet = (test[..., :2].sum(-1) == 2).any(0)
        best = torch.where(meet, label == 0, label == 1).float().mean().item() if width > 1 else 0.5
        assert best == pytest.approx({1: 0.5, 4: 0.75}[width], abs=0.02)
        assert accuracy(net, test, label) == pytest.approx(best, abs=1e-9)


def xor_by_branches(*decays: float) -> list[float]:
    """Accuracy at each question of a dendritic network whose branches decay so, untrained in that."""
    torch.manual_seed(0)
    net = DendriticNet(24, (64,), 2, len(decays), lambda n: DHLIF(n, len(decays), surrogate=Surrogate("triangle")))
    (layer,) = net.neurons
    assert isinstance(layer, DHLIF)
    layer.m = torch.nn.Parameter(torch.zeros(64), requires_grad=False)
    logits = torch.tensor([math.log(d / (1 - d)) for d in decays])
    layer.n = torch.nn.Parameter(logits.repeat_interleave(64), requires_grad=False)
    net.calibrate(delayed_xor(400, 1)[0])

    def answers(x: torch.Tensor) -> torch.Tensor:
        out = net(x)
        return torch.stack([out[t + 1] + out[t + 2] for t in ASKED])

    optimiser = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=0.02)
    for step in range(150):
        x, y = delayed_xor(200, 10 + step)
        optimiser.zero_grad()
        F.cross_entropy(answers(x).flatten(0, 1), y.flatten()).backward()
        optimiser.step()
    x, y = delayed_xor(1000, 5)
    with torch.no_grad():
        return (answers(x).argmax(-1) == y).float().mean(1).tolist()


def test_delayed_xor_needs_a_slow_and_a_fast_branch() -> None:
    """The fast one forgets the first bit, the slow one cannot tell the last bit from those before."""
    assert min(xor_by_branches(0.3, 0.97)) > 0.97
    assert xor_by_branches(0.3)[-1] < 0.65
    assert xor_by_branches(0.97)[-1] < 0.85
