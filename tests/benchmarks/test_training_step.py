"""A training step (forward, backward, Adam) of 700-128-128-20 at T = 100 and 2 % input, against the libraries' own.

Ours and the peer's compute the same network: same weights, same neuron, same surrogate, losses equal.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import Versus
from torch import Tensor, nn

from snn5bench.contracts.inputs import BatchInput, Events
from snn5bench.neurons.adlif import AdLIF
from snn5bench.neurons.glif import GLIF
from snn5bench.neurons.lif import LIF
from snn5bench.neurons.network import SpikingNet
from snn5bench.neurons.neuron import Neuron
from snn5bench.neurons.plif import PLIF
from snn5bench.neurons.surrogate import Surrogate

T, CHANNELS, HIDDEN, CLASSES, DECAY = 100, 700, 128, 20, 0.9


class Batch(NamedTuple):
    """The same samples in both forms."""

    events: Events
    dense: Tensor
    label: Tensor


def batch(size: int) -> Batch:
    rng = np.random.default_rng(0)
    x = rng.random((size, T, CHANNELS)) < 0.02
    sample, step, channel = np.nonzero(x)
    indptr = np.searchsorted(sample, np.arange(size + 1)).astype(np.int64)
    events = Events(indptr, step.astype(np.int32), channel.astype(np.int32), T, CHANNELS)
    return Batch(events, events.dense(), torch.from_numpy(rng.integers(0, CLASSES, size)))


def ours(neuron: Callable[[int], Neuron], data: Batch) -> SpikingNet:
    torch.manual_seed(0)
    net = SpikingNet(CHANNELS, (HIDDEN, HIDDEN), CLASSES, neuron)
    net.calibrate(data.events, 0.04)
    return net


class Peer(nn.Module):
    """A dense network with the weights of `net`; the hidden ones times `gain`."""

    def __init__(self, net: SpikingNet, gain: float = 1.0) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for layer in (1, 2, 3):
            source = net.feed(layer)
            linear = nn.Linear(source.in_features, source.out_features)
            linear.weight.data.copy_(source.weight.data * (gain if layer < 3 else 1.0))
            linear.bias.data.copy_(source.bias.data * (gain if layer < 3 else 1.0))
            self.layers.append(linear)


class SpikingJelly(Peer):
    """Multi-step LIFNode: hard reset."""

    def __init__(self, net: SpikingNet) -> None:
        super().__init__(net)
        from spikingjelly.activation_based import functional, neuron, surrogate

        self.reset_net = functional.reset_net
        self.neurons = nn.ModuleList(
            neuron.LIFNode(
                tau=1 / (1 - DECAY), decay_input=False, v_threshold=1.0, v_reset=0.0, step_mode="m",
                surrogate_function=surrogate.ATan(alpha=2.0),
            )
            for _ in range(2)
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        self.reset_net(self)
        for layer, neuron in zip(self.layers, self.neurons, strict=False):
            x = neuron(layer(x))
        return self.layers[2](x)


class SnnTorch(Peer):
    """Leaky, reset by subtraction after the decay, reset detached: the loop over time of its tutorials."""

    def __init__(self, net: SpikingNet) -> None:
        super().__init__(net)
        import snntorch

        grad = snntorch.surrogate.atan(alpha=2.0)
        self.neurons = nn.ModuleList(snntorch.Leaky(beta=DECAY, spike_grad=grad) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        first, second = (neuron.reset_mem() for neuron in self.neurons)
        out = []
        for frame in x:
            spikes, first = self.neurons[0](self.layers[0](frame), first)
            spikes, second = self.neurons[1](self.layers[1](spikes), second)
            out.append(self.layers[2](spikes))
        return torch.stack(out)


class Norse(Peer):
    """LIFBoxCell: hard reset; its input is scaled by 1 - decay, which the weights undo."""

    def __init__(self, net: SpikingNet) -> None:
        super().__init__(net, 1 / (1 - DECAY))
        from norse.torch import LIFBoxCell, LIFBoxParameters

        constants = LIFBoxParameters(tau_mem_inv=torch.tensor(1000 * (1 - DECAY)), alpha=torch.tensor(5.0))
        self.neurons = nn.ModuleList(LIFBoxCell(constants) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        first = second = None
        out = []
        for frame in x:
            spikes, first = self.neurons[0](self.layers[0](frame), first)
            spikes, second = self.neurons[1](self.layers[1](spikes), second)
            out.append(self.layers[2](spikes))
        return torch.stack(out)


PEERS: dict[str, tuple[str, Callable[[SpikingNet], Peer], Callable[[int], Neuron]]] = {
    "spikingjelly": ("spikingjelly", SpikingJelly, lambda n: LIF(DECAY, 1.0, "hard", Surrogate("atan", 0.5))),
    "snntorch": ("snntorch", SnnTorch, lambda n: LIF(DECAY, 1.0, "soft", Surrogate("atan", 0.5), detach_reset=True)),
    "norse": ("norse", Norse, lambda n: LIF(DECAY, 1.0, "hard", Surrogate("fast_sigmoid", 0.2))),
}


def stepper(net: nn.Module, x: BatchInput, label: Tensor) -> Callable[[], float]:
    """One training step; the rate is tiny, so that both networks stay the same."""
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-7, fused=True)

    def step() -> float:
        loss = F.cross_entropy(net(x).sum(0), label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


LEAST = {("spikingjelly", 32): 8.0, ("spikingjelly", 128): 5.0}


@pytest.mark.benchmark(group="training step")
@pytest.mark.parametrize("size", [32, 128])
@pytest.mark.parametrize("name", PEERS)
def test_against_libraries(versus: Versus, name: str, size: int) -> None:
    package, peer, neuron = PEERS[name]
    pytest.importorskip(package)
    data = batch(size)
    net = ours(neuron, data)
    fast, slow = stepper(net, data.events, data.label), stepper(peer(net), data.dense, data.label)
    assert fast() == pytest.approx(slow(), rel=1e-3), "not the same network"
    versus(fast, slow, LEAST.get((name, size), 8.0))


LOOPS: dict[str, tuple[Callable[[int], Neuron], float]] = {
    "recurrent": (lambda n: LIF(DECAY, recurrent=n), 3.0),
    "glif": (lambda n: GLIF(n, T, tau=0.9), 5.0),
    "adlif": (AdLIF, 5.0),
    "plif": (lambda n: PLIF(1 / (1 - DECAY)), 5.0),
}


@pytest.mark.benchmark(group="neurons with a loop as peer")
@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("size", [32, 128])
def test_against_the_torch_loop(versus: Versus, monkeypatch: pytest.MonkeyPatch, name: str, size: int) -> None:
    """The same network with plain torch operations for its synapses and neurons. That both are the same is asked in
    double precision: in single, rounding flips a spike in some hundreds of an adLIF layer, whose state carries it on."""
    neuron, least = LOOPS[name]
    data = batch(size)
    net = ours(neuron, data)
    step = stepper(net, data.events, data.label)

    def plain(run: Callable[[], float]) -> float:
        with monkeypatch.context() as patch:
            patch.setenv("SNN5BENCH_KERNELS", "torch")
            return run()

    twin = copy.deepcopy(net).double()

    def double() -> float:
        return F.cross_entropy(twin(data.events).sum(0), data.label).item()

    assert double() == pytest.approx(plain(double), rel=1e-6)
    versus(step, lambda: plain(step), least)
