"""How every benchmark here measures: ours and a peer, in turns, in one thread's processor time, as a ratio.

Absolute times are of no use on a shared machine. A ratio is the peer's time over ours, the median over rounds; beside it
go its quartiles, the target and the machine's load. `ratios.py` compares them with the stored ones.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

Versus = Callable[..., float]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def seconds(run: Callable[[], object], clock: Callable[[], float] = time.thread_time) -> float:
    """Processor seconds of one call."""
    start = clock()
    run()
    return clock() - start


@pytest.fixture
def versus(benchmark: Any) -> Versus:
    """`versus(ours, peer, least=8.0)` measures, records beside the benchmark, and returns the ratio.

    `repeat` calls of ours go to one of the peer's, for what is too quick for the clock. `least` is the target. It fails
    only at less than half of that: whether a target is met is reported, not tested, since neighbours have a say in it.
    """

    def measure(
        ours: Callable[[], object],
        peer: Callable[[], object],
        least: float,
        rounds: int = 15,
        repeat: int = 1,
        clock: Callable[[], float] = time.thread_time,
    ) -> float:
        before = os.getloadavg()[0]
        ours(), peer()
        ratios = []
        for _ in range(rounds):
            quick = seconds(lambda: [ours() for _ in range(repeat)], clock) / repeat
            ratios.append(seconds(peer, clock) / max(quick, 1e-9))
        low, ratio, high = statistics.quantiles(ratios, n=4, method="inclusive")
        benchmark.extra_info |= {
            "ratio": ratio, "low": low, "high": high, "least": least, "load": [before, os.getloadavg()[0]],
        }  # fmt: skip
        benchmark.pedantic(ours, rounds=3)
        assert ratio > least / 2
        return ratio

    return measure
