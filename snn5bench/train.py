"""The one training loop: backpropagation through time with a surrogate gradient."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.method import Batches, Task
from snn5bench.contracts.params import MethodParams
from snn5bench.contracts.readout import feed, read_out


class DivergedError(RuntimeError):
    """Training left the finite numbers."""


@torch.no_grad()
def predict(model: nn.Module, batches: Batches, spec: DatasetSpec) -> np.ndarray:
    """Predicted class of each sample of a split, in the order of the split."""
    model.eval()
    return np.concatenate([read_out(feed(model, x), spec).argmax(1).cpu().numpy() for x, _ in batches.epoch()])


def bptt(model: nn.Module, params: MethodParams, task: Task) -> nn.Module:
    """Train `model` in place for the task's budget, reporting after each epoch.

    Adam with decoupled weight decay, learning rate by a cosine to zero over all steps, cross-entropy on the read-out
    logits, gradient norm clipped.
    """
    optimiser = torch.optim.AdamW(_groups(model, params), lr=params.lr, fused=True)
    per_epoch = -(-len(task.train) // task.budget.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, per_epoch * task.budget.epochs)
    trained = [p for p in model.parameters() if p.requires_grad]
    for epoch in range(task.budget.epochs):
        total, seen = 0.0, 0
        for x, y in task.train.epoch():
            model.train()
            loss = nn.functional.cross_entropy(read_out(feed(model, x), task.spec), y)
            value = loss.item()
            if not math.isfinite(value):
                raise DivergedError(f"the loss is {value} in epoch {epoch}: lower `lr` or `clip`")
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(trained, params.clip)
            optimiser.step()
            schedule.step()
            total, seen = total + value * len(y), seen + len(y)
        task.report(model, epoch, total / seen)
    return model


def _groups(model: nn.Module, params: MethodParams) -> list[dict[str, object]]:
    """Weights decay; neuron constants and other vectors do not. A parameter may carry its own `lr_scale`."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            scale = float(getattr(parameter, "lr_scale", 1.0))
            decay = params.weight_decay if parameter.ndim > 1 and scale == 1.0 else 0.0
            groups.setdefault((params.lr * scale, decay), []).append(parameter)
    return [{"params": members, "lr": lr, "weight_decay": decay} for (lr, decay), members in groups.items()]
