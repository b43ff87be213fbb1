"""A small `Task` for methods: pulse-order samples as events, and the benchmark's own training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.inputs import BatchInput, Events
from snn5bench.contracts.method import Budget, Method, Task
from snn5bench.train import bptt, feed, read_out
from tests.neurons.neuron_toys import pulses


def spec(T: int = 20, channels: int = 21, classes: int = 2, **more: object) -> DatasetSpec:
    """A made-up data set of events."""
    return DatasetSpec(name="toy", n_classes=classes, T=T, channels=channels, coding="events", temporal=True, **more)  # type: ignore[arg-type]


def to_events(x: Tensor) -> Events:
    """`[T, B, C]` of zeros and ones as index lists."""
    sample, step, channel = np.nonzero(x.numpy().transpose(1, 0, 2))
    indptr = np.searchsorted(sample, np.arange(x.shape[1] + 1)).astype(np.int64)
    return Events(indptr, step.astype(np.int32), channel.astype(np.int32), x.shape[0], x.shape[2])


class ToyBatches:
    """Pulse-order samples, reshuffled each pass by a stream of their own."""

    def __init__(self, samples: int, T: int, seed: int, size: int) -> None:
        self.x, self.y = pulses(samples, T, seed, order=True)
        self.size, self.order = size, torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return len(self.y)

    def epoch(self) -> Iterator[tuple[BatchInput, Tensor]]:
        for index in torch.randperm(len(self.y), generator=self.order).split(self.size):
            yield to_events(self.x[:, index]), self.y[index]


def fit(
    method: Method, data: DatasetSpec, epochs: int, cut: Callable[[nn.Module], nn.Module] = lambda net: net
) -> float:
    """Train on 1,000 samples for a fixed budget; accuracy on 1,000 others, at the end."""
    torch.manual_seed(0)
    train, val = ToyBatches(1000, data.T, 0, 32), ToyBatches(1000, data.T, 1, 256)

    @torch.no_grad()
    def accuracy(net: nn.Module) -> float:
        right = [(read_out(feed(net, x), data).argmax(1) == y).float().sum() for x, y in val.epoch()]
        return float(sum(right)) / len(val)

    task = Task(
        spec=data, train=train, val=val, budget=Budget(epochs=epochs, batch_size=32),
        report=lambda net, epoch, loss: 0.0, bptt=lambda net, params: bptt(net, params, task), prepare=cut,
    )  # fmt: skip
    return accuracy(method.fit(task))
