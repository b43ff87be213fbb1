"""Training that the harness does not hear of: what a method does to a network before the one that it reports."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from snn5bench.contracts.method import Budget

if TYPE_CHECKING:
    from torch import nn

    from snn5bench.contracts.method import Task


class Best:
    """The weights of the best epoch so far by validation, and its accuracy; the weights of an early epoch."""

    def __init__(self) -> None:
        self.accuracy = -1.0
        self.state: dict[str, Any] = {}
        self.early: dict[str, Any] = {}


@contextmanager
def rehearsal(task: Task, epochs: int, early: int = 0) -> Iterator[Best]:
    """Within: the task lasts `epochs`, and its reports go to `Best`, not to the record or to the choice of an epoch.
    `early` is the epoch whose weights are kept too."""
    report, budget, best = task.report, task.budget, Best()

    def keep(model: nn.Module, epoch: int, loss: float | None) -> float:
        accuracy = validation_accuracy(model, task)
        if epoch == early:
            best.early = copy.deepcopy(model.state_dict())
        if accuracy > best.accuracy:
            best.accuracy, best.state = accuracy, copy.deepcopy(model.state_dict())
        return accuracy

    task.report, task.budget = keep, Budget(epochs=epochs, batch_size=budget.batch_size)
    try:
        yield best
    finally:
        task.report, task.budget = report, budget


@contextmanager
def last_epochs(task: Task, epochs: int) -> Iterator[None]:
    """Within: the task lasts `epochs`, reported to the harness as the last ones of its budget."""
    report, budget = task.report, task.budget
    task.report = lambda model, epoch, loss: report(model, budget.epochs - epochs + epoch, loss)
    task.budget = Budget(epochs=epochs, batch_size=budget.batch_size)
    try:
        yield
    finally:
        task.report, task.budget = report, budget


def validation_accuracy(model: nn.Module, task: Task) -> float:
    """Share of the validation split that is answered right."""
    import torch

    from snn5bench.contracts.readout import feed, read_out

    right, seen = 0, 0
    model.eval()
    with torch.no_grad():
        for x, y in task.val.epoch():
            right += int((read_out(feed(model, x), task.spec).argmax(1) == y).sum())
            seen += len(y)
    return right / seen
