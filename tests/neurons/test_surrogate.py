"""Surrogate gradients: values by hand, areas, spikingjelly's definitions, and that a changed width is followed."""

from __future__ import annotations

import pytest
import torch
from spikingjelly.activation_based import surrogate as sj

from snn5bench.neurons.lif import LIF
from snn5bench.neurons.surrogate import SHAPES, Surrogate


@pytest.mark.parametrize(
    ("shape", "width", "u", "value"),
    [
        ("rectangle", 1.0, 0.49, 1.0),
        ("rectangle", 1.0, 0.5, 0.0),
        ("rectangle", 0.5, 0.2, 2.0),
        ("triangle", 1.0, -0.25, 0.75),
        ("triangle", 2.0, 1.0, 0.25),
        ("atan", 0.5, 0.0, 1.0),
        ("sigmoid", 0.25, 0.0, 1.0),
        ("exponential", 0.5, 0.0, 1.0),
        ("fast_sigmoid", 1.0, 0.0, 1.0),
        ("fast_sigmoid", 0.01, 0.0, 1.0),
        ("fast_sigmoid", 0.01, 1.0, 1 / 101**2),
    ],
)
def test_values_by_hand(shape: str, width: float, u: float, value: float) -> None:
    derivative = Surrogate(shape, width).double().derivative(torch.tensor([u], dtype=torch.float64))
    assert derivative.item() == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("shape", [s for s in SHAPES if s != "fast_sigmoid"])
def test_area_is_one(shape: str) -> None:
    u = torch.linspace(-2000, 2000, 8_000_001, dtype=torch.float64)
    assert torch.trapezoid(Surrogate(shape, 0.5).derivative(u), u).item() == pytest.approx(1, abs=2e-3)


def test_spikingjelly_shapes() -> None:
    u = torch.linspace(-2, 2, 101, dtype=torch.float64)
    for shape, theirs in (("atan", sj.ATan(alpha=4.0)), ("sigmoid", sj.Sigmoid(alpha=4.0))):
        x = u.clone().requires_grad_()
        theirs(x).sum().backward()
        torch.testing.assert_close(Surrogate(shape, 0.25).derivative(u), x.grad)


@pytest.mark.parametrize("kernels", ["numba", "torch"])
def test_a_changed_width_is_followed(monkeypatch: pytest.MonkeyPatch, kernels: str) -> None:
    """Ten slopes k: the gradient at u = -0.3 is 1/(1 + 0.3 k)^2 each time."""
    monkeypatch.setenv("SNN5BENCH_KERNELS", kernels)
    layer = LIF(surrogate=Surrogate("fast_sigmoid")).double()
    for k in range(1, 101, 10):
        layer.surrogate.width.fill_(1 / k)
        x = torch.full((1, 1, 1), 0.7, dtype=torch.float64, requires_grad=True)
        layer(x).sum().backward()
        assert x.grad is not None
        assert x.grad.item() == pytest.approx(1 / (1 + 0.3 * k) ** 2, rel=1e-5)


def test_a_width_moves_with_the_state_dict() -> None:
    narrow, other = Surrogate("atan", 0.1), Surrogate("atan", 1.0)
    other.load_state_dict(narrow.state_dict())
    assert other.width.item() == pytest.approx(0.1)


def test_unknown_shapes_and_widths_are_refused() -> None:
    with pytest.raises(ValueError, match="rectangle, triangle"):
        Surrogate("boxcar")
    with pytest.raises(ValueError, match="above 0"):
        Surrogate("atan", 0.0)
