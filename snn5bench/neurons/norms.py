"""Batch norm over steps and samples together, for tensors that begin with `[T, B]`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class StepBatchNorm(nn.BatchNorm1d):
    """Batch norm of the last dimension of `[T, B, ..., H]`, over all others together. In training the statistics cross
    steps; at evaluation a step knows nothing of another."""

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return super().forward(x.flatten(0, -2)).view_as(x)


@contextmanager
def adopting(model: nn.Module) -> Iterator[None]:
    """While it lasts, a training pass sets every batch norm's running statistics to those of its batch: a network that
    has seen one batch then evaluates as it trains."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.momentum = 1.0
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
