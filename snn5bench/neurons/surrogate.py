"""Surrogate gradients: what stands in for the derivative of the Heaviside step in the backward pass.

With u the distance of the membrane potential from the threshold and w the width:

    rectangle      1/w                      for |u| < w/2           (area 1)
    triangle       max(0, 1 - |u|/w) / w                            (area 1)
    atan           1/(2w) / (1 + (pi u / 2w)^2)                     (area 1; spikingjelly's ATan with alpha = 1/w)
    sigmoid        s(1 - s)/w,  s = 1/(1 + exp(-u/w))               (area 1; spikingjelly's Sigmoid with alpha = 1/w)
    exponential    exp(-|u|/w) / 2w                                 (area 1; SLAYER)
    fast_sigmoid   1 / (1 + |u|/w)^2                                (peak 1; Zenke and Ganguli 2018, slope k = 1/w)

Each is multiplied by `scale`.
"""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

Shape = Literal["rectangle", "triangle", "atan", "sigmoid", "exponential", "fast_sigmoid"]
SHAPES: tuple[str, ...] = get_args(Shape)


class Surrogate(nn.Module):
    """A shape with its width and scale.

    Width and scale are tensor buffers that every call reads, so that a change (an adaptive slope) is followed by the
    compiled kernels, by eager torch and by `torch.compile` alike.
    """

    width: Tensor
    scale: Tensor

    def __init__(self, shape: Shape = "rectangle", width: float = 1.0, scale: float = 1.0) -> None:
        super().__init__()
        if shape not in SHAPES:
            raise ValueError(f"surrogate shape '{shape}' is not one of {', '.join(SHAPES)}")
        if width <= 0:
            raise ValueError(f"surrogate width must be above 0, got {width}")
        self.shape = shape
        self.register_buffer("width", torch.tensor(float(width)))
        self.register_buffer("scale", torch.tensor(float(scale)))

    @property
    def id(self) -> int:
        """Number of the shape in the compiled kernels."""
        return SHAPES.index(self.shape)

    def derivative(self, u: Tensor) -> Tensor:
        """The stand-in for dH/du at `u`, of any shape."""
        w = self.width.to(u.dtype)
        return self.scale.to(u.dtype) * _DERIVATIVES[self.shape](u, w)

    def forward(self, u: Tensor, strict: bool = False) -> Tensor:
        """Spikes H(u): one where u >= 0 (u > 0 if `strict`), with the surrogate as its gradient."""
        return _Step.apply(u, strict, self)

    def extra_repr(self) -> str:
        """Shape, width and scale."""
        return f"{self.shape}, width={self.width.item():g}, scale={self.scale.item():g}"


def _rectangle(u: Tensor, w: Tensor) -> Tensor:
    return (u.abs() < w / 2).to(u.dtype) / w


def _triangle(u: Tensor, w: Tensor) -> Tensor:
    return (1 - u.abs() / w).clamp(min=0) / w


def _atan(u: Tensor, w: Tensor) -> Tensor:
    return 0.5 / w / (1 + (math.pi / 2 * u / w) ** 2)


def _sigmoid(u: Tensor, w: Tensor) -> Tensor:
    s = torch.sigmoid(u / w)
    return s * (1 - s) / w


def _exponential(u: Tensor, w: Tensor) -> Tensor:
    return torch.exp(-u.abs() / w) * 0.5 / w


def _fast_sigmoid(u: Tensor, w: Tensor) -> Tensor:
    return (1 + u.abs() / w) ** -2


_DERIVATIVES = {
    "rectangle": _rectangle,
    "triangle": _triangle,
    "atan": _atan,
    "sigmoid": _sigmoid,
    "exponential": _exponential,
    "fast_sigmoid": _fast_sigmoid,
}


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor, strict: bool, surrogate: Surrogate) -> Tensor:
        ctx.save_for_backward(u)
        ctx.surrogate = surrogate
        return (u > 0 if strict else u >= 0).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (u,) = ctx.saved_tensors
        return grads[0] * ctx.surrogate.derivative(u), None, None
