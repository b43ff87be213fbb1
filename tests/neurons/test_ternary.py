"""The ternary membrane: hand-computed states, levels, the stacked gradient, the negative mask."""

from __future__ import annotations

import math

import pytest
import torch

from snn5bench.neurons.neuron import Memory
from snn5bench.neurons.ternary import TernaryLIF, stacked_gradient, stored


def current(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None, None]


def test_four_steps_by_hand() -> None:
    # m: .8 -> q 1 | .5 + .6 = 1.1 spikes -> q 0 | -.7 -> q -1 | -.5 + .4 = -.1 -> q 0
    spikes, states = TernaryLIF(0.5).double().run(current(0.8, 0.6, -0.7, 0.4))
    assert spikes.flatten().tolist() == [0, 1, 0, 0]
    assert states.flatten().tolist() == [1, 0, -1, 0]
    # masked: -.7 is stored as 0, so the last potential is .4 -> q 0; with .6 it is .6 -> q 1 instead of -.5 + .6 = .1
    layer = TernaryLIF(0.5, mask_negative=True).double()
    assert layer.run(current(0.8, 0.6, -0.7, 0.4))[1].flatten().tolist() == [1, 0, 0, 0]
    assert layer.run(current(0.8, 0.6, -0.7, 0.6))[1].flatten().tolist() == [1, 0, 0, 1]
    assert TernaryLIF(0.5).double().run(current(0.8, 0.6, -0.7, 0.6))[1].flatten().tolist() == [1, 0, -1, 0]


@pytest.mark.parametrize("lowest", [-1, -3])
def test_states_are_levels_and_the_mask_takes_the_negative_ones_only(lowest: int) -> None:
    m = torch.randn(2000, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3
    q = stored(m, lowest)
    assert sorted(q.unique().tolist()) == list(range(lowest, 2))
    inside = (m > lowest) & (m < 1)
    assert ((q - m)[inside].abs() <= 0.5).all()
    assert torch.equal(stored(m, lowest, mask_negative=True), torch.where(q < 0, 0.0, q))
    _, states = TernaryLIF(0.5, lowest).double().run(m.view(20, 10, 10))
    assert set(states.unique().tolist()) <= set(range(lowest, 2))
    assert TernaryLIF(0.5, lowest).levels == len(range(lowest, 2))


def test_the_stacked_gradient_at_its_marks() -> None:
    """g(x) = s2'(x + .5) + s2'(x - .5), s2'(z) = 2 s(2z) (1 - s(2z)): at 0 two shoulders, at +-.5 a peak of 1/2."""
    bump = lambda z: 2 / (1 + math.exp(-2 * z)) * (1 - 1 / (1 + math.exp(-2 * z)))  # noqa: E731
    x = torch.tensor([0.0, 0.5, -0.5, 4.0], dtype=torch.float64)
    expected = [2 * bump(0.5), bump(1) + 0.5, 0.5 + bump(-1), bump(4.5) + bump(3.5)]
    assert stacked_gradient(x, -1, 1).tolist() == pytest.approx(expected)
    m = x.clone().requires_grad_()
    stored(m).sum().backward()
    assert m.grad.tolist() == pytest.approx(expected)  # type: ignore[union-attr]
    grid = torch.linspace(-20, 20, 40_001, dtype=torch.float64)
    assert torch.trapezoid(stacked_gradient(grid, -3, 1), grid).item() == pytest.approx(4, abs=1e-6)


def test_time_modes_and_chunks() -> None:
    x = torch.randn(12, 3, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.4
    outputs, grads = {}, {}
    for mode in ("full", "sdbp", "notd"):
        layer = TernaryLIF(0.8).double()
        layer.set_time(mode)
        a = x.clone().requires_grad_()
        outputs[mode] = layer(a)
        (outputs[mode] * torch.linspace(-1, 2, x.numel(), dtype=x.dtype).view_as(x)).sum().backward()
        grads[mode] = a.grad
        memory = Memory()
        assert torch.equal(torch.cat([layer(x[:5], memory), layer(x[5:], memory)]), outputs[mode])
    assert torch.equal(outputs["full"], outputs["sdbp"]) and not torch.equal(grads["full"], grads["sdbp"])  # type: ignore[arg-type]
    assert torch.equal(outputs["notd"], (x >= 1).double())
    assert not torch.equal(outputs["full"], outputs["notd"])


def test_a_level_above_minus_one_is_refused() -> None:
    with pytest.raises(ValueError, match="-1 or less"):
        TernaryLIF(lowest=0)
