"""Weights: `state_dict` holds all of the network, and the network moves with `.to()`."""

from __future__ import annotations

import io
from typing import Any

import torch
from torch import nn

from snn5bench.conformance.check import Fault
from snn5bench.conformance.subject import Subject, differs, gap, outputs
from snn5bench.contracts.inputs import dense
from snn5bench.train import feed


def state_dict(subject: Subject) -> str:
    """A network built anew, with the trained one's `state_dict` loaded from a file (`weights_only`), gives the same logits.
    Where `fit` returns other modules than `build` does, the network that another seed's training returns stands in for the
    one built anew."""
    trained, x, note = subject.exact, subject.spikes(), ""
    state = _through_a_file(trained)
    torch.manual_seed(1234)
    fresh = subject.method.build(subject.spec).eval().double()
    if _modules(fresh) != _modules(trained):
        fresh, note = (
            subject.other.double(),
            "loaded into another seed's network: `fit` returns other modules than `build`",
        )
        if _modules(fresh) != _modules(trained):
            return "not tried: `fit` returns other modules than `build` does, and other ones for another seed"
    missing, extra = fresh.load_state_dict(state, strict=False)
    if missing or extra:
        raise Fault(
            f"the state of a trained network does not fit a fresh one: missing {missing[:3]}, unexpected {extra[:3]}",
            "the same names",
            "parameters or buffers that are made in `forward` or during training",
        )
    before, after = outputs(trained, x), outputs(fresh, x)
    if differs(after, before):
        raise Fault(
            f"with the trained state loaded, a fresh network's logits differ by {gap(after, before):.3g}",
            "the same logits",
            "a tensor or number that decides the output is a plain attribute: make it a Parameter or a buffer",
        )
    return note


def _through_a_file(model: nn.Module) -> dict[str, Any]:
    """The network's state, saved and loaded as a stranger's weights are: tensors and plain values, no objects."""
    file = io.BytesIO()
    try:
        torch.save(model.state_dict(), file)
        file.seek(0)
        loaded: dict[str, Any] = torch.load(file, weights_only=True)
    except Exception as error:  # what refuses an object is `pickle`, which nothing here imports
        raise Fault(
            f"its state cannot be saved and loaded with weights_only: {_first(error)[:120]}",
            "tensors and plain values",
            "a `get_extra_state` that returns an object of a class of its own",
        ) from None
    return loaded


def _first(error: Exception) -> str:
    """The first line of what an exception says."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _modules(model: nn.Module) -> list[tuple[str, str]]:
    """Name and type of every module; torch makes a class of its own for each parametrised one, of one name."""
    return [(name, type(module).__qualname__) for name, module in model.named_modules()]


def gpu() -> str | None:
    """The device that networks are moved to; None where there is none."""
    return "cuda" if torch.cuda.is_available() else None


def moves(subject: Subject) -> str:
    """The network runs in float64, and on another device: the first GPU, where its logits in float64 must be those of the
    CPU, or else torch's `meta` device, which refuses tensors of two devices as a GPU does but computes nothing."""
    x = subject.spikes()
    logits = outputs(subject.exact, x)
    if logits.dtype is not torch.float64:
        raise Fault(f"moved to float64, its logits are {logits.dtype}", "torch.float64", _CAUSE)
    found = gpu()
    device = found or "meta"
    model = subject.network.to(device)
    try:
        moved = feed(model, dense(x.float()).to(device))
    except NotImplementedError as unsupported:
        return f"in float64 alone: {_first(unsupported)[:100]}"
    except RuntimeError as error:
        text = _first(error)
        if found is None and "device" not in text:
            return f"in float64 alone: {text[:100]}"
        raise Fault(
            f"moved to {device}, it raises: {text[:160]}", "every tensor moves with the network", _CAUSE
        ) from None
    if moved.device.type != device:
        raise Fault(f"moved to {device}, its logits are on {moved.device}", "logits where the network is", _CAUSE)
    if found is None:
        return "float64; no GPU here, so tensors were moved to `meta`, and nothing was computed there"
    there = feed(model.double(), x.to(device)).cpu()
    if differs(there, logits, 1e-6):
        raise Fault(
            f"on {device}, in float64, its logits differ by {gap(there, logits):.3g} from those on the CPU",
            "the same logits",
            "a kernel of its own that rounds or orders otherwise, or state that was left on the CPU",
        )
    return f"float64 and {device}"


_CAUSE = (
    "`torch.zeros(...)` in `forward` without the input's device and dtype, or a tensor that is neither a Parameter nor a "
    "buffer"
)
