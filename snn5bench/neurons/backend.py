"""Which kernels run: numba's, or the plain torch loops that are their oracle."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any, Literal

import numba
import torch
from torch import Tensor

Backend = Literal["numba", "torch"]

jit: Callable[[Callable[..., Any]], Callable[..., Any]] = numba.njit(
    cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp"}
)
"""Compiles a kernel. The flags change rounding inside the kernel only: the process's own are left alone."""

exact: Callable[[Callable[..., Any]], Callable[..., Any]] = numba.njit(cache=True, nogil=True, error_model="numpy")
"""Compiles a kernel that rounds as it is written: the same sum in two kernels has the same bits."""


def backend() -> Backend:
    """`numba` (the default) or `torch`, as the environment variable SNN5BENCH_KERNELS says at this moment."""
    name = os.environ.get("SNN5BENCH_KERNELS", "numba")
    if name == "numba":
        return "numba"
    if name == "torch":
        return "torch"
    raise ValueError(f"SNN5BENCH_KERNELS is '{name}': it must be 'numba' or 'torch'")


@cache
def _triton_is_here() -> bool:
    return find_spec("triton") is not None


def kernels_on(device: str) -> str:
    """The kernels that run on a `cpu` or on `cuda`, as a record names them: `numba`, `triton` or `torch`."""
    if device == "cpu" or backend() == "torch":
        return backend()
    return "triton" if _triton_is_here() else "torch"


def on_triton(*tensors: Tensor) -> bool:
    """Whether these tensors go to the Triton kernels: float32 or float64 on a GPU, Triton there, `torch` not chosen."""
    return (
        all(x.is_cuda and x.dtype in (torch.float32, torch.float64) for x in tensors) and kernels_on("cuda") == "triton"
    )


def compiled(*tensors: Tensor) -> bool:
    """Whether these tensors go to the numba kernels: float32 or float64 on the CPU, with that backend chosen."""
    return backend() == "numba" and all(
        x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64) for x in tensors
    )
