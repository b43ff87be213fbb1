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

SEEDS = 6
"""Networks looked at before a parameter is called unreached."""


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
    rule between its first and its last report. What is shut off in the network of one seed may be open in another's."""
    model = subject.network
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    unreached = _unreached(model, subject)
    if not unreached:
        return "" if trainable else "nothing in it is trainable"
    shut = _some(unreached)
    for seed in range(1, SEEDS if unreached < trainable else 1):
        unreached &= _unreached(subject.other if seed == 1 else subject.fit(seed=seed), subject)
        if not unreached:
            return f"{shut}: reached under some of {seed + 1} seeds only, as behind a gate that may start shut"
    moved, reports = _moved(subject)
    unreached -= moved
    if not unreached:
        return "trained by a rule of its own"
    if reports < 2:
        return "its rule gives no gradient and reports once: whether it moves every parameter cannot be told"
    raise Fault(
        f"no gradient arrives at {_some(unreached)}, and training does not move it",
        "every trainable parameter is trained",
        "a `detach()`, a `no_grad` or a comparison without surrogate on the way, or a parameter that is never used",
    )


def _unreached(model: nn.Module, subject: Subject) -> set[str]:
    """Trainable parameters without a gradient of the loss on two synthetic batches."""
    trainable = {name for name, p in model.train().named_parameters() if p.requires_grad}
    if not trainable:
        return set()
    label = torch.arange(2 * BATCH) % subject.spec.n_classes
    logits = read_out(feed(model, subject.spikes(batch=2 * BATCH).float()), subject.spec)
    if logits.requires_grad:
        nn.functional.cross_entropy(logits, label).backward()
    return {n for n, p in model.named_parameters() if n in trainable and (p.grad is None or not p.grad.any())}


def _some(names: set[str]) -> str:
    """The first four, in words."""
    return ", ".join(sorted(names)[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


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
