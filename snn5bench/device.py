"""Where cells train and are measured: the CPU, or one NVIDIA GPU where the user asks for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from snn5bench.errors import BenchError

if TYPE_CHECKING:
    import torch

VARIABLE = "SNN5BENCH_DEVICE"
"""Environment variable that `--device` sets, for this process and for the workers that it starts."""
CPU, CUDA = "cpu", "cuda"


def chosen() -> str:
    """`cpu` (the default, also where a GPU is there: numbers must not change with the machine) or `cuda`."""
    return _known(os.environ.get(VARIABLE) or CPU)


def _known(name: str) -> str:
    if name not in (CPU, CUDA):
        raise BenchError(f"no device is called '{name}'", f"--device, or {VARIABLE}", f"{CPU} or {CUDA}")
    return name


def choose(name: str) -> None:
    """Make `name` the device of this process and of its workers. Raises `BenchError` for another word."""
    if _known(name) != (os.environ.get(VARIABLE) or CPU):
        os.environ[VARIABLE] = name


def require() -> None:
    """Raise `BenchError` where cells are to run on a GPU and this machine has none. Imports torch only then."""
    if chosen() == CPU:
        return
    import torch

    if not torch.cuda.is_available():
        built = torch.version.cuda
        raise BenchError(
            "no GPU can be used here: " + (f"torch sees none (CUDA {built})" if built else "this torch has no CUDA"),
            where="--device cuda",
            do="run with `--device cpu`, or on a machine with an NVIDIA GPU and a torch built for CUDA",
        )


def start(name: str) -> torch.device:
    """The torch device of a cell, with the process made ready for it: products that repeat themselves bit for bit, and
    none in the shorter TF32. Raises `BenchError` where it is not there."""
    import torch

    if name != CPU:
        require()
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when the first product of the process starts
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    return torch.device(name)


def finish(name: str) -> None:
    """Wait for what a GPU still has to do, so that clocks read what it took."""
    if name != CPU:
        import torch

        torch.cuda.synchronize()


def full_name(name: str) -> str:
    """What a record calls it: `cpu`, or the GPU's model and the CUDA that torch was built with."""
    if name == CPU:
        return CPU
    import torch

    return f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"
