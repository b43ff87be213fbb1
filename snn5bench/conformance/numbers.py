"""Numbers: finite where inputs are silent or saturated."""

from __future__ import annotations

import torch
from torch import nn

from snn5bench.conformance.check import Fault
from snn5bench.conformance.subject import Subject
from snn5bench.train import feed, read_out

EXTREMES = {"silent": 0.0, "saturated": 1.0}


def extremes(subject: Subject) -> str:
    """Logits and gradients are finite where no input ever spikes and where every input spikes at every step, in
    evaluation and in training, alone and beside healthy samples."""
    for word, value in EXTREMES.items():
        for mixed in (False, True):
            x = subject.spikes(batch=4).float()
            x[:, :2] = value
            if not mixed:
                x[:, 2:] = value
            for training in (False, True):
                model = subject.network.train(training)
                logits = feed(model, x)
                where = f"a {word} input{' beside healthy ones' if mixed else ''}, in {_mode(training)}"
                if not torch.isfinite(logits).all():
                    raise Fault(f"logits that are not finite for {where}", "finite logits", _CAUSE)
                if training and logits.requires_grad:
                    label = torch.zeros(4, dtype=torch.long)
                    nn.functional.cross_entropy(read_out(logits, subject.spec), label).backward()
                    for name, parameter in model.named_parameters():
                        if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
                            raise Fault(
                                f"a gradient of {name} that is not finite for {where}", "finite gradients", _CAUSE
                            )
    return ""


_CAUSE = (
    "a division by a spike count or a norm that can be zero, a logarithm or root of zero, an exponential that overflows"
)


def _mode(training: bool) -> str:
    return "training" if training else "evaluation"
