"""One sound method in plain torch, and a way to break it for each check. Installed by the tests as the plugin `broken`."""

from __future__ import annotations

import os
import random

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import ConfigDict, Field
from torch import nn

from snn5bench.contracts.method import CannotCut, Method
from snn5bench.contracts.params import MethodParams
from snn5bench.neurons.step import StepNeuron
from snn5bench.record import Fidelity


class Leaky(StepNeuron):
    def step(self, x, v):
        v = 0.9 * v + x
        spikes = self.fire(v - 0.5)
        return spikes, v * (1 - spikes)


class Net(nn.Module):
    """`[T, B, C] -> [T, B, classes]`; every broken one overrides a piece."""

    def __init__(self, data, neuron=None):
        super().__init__()
        self.input = nn.Linear(data.channels, 16)
        self.neuron = neuron or Leaky()
        self.readout = nn.Linear(16, data.n_classes)

    def forward(self, x):
        return self.readout(self.neuron(self.input(x)))


class Sound(Method):
    """Passes every check."""

    name = "sound"
    fidelity = Fidelity.faithful("a test method")
    Broken: type[nn.Module] = Net

    def build(self, data):
        return self.Broken(data)


class KeepsState(Sound):
    """The last current of a batch is added to the first of the next."""

    class Broken(Net):
        def forward(self, x):
            current = self.input(x)
            before = getattr(self, "before", None)
            if before is not None and before.shape == current[0].shape:
                current = torch.cat([current[:1] + before, current[1:]])
            self.before = current[-1].detach()
            return self.readout(self.neuron(current))


class MixesSamples(Sound):
    """Each sample sees half of its neighbour's input."""

    class Broken(Net):
        def forward(self, x):
            return super().forward(x + 0.5 * x.roll(1, dims=1))


class BatchStatistics(Sound):
    """Currents are divided by their spread over batch and steps."""

    class Broken(Net):
        def forward(self, x):
            current = self.input(x)
            return self.readout(self.neuron(current / (current.std() + 0.1)))


class PlaceInBatch(Sound):
    """Logits depend on a sample's place in its batch."""

    class Broken(Net):
        def forward(self, x):
            place = torch.linspace(0, 1, x.shape[1], device=x.device, dtype=x.dtype)
            return super().forward(x) + place[:, None]


class AlwaysDropsOut(Sound):
    """Dropout that does not look at `self.training`."""

    class Broken(Net):
        def forward(self, x):
            return super().forward(F.dropout(x, 0.3, training=True))


class DrawsUnseeded(Sound):
    """A start value from `np.random.default_rng()` without a seed."""

    def build(self, data):
        net = Net(data)
        nn.init.constant_(net.readout.bias, float(np.random.default_rng().random()))
        return net


class DrawsFromPython(Sound):
    """A start value from Python's `random`, which no one seeds."""

    def build(self, data):
        net = Net(data)
        nn.init.constant_(net.readout.bias, random.random())
        return net


class OwnSeed(Sound):
    """`fit` calls `torch.manual_seed(0)`: every seed is the same run."""

    def fit(self, task):
        torch.manual_seed(0)
        net = task.prepare(self.build(task.spec))
        task.report(net, 0, None)
        return net


class HashesNames(Sound):
    """A start value from `hash()` of a string."""

    def build(self, data):
        net = Net(data)
        nn.init.constant_(net.readout.bias, (hash("readout") % 1000) / 1000)
        return net


class OwnSteps(Sound):
    """Eight steps, whatever the data's T."""

    class Broken(Net):
        def forward(self, x):
            return super().forward(x[:8])


class StopsEarly(Sound):
    """Stops after eight steps and repeats its last logits."""

    class Broken(Net):
        def forward(self, x):
            logits = super().forward(x[:8])
            return torch.cat([logits, logits[-1:].expand(len(x) - 8, -1, -1)])


class SumsItself(Sound):
    """Sums its logits over the steps itself."""

    class Broken(Net):
        def forward(self, x):
            return super().forward(x).sum(0)


class LooksAhead(Sound):
    """The mean over all steps is taken from each, undeclared."""

    class Broken(Net):
        def forward(self, x):
            return super().forward(x - x.mean(0))


class SaysItLooksAhead(Sound):
    """Declares `causal = False` and is causal."""

    causal = False


class Detached(Sound):
    """A `detach()` between the first layer and the rest."""

    class Broken(Net):
        def forward(self, x):
            return self.readout(self.neuron(self.input(x).detach()))


class NeverUsed(Sound):
    """A parameter that nothing uses."""

    class Broken(Net):
        def __init__(self, data):
            super().__init__(data)
            self.gain = nn.Parameter(torch.ones(3))


class GateByChance(Sound):
    """Sound: a hard gate that is shut under some seeds lets no gradient through to what is behind it."""

    class Broken(Net):
        def __init__(self, data):
            super().__init__(data)
            self.gate = nn.Parameter((torch.rand(()) - 0.6).sign())
            self.gain = nn.Parameter(torch.ones(16))

        def forward(self, x):
            open_ = (self.gate > 0).to(x.dtype) + self.gate - self.gate.detach()
            return self.readout(self.neuron(self.input(x) + open_ * self.gain))


class DividesByCount(Sound):
    """Divides by the number of spikes so far."""

    class Broken(Net):
        def forward(self, x):
            return super().forward(x / x.cumsum(0).mean(2, keepdim=True))


class Overflows(Sound):
    """Multiplies by an exponential of the input's sum."""

    class Broken(Net):
        def forward(self, x):
            return super().forward(x) * torch.exp(4 * x.sum(2, keepdim=True))


class PlainAttribute(Sound):
    """A random scale kept as a plain attribute."""

    class Broken(Net):
        def __init__(self, data):
            super().__init__(data)
            self.scale = float(torch.rand(()) + 0.5)

        def forward(self, x):
            return super().forward(x) * self.scale


class Remembered:
    """A class of the plugin's own."""


class StateOfObjects(Sound):
    """Its `state_dict` holds an object of a class of its own."""

    class Broken(Net):
        def get_extra_state(self):
            return Remembered()

        def set_extra_state(self, state):
            self.remembered = state


class Wrapped(nn.Module):
    """What `fit` makes of a network; `build` knows nothing of it."""

    def __init__(self, net, scale):
        super().__init__()
        self.net, self.scale = net, scale

    def forward(self, x):
        return self.net(x) * self.scale


class ReturnsAnother(Sound):
    """Sound: `fit` returns other modules than `build`, as compression does, and their state holds all."""

    def scale(self):
        return 2.0

    def fit(self, task):
        net = Wrapped(task.prepare(self.build(task.spec)), self.scale())
        return task.bptt(net, self.params)


class ReturnsAnotherWithAttribute(ReturnsAnother):
    """`fit` wraps the network and keeps a random scale as a plain attribute."""

    def scale(self):
        return float(torch.rand(()) + 0.5)


class StaysOnCpu(Sound):
    """Adds a tensor made without the input's device."""

    class Broken(Net):
        def forward(self, x):
            return super().forward(x) + torch.ones(x.shape[1], 1)


class OtherWhenMoved(Sound):
    """Gives other logits once it was moved to a device: as a kernel of its own might on a GPU."""

    class Broken(Net):
        moved = False

        def to(self, *args, **kwargs):
            self.moved = True
            return super().to(*args, **kwargs)

        def forward(self, x):
            return super().forward(x) + 0.001 * self.moved


class HiddenProduct(Sound):
    """A matrix product outside every layer."""

    class Broken(Net):
        def __init__(self, data):
            super().__init__(data)
            self.mix = nn.Parameter(torch.eye(16))

        def forward(self, x):
            return self.readout(self.neuron(self.input(x) @ self.mix))


class AnonymousNeuron(Sound):
    """A spiking loop that does not say that it is a neuron."""

    class Broken(Net):
        def __init__(self, data):
            super().__init__(data)
            self.neuron = None
            self.spike = Leaky().fire

        def forward(self, x):
            v, out = 0.0, []
            for current in self.input(x):
                v = 0.9 * v + current
                out.append(self.spike(v - 0.5))
                v = v * (1 - out[-1])
            return self.readout(torch.stack(out))


class Unbounded(Sound):
    """A float parameter without a range."""

    class Params(MethodParams):
        decay: float = 0.9


class TakesAnything(Sound):
    """A `Params` that takes unknown names."""

    class Params(MethodParams):
        model_config = ConfigDict(extra="ignore")
        decay: float = Field(0.9, ge=0, le=1)


class ForgetsOnePath(Sound):
    """A neuron that takes `set_time` and does nothing."""

    class Broken(Net):
        class Stubborn(Leaky):
            def set_time(self, mode):
                """Takes the call and does nothing."""

        def __init__(self, data):
            super().__init__(data, self.Stubborn())


class RefusesSilently(Sound):
    """`CannotCut` without a reason."""

    def timeless(self, model):
        raise CannotCut


class RefusesWithReason(Sound):
    """Sound: a refusal is an answer."""

    def timeless(self, model):
        raise CannotCut("its neurons are what carries time")


class MisreadsEvents(Sound):
    """Reads events in reversed order, dense tensors in the right one."""

    class Broken(Net):
        takes_events = True

        def forward(self, x):
            if isinstance(x, torch.Tensor):
                return super().forward(x)
            return super().forward(x.dense().flip(0).to(self.input.weight.dtype))


class PeeksThroughData(Sound):
    """`fit` reads the test labels in the data behind its batches."""

    def fit(self, task):
        labels = task.train.packed.label[task.train.packed.split == 2]
        net = task.prepare(self.build(task.spec))
        nn.init.constant_(net.readout.bias, float(np.dot(labels, np.arange(len(labels)))) / 100)
        return task.bptt(net, self.params)


class PeeksThroughReport(Sound):
    """`fit` walks from `task.report` to the test split."""

    def fit(self, task):
        net = task.prepare(self.build(task.spec))
        nn.init.constant_(net.readout.bias, float(task.report.__self__.test.labels[0]))
        return task.bptt(net, self.params)


class Crashes(Sound):
    """`build` raises."""

    def build(self, data):
        raise ZeroDivisionError("no luck")


class SilentNetwork(Sound):
    """No neuron ever spikes."""

    class Broken(Net):
        def forward(self, x):
            return self.readout(self.neuron(self.input(x) * 0))


class NeedsItsParent(Sound):
    """Leans on a variable that only the process that set it has."""

    def build(self, data):
        if os.environ.get("SNN5BENCH_TEST_PARENT") != str(os.getpid()):
            raise RuntimeError("only in the process that set it")
        return Net(data)
