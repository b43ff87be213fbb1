"""Measurements that decide claims about frameworks."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn


class _Slope(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor, slope: float) -> Tensor:
        ctx.save_for_backward(v)
        ctx.slope = slope
        return (v >= 0).to(v.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (v,) = ctx.saved_tensors
        return grads[0] / (1 + ctx.slope * v.abs()) ** 2, None


class Spike(nn.Module):
    """A spike whose surrogate gradient has a slope in a plain attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = 1.0

    def forward(self, v: Tensor) -> Tensor:
        return _Slope.apply(v, self.slope)


class Scaled(nn.Module):
    """The same attribute in the forward pass, for tracing, which keeps no autograd function."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = 1.0

    def forward(self, v: Tensor) -> Tensor:
        return torch.sigmoid(self.slope * v)


def test_compile_sees_a_changed_slope_and_trace_does_not() -> None:
    torch._dynamo.reset()
    spike = Spike()
    compiled = torch.compile(spike, backend="eager")
    for slope in range(1, 13):  # more than the eight recompilations that are allowed
        spike.slope = float(slope)
        v = torch.full((4,), 0.5, requires_grad=True)
        compiled(v).sum().backward()
        assert v.grad is not None
        assert v.grad.tolist() == pytest.approx([1 / (1 + slope * 0.5) ** 2] * 4)
    scaled = Scaled()
    with pytest.warns(DeprecationWarning):
        traced = torch.jit.trace(scaled, torch.ones(1))
    scaled.slope = 9.0
    assert scaled(torch.ones(1)).item() == pytest.approx(1 / (1 + math.e**-9))
    assert traced(torch.ones(1)).item() == pytest.approx(1 / (1 + math.e**-1))
