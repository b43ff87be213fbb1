"""Counting costs at most a fifth of a bare forward pass: 700-128-128-20, T = 100, batch 32."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from snn5bench.contracts.inputs import Events
from snn5bench.measure.counts import Counter
from snn5bench.neurons.lif import LIF
from snn5bench.neurons.network import SpikingNet


def as_events(x: Tensor) -> Events:
    """Index lists of a binary tensor."""
    T, B, C = x.shape
    sample, step, channel = np.nonzero(x.permute(1, 0, 2).numpy())
    return Events(np.searchsorted(sample, np.arange(B + 1)), step.astype(np.int32), channel.astype(np.int32), T, C)


def seconds(run: Callable[[], Any]) -> float:
    """Processor seconds of this thread: other processes on the machine must not decide."""
    start = time.thread_time()
    run()
    return time.thread_time() - start


@pytest.mark.parametrize("form", ["dense", "events"])
def test_overhead(benchmark: Any, form: str) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = SpikingNet(700, (128, 128), 20, lambda n: LIF()).eval()
    x = (torch.rand(100, 32, 700) < 0.03).float()
    model.calibrate(x, 0.08)
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
