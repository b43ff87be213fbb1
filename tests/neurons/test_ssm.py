"""S4D: the scan against the recurrence and against the Fourier transform, both directions, and the time modes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from snn5bench.neurons.ssm import S4D
from snn5bench.neurons.ssm_scan import chunk_length, ssm_scan

DOUBLE = torch.float64


def layer(channels: int = 5, states: int = 6, seed: int = 0, **options: object) -> S4D:
    torch.manual_seed(seed)
    return S4D(channels, states, **options).double()  # type: ignore[arg-type]


def sequence(steps: int, batch: int = 3, channels: int = 5, dtype: torch.dtype = DOUBLE) -> Tensor:
    return torch.randn(steps, batch, channels, dtype=dtype, generator=torch.Generator().manual_seed(1))


def recurrence(model: S4D, x: Tensor, cut: bool = False) -> Tensor:
    """The definition, a step at a time; `cut` lets no gradient cross a step."""
    log_a, c = model.system()
    a, outs = log_a.exp(), []
    h = torch.zeros(x.shape[1], *a.shape, dtype=a.dtype)
    for x_t in x:
        h = a * (h.detach() if cut else h) + x_t.unsqueeze(-1)
        outs.append(2 * (c[0] * h).sum(-1).real + model.D * x_t)
    return torch.stack(outs)


def convolution(model: S4D, x: Tensor) -> Tensor:
    """The usual way: kernels of full length, then FFTs of twice the length."""
    log_a, c = model.system()
    steps = len(x)
    kernels = 2 * torch.einsum("whn,hnl->whl", c, torch.exp(log_a.unsqueeze(-1) * torch.arange(steps))).real
    k = torch.nn.functional.pad(kernels[0], (0, steps))
    if model.bidirectional:
        k = k + torch.nn.functional.pad(kernels[1].flip(-1), (steps, 0))
    u = x.permute(1, 2, 0)
    y = torch.fft.irfft(torch.fft.rfft(u, 2 * steps) * torch.fft.rfft(k), 2 * steps)[..., :steps]
    return (y + model.D.unsqueeze(-1) * u).permute(2, 0, 1)


def gradients(run, model: S4D, x: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    x = x.clone().requires_grad_()
    y = run(x)
    (y * torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view_as(y)).sum().backward()
    return {"y": y.detach(), "x": x.grad} | {
        name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None
    }


def same(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        error = (found[name] - value).abs().max() / value.abs().max().clamp(min=1e-12)
        assert error < tolerance, (name, float(error))


@pytest.mark.parametrize("kernels", ["numba", "torch"])
@pytest.mark.parametrize("steps", [1, 2, 63, 64, 65, 131, 257])
def test_equals_the_recurrence_with_all_gradients(monkeypatch: pytest.MonkeyPatch, kernels: str, steps: int) -> None:
    monkeypatch.setenv("SNN5BENCH_KERNELS", kernels)
    model, x = layer(train_b=True), sequence(steps)
    same(gradients(model, model, x), gradients(lambda x: recurrence(model, x), model, x), 1e-12)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("steps", [1, 33, 127, 300])
def test_equals_the_convolution(steps: int, bidirectional: bool) -> None:
    model, x = layer(bidirectional=bidirectional), sequence(steps)
    same(gradients(model, model, x), gradients(lambda x: convolution(model, x), model, x), 1e-11)


def test_channels_in_groups() -> None:
    """Thirty-five channels: two whole groups of the kernels and a rest."""
    model, x = layer(35, 4), sequence(130, 2, 35)
    same(gradients(model, model, x), gradients(lambda x: recurrence(model, x), model, x), 1e-11)


def test_single_precision_stays_within_1e_5() -> None:
    model, x = layer(16, 64), sequence(1023, 2, 16)
    exact = recurrence(model, x)
    found = model.float()(x.float())
    assert (found - exact).abs().max() / exact.abs().max() < 1e-5


def test_backward_direction_sees_the_next_step_first() -> None:
    model = layer(1, 2, bidirectional=True)
    model.D.data.zero_()
    model.C.data[0] = 0
    x = torch.zeros(5, 1, 1, dtype=DOUBLE)
    x[3] = 1
    _, c = model.system()
    found = model(x).flatten().detach()
    assert found[3:].abs().max() == 0
    assert found[2].item() == pytest.approx(2 * c[1].real.sum().item(), abs=1e-14)


def test_s4d_lin_start() -> None:
    model = S4D(2000, 8, 0.001, 0.1)
    a, _ = model.system()
    dt = torch.exp(model.log_dt)
    assert 0.001 <= dt.min() < 0.0015
    assert 0.08 < dt.max() <= 0.1
    torch.testing.assert_close(a[:, 2], torch.complex(-0.5 * dt, 2 * math.pi * dt))
    assert model.D.std().item() == pytest.approx(1, abs=0.1)
    assert (model.C**2).sum(-1).mean().item() == pytest.approx(1, abs=0.1)
    assert not model.B.requires_grad
    with pytest.raises(ValueError, match="even"):
        S4D(1, 3)
    with pytest.raises(ValueError, match="dt_min"):
        S4D(1, 2, 0.1, 0.01)


def test_first_output_by_hand() -> None:
    """One pair: 2 Re(C (exp(dt A) - 1)/A) + D for x = 1, from the numbers alone."""
    model = layer(1, 2)
    a, dt = complex(-0.5, 0), math.exp(model.log_dt.item())
    c = complex(*model.C[0, 0, 0].tolist())
    by_hand = 2 * (c * (np.exp(dt * a) - 1) / a).real + model.D.item()
    assert model(torch.ones(1, 1, 1, dtype=DOUBLE)).item() == pytest.approx(by_hand, rel=1e-6)


def test_scale_is_a_scale_of_the_output() -> None:
    model, x = layer(), sequence(70)
    scale = torch.rand(5, dtype=DOUBLE) + 0.5
    torch.testing.assert_close(model(x, scale), model(x) * scale, rtol=1e-12, atol=1e-12)


@given(st.integers(1, 300))
def test_chunks_are_equal_and_short(steps: int) -> None:
    size = chunk_length(steps)
    assert 1 <= size <= 64
    assert -(-steps // size) == -(-steps // 64)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 150), st.data())
def test_causal_to_the_bit(steps: int, data: st.DataObject) -> None:
    at = data.draw(st.integers(1, steps - 1))
    model, x = layer().float(), sequence(steps).float()
    changed = x.clone()
    changed[at] += 1
    before, after = model(x).detach(), model(changed).detach()
    assert torch.equal(before[:at], after[:at])
    assert not torch.equal(before[at:], after[at:])


def test_notd_is_instantaneous_and_ignores_order() -> None:
    model, x = layer(bidirectional=True), sequence(40)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    assert not torch.allclose(model(x)[order], model(x[order]))
    model.set_time("notd")
    assert torch.equal(model(x)[order], model(x[order]))
    model.bidirectional = False
    alone = layer(bidirectional=True)
    alone.bidirectional = False
    torch.testing.assert_close(model(x[:1]), alone(x[:1]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("steps", [9, 130])
def test_sdbp_has_the_same_output_and_no_gradient_through_time(steps: int) -> None:
    model, x = layer(), sequence(steps)
    full = model(x).detach()
    model.set_time("sdbp")
    same(gradients(model, model, x), gradients(lambda x: recurrence(model, x, cut=True), model, x), 1e-11)
    torch.testing.assert_close(model(x).detach(), full, rtol=1e-12, atol=1e-12)


def test_second_order_gradients_are_refused_not_wrong() -> None:
    model, x = layer(), sequence(70).requires_grad_()
    (g,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match=r"once_differentiable|does not require grad"):
        g.sum().backward()


def test_operations_by_hand() -> None:
    model, x = layer(5, 6), sequence(7)
    told = model.operations((x,), model(x))
    assert told["macs"].shape == (7, 3)
    assert told["macs"].unique().tolist() == [5 * (3 * 6 + 1)]
    assert told["state_reads"].unique().tolist() == [5 * 6]
    model.set_time("notd")
    assert model.operations((x,), model(x))["macs"].unique().tolist() == [5]


def test_without_gradient_nothing_is_kept() -> None:
    model, x = layer(), sequence(130)
    log_a, c = model.system()
    with torch.no_grad():
        assert not ssm_scan(x, log_a, c[0] * log_a.exp(), model.D).requires_grad
