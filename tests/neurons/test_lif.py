"""LIF: the update by hand, against spikingjelly, kernel against oracle, and the three time modes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import functional, surrogate
from spikingjelly.activation_based.neuron import LIFNode

from snn5bench.neurons.lif import LIF
from snn5bench.neurons.neuron import Memory
from snn5bench.neurons.surrogate import SHAPES, Surrogate


def current(steps: int = 12, batch: int = 3, neurons: int = 7, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(steps, batch, neurons, dtype=dtype, generator=torch.Generator().manual_seed(1)) + 0.3


def numpy_lif(x: np.ndarray, decay: float, threshold: float, hard: bool) -> np.ndarray:
    v, y, out = np.zeros(x.shape[1:]), np.zeros(x.shape[1:]), np.zeros_like(x)
    for t in range(len(x)):
        v = decay * v * (1 - y) + x[t] if hard else decay * v - threshold * y + x[t]
        y = (v >= threshold).astype(float)
        out[t] = y
    return out


@pytest.mark.parametrize(
    ("reset", "spikes"),
    [
        # x = 0.75 each step, d = 0.5, theta = 1. Hard: v = .75, 1.125*, .75, 1.125*, .75, 1.125*
        ("hard", [0, 1, 0, 1, 0, 1]),
        # Soft: v = .75, 1.125*, .5625 - 1 + .75 = .3125, .90625, 1.203125*, .3515625
        ("soft", [0, 1, 0, 0, 1, 0]),
    ],
)
def test_six_steps_by_hand(reset: str, spikes: list[int]) -> None:
    x = torch.full((6, 1, 1), 0.75)
    assert LIF(0.5, 1.0, reset)(x).flatten().tolist() == spikes


@pytest.mark.parametrize("kernels", ["numba", "torch"])
@pytest.mark.parametrize("reset", ["hard", "soft"])
def test_equals_a_numpy_loop(monkeypatch: pytest.MonkeyPatch, kernels: str, reset: str) -> None:
    monkeypatch.setenv("SNN5BENCH_KERNELS", kernels)
    x = current(50, 4, 30)
    expected = numpy_lif(x.numpy(), 0.9, 1.0, reset == "hard")
    assert 0.05 < expected.mean() < 0.6
    np.testing.assert_array_equal(LIF(0.9, 1.0, reset)(x).numpy(), expected)


@pytest.mark.parametrize("kernels", ["numba", "torch"])
def test_spike_exactly_at_the_threshold(monkeypatch: pytest.MonkeyPatch, kernels: str) -> None:
    monkeypatch.setenv("SNN5BENCH_KERNELS", kernels)
    assert LIF(0.5, 1.0)(torch.ones(1, 1, 1)).item() == 1


@pytest.mark.parametrize("detach", [False, True])
def test_hard_reset_equals_spikingjelly(detach: bool) -> None:
    x = current(40, 4, 20)
    node = LIFNode(
        tau=4.0, decay_input=False, v_threshold=1.0, v_reset=0.0, detach_reset=detach, step_mode="m",
        surrogate_function=surrogate.ATan(alpha=2.0),
    )  # fmt: skip
    ours = LIF(0.75, 1.0, "hard", Surrogate("atan", 0.5), detach_reset=detach)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    weight = torch.linspace(-1, 2, x.numel(), dtype=x.dtype).view_as(x)
    theirs = node(a)
    (theirs * weight).sum().backward()
    functional.reset_net(node)
    mine = ours(b)
    (mine * weight).sum().backward()
    assert mine.mean() > 0.1
    assert torch.equal(mine, theirs)
    torch.testing.assert_close(b.grad, a.grad, rtol=1e-6, atol=1e-9)


def test_soft_reset_differs_from_spikingjelly_by_the_order_of_decay_and_reset() -> None:
    """spikingjelly: v <- d (v - theta y) + x; neuroseqbench and ours: v <- d v - theta y + x."""
    x = torch.full((6, 1, 1), 0.75)
    node = LIFNode(tau=2.0, decay_input=False, v_threshold=1.0, v_reset=None, step_mode="m")
    # v = .75, 1.125*, .5 * .125 + .75 = .8125, 1.15625*, .828125, 1.1640625*
    assert node(x).flatten().tolist() == [0, 1, 0, 1, 0, 1]
    assert LIF(0.5, 1.0, "soft")(x).flatten().tolist() == [0, 1, 0, 0, 1, 0]


def run(layer: LIF, x: torch.Tensor, split: int | None) -> dict[str, torch.Tensor]:
    layer.zero_grad()
    x = x.clone().requires_grad_()
    if split is None:
        spikes = layer(x)
    else:
        memory = Memory()
        spikes = torch.cat([layer(x[:split], memory), layer(x[split:], memory)])
    (spikes * torch.linspace(-1, 2, x.numel(), dtype=x.dtype).view_as(x)).sum().backward()
    found = {"spikes": spikes.detach(), "input gradient": x.grad}
    found |= {name: p.grad.clone() for name, p in layer.named_parameters() if p.grad is not None}
    return found


@pytest.mark.parametrize("recurrent", [None, 7])
@pytest.mark.parametrize("reset", ["hard", "soft"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("time", ["full", "sdbp", "notd"])
def test_kernel_equals_oracle(
    monkeypatch: pytest.MonkeyPatch, shape: str, reset: str, recurrent: int | None, time: str
) -> None:
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-4)):
        layer = LIF(0.9, 1.0, reset, Surrogate(shape, 0.7, 1.3), recurrent=recurrent).to(dtype)
        layer.set_time(time)
        x = current(dtype=dtype)
        results = []
        for kernels in ("numba", "torch"):
            monkeypatch.setenv("SNN5BENCH_KERNELS", kernels)
            results.append(run(layer, x, None))
        assert results[0]["spikes"].mean() > 0.1
        assert torch.equal(results[0]["spikes"], results[1]["spikes"])
        assert results[0].keys() == results[1].keys()
        for name, value in results[0].items():
            torch.testing.assert_close(value, results[1][name], rtol=tolerance, atol=tolerance, msg=name)


@pytest.mark.parametrize("recurrent", [None, 7])
@pytest.mark.parametrize("kernels", ["numba", "torch"])
@pytest.mark.parametrize("reset", ["hard", "soft"])
def test_chunks_equal_the_whole_sequence(
    monkeypatch: pytest.MonkeyPatch, kernels: str, reset: str, recurrent: int | None
) -> None:
    monkeypatch.setenv("SNN5BENCH_KERNELS", kernels)
    layer = LIF(0.9, 1.0, reset, Surrogate("triangle"), recurrent=recurrent).double()
    whole, chunked = run(layer, current(), None), run(layer, current(), 5)
    assert torch.equal(whole["spikes"], chunked["spikes"])
    for name, value in whole.items():
        torch.testing.assert_close(value, chunked[name], rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize("reset", ["hard", "soft"])
@pytest.mark.parametrize("steps", [1, 12])
def test_same_bits_without_gradients(reset: str, steps: int) -> None:
    layer, x = LIF(0.9, 1.0, reset), current(steps).float()
    learning, looking = Memory(), Memory()
    spikes = [layer(x.clone().requires_grad_(), learning) for _ in range(2)]
    with torch.no_grad():
        seen = [layer(x, looking) for _ in range(2)]
    assert torch.cat(spikes).any()
    assert torch.equal(torch.cat(spikes), torch.cat(seen))
    assert torch.equal(learning.state[0], looking.state[0])


def test_same_bits_each_run() -> None:
    layer = LIF(recurrent=7)
    first, second = run(layer, current().float(), None), run(layer, current().float(), None)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_sdbp_forward_is_bit_identical_and_notd_is_not() -> None:
    x = current(40).float()
    outputs = {}
    for time in ("full", "sdbp", "notd"):
        layer = LIF(0.9, 1.0, "soft")
        layer.set_time(time)
        outputs[time] = layer(x)
    assert torch.equal(outputs["full"], outputs["sdbp"])
    assert not torch.equal(outputs["full"], outputs["notd"])
    assert torch.equal(outputs["notd"], (x >= 1.0).float())


@pytest.mark.parametrize("kernels", ["numba", "torch"])
def test_decay_zero_with_hard_reset_is_notd_and_with_soft_reset_is_not(
    monkeypatch: pytest.MonkeyPatch, kernels: str
) -> None:
    monkeypatch.setenv("SNN5BENCH_KERNELS", kernels)
    x = current(40)
    cut = LIF(0.9, 1.0)
    cut.set_time("notd")
    assert torch.equal(LIF(0.0, 1.0, "hard")(x), cut(x))
    assert not torch.equal(LIF(0.0, 1.0, "soft")(x), cut(x))


def test_notd_cuts_memory_and_recurrence_between_chunks() -> None:
    layer = LIF(recurrent=7).double()
    layer.set_time("notd")
    x, memory = current(), Memory()
    chunked = torch.cat([layer(x[:5], memory), layer(x[5:], memory)])
    assert torch.equal(chunked, (x >= 1.0).double())


def test_wrong_constants_are_refused() -> None:
    for arguments in ({"decay": 1.5}, {"threshold": 0.0}, {"reset": "none"}):
        with pytest.raises(ValueError, match=next(iter(arguments))):
            LIF(**arguments)
    with pytest.raises(ValueError, match="sdbp"):
        LIF().set_time("NoTD")
