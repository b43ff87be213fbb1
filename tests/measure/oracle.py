"""Three independent counts of one network on one input: a loop over spikes, NeuroBench and spikingjelly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from neurobench.metrics.workload import SynapticOperations
from neurobench.models import TorchModel
from spikingjelly.activation_based import functional
from spikingjelly.activation_based.op_counter import ACCounter, DispatchCounterMode, MACCounter, SynOpCounter
from torch import Tensor, nn

from snn5bench.measure.counts import Counter, Counts

SYNAPTIC = (nn.Linear, nn.Conv2d)


@dataclass
class Hand:
    """ACs and MACs per sample by a loop over spikes; a frame that is not ternary is MAC."""

    acs: float
    macs: float


@dataclass
class Libraries:
    """What the two libraries print, per sample."""

    nb_acs: float
    nb_macs: float
    nb_dense: float
    sj_acs: float
    sj_macs: float
    sj_synops: float
    sj_by_op: dict[str, float]
    """spikingjelly's ACs by kind of tensor operation."""


def ours(model: nn.Module, x: Tensor) -> Counts:
    """Our own counter."""
    functional.reset_net(model)
    with Counter(model.eval()) as counter, torch.no_grad():
        model(x)
    return counter.result()


def by_hand(model: nn.Module, x: Tensor) -> Hand:
    """The loop: each spike of each frame visits each of its targets."""
    functional.reset_net(model)
    calls: list[tuple[Any, Tensor]] = []
    handles = [
        module.register_forward_pre_hook(lambda module, inputs: calls.append((module, inputs[0].detach().clone())))
        for module in model.modules()
        if isinstance(module, SYNAPTIC)
    ]
    with torch.no_grad():
        model.eval()(x)
    for handle in handles:
        handle.remove()
    acs = macs = 0
    for layer, seen in calls:
        item = seen.shape[-1:] if isinstance(layer, nn.Linear) else seen.shape[-3:]
        for frame in seen.reshape(-1, *item).numpy():
            visits = _linear(layer, frame) if isinstance(layer, nn.Linear) else _conv(layer, frame)
            if np.isin(frame, (-1, 0, 1)).all():
                acs += visits
            else:
                macs += visits
    return Hand(acs / x.shape[1], macs / x.shape[1])


def _linear(layer: nn.Linear, frame: np.ndarray) -> int:
    weight = layer.weight.detach().numpy()
    visits = 0
    for i in np.flatnonzero(frame):
        for target in weight[:, i]:
            visits += target != 0
    return int(visits)


def _conv(layer: nn.Conv2d, frame: np.ndarray) -> int:
    weight = layer.weight.detach().numpy()
    k, s, p = layer.kernel_size[0], layer.stride[0], int(layer.padding[0])
    per_group_in, per_group_out = layer.in_channels // layer.groups, layer.out_channels // layer.groups
    side = (frame.shape[1] + 2 * p - k) // s + 1
    visits = 0
    for c, i, j in zip(*np.nonzero(frame), strict=True):
        group, inner = divmod(c, per_group_in)
        targets = weight[group * per_group_out : (group + 1) * per_group_out, inner]
        for a in range(k):
            for b in range(k):
                row, odd_row = divmod(i + p - a, s)
                col, odd_col = divmod(j + p - b, s)
                if odd_row or odd_col or not (0 <= row < side and 0 <= col < side):
                    continue
                visits += np.count_nonzero(targets[:, a, b])
    return int(visits)


def libraries(model: nn.Module, x: Tensor) -> Libraries:
    """NeuroBench's and spikingjelly's counts of one pass over the whole batch."""
    batch = x.shape[1]
    functional.reset_net(model)
    wrapped = TorchModel(model)
    wrapped.register_hooks()
    with torch.no_grad():
        wrapped(x)
        nb = SynapticOperations()(wrapped, None, (torch.zeros(batch), None))
    wrapped.cleanup_hooks()
    functional.reset_net(model)
    ac, mac, synop = ACCounter(), MACCounter(), SynOpCounter()
    with DispatchCounterMode([ac, mac, synop]), torch.no_grad():
        model.eval()(x)
    by_op: dict[str, float] = {}
    for op, n in ac.get_counts().get("Global", {}).items():
        name = str(op).rpartition("aten.")[2].partition(".")[0].rstrip("_")
        by_op[name] = by_op.get(name, 0.0) + n / batch
    return Libraries(
        nb["Effective_ACs"],
        nb["Effective_MACs"],
        nb["Dense"],
        ac.get_total() / batch,
        mac.get_total() / batch,
        synop.get_total() / batch,
        by_op,
    )
