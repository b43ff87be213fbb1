"""The compiled adLIF against its loop: spikes, state and every gradient, in one piece, in chunks and detached."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from snn5bench.neurons.adlif import AdLIF
from snn5bench.neurons.neuron import Memory
from snn5bench.neurons.surrogate import SHAPES, Surrogate


def outcome(
    monkeypatch: pytest.MonkeyPatch, kernels: str, layer: AdLIF, chunks: tuple[int, ...], dtype: torch.dtype
) -> dict[str, Tensor]:
    monkeypatch.setenv("SNN5BENCH_KERNELS", kernels)
    layer = layer.to(dtype)
    layer.zero_grad()
    generator = torch.Generator().manual_seed(1)
    x = (20 * torch.randn(sum(chunks), 5, 7, generator=generator)).to(dtype).requires_grad_()
    weights = torch.randn(x.shape, generator=generator).to(dtype)
    memory = Memory()
    spikes = torch.cat([layer(part, memory) for part in x.split(chunks)])
    loss = (weights * spikes).sum()
    if layer.time == "full":
        loss = loss + sum((part * weights[k]).sum() for k, part in enumerate(memory.state))
    loss.backward()
    found = {"spikes": spikes, "x": x.grad, **{n: p.grad for n, p in layer.named_parameters()}}
    found |= {f"state {k}": part for k, part in enumerate(memory.state)}
    return {name: value.detach().clone() for name, value in found.items() if value is not None}


@pytest.mark.parametrize("time", ["full", "sdbp"])
@pytest.mark.parametrize("chunks", [(40,), (13, 1, 26)])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_loop(monkeypatch: pytest.MonkeyPatch, shape: str, chunks: tuple[int, ...], time: str) -> None:
    torch.manual_seed(0)
    layer = AdLIF(7, Surrogate(shape, 0.7))  # type: ignore[arg-type]
    layer.set_time(time)
    ours, loop = (outcome(monkeypatch, kernels, layer, chunks, torch.float64) for kernels in ("numba", "torch"))
    assert ours.keys() == loop.keys()
    assert loop["spikes"].mean() > 0.02
    for name, value in loop.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-9, atol=1e-9, msg=name)


def test_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer = AdLIF(7)
    ours, loop = (outcome(monkeypatch, kernels, layer, (40,), torch.float32) for kernels in ("numba", "torch"))
    assert torch.equal(ours["spikes"], loop["spikes"])
    for name, value in loop.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-5, atol=1e-5 * float(value.abs().max()), msg=name)


def test_the_same_gradient_at_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer = AdLIF(7).double()
    x = 20 * torch.randn(30, 5, 7, dtype=torch.float64)
    found = []
    for kernels in ("numba", "torch"):
        monkeypatch.setenv("SNN5BENCH_KERNELS", kernels)
        layer.zero_grad()
        (layer(x).sum(0) * x[0]).sum().backward()
        assert layer.a.grad is not None
        found.append(layer.a.grad.clone())
    torch.testing.assert_close(*found)
