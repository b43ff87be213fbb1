"""What each kind of module does to a frame, told from its inputs and outputs alone.

A module is recognised by what it is (`nn.Linear`, a convolution, a norm, a pool) or by attributes that it sets itself,
so that no neuron model has to be imported here:

- `spiking`: True for neurons that spike, False for a readout that only integrates. Either counts one state update per
  neuron and step, with `states` (default 1) state variables each.
- `recurrent_weight`: `[N, N]` weights (or a `Linear`) that feed the module's own spikes of step t - 1 back at step t
  without a call that a hook could see; out of use while the module's `time` is "notd".
- `delay_bits`: bits of the ring buffer that a connection with a delay needs: delay times width.
- `operations(inputs, output)`: a mapping from name to a tensor `[B]` or `[T, B]`: what the module does outside its
  child modules. `macs`, `acs`, `bias_adds`, `neuron_updates` and `dense_macs` go to the fields of that name (macs and
  acs are synaptic operations); `matmul_macs` and `matmul_acs` are products of two activations; any other name is kept
  as it is, `residual_adds`, `delay_bits`, `state_reads`, `state_writes` and `weight_reads` being used further on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from snn5bench.contracts.inputs import Events, Repeated, SpikeBits, dense
from snn5bench.measure.fanout import SYNAPTIC, FanOut, even, fan_out, row_fan_out, trailing, weight_of
from snn5bench.measure.frames import INTEGER, TERNARY, Look, as_frames, events_by_step, look, reach_by_step, scan
from snn5bench.measure.tally import Clock, Tally

Rule = Callable[[nn.Module, tuple[Any, ...], Any, Tally], None]

_NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_AVERAGE = (nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
_LARGEST = (nn.MaxPool1d, nn.MaxPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d)
_ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.Hardtanh)
_LIBRARY_NEURONS = {
    ("snn5bench", "Neuron"),
    ("spikingjelly", "BaseNode"),
    ("snntorch", "SpikingNeuron"),
    ("norse", "SNN"),
    ("norse", "SNNCell"),
    ("norse", "SNNRecurrent"),
    ("norse", "SNNRecurrentCell"),
}


def spikes(module: nn.Module) -> bool | None:
    """Whether a module is a spiking neuron; None where it is no neuron at all."""
    if isinstance(module, SYNAPTIC):
        return None
    flag = getattr(module, "spiking", None)
    if isinstance(flag, bool):
        return flag
    for base in type(module).__mro__:
        if (base.__module__.partition(".")[0], base.__name__) in _LIBRARY_NEURONS:
            return True
    return None


def reports(module: nn.Module) -> bool:
    """Whether a module tells its own operations."""
    return callable(getattr(module, "operations", None))


def rule_for(module: nn.Module) -> tuple[str, Rule] | None:
    """The kind of a module and the rule that counts it; None for containers and for what costs nothing."""
    if spikes(module) is not None:
        return "neuron", neuron
    if isinstance(module, SYNAPTIC):
        return "synapses", Synapses()
    if reports(module):
        return "operations", reported
    if isinstance(module, _NORMS):
        return "norm", norm
    if isinstance(module, _AVERAGE + _LARGEST):
        return "pool", pool
    if isinstance(module, _ACTIVATIONS):
        return "activation", activation
    return None


def first_tensor(output: Any) -> Tensor:
    """The output itself, or the first tensor of a tuple (spikes come first in every library we know)."""
    while isinstance(output, tuple | list):
        output = output[0]
    if not isinstance(output, Tensor):
        raise TypeError(f"expected a tensor, got {type(output).__name__}")
    return output


class Synapses:
    """Counts of one `Linear` or convolution. Keeps the fan-out of its weights, which must not change while counting."""

    def __init__(self) -> None:
        self._fans: dict[tuple[int, ...], FanOut] = {}

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...], output: Any, tally: Tally) -> None:
        """A value that is not zero costs one operation for each non-zero weight it meets: an AC if its frame is binary
        or ternary, a MAC otherwise. `dense_macs` is what a dense layer of this shape multiplies."""
        x = inputs[0]
        clock = tally.clock
        if isinstance(x, Events):
            fan = self._fan(module, (x.channels,), tally)
            steps, items = x.T, 1
            if fan.even is None:
                reach = reach_by_step(x.step, x.channel, fan.sparse, x.T)
                seen = _Seen(reach, int(reach.sum()), 0, len(x.step), 0, 0)
            else:
                seen = _Seen(events_by_step(x.step, x.T) * fan.even, len(x.step) * fan.even, 0, len(x.step), 0, 0)
        else:
            x = x.dense() if isinstance(x, Repeated) else x
            frames = _frames(x, trailing(module), clock)
            fan = self._fan(module, tuple(x.shape[-trailing(module) :]), tally)
            steps, items = frames.shape[0], frames.shape[2] // len(fan.sparse)
            seen = _through(x, frames, fan.sparse if items == 1 else np.tile(fan.sparse, items), fan.even, tally)
        calls, outputs = steps * clock.B, fan.outputs * items
        tally.trace("synops", seen.synops, tally.step(steps))
        tally.add("acs", seen.acs)
        tally.add("macs", seen.macs)
        tally.add("weight_reads", seen.acs + seen.macs)
        tally.add("spikes_in", seen.spikes)
        tally.add("reals_in", seen.reals)
        tally.add("input_reads", seen.spikes + seen.reals)
        tally.add("mac_steps", seen.mac_frames)
        tally.add("steps", calls)
        tally.add("dense_macs", calls * fan.dense * items)
        tally.add("dense_macs_padded", calls * fan.padded * items)
        tally.add("outputs", calls * outputs)
        if module.bias is not None:
            tally.add("bias_adds", calls * outputs)
            tally.add("bias_reads", calls * outputs)
        tally.facts["in_features"] = len(fan.sparse) * items
        tally.facts["out_features"] = outputs

    def _fan(self, module: nn.Module, item: tuple[int, ...], tally: Tally) -> FanOut:
        if item not in self._fans:
            self._fans[item] = fan_out(module, item)
            weight = weight_of(module)
            tally.facts["weights"] = weight.numel()
            tally.facts["zero_weights"] = int((weight == 0).sum())
            bias: Tensor | None = module.bias  # type: ignore[assignment]
            tally.facts["biases"] = 0 if bias is None else bias.numel()
            if not isinstance(module, nn.Linear):
                kernel: tuple[int, ...] = tuple(module.kernel_size)  # type: ignore[arg-type]
                strides: tuple[int, ...] = tuple(module.stride)  # type: ignore[arg-type]
                groups: int = module.groups  # type: ignore[assignment]
                reach = math.prod(-(-k // s) for k, s in zip(kernel, strides, strict=True))
                tally.facts["borderless_fan_out"] = weight.shape[0] // groups * reach
                tally.facts["addresses_per_spike"] = weight.shape[0] // groups * math.prod(kernel)
        return self._fans[item]


class _Seen(NamedTuple):
    """What the frames of one call hold."""

    synops: np.ndarray
    """int64 [steps]: ACs and MACs together."""
    acs: int
    macs: int
    spikes: int
    """Non-zeros in unit frames."""
    reals: int
    """Non-zeros in the others."""
    mac_frames: int
    """Frames that are not unit."""


def _frames(x: Tensor | SpikeBits, trailing: int, clock: Clock) -> Tensor | SpikeBits:
    """`as_frames`; spikes as bits stay so where they are the whole sequences of the batch."""
    if isinstance(x, SpikeBits) and x.shape[:2] == (clock.T, clock.B):
        return x
    return as_frames(dense(x), trailing, clock.T, clock.B)


def _through(
    x: Tensor | SpikeBits, frames: Tensor | SpikeBits, fan_out: np.ndarray, same: int | None, tally: Tally
) -> _Seen:
    """Send frames through weights: the quick way where all are unit, else frame by frame. `same` is `even(fan_out)`."""
    quick = _look_once(x, frames, tally)
    if quick.unit:
        if same is not None:
            return _Seen(quick.by_step * same, quick.total * same, 0, quick.total, 0, 0)
        fired = look(dense(frames)).fired if quick.fired is None else quick.fired
        reach = fired @ fan_out
        return _Seen(reach, int(reach.sum()), 0, quick.total, 0, 0)
    found = scan(dense(frames), fan_out)
    unit, whole = found.level == TERNARY, found.level == INTEGER
    if whole.any():
        tally.add("integer_macs", found.weighted[whole])
        tally.add("integer_unrolled_acs", found.unrolled)
    synops, acs = found.weighted.sum(1), int(found.weighted[unit].sum())
    spikes_in = int(found.nonzero[unit].sum())
    reals_in = int(found.nonzero.sum()) - spikes_in
    return _Seen(synops, acs, int(synops.sum()) - acs, spikes_in, reals_in, int((~unit).sum()))


def _look_once(x: Tensor | SpikeBits, frames: Tensor | SpikeBits, tally: Tally) -> Look:
    """Look at spikes, unless the layer before has just sent these very ones. In inference mode, where torch does not
    tell whether a tensor was written to, always look. (Nobody writes to bits.)"""
    version = 0 if isinstance(x, SpikeBits) else -1 if x.is_inference() else x._version
    latest = tally.clock.latest
    if latest is not None and latest[0] is x and version == latest[1] >= 0:
        return latest[2]
    found = look(frames)
    tally.clock.latest = (x, version, found)
    return found


def neuron(module: nn.Module, inputs: tuple[Any, ...], output: Any, tally: Tally) -> None:
    """State updates, spikes, and the recurrent weights that no hook can see."""
    clock = tally.clock
    out = output if isinstance(output, SpikeBits) else first_tensor(output)
    frames = _frames(out, 1, clock)
    steps, batch, n = frames.shape
    start = tally.step(steps)
    tally.spiking = bool(spikes(module))
    seen = _look_once(out, frames, tally)
    tally.saw(seen.by_value, steps * batch)
    told: dict[str, Tensor] = dict(module.operations(inputs, output)) if reports(module) else {}  # type: ignore[operator]
    updates, states = steps * batch * n, int(getattr(module, "states", 1))
    defaults = {
        "neuron_updates": updates,
        "state_reads": updates * states,
        "state_writes": updates * states,
        "outputs": updates,
        "steps": steps * batch,
    }
    if tally.spiking:
        tally.trace("spikes", seen.by_step, start)
        defaults |= {"spikes": seen.total, "output_writes": seen.total}
    for key, value in defaults.items():
        if key not in told:
            tally.add(key, value)
    _add_told(told, tally)
    tally.facts |= {"out_features": n, "states": states}
    if feeds_back(module) and not told.keys() & {"acs", "macs"}:
        _recurrent(module.recurrent_weight, dense(frames), tally, start)  # type: ignore[arg-type]


def feeds_back(module: nn.Module) -> bool:
    """Whether a module has recurrent weights of its own, in use."""
    return getattr(module, "recurrent_weight", None) is not None and getattr(module, "time", "") != "notd"


def _recurrent(weight: Tensor | nn.Linear, frames: Tensor, tally: Tally, start: int) -> None:
    """Spikes of step t - 1 through `[N, N]` weights at step t; nothing comes back at the first step."""
    bias = weight.bias if isinstance(weight, nn.Linear) else None
    matrix = weight.weight if isinstance(weight, nn.Linear) else weight
    steps, batch, n = frames.shape
    before = torch.zeros_like(frames[:1]) if tally.last is None else tally.last
    tally.last = frames[-1:].detach().clone()
    fed_back = torch.cat([before, frames[:-1]])
    fan = row_fan_out(matrix.detach())
    seen = _through(fed_back, fed_back, fan, even(fan), tally)
    tally.trace("synops", seen.synops, start)
    tally.add("acs", seen.acs)
    tally.add("macs", seen.macs)
    tally.add("weight_reads", seen.acs + seen.macs)
    tally.add("recurrent_events", seen.spikes + seen.reals)
    tally.add("dense_macs", steps * batch * n * n)
    tally.facts |= {"weights": matrix.numel(), "zero_weights": int((matrix == 0).sum())}
    if bias is not None:
        tally.add("bias_adds", steps * batch * n)


def reported(module: nn.Module, inputs: tuple[Any, ...], output: Any, tally: Tally) -> None:
    """What the module itself says."""
    _add_told(dict(module.operations(inputs, output)), tally)  # type: ignore[operator]


def _add_told(told: dict[str, Tensor], tally: Tally) -> None:
    """Add what `operations` returned; each synaptic operation reads a weight unless the module says otherwise."""
    if told.keys() & {"acs", "macs"} and "weight_reads" not in told:
        told["weight_reads"] = sum(told[key] for key in ("acs", "macs") if key in told)  # type: ignore[assignment]
    tally.add_reported(told)


def norm(module: nn.Module, inputs: tuple[Any, ...], output: Any, tally: Tally) -> None:
    """Batch norm at evaluation scales and shifts: one MAC a value. Layer, group and RMS norm also need the variance (a
    second MAC) and, RMS apart, the mean (one addition). Square roots, one a group, are left out."""
    n = _values(output, tally)
    batch_norm = isinstance(module, nn.modules.batchnorm._BatchNorm)
    tally.add("norm_macs", n * (1 if batch_norm else 2))
    if not batch_norm and not isinstance(module, nn.RMSNorm):
        tally.add("norm_adds", n)
    tally.facts["foldable"] = float(batch_norm)


def pool(module: nn.Module, inputs: tuple[Any, ...], output: Any, tally: Tally) -> None:
    """k values into one: k - 1 additions for an average (and a scaling, which is folded into the next weights), k - 1
    comparisons for a maximum. Adaptive pools: inputs minus outputs. Borders count as if inside."""
    n = _values(output, tally)
    kernel = getattr(module, "kernel_size", None)
    if kernel is None:
        cost = first_tensor(inputs).numel() - n
    else:
        dims = int(type(module).__name__[-2])
        cost = n * ((kernel**dims if isinstance(kernel, int) else math.prod(kernel)) - 1)
    tally.add("pool_adds" if isinstance(module, _AVERAGE) else "pool_compares", cost)


def activation(module: nn.Module, inputs: tuple[Any, ...], output: Any, tally: Tally) -> None:
    """Only the zeros of the output matter: an activation costs nothing here."""
    out = first_tensor(output)
    frames = as_frames(out, 1, tally.clock.T, tally.clock.B)
    tally.saw(_look_once(out, frames, tally).by_value, frames.shape[0] * frames.shape[1])


def _values(output: Any, tally: Tally) -> int:
    """Values of an output over its steps and the batch: a tensor that does not hold the batch is refused."""
    out = first_tensor(output)
    return as_frames(out, 1 if out.ndim > 1 else 0, tally.clock.T, tally.clock.B).numel()
