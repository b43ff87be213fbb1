"""State: none survives a batch, none passes from one sample to another."""

from __future__ import annotations

import torch

from snn5bench.conformance.check import Fault
from snn5bench.conformance.subject import Subject, differs, gap, outputs


def repeatable(subject: Subject) -> str:
    """The same network gives the same batch the same logits, whatever the global random stream."""
    x, model = subject.spikes(), subject.exact
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first = outputs(subject.exact, x)
        torch.manual_seed(2)
        second = outputs(model, x)
    if differs(first, second):
        subject.random = True
        raise Fault(
            f"two copies of the network, fed the same batch, differ by {gap(first, second):.3g}",
            "the same logits: evaluation draws nothing at random",
            "dropout or noise that is called as a function and does not look at `self.training`",
        )
    return ""


def between_batches(subject: Subject) -> str:
    """A batch gives the same logits after another batch as it gives alone."""
    model, x = subject.exact, subject.spikes(salt="a")
    alone = outputs(subject.exact, x)
    outputs(model, subject.spikes(salt="b", rate=0.6))
    after = outputs(model, x)
    if differs(after, alone):
        raise Fault(
            f"the logits of a batch move by {gap(after, alone):.3g} when another batch was fed before it",
            "the same logits: every batch starts from rest",
            "the membrane potential (or a running statistic) is kept on the module and the module has no `reset()`",
        )
    return ""


def between_samples(subject: Subject) -> str:
    """Changing one sample of a batch changes the logits of no other sample."""
    x = subject.spikes(salt="a")
    changed = x.clone()
    changed[:, 2] = subject.spikes(batch=1, salt="b", rate=0.9)[:, 0]
    before, after = outputs(subject.exact, x), outputs(subject.exact, changed)
    others = [b for b in range(x.shape[1]) if b != 2]
    if differs(after[:, others], before[:, others]):
        touched = [b for b in others if differs(after[:, b], before[:, b])]
        raise Fault(
            f"with sample 2 changed, the logits of samples {touched} move by "
            f"{gap(after[:, others], before[:, others]):.3g}",
            "each sample depends on itself alone",
            "an operation over the batch dimension: a mean or a normalisation over B, a roll, T and B taken for each other",
        )
    return ""


def batch_of_one(subject: Subject) -> str:
    """A sample gives the same logits alone, in a batch, and in a batch in another order."""
    x = torch.cat(
        [subject.spikes(1, f"sample {i}", rate) for i, rate in enumerate((0.05, 0.15, 0.25, 0.5, 0.9))], dim=1
    )
    together = outputs(subject.exact, x)
    for b in range(x.shape[1]):
        alone = outputs(subject.exact, x[:, b : b + 1])
        if differs(alone[:, 0], together[:, b]):
            raise Fault(
                f"alone, the logits of sample {b} differ by {gap(alone[:, 0], together[:, b]):.3g} from those in a batch "
                f"of {x.shape[1]}",
                "the same logits whatever the batch around the sample",
                "batch statistics in evaluation, a threshold or a scale taken from the whole batch, or a fixed batch size",
            )
    turned = outputs(subject.exact, x.flip(1)).flip(1)
    if differs(turned, together):
        raise Fault(
            f"in a batch of reversed order the logits differ by {gap(turned, together):.3g}",
            "the same logits whatever the place in the batch",
            "something that depends on a sample's place: state that is kept for each place of the batch, noise by place",
        )
    return ""
