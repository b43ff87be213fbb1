"""Time: T is honoured, causality is as declared, and the NoTD twin ignores order or is refused with a reason."""

from __future__ import annotations

from snn5bench.conformance import synthetic
from snn5bench.conformance.check import Fault
from snn5bench.conformance.subject import Subject, differs, gap, outputs
from snn5bench.contracts.method import CannotCut
from snn5bench.execute import TimeLeakError, refuse_time


def shape(subject: Subject) -> str:
    """Freshly built, the network gives `[T, B, classes]` at the data's T and at another one."""
    note = ""
    for T in (subject.spec.T, subject.spec.T + 5):
        spec = subject.spec.model_copy(update={"T": T})
        verdict = subject.method.supports(spec)
        if not verdict:
            note = f"not tried at T = {T}: {verdict.reason}"
            continue
        logits = outputs(subject.method.build(spec).eval(), synthetic.spikes(spec, 5).float())
        wanted = (T, 5, spec.n_classes)
        if tuple(logits.shape) != wanted:
            raise Fault(
                f"an output of shape {tuple(logits.shape)}",
                f"logits per step: [T, B, classes] = {wanted}",
                "the network sums over the steps itself, or swaps T and B, or has a number of steps of its own",
            )
    return note


def every_step(subject: Subject) -> str:
    """The last step of the input is seen, and so is the first."""
    x = subject.spikes()
    logits = outputs(subject.exact, x)
    for k, word in ((0, "first"), (-1, "last")):
        changed = x.clone()
        changed[k] = 1 - changed[k]
        if not differs(outputs(subject.exact, changed), logits):
            raise Fault(
                f"inverting every input of the {word} step changes no logit",
                f"a network that works through all T = {subject.spec.T} steps",
                "the loop ends early or begins late, or a number of steps of its own stands in for that of the data",
            )
    return ""


def causality(subject: Subject) -> str:
    """What comes at step k and later moves no logit before k; or it does, and the method says `causal = False`."""
    T, x = subject.spec.T, subject.spikes(salt="a")
    before = outputs(subject.exact, x)
    seen = 0.0
    for k in (1, T // 2, T - 1):
        changed = x.clone()
        changed[k:] = subject.spikes(salt="b", rate=0.5)[k:]
        after = outputs(subject.exact, changed)
        if differs(after[:k], before[:k]):
            seen = max(seen, gap(after[:k], before[:k]))
    if seen and subject.method.causal:
        raise Fault(
            f"inputs that come later move logits of earlier steps by {seen:.3g}",
            "the method declares `causal = True`: the output at step t depends on inputs up to t only",
            "a normalisation over T, attention without a mask, a backward scan, or spikes read one step too early; "
            "if that is the technique, declare `causal = False`",
        )
    if not seen and not subject.method.causal:
        raise Fault(
            "no logit depends on an input that comes later",
            "the method declares `causal = False`: something must look ahead",
            "the declaration was left over; drop it, so that the row is not marked as looking ahead",
        )
    return "" if subject.method.causal else "looks ahead, as declared"


def no_time_twin(subject: Subject) -> str:
    """The NoTD twin, trained, sees its steps as a bag: permuting them permutes its logits. Or it is refused and says why."""
    subject.network  # noqa: B018 (raises where nothing trains)
    try:
        twin = subject.fit(twin="notd")
    except CannotCut as refusal:
        if not str(refusal).strip():
            raise Fault(
                "the twin is refused without a word",
                "`CannotCut` with the reason that the row prints",
                "`raise CannotCut` without a message",
            ) from None
        return f"no NoTD twin: {refusal}"
    try:
        refuse_time(twin, subject.spikes(salt="twin"))
    except TimeLeakError as leak:
        raise Fault(
            str(leak),
            "a twin without temporal dynamics, or `CannotCut` with the reason",
            "`set_time` that leaves a path open (a recurrence, a delay, parameters or statistics by step), or a module "
            "that takes the call and does nothing",
        ) from None
    return ""
