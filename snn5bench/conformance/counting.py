"""Counting: every operation of the network is seen by the harness."""

from __future__ import annotations

from snn5bench.conformance.check import Fault
from snn5bench.conformance.subject import Subject, differs, gap, outputs
from snn5bench.conformance.synthetic import native
from snn5bench.measure.counts import Counter


def complete(subject: Subject) -> str:
    """Counted over one batch as the harness feeds it, no metric is missing."""
    model = subject.network
    x = native(subject.spec, subject.spikes())
    with Counter(model) as counter:
        outputs(model, x)
    counts = counter.result()
    if counts.missing:
        found = "; ".join(f"{metric}: {reason}" for metric, reason in sorted(counts.missing.items()))
        raise Fault(
            f"not counted: {found}",
            "operations, spike rate and sparsity of all layers: a row without them has no energy",
            "a product outside nn.Linear or a convolution (define `operations` on the module), or a neuron that does not "
            "say that it is one (derive from snn5bench's `Neuron`, or set `spiking = True`)",
        )
    return f"{counts.synops_per_sample:.0f} synaptic operations a sample, spike rate {counts.spike_rate:.3f}"


def forms_agree(subject: Subject) -> str:
    """A network that takes events (or repeated frames) itself gives the same logits for them as for the dense tensor."""
    model = subject.exact
    if not getattr(model, "takes_events", False):
        return "it takes dense tensors only"
    x = subject.spikes()
    if subject.spec.coding == "repeated":
        x = x[:1].expand_as(x)
    given = native(subject.spec, x)
    sparse, full = outputs(model, given), outputs(subject.exact, x)
    if differs(sparse, full):
        raise Fault(
            f"fed as {type(given).__name__}, its logits differ by {gap(sparse, full):.3g} from those of "
            "the dense tensor",
            "the same logits in either form",
            "steps or channels are read in another order, or events of one sample are given to another",
        )
    return ""
