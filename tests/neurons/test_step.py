"""StepNeuron: the base that turns one step into a layer, against the compiled LIF and by hand."""

from __future__ import annotations

import pytest
import torch

from snn5bench.neurons.lif import LIF
from snn5bench.neurons.neuron import Memory
from snn5bench.neurons.step import StepNeuron
from snn5bench.neurons.surrogate import Surrogate


class Leaky(StepNeuron):
    def step(self, x, v):
        v = 0.9 * v + x
        spikes = self.fire(v - 1.0)
        return spikes, v * (1 - spikes)


def current(T: int = 9) -> torch.Tensor:
    return (
        0.8 * torch.randn(T, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ).requires_grad_()


def twin() -> tuple[StepNeuron, LIF]:
    return Leaky(Surrogate("atan", 0.5)).double(), LIF(0.9, 1.0, "hard", Surrogate("atan", 0.5)).double()


@pytest.mark.parametrize("mode", ["full", "sdbp", "notd"])
def test_it_is_the_compiled_lif_forward_and_backward(mode):
    """The compiled LIF is the same equation with its reset at the other end of the step."""
    ours, compiled = twin()
    weight = torch.randn(9, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = []
    for neuron in (ours, compiled):
        neuron.set_time(mode)
        x = current()
        spikes = neuron(x)
        (spikes * weight).sum().backward()
        found.append((spikes.detach(), x.grad))
    assert 0.05 < found[0][0].mean() < 0.9
    assert torch.equal(found[0][0], found[1][0])
    if mode == "notd":
        assert torch.allclose(found[0][1], found[1][1])
    elif mode == "full":
        assert torch.allclose(found[0][1], found[1][1], atol=1e-12)


def test_by_hand():
    """v: 0.6, 1.14 (spike, reset), 0.6, 0.94; then 1.446 at the fifth step: spike."""
    x = torch.full((5, 1, 1), 0.6, dtype=torch.float64)
    x[3] = 0.4
    assert Leaky().double()(x).flatten().tolist() == [0, 1, 0, 0, 1]


def test_no_gradient_crosses_a_step_under_sdbp():
    neuron, _ = twin()
    neuron.set_time("sdbp")
    x = current()
    neuron(x)[5].sum().backward()
    assert x.grad[5].any()
    assert not x.grad[[0, 1, 2, 3, 4, 6, 7, 8]].any()


def test_chunks_with_a_memory_are_the_whole():
    neuron, _ = twin()
    x, memory = current(), Memory()
    pieces = [neuron(x[:4], memory), neuron(x[4:5], memory), neuron(x[5:], memory)]
    assert torch.equal(torch.cat(pieces), neuron(x))
    assert memory.step == 9


def test_a_wrong_number_of_states_is_named():
    class Two(Leaky):
        states = 2

        def step(self, x, v, w):
            return super().step(x, v)

    with pytest.raises(ValueError, match=r"Two.step returned 1 states, `states` says 2"):
        Two()(torch.zeros(3, 1, 1))
