"""Compiled adLIF, SiLIF and PLIF against their loops: spikes, state and every gradient; in chunks and detached."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from snn5bench.neurons.adlif import AdLIF, Coupled
from snn5bench.neurons.loop import LoopNeuron
from snn5bench.neurons.neuron import Memory
from snn5bench.neurons.plif import PLIF
from snn5bench.neurons.silif import SiLIF
from snn5bench.neurons.surrogate import SHAPES, Surrogate

KINDS: dict[str, Callable[[Surrogate], LoopNeuron]] = {
    "adlif": lambda surrogate: AdLIF(7, surrogate),
    "silif": lambda surrogate: SiLIF(7, surrogate),
    "plif": lambda surrogate: PLIF(surrogate=surrogate),
}


def outcome(
    monkeypatch: pytest.MonkeyPatch, kernels: str, layer: LoopNeuron, chunks: tuple[int, ...], dtype: torch.dtype
) -> dict[str, Tensor]:
    monkeypatch.setenv("SNN5BENCH_KERNELS", kernels)
    layer = layer.to(dtype)
    layer.zero_grad()
    generator = torch.Generator().manual_seed(1)
    size = 20 if isinstance(layer, Coupled) else 2
    x = (size * torch.randn(sum(chunks), 5, 7, generator=generator)).to(dtype).requires_grad_()
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
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_loop(
    monkeypatch: pytest.MonkeyPatch, kind: str, shape: str, chunks: tuple[int, ...], time: str
) -> None:
    torch.manual_seed(0)
    layer = KINDS[kind](Surrogate(shape, 0.7))  # type: ignore[arg-type]
    layer.set_time(time)
    ours, loop = (outcome(monkeypatch, kernels, layer, chunks, torch.float64) for kernels in ("numba", "torch"))
    assert ours.keys() == loop.keys()
    assert loop["spikes"].mean() > 0.02
    for name, value in loop.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_single_precision(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    torch.manual_seed(0)
    layer = KINDS[kind](Surrogate())
    ours, loop = (outcome(monkeypatch, kernels, layer, (40,), torch.float32) for kernels in ("numba", "torch"))
    assert torch.equal(ours["spikes"], loop["spikes"])
    for name, value in loop.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-5, atol=1e-5 * float(value.abs().max()), msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_gradient_at_each_step(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    torch.manual_seed(0)
    layer = KINDS[kind](Surrogate()).double()
    learned = next(layer.parameters())
    x = 20 * torch.randn(30, 5, 7, dtype=torch.float64)
    found = []
    for kernels in ("numba", "torch"):
        monkeypatch.setenv("SNN5BENCH_KERNELS", kernels)
        layer.zero_grad()
        (layer(x).sum(0) * x[0]).sum().backward()
        assert learned.grad is not None
        found.append(learned.grad.clone())
    torch.testing.assert_close(*found)
