"""How a network is run on a batch, and its logits over the steps read out."""

from __future__ import annotations

from torch import Tensor, nn

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.contracts.inputs import BatchInput, dense


def feed(model: nn.Module, x: BatchInput) -> Tensor:
    """Reset the model's state and run one batch: logits per step, `[T, B, classes]`."""
    for module in model.modules():
        reset = getattr(module, "reset", None)
        if callable(reset):
            reset()
    return model(x if getattr(model, "takes_events", False) else dense(x))


def read_out(logits: Tensor, spec: DatasetSpec) -> Tensor:
    """Class scores `[B, classes]` from logits `[T, B, classes]`: their sum over steps, or the last step."""
    return logits[-1] if spec.readout == "last" else logits.sum(0)
