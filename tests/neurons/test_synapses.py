"""Synapses: events, repeated frames and spikes give what a dense linear layer gives, gradients included."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from snn5bench.contracts.inputs import Events, Repeated
from snn5bench.neurons.synapses import Synapses


def to_events(x: np.ndarray) -> Events:
    """[T, B, C] of zeros and ones as index lists."""
    sample, step, channel = np.nonzero(x.transpose(1, 0, 2))
    indptr = np.searchsorted(sample, np.arange(x.shape[1] + 1)).astype(np.int64)
    return Events(indptr, step.astype(np.int32), channel.astype(np.int32), x.shape[0], x.shape[2])


def spikes(steps: int = 9, batch: int = 4, channels: int = 30, density: float = 0.1) -> np.ndarray:
    return (np.random.default_rng(0).random((steps, batch, channels)) < density).astype(np.float32)


def loss(current: torch.Tensor) -> torch.Tensor:
    return (current * torch.linspace(-1, 2, current.numel(), dtype=current.dtype).view_as(current)).sum()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kernels", ["numba", "torch"])
def test_events_equal_dense(monkeypatch: pytest.MonkeyPatch, kernels: str, bias: bool) -> None:
    monkeypatch.setenv("SNN5BENCH_KERNELS", kernels)
    x = spikes()
    layer = Synapses(30, 11, bias=bias).double()
    dense = F.linear(torch.from_numpy(x).double(), layer.weight, layer.bias)
    expected = torch.autograd.grad(loss(dense), list(layer.parameters()))
    found = layer(to_events(x))
    torch.testing.assert_close(found, dense, rtol=1e-12, atol=1e-12)
    for a, b in zip(torch.autograd.grad(loss(found), list(layer.parameters())), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kernels", ["numba", "torch"])
@pytest.mark.parametrize("density", [0.0, 0.1, 1.0])
@pytest.mark.parametrize(("channels", "neurons"), [(30, 11), (96, 32), (48, 181), (181, 48)])
def test_spikes_equal_dense(
    monkeypatch: pytest.MonkeyPatch, kernels: str, density: float, channels: int, neurons: int
) -> None:
    monkeypatch.setenv("SNN5BENCH_KERNELS", kernels)
    x = torch.from_numpy(spikes(channels=channels, density=density)).double().requires_grad_()
    layer = Synapses(channels, neurons, spiking=True).double()
    dense = F.linear(x, layer.weight, layer.bias)
    wanted = [x, *layer.parameters()]
    found = layer(x)
    torch.testing.assert_close(found, dense, rtol=1e-12, atol=1e-12)
    # the second read-out sums over time: its gradient is one frame expanded over the steps
    for read in (loss, lambda out: loss(out.sum(0))):
        expected = torch.autograd.grad(read(dense), wanted, retain_graph=True)
        for a, b in zip(torch.autograd.grad(read(found), wanted, retain_graph=True), expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_a_value_that_is_no_spike_is_refused() -> None:
    with pytest.raises(ValueError, match="zeros and ones"):
        Synapses(3, 2, spiking=True)(torch.full((1, 1, 3), 0.5))


def test_repeated_frame_is_multiplied_once_and_expanded() -> None:
    frame = torch.rand(4, 30, dtype=torch.float64)
    layer = Synapses(30, 11).double()
    found = layer(Repeated(frame, 9))
    assert found.stride(0) == 0
    dense = F.linear(frame.expand(9, -1, -1), layer.weight, layer.bias)
    torch.testing.assert_close(found, dense)
    for a, b in zip(
        torch.autograd.grad(loss(found), list(layer.parameters())),
        torch.autograd.grad(loss(dense), list(layer.parameters())),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_the_dense_input_is_never_built(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Events) -> torch.Tensor:
        raise AssertionError("densified")

    monkeypatch.setattr(Events, "dense", refuse)
    layer = Synapses(30, 11)
    layer(to_events(spikes())).sum().backward()
    assert layer.weight.grad is not None


def test_a_sample_does_not_depend_on_its_batch() -> None:
    x = spikes(batch=8)
    first, second = Synapses(30, 64), Synapses(30, 64, spiking=True)
    assert torch.equal(first(to_events(x))[:, 3], first(to_events(x[:, 3:4]))[:, 0])
    dense = torch.from_numpy(x)
    assert torch.equal(second(dense)[:, 3], second(dense[:, 3:4])[:, 0])


@settings(max_examples=40, deadline=None)
@given(arrays(np.float32, st.tuples(*[st.integers(1, 6)] * 3), elements=st.sampled_from([0.0, 1.0])))
def test_any_spike_train(x: np.ndarray) -> None:
    layer = Synapses(x.shape[2], 5).double()
    dense = F.linear(torch.from_numpy(x).double(), layer.weight, layer.bias)
    torch.testing.assert_close(layer(to_events(x)), dense, rtol=1e-12, atol=1e-12)
    layer.spiking = True
    torch.testing.assert_close(layer(torch.from_numpy(x).double()), dense, rtol=1e-12, atol=1e-12)
