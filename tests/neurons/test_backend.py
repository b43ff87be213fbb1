"""Which kernels run, and that they leave the process's floating-point state alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from snn5bench.neurons.backend import backend, compiled
from snn5bench.neurons.lif import LIF


def test_the_environment_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.zeros(1)
    monkeypatch.delenv("SNN5BENCH_KERNELS", raising=False)
    assert backend() == "numba"
    assert compiled(x)
    assert not compiled(x.half())
    monkeypatch.setenv("SNN5BENCH_KERNELS", "torch")
    assert backend() == "torch"
    assert not compiled(x)
    monkeypatch.setenv("SNN5BENCH_KERNELS", "cuda")
    with pytest.raises(ValueError, match="'numba' or 'torch'"):
        backend()


def test_no_flush_to_zero_after_a_kernel() -> None:
    LIF()(torch.randn(4, 2, 3)).sum()
    assert np.float32(1e-40) * np.float32(0.5) > 0
    assert torch.tensor(1e-40).mul(0.5).item() > 0


def test_infinities_and_nans_are_not_assumed_away() -> None:
    x = torch.tensor([[[float("inf"), float("nan"), 0.0]]])
    assert LIF()(x).flatten().tolist() == [1.0, 0.0, 0.0]
