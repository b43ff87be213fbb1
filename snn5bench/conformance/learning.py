"""Learning: it trains, training reaches every parameter, and test labels reach nothing."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from snn5bench.conformance import synthetic
from snn5bench.conformance.check import Fault, Unfit
from snn5bench.conformance.subject import BATCH, EPOCHS, Subject, differs, digest, outputs
from snn5bench.contracts.method import Budget, Task
from snn5bench.data.batches import SplitBatches
from snn5bench.data.splits import TRAIN, VAL
from snn5bench.train import bptt, feed, read_out


def trains(subject: Subject) -> str:
    """The method supports some synthetic data, trains on it under the protocol, and its logits depend on the input."""
    try:
        spec = subject.spec
    except Unfit:
        raise Fault(
            f"it supports none of these: {'; '.join(subject.refusals)}",
            "one form of data that the checks can make",
            "`supports` says no too often",
        ) from None
    model = subject.train()
    if not isinstance(model, nn.Module):
        raise Fault(f"`fit` returned {type(model).__name__}", "a torch.nn.Module", "a missing `return model`")
    one, other = subject.spikes(salt="a"), subject.spikes(salt="b", rate=0.5)
    if not differs(outputs(subject.exact, one), outputs(subject.exact, other)):
        raise Fault(
            "two different batches have the same logits",
            "logits that depend on the input",
            "no neuron ever spikes, or all do: scale the weights or lower the threshold",
        )
    form = f"shape {spec.shape}" if spec.shape else f"{spec.channels} channels"
    return f"on {spec.coding}, T = {spec.T}, {form}"


def reaches_every_parameter(subject: Subject) -> str:
    """On input at a healthy rate, the loss has a gradient for every trainable parameter, or `fit` moves it by its own
    rule between its first and its last report."""
    model = subject.network.train()
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    if not trainable:
        return "nothing in it is trainable"
    x = subject.spikes(batch=2 * BATCH)
    label = torch.arange(2 * BATCH) % subject.spec.n_classes
    unreached: set[str] = set(trainable)
    logits = read_out(feed(model, x.float()), subject.spec)
    if logits.requires_grad:
        nn.functional.cross_entropy(logits, label).backward()
        unreached = {n for n, p in model.named_parameters() if n in trainable and (p.grad is None or not p.grad.any())}
    if not unreached:
        return ""
    moved, reports = _moved(subject)
    unreached -= moved
    if unreached and reports < 2:
        return "its rule gives no gradient and reports once: whether it moves every parameter cannot be told"
    if unreached:
        names = ", ".join(sorted(unreached)[:4]) + (f" and {len(unreached) - 4} more" if len(unreached) > 4 else "")
        raise Fault(
            f"no gradient arrives at {names}, and training does not move it",
            "every trainable parameter is trained",
            "a `detach()`, a `no_grad` or a comparison without surrogate on the way, or a parameter that is never used",
        )
    return "trained by a rule of its own"


def _moved(subject: Subject) -> tuple[set[str], int]:
    """Parameters that differ between the first and the last report of `fit`, and the number of reports."""
    snapshots: list[dict[str, Tensor]] = []

    def report(model: nn.Module, epoch: int, loss: float | None) -> float:
        snapshots.append(copy.deepcopy(dict(model.named_parameters())))
        return 0.0

    packed = synthetic.Packed(subject.folder / "data")
    task = Task(
        spec=subject.spec,
        train=SplitBatches(packed, TRAIN, BATCH, order_seed=0),
        val=SplitBatches(packed, VAL, BATCH),
        budget=Budget(epochs=EPOCHS, batch_size=BATCH),
        report=report,
        bptt=lambda model, params: bptt(model, params, task),
        prepare=lambda model: model,
    )
    torch.manual_seed(0)
    subject.method.fit(task)
    first, last = snapshots[0], snapshots[-1]
    return {name for name, value in last.items() if name in first and not torch.equal(value, first[name])}, len(
        snapshots
    )


def blind_to_test_labels(subject: Subject) -> str:
    """The whole protocol, run on data whose test labels are all different, ends in bit-equal weights."""
    usual = digest(subject.network)
    if digest(subject.fit(relabel_test=True)) != usual:
        if digest(subject.fit()) != usual:
            raise Unfit("training with one seed does not repeat itself: see 'same seed, same bits'")
        raise Fault(
            "with other test labels, training ends in other weights",
            "bit-equal weights: nothing that `fit` does depends on the test split's labels",
            "`fit` reads the stored data behind `task.train`, or walks from the task's callbacks to the test split",
        )
    return ""
