"""What a method does between the epochs of the benchmark's training loop: annealing, schedules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from torch import nn

    from snn5bench.contracts.method import Method, Task


class Anneals(Protocol):
    """A network (or one of its layers) that changes as the training goes on."""

    def anneal(self, share: float) -> None:
        """Be what it is to be when `share` of the training is done."""


@contextmanager
def after_each_epoch(task: Task, act: Callable[[float, float | None], None]) -> Iterator[None]:
    """Within: after the report of each epoch, `act(share of the training done, training loss)`."""
    report = task.report

    def told(model: nn.Module, epoch: int, loss: float | None) -> float:
        accuracy = report(model, epoch, loss)
        act((epoch + 1) / task.budget.epochs, loss)
        return accuracy

    task.report = told
    try:
        yield
    finally:
        task.report = report


def fit_annealed(method: Method, task: Task, rate: float = 0.0) -> nn.Module:
    """Build, cut time as the cell asks, calibrate on the first training batch, then train through time; every module with
    an `anneal` is told after each epoch how much of the training is done."""
    net = task.prepare(method.build(task.spec))
    inputs, _ = next(iter(task.train.epoch()))
    net.calibrate(inputs, rate)  # type: ignore[operator]
    annealed = [cast("Anneals", module) for module in net.modules() if module is not net and hasattr(module, "anneal")]

    def anneal(share: float, loss: float | None) -> None:
        for module in annealed:
            module.anneal(share)

    with after_each_epoch(task, anneal):
        return task.bptt(net, method.params)
