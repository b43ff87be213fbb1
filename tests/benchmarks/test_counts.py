"""Counting costs at most a fifth of a bare forward pass: 700-128-128-20, T = 100, batch 32."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from snn5bench.contracts.inputs import Events
from snn5bench.measure.counts import Counter


@numba.njit
def _lif(x: np.ndarray) -> np.ndarray:
    out = np.zeros_like(x)
    T, n = x.shape
    v = np.zeros(n, x.dtype)
    for t in range(T):
        for i in range(n):
            v[i] = 0.9 * v[i] + x[t, i]
            if v[i] >= 1:
                out[t, i] = 1
                v[i] -= 1
    return out


class FastLif(nn.Module):
    """A compiled neuron, so that the bare pass is as short as it can be."""

    spiking = True

    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(_lif(x.flatten(1).numpy())).view_as(x)


class Synapses(nn.Linear):
    """Takes events as well."""

    def forward(self, x: Tensor | Events) -> Tensor:  # type: ignore[override]
        return super().forward(x.dense() if isinstance(x, Events) else x)


def as_events(x: Tensor) -> Events:
    """Index lists of a binary tensor."""
    T, B, C = x.shape
    sample, step, channel = np.nonzero(x.permute(1, 0, 2).numpy())
    return Events(np.searchsorted(sample, np.arange(B + 1)), step.astype(np.int32), channel.astype(np.int32), T, C)


def seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


@pytest.mark.parametrize("form", ["dense", "events"])
def test_overhead(benchmark: Any, form: str) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    sizes = (700, 128, 128, 20)
    layers = [part for a, b in itertools.pairwise(sizes) for part in (Synapses(a, b), FastLif())]
    model = nn.Sequential(*layers).eval()
    x = (torch.rand(100, 32, 700) < 0.03).float()
    batch = x if form == "dense" else as_events(x)
    ratios = []
    with torch.no_grad():
        model(batch)
        with Counter(model) as counter:
            model(batch)  # the first batch also looks for operations that no hook sees
        for _ in range(40):
            bare = seconds(lambda: model(batch))
            with counter:
                ratios.append(seconds(lambda: model(batch)) / bare)
        with counter:
            benchmark.pedantic(model, args=(batch,), rounds=20)
    assert not counter.result().missing
    ratio = statistics.median(ratios)
    benchmark.extra_info["overhead_ratio"] = ratio
    assert ratio <= 1.2
