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
    class Broken(Net):
        def forward(self, x):
            current = self.input(x)
            before = getattr(self, "before", None)
            if before is not None and before.shape == current[0].shape:
                current = torch.cat([current[:1] + before, current[1:]])
            self.before = current[-1].detach()
            return self.readout(self.neuron(current))


class MixesSamples(Sound):
    class Broken(Net):
        def forward(self, x):
            return super().forward(x + 0.5 * x.roll(1, dims=1))


class BatchStatistics(Sound):
    class Broken(Net):
        def forward(self, x):
            current = self.input(x)
            return self.readout(self.neuron(current / (current.std() + 0.1)))


class PlaceInBatch(Sound):
    class Broken(Net):
        def forward(self, x):
            place = torch.linspace(0, 1, x.shape[1], device=x.device, dtype=x.dtype)
            return super().forward(x) + place[:, None]


class AlwaysDropsOut(Sound):
    class Broken(Net):
        def forward(self, x):
            return super().forward(F.dropout(x, 0.3, training=True))


class DrawsUnseeded(Sound):
    def build(self, data):
        net = Net(data)
        nn.init.constant_(net.readout.bias, float(np.random.default_rng().random()))
        return net


class DrawsFromPython(Sound):
    def build(self, data):
        net = Net(data)
        nn.init.constant_(net.readout.bias, random.random())
        return net


class OwnSeed(Sound):
    def fit(self, task):
        torch.manual_seed(0)
        net = task.prepare(self.build(task.spec))
        task.report(net, 0, None)
        return net


class HashesNames(Sound):
    def build(self, data):
        net = Net(data)
        nn.init.constant_(net.readout.bias, (hash("readout") % 1000) / 1000)
        return net


class OwnSteps(Sound):
    class Broken(Net):
        def forward(self, x):
            return super().forward(x[:8])


class StopsEarly(Sound):
    class Broken(Net):
        def forward(self, x):
            logits = super().forward(x[:8])
            return torch.cat([logits, logits[-1:].expand(len(x) - 8, -1, -1)])


class SumsItself(Sound):
    class Broken(Net):
        def forward(self, x):
            return super().forward(x).sum(0)


class LooksAhead(Sound):
    class Broken(Net):
        def forward(self, x):
            return super().forward(x - x.mean(0))


class SaysItLooksAhead(Sound):
    causal = False


class Detached(Sound):
    class Broken(Net):
        def forward(self, x):
            return self.readout(self.neuron(self.input(x).detach()))


class NeverUsed(Sound):
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
    class Broken(Net):
        def forward(self, x):
            return super().forward(x / x.cumsum(0).mean(2, keepdim=True))


class Overflows(Sound):
    class Broken(Net):
        def forward(self, x):
            return super().forward(x) * torch.exp(4 * x.sum(2, keepdim=True))


class PlainAttribute(Sound):
    class Broken(Net):
        def __init__(self, data):
            super().__init__(data)
            self.scale = float(torch.rand(()) + 0.5)

        def forward(self, x):
            return super().forward(x) * self.scale


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
    def scale(self):
        return float(torch.rand(()) + 0.5)


class StaysOnCpu(Sound):
    class Broken(Net):
        def forward(self, x):
            return super().forward(x) + torch.ones(x.shape[1], 1)


class HiddenProduct(Sound):
    class Broken(Net):
        def __init__(self, data):
            super().__init__(data)
            self.mix = nn.Parameter(torch.eye(16))

        def forward(self, x):
            return self.readout(self.neuron(self.input(x) @ self.mix))


class AnonymousNeuron(Sound):
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
    class Params(MethodParams):
        decay: float = 0.9


class TakesAnything(Sound):
    class Params(MethodParams):
        model_config = ConfigDict(extra="ignore")
        decay: float = Field(0.9, ge=0, le=1)


class ForgetsOnePath(Sound):
    class Broken(Net):
        class Stubborn(Leaky):
            def set_time(self, mode):
                """Takes the call and does nothing."""

        def __init__(self, data):
            super().__init__(data, self.Stubborn())


class RefusesSilently(Sound):
    def timeless(self, model):
        raise CannotCut


class RefusesWithReason(Sound):
    """Sound: a refusal is an answer."""

    def timeless(self, model):
        raise CannotCut("its neurons are what carries time")


class MisreadsEvents(Sound):
    class Broken(Net):
        takes_events = True

        def forward(self, x):
            if isinstance(x, torch.Tensor):
                return super().forward(x)
            return super().forward(x.dense().flip(0).to(self.input.weight.dtype))


class PeeksThroughData(Sound):
    def fit(self, task):
        labels = task.train.packed.label[task.train.packed.split == 2]
        net = task.prepare(self.build(task.spec))
        nn.init.constant_(net.readout.bias, float(np.dot(labels, np.arange(len(labels)))) / 100)
        return task.bptt(net, self.params)


class PeeksThroughReport(Sound):
    def fit(self, task):
        net = task.prepare(self.build(task.spec))
        nn.init.constant_(net.readout.bias, float(task.report.__self__.test.labels[0]))
        return task.bptt(net, self.params)


class Crashes(Sound):
    def build(self, data):
        raise ZeroDivisionError("no luck")


class SilentNetwork(Sound):
    class Broken(Net):
        def forward(self, x):
            return self.readout(self.neuron(self.input(x) * 0))


class NeedsItsParent(Sound):
    def build(self, data):
        if os.environ.get("SNN5BENCH_TEST_PARENT") != str(os.getpid()):
            raise RuntimeError("only in the process that set it")
        return Net(data)
