"""The benchmark's optimiser for methods that bring a training loop of their own: the same as in `train.bptt`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from snn5bench.contracts.params import MethodParams

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn

    from snn5bench.contracts.method import Task


class Adam:
    """Adam with decoupled weight decay on matrices, a cosine schedule to zero over the task, and a clipped gradient."""

    def __init__(self, parameters: Iterable[nn.Parameter], params: MethodParams, task: Task) -> None:
        from torch import optim

        self._parameters = [p for p in parameters if p.requires_grad]
        self._clip = params.clip
        matrices = [p for p in self._parameters if p.ndim > 1]
        vectors = [p for p in self._parameters if p.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": params.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        self._optimiser = optim.AdamW([group for group in groups if group["params"]], lr=params.lr, fused=True)
        steps = -(-len(task.train) // task.budget.batch_size) * task.budget.epochs
        self._schedule = optim.lr_scheduler.CosineAnnealingLR(self._optimiser, steps)

    def step(self, loss: Tensor) -> None:
        """Differentiate a scalar loss and take one step; refuses one that is not finite."""
        from torch import nn

        if not math.isfinite(loss.item()):
            raise FloatingPointError(f"the loss is {loss.item()}: lower `lr` or `clip`")
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self._parameters, self._clip)
        self._optimiser.step()
        self._schedule.step()
