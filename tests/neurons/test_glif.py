"""GLIF: the corners, the parameters, spikingjelly's node, kernel against oracle, and the time modes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from spikingjelly.activation_based.neuron import GatedLIFNode
from spikingjelly.activation_based.surrogate import Sigmoid

from snn5bench.neurons.glif import GATES, GLIF, logit
from snn5bench.neurons.neuron import Memory
from snn5bench.neurons.surrogate import SHAPES, Surrogate

RAW = (*GATES, "tau", "v_th", "leak", "v_re", "conduct")


def current(steps: int = 12, batch: int = 3, neurons: int = 7, seed: int = 1) -> torch.Tensor:
    return torch.randn(steps, batch, neurons, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + 0.3


def random_glif(neurons: int = 7, T: int = 12, **options: object) -> GLIF:
    torch.manual_seed(3)
    layer = GLIF(neurons, T, **options).double()  # type: ignore[arg-type]
    for p in layer.parameters():
        p.data += torch.randn_like(p)
    return layer


def with_gates(T: int, alpha: float, beta: float, gamma: float, neurons: int = 7, **options: float) -> GLIF:
    layer = GLIF(neurons, T, **options).double()  # type: ignore[arg-type]
    for name, value in zip(GATES, (alpha, beta, gamma), strict=True):
        getattr(layer, name).data.fill_(40.0 if value else -800.0)  # the logistic is exactly 1.0 and 0.0 there
    return layer


def scalar_glif(x: np.ndarray, gates: Sequence[float], constants: Sequence[float], g: np.ndarray) -> np.ndarray:
    """The published equation, one neuron and one step at a time."""
    (a, b, c), (tau, v_th, leak, v_re) = gates, constants
    out = np.zeros_like(x)
    for idx in np.ndindex(x.shape[1:]):
        u = o = 0.0
        for t in range(len(x)):
            now = x[(t, *idx)] * (1 - b * (1 - g[t]))
            u = (1 - a * (1 - tau)) * u * (1 - c * o) - (1 - a) * leak + now - (1 - c) * v_re * o
            o = 1.0 if u > v_th else 0.0
            out[(t, *idx)] = o
    return out


@pytest.mark.parametrize("kernels", ["numba", "torch"])
@pytest.mark.parametrize("tau", [0.25, 0.5, 0.9])
def test_corner_hard_reset_lif(monkeypatch: pytest.MonkeyPatch, kernels: str, tau: float) -> None:
    monkeypatch.setenv("SNN5BENCH_KERNELS", kernels)
    x = current(100, 10, 100)
    found = with_gates(100, 1, 0, 1, neurons=100, tau=tau)(x)
    u, o = torch.zeros_like(x[0]), torch.zeros_like(x[0])
    for t in range(100):
        u = tau * u * (1 - o) + x[t]
        o = (u > 0.5).double()
        assert torch.equal(found[t], o), t


@pytest.mark.parametrize("tau", [0.25, 0.5, 0.9])
def test_corner_soft_reset_subtracts_after_the_decay(tau: float) -> None:
    x = current(100, 10, 100)
    found = with_gates(100, 1, 0, 0, neurons=100, tau=tau)(x)
    u = o = w = p = torch.zeros_like(x[0])
    differing = 0.0
    for t in range(100):
        u = tau * u + x[t] - 0.5 * o
        o = (u > 0.5).double()
        assert torch.equal(found[t], o), t
        w = tau * (w - 0.5 * p) + x[t]
        p = (w > 0.5).double()
        differing += (p != o).double().mean().item() / 100
    assert differing > 0.02, "subtract-then-decay is another neuron"


def test_how_far_the_logits_must_go() -> None:
    """Logits of +-4 and +-8 still differ from the corner, +-12 and +-20 do not."""
    x = current(100, 10, 100)
    exact = with_gates(100, 1, 0, 1, neurons=100)(x)
    for size, most in ((4.0, 0.02), (8.0, 5e-4), (12.0, 0.0), (20.0, 0.0)):
        layer = GLIF(100, 100).double()
        for name, sign in zip(GATES, (1, -1, 1), strict=True):
            getattr(layer, name).data.fill_(sign * size)
        share = (layer(x) != exact).double().mean().item()
        assert share <= most
        assert (share > 0) == (size <= 8)


@pytest.mark.parametrize("gates", list(itertools.product([0, 1], repeat=3)))
def test_eight_corners_of_the_hard_gates(gates: tuple[int, int, int]) -> None:
    x = current(30, 2, 3)
    layer = random_glif(3, 30, channel_wise=False, hard_gates=True)
    for name, value in zip(GATES, gates, strict=True):
        getattr(layer, name).data.fill_(0.3 if value else -0.3)
    assert [g.item() for g in layer.gates()] == list(gates)
    values = [torch.sigmoid(getattr(layer, name)).item() for name in ("tau", "v_th", "leak", "v_re")]
    g = torch.sigmoid(layer.conduct)[:, 0].detach().numpy()
    np.testing.assert_array_equal(layer(x).detach().numpy(), scalar_glif(x.numpy(), gates, values, g))


def test_soft_gates_equal_the_scalar_loop() -> None:
    x = current(30, 2, 1)
    layer = random_glif(1, 30)
    values = [torch.sigmoid(getattr(layer, name)).item() for name in (*GATES, "tau", "v_th", "leak", "v_re")]
    g = torch.sigmoid(layer.conduct)[:, 0].detach().numpy()
    np.testing.assert_array_equal(layer(x).detach().numpy(), scalar_glif(x.numpy(), values[:3], values[3:], g))


def membrane(layer: GLIF, x: torch.Tensor) -> torch.Tensor:
    """The membrane after a sequence with gamma = 1 and no spike: carry over the leak."""
    memory = Memory()
    assert layer(x, memory).sum() == 0
    return memory.state[0] / layer.coefficients(0, 1).leak


def test_no_exponential_leak_falls_in_a_line_and_below_zero() -> None:
    layer = with_gates(8, 0, 0, 1, linear_leak=0.125)
    torch.testing.assert_close(
        membrane(layer, torch.zeros(8, 1, 7, dtype=torch.float64)), torch.full((1, 7), -1.0, dtype=torch.float64)
    )


def test_first_step_of_a_mixture_by_hand() -> None:
    """u_1 = x (1 - beta (1 - g)) - (1 - alpha) l, with all gates at 0.5: 0.4 * 0.75 - 0.5 * 0.05 = 0.275."""
    layer = GLIF(1, 10, threshold=0.9, linear_leak=0.05).double()
    for name in GATES:
        getattr(layer, name).data.zero_()
    u = membrane(layer, torch.full((1, 1, 1), 0.4, dtype=torch.float64))
    assert u.item() == pytest.approx(0.275, abs=1e-7)


def test_beta_without_effect_at_full_conductance() -> None:
    x = current()
    layer = random_glif()
    layer.conduct.data.fill_(800.0)
    spikes = layer(x)
    spikes.sum().backward()
    layer.beta.data.fill_(-800.0)
    assert torch.equal(layer(x), spikes)
    assert layer.beta.grad is not None
    assert layer.beta.grad.abs().max() == 0


def test_gradients_reach_all_eight_parameters() -> None:
    layer = random_glif(surrogate=Surrogate("triangle"))
    layer(current()).sum().backward()
    for name in RAW:
        assert getattr(layer, name).grad.abs().max() > 0, name


def test_reset_parameters_get_nothing_without_spikes() -> None:
    layer = random_glif(surrogate=Surrogate("triangle", 5.0))
    layer.v_th.data.fill_(4.0)
    spikes = layer(torch.full((12, 3, 7), 0.01, dtype=torch.float64))
    assert spikes.sum() == 0
    spikes.sum().backward()
    # gamma and V_re act through o[t-1] alone, and o is zero; V_th acts through the surrogate
    assert layer.gamma.grad.abs().max() == 0
    assert layer.v_re.grad.abs().max() == 0
    assert layer.v_th.grad.abs().max() > 0


def test_parameter_count_and_fixed_length() -> None:
    assert sum(p.numel() for p in GLIF(7, 12).parameters()) == (7 + 12) * 7
    assert sum(p.numel() for p in GLIF(7, 12, channel_wise=False).parameters()) == 7 + 12
    with pytest.raises(ValueError, match="T = 12"):
        GLIF(7, 12)(torch.zeros(13, 1, 7))
    with pytest.raises(ValueError, match="T = 12"):
        GLIF(7, 12)(torch.zeros(11, 1, 7))
    with pytest.raises(ValueError, match="tau"):
        GLIF(7, 12, tau=1.0)


def test_initial_values() -> None:
    layer = GLIF(1000, 4)
    for name, value in (("tau", 0.25), ("v_th", 0.5), ("v_re", 0.5), ("leak", 0.0625), ("conduct", 0.5)):
        torch.testing.assert_close(
            torch.sigmoid(getattr(layer, name)), torch.full_like(getattr(layer, name), value), msg=name
        )
    for name in GATES:
        raw = getattr(layer, name).detach()
        assert raw.abs().max() <= 0.1
        assert raw.std() == pytest.approx(0.2 / 12**0.5, rel=0.1)
    assert logit(0.5) == 0


def test_spikingjelly_agrees() -> None:
    x = current(12, 3, 7)
    node = GatedLIFNode(T=12, inplane=7, surrogate_function=Sigmoid(alpha=4.0)).double()
    ours = random_glif(surrogate=Surrogate("sigmoid", 0.25))
    for mine, theirs in (
        ("alpha", "alpha"), ("beta", "beta"), ("gamma", "gamma"), ("tau", "tau"), ("v_th", "v_threshold"),
        ("leak", "linear_decay"), ("v_re", "v_subreset"), ("conduct", "conduct"),
    ):  # fmt: skip
        getattr(node, theirs).data.copy_(getattr(ours, mine).data)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    theirs_out = node(a.view(12, 3, 7, 1, 1)).view(12, 3, 7)
    mine_out = ours(b)
    assert mine_out.mean() > 0.05
    assert torch.equal(mine_out, theirs_out)
    weight = torch.linspace(-1, 2, x.numel(), dtype=x.dtype).view_as(x)
    (theirs_out * weight).sum().backward()
    (mine_out * weight).sum().backward()
    torch.testing.assert_close(b.grad, a.grad, rtol=1e-6, atol=1e-9)


def run(layer: GLIF, x: torch.Tensor, split: int | None) -> dict[str, torch.Tensor]:
    layer.zero_grad()
    x = x.clone().requires_grad_()
    if split is None:
        spikes = layer(x)
    else:
        memory = Memory()
        spikes = torch.cat([layer(x[:split], memory), layer(x[split:], memory)])
    (spikes * torch.linspace(-1, 2, x.numel(), dtype=x.dtype).view_as(x)).sum().backward()
    found = {"spikes": spikes.detach(), "input": x.grad}
    return found | {name: p.grad.clone() for name, p in layer.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("channel_wise", [True, False])
@pytest.mark.parametrize("hard_gates", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("time", ["full", "sdbp", "notd"])
def test_kernel_equals_oracle(
    monkeypatch: pytest.MonkeyPatch, shape: str, hard_gates: bool, channel_wise: bool, time: str
) -> None:
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 2e-4)):
        layer = random_glif(channel_wise=channel_wise, hard_gates=hard_gates, surrogate=Surrogate(shape, 0.7, 1.3))
        layer.to(dtype).set_time(time)
        x = current().to(dtype)
        results = []
        for kernels in ("numba", "torch"):
            monkeypatch.setenv("SNN5BENCH_KERNELS", kernels)
            results.append(run(layer, x, None))
        assert results[0]["spikes"].mean() > 0.05
        assert torch.equal(results[0]["spikes"], results[1]["spikes"])
        for name, value in results[0].items():
            torch.testing.assert_close(value, results[1][name], rtol=tolerance, atol=tolerance, msg=name)


@pytest.mark.parametrize("time", ["full", "sdbp", "notd"])
@pytest.mark.parametrize("kernels", ["numba", "torch"])
def test_chunks_equal_the_whole_sequence(monkeypatch: pytest.MonkeyPatch, kernels: str, time: str) -> None:
    monkeypatch.setenv("SNN5BENCH_KERNELS", kernels)
    layer = random_glif(surrogate=Surrogate("triangle"))
    layer.set_time(time)
    whole, chunked = run(layer, current(), None), run(layer, current(), 5)
    for name, value in whole.items():
        torch.testing.assert_close(value, chunked[name], rtol=1e-9, atol=1e-9, msg=name)


def test_notd_ignores_the_order_of_the_steps() -> None:
    layer = random_glif()
    x, order = current(), torch.randperm(12, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(layer(x)[order], layer(x[order]))
    layer.set_time("notd")
    assert torch.equal(layer(x)[order], layer(x[order]))


def test_sdbp_forward_is_bit_identical() -> None:
    layer = random_glif().float()
    x = current().float()
    full = layer(x)
    layer.set_time("sdbp")
    assert torch.equal(layer(x), full)
