"""Where a cell's time goes: `python tests/benchmarks/where_time_goes.py bundled lif@speech-digits --epochs 3`.

Processor time of the training thread, each moment in one bucket, as a share of the time that training itself takes (forward,
backward, clipping, optimiser). The cell runs once for one epoch before, so that compiling is not counted. Prints Markdown.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from snn5bench import execute, expand, suite, train
from snn5bench.data.batches import SplitBatches
from snn5bench.neurons.network import SpikingNet

TRAINING = ("forward", "loss", "backward", "clip", "optimiser")
PLACES: list[tuple[object, str, str]] = [
    (train, "feed", "forward"),
    (train, "read_out", "loss"),
    (nn.functional, "cross_entropy", "loss"),
    (torch.Tensor, "backward", "backward"),
    (nn.utils, "clip_grad_norm_", "clip"),
    (torch.optim.AdamW, "step", "optimiser"),
    (torch.optim.AdamW, "zero_grad", "optimiser"),
    (torch.optim.lr_scheduler.CosineAnnealingLR, "step", "learning rate"),
    (SplitBatches, "inputs", "batches"),
    (SpikingNet, "calibrate", "calibration"),
    (execute, "prepare", "opening the data"),
    (execute.keys, "parts_of", "the cell's key"),
    (execute, "blank", "the record"),
    (execute.environment, "capture", "the record"),
    (execute._Run, "_report", "evaluation each epoch"),
    (execute._Run, "measure", "test and counts"),
]
OUTER = ("evaluation each epoch", "test and counts", "calibration")
"""A forward pass or a read-out inside one of these is part of it."""


class Buckets:
    """Exclusive processor time by bucket: an inner bucket stops the clock of the outer one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.stack = ["the rest"]
        self.since = time.thread_time()

    def switch(self) -> None:
        """Book the time since the last switch on the bucket that is open."""
        now = time.thread_time()
        self.seconds[self.stack[-1]] = self.seconds.get(self.stack[-1], 0.0) + now - self.since
        self.since = now

    def wrap(self, function: Callable[..., Any], bucket: str) -> Callable[..., Any]:
        """`function`, its time booked on `bucket`."""

        @functools.wraps(function)
        def timed(*args: Any, **options: Any) -> Any:
            inside = bucket in ("forward", "loss") and any(outer in self.stack for outer in OUTER)
            self.switch()
            self.stack.append(self.stack[-1] if inside else bucket)
            try:
                return function(*args, **options)
            finally:
                self.switch()
                self.stack.pop()

        return timed


def measured(cell: Any) -> dict[str, float]:
    """Seconds by bucket for one run of the cell."""
    buckets = Buckets()
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in PLACES]
    try:
        for owner, name, bucket in PLACES:
            setattr(owner, name, buckets.wrap(getattr(owner, name), bucket))
        buckets.since = time.thread_time()
        record = execute.execute(cell).record
        buckets.switch()
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)
    if record.status != "done":
        raise SystemExit(f"{cell.label}: {record.reason}")
    return buckets.seconds


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Where a cell's time goes.")
    parser.add_argument("suite")
    parser.add_argument("cells", nargs="+", help="METHOD@DATASET, or the beginning of a label")
    parser.add_argument("--epochs", type=int, help="instead of the suite's")
    options = parser.parse_args()
    _, planned = expand.read(suite.find(options.suite, Path("suites")))
    columns: dict[str, dict[str, float]] = {}
    for name in options.cells:
        cell = expand.matching(planned, name)[0].cell
        if options.epochs:
            cell = cell.model_copy(update={"epochs": options.epochs})
        execute.execute(cell.model_copy(update={"epochs": 1}))
        columns[name] = measured(cell)
    print(f"Shares of training time; load {os.getloadavg()[0]:.1f}.\n")
    print("| step |" + "".join(f" {name} |" for name in columns))
    print("|---|" + "---|" * len(columns))
    for bucket in dict.fromkeys([bucket for _, _, bucket in PLACES] + ["the rest"]):
        shares = [100 * s.get(bucket, 0.0) / sum(s[part] for part in TRAINING) for s in columns.values()]
        print(f"| {bucket} |" + "".join(f" {share:.1f} % |" for share in shares))
    print("| training, s |" + "".join(f" {sum(s[part] for part in TRAINING):.2f} |" for s in columns.values()))


if __name__ == "__main__":
    sys.exit(main())
