"""`execute(cell)`: train, choose on validation, test once. A function of the cell alone; it returns a record."""

from __future__ import annotations

import copy
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from snn5bench import device, environment, keys, registry
from snn5bench.cell import Cell
from snn5bench.contracts.inputs import dense
from snn5bench.contracts.method import Budget, CannotCut, Method, Task
from snn5bench.contracts.readout import feed, read_out
from snn5bench.data.batches import SplitBatches
from snn5bench.data.cache import prepare
from snn5bench.data.packed import Packed
from snn5bench.data.splits import TEST, TRAIN, VAL
from snn5bench.errors import BenchError
from snn5bench.measure.counts import Counter
from snn5bench.neurons.backend import kernels_on
from snn5bench.outcome import Outcome, blank
from snn5bench.record import Epoch, Record, Status
from snn5bench.seeds import stream
from snn5bench.train import bptt, predict

SELECTION_RULE = "best validation epoch"
EVAL_BATCH = 128
"""Samples evaluated together. With twice as many, tensors are so large that each is new memory from the system."""

EpochDone = Callable[[int, int], None]
"""Called with (epochs done, epochs in all)."""


class TimeLeakError(RuntimeError):
    """A network that should ignore time does not."""


def execute(cell: Cell, on_epoch: EpochDone | None = None) -> Outcome:
    """Run one cell. A method that raises gives a record with status `failed` and the reason; a user's interrupt passes."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    dataset = registry.load("datasets", cell.dataset)
    data = dataset(dataset.Params.model_validate(cell.dataset_params))
    packed = prepare(data)
    parts = keys.parts_of(cell, packed.meta.fingerprint, packed.meta.transform)
    record = blank(cell, Status.FAILED, key=parts.key(), started_at=started)
    record.key_parts = parts.model_dump(mode="json")
    record.dataset_fingerprint = packed.meta.fingerprint
    record.transform = packed.meta.transform
    record.split_rule = packed.meta.split_rule
    try:
        run = _Run(cell, packed, record, on_epoch, keys.device_of(cell))
        arrays = run.measure(run.fit())
    except CannotCut as refusal:
        record.status, record.reason = Status.INCOMPATIBLE, f"no {cell.twin} twin: {refusal}"
        return Outcome(record)
    except BenchError as error:
        record.reason = str(error)
        return Outcome(record)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        record.reason = f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno} in {last.name})"
        return Outcome(record)
    record.status = Status.DONE
    return Outcome(record, arrays)


def fitted(cell: Cell, packed: Packed) -> nn.Module:
    """The network that the protocol ends with on `packed`, which need not be the data of `cell.dataset`; never tested.
    It trains on the CPU."""
    return _Run(cell, packed, blank(cell, Status.FAILED), None, device.CPU).fit()


class _Run:
    """The protocol of one cell. The method sees the train and validation splits through `Task`; test stays here."""

    def __init__(self, cell: Cell, packed: Packed, record: Record, on_epoch: EpochDone | None, where: str) -> None:
        self.cell, self.packed, self.spec, self.record, self.on_epoch = cell, packed, packed.spec, record, on_epoch
        self.where = where
        method = registry.load("methods", cell.method)
        self.method: Method = method(method.Params.model_validate(cell.method_params))
        self.best: dict[str, Any] | None = None
        self.best_val = -1.0
        self.eval_seconds = 0.0

    def _batches(self, split: int, order_seed: int | None = None) -> SplitBatches:
        shuffle = stream("shuffle-time", self.cell.seed) if self.cell.twin == "shuffled" else None
        size = EVAL_BATCH if order_seed is None else self.cell.batch_size
        return SplitBatches(self.packed, split, size, order_seed, shuffle, self.where)

    def fit(self) -> nn.Module:
        """Train, and return the network with the weights of the epoch that validation chose."""
        device.start(self.where)
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Else every new tensor is filled with NaN first: up to a fifth of a step, for memory that nothing reads.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.manual_seed(stream("init", self.cell.seed))
        np.random.seed(stream("numpy", self.cell.seed) % 2**32)  # noqa: NPY002 (methods may draw from the global stream)
        train = self._batches(TRAIN, stream("order", self.cell.seed))
        self.val, self.test = self._batches(VAL), self._batches(TEST)
        task = Task(
            spec=self.spec,
            train=train,
            val=self.val,
            budget=Budget(epochs=self.cell.epochs, batch_size=self.cell.batch_size),
            report=self._report,
            bptt=lambda model, params: bptt(model, params, task),
            prepare=self._prepare,
            device=self.where,
        )
        _reset_peak_memory()
        begin = time.perf_counter()
        model = self.method.fit(task)
        device.finish(self.where)
        self.record.train_seconds = round(time.perf_counter() - begin - self.eval_seconds, 3)
        self.record.peak_memory_bytes = _peak_memory()
        self.record.train_steps = -(-len(train) // self.cell.batch_size) * train.passes
        self.record.n_train, self.record.n_val, self.record.n_test = len(train), len(self.val), len(self.test)
        if self.best is None:
            raise BenchError(
                f"{self.cell.method} reported no epoch",
                where="Method.fit",
                do="call task.report(model, epoch, loss) each epoch",
            )
        model.load_state_dict(self.best)
        self.record.selection_rule = SELECTION_RULE
        self.record.val_accuracy = self.best_val
        peeked = [e.test_accuracy for e in self.record.curve if e.test_accuracy is not None]
        self.record.test_accuracy_peeked = max(peeked) if peeked else None
        return model

    def _prepare(self, model: nn.Module) -> nn.Module:
        """Networks are built on the CPU, so that their first weights have the same bits wherever they train."""
        model = self._cut(model)
        return model if self.where == device.CPU else model.to(self.where)

    def _cut(self, model: nn.Module) -> nn.Module:
        if self.cell.twin == "notd":
            return self.method.timeless(model)
        if self.cell.twin == "sdbp":
            return self.method.spatial(model)
        return model

    def _report(self, model: nn.Module, epoch: int, loss: float | None) -> float:
        device.finish(self.where)
        begin = time.perf_counter()
        accuracy = float((predict(model, self.val, self.spec) == self.val.labels).mean())
        peeked = None
        if self.cell.record_peeking:
            peeked = float((predict(model, self.test, self.spec) == self.test.labels).mean())
        self.record.curve.append(Epoch(epoch=epoch, train_loss=loss, val_accuracy=accuracy, test_accuracy=peeked))
        if accuracy > self.best_val:
            self.best_val, self.best = accuracy, copy.deepcopy(model.state_dict())
            self.record.selected_epoch = epoch
        self.eval_seconds += time.perf_counter() - begin
        if self.on_epoch is not None:
            self.on_epoch(epoch + 1, self.cell.epochs)
        return accuracy

    @torch.no_grad()
    def measure(self, model: nn.Module) -> dict[str, np.ndarray]:
        """One pass over the test split: predictions and counts together."""
        record = self.record
        model.eval()
        if self.cell.twin == "notd":
            refuse_time(model, dense(self.val.inputs(self.val.index[:16])))
        begin = time.perf_counter()
        predictions = []
        with Counter(model) as counter:
            for x, _ in self.test.epoch():
                predictions.append(read_out(feed(model, x), self.spec).argmax(1).cpu().numpy())
        prediction, label = np.concatenate(predictions), self.test.labels
        record.test_accuracy = float((prediction == label).mean())
        record.eval_seconds = round(time.perf_counter() - begin, 3)
        record.params = sum(p.numel() for p in model.parameters() if p.requires_grad)
        counts = counter.result()
        record.layers, record.missing = counts.layers, counts.missing
        for name in ("spike_rate", "activation_sparsity", "weight_sparsity"):
            setattr(record, name, getattr(counts, name))
        for name in ("macs_per_sample", "acs_per_sample", "synops_per_sample"):
            setattr(record, name, getattr(counts, name))
        record.notes.extend(getattr(model, "notes", ()))
        record.environment = environment.capture(
            threads=1, device=device.full_name(self.where), backend=kernels_on(self.where)
        )
        return {
            "index": self.test.index.astype(np.int32),
            "label": label.astype(np.int16),
            "prediction": prediction.astype(np.int16),
        }


@torch.no_grad()
def refuse_time(model: nn.Module, x: torch.Tensor, tolerance: float = 1e-9) -> None:
    """Raise `TimeLeakError` unless permuting the steps of `x` `[T, B, C]` permutes the output steps and does nothing else.

    Run in float64 on a copy, so that rounding cannot flip a spike. Catches forgotten recurrences, delays and
    normalisation with statistics per step (Ma et al. 2025; the probe's own self-test).
    """
    twin = copy.deepcopy(model).double()
    x = x.double()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(stream("permute") % 2**31))
    straight, permuted = feed(twin, x)[order], feed(twin, x[order])
    gap = float((straight - permuted).abs().max())
    if gap > tolerance * max(1.0, float(straight.abs().max())):
        raise TimeLeakError(
            f"the NoTD twin still sees the order of its inputs: permuting the steps moves logits by {gap:.3g}"
        )


def _reset_peak_memory() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _peak_memory() -> int | None:
    """Peak resident bytes of this process since `_reset_peak_memory`, where the system tells."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    for line in status.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None
