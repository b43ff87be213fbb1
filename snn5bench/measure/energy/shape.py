"""What a network of the same shape would do: dense, or spiking at another rate. Arithmetic on counts alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from snn5bench.record import LayerCounts

_FIELDS = ("macs", "acs", "bias_adds", "neuron_updates", "dense_macs")


def count(layer: LayerCounts, name: str) -> float:
    """A count of one layer by name, 0 where the layer has none."""
    return getattr(layer, name) if name in _FIELDS else layer.detail.get(name, 0.0)


def total(layers: Sequence[LayerCounts], name: str) -> float:
    """The same, summed over the layers."""
    return sum(count(layer, name) for layer in layers)


def matched_bits(T: int) -> int:
    """Bits of an activation that tells apart as many levels as a spike count over T steps: ceil(log2(T + 1))."""
    return math.ceil(math.log2(T + 1))


def dense_twin(layers: Sequence[LayerCounts], activity: float = 1.0) -> list[LayerCounts]:
    """Counts of a non-spiking network of the same shape that sees one frame, once.

    Each synaptic layer multiplies a share `activity` of its dense MACs (recurrent weights count once); neurons become
    activations without state; norms, pools and residuals run once. On data that needs time such a network could not do
    the task: the twin says what the *shape* costs, not what an equally good network costs.
    """
    return [_dense(layer, activity) for layer in layers if layer.kind != "delay"]


def _dense(layer: LayerCounts, activity: float) -> LayerCounts:
    steps = layer.detail.get("steps") or 1.0
    once = {key: value / steps for key, value in layer.detail.items() if key in _PER_STEP}
    kept = {key: value for key, value in layer.detail.items() if key in _FACTS}
    macs = activity * layer.dense_macs / steps
    detail = kept | once
    if layer.dense_macs:
        inputs = layer.detail.get("in_features", layer.detail.get("out_features", 0.0))
        detail |= {"steps": 1.0, "mac_steps": 1.0, "reals_in": inputs, "input_reads": inputs, "weight_reads": macs}
    return LayerCounts(
        name=layer.name,
        kind="synapses" if layer.kind == "neuron" and layer.dense_macs else _DENSE_KIND.get(layer.kind, layer.kind),
        neurons=layer.neurons,
        macs=macs,
        bias_adds=layer.bias_adds / steps,
        dense_macs=layer.dense_macs / steps,
        detail=detail,
    )


_DENSE_KIND = {"neuron": "activation"}
_FACTS = frozenset(
    "in_features out_features weights zero_weights biases borderless_fan_out addresses_per_spike foldable".split()
)
_PER_STEP = frozenset(
    "dense_macs_padded bias_reads outputs norm_macs norm_adds pool_adds pool_compares residual_adds".split()
)


def at_rate(layers: Sequence[LayerCounts], rate: float) -> list[LayerCounts]:
    """The same network if every input that carries spikes, and every neuron, spiked at `rate` (per value and step).

    Frames of real values stay as they are; so do all counts that spikes do not cause.
    """
    return [_at_rate(layer, rate) for layer in layers]


def _at_rate(layer: LayerCounts, rate: float) -> LayerCounts:
    detail = dict(layer.detail)
    acs = layer.acs
    steps = detail.get("steps", 0.0)
    if layer.dense_macs and steps:
        unit = 1.0 - detail.get("mac_steps", 0.0) / steps
        acs = rate * full_acs(layer)
        if "spikes_in" in detail:
            detail["spikes_in"] = rate * detail["in_features"] * steps * unit
            detail["input_reads"] = detail["spikes_in"] + detail.get("reals_in", 0.0)
        detail["weight_reads"] = acs + layer.macs
    if "spikes" in detail:
        detail["spikes"] = detail["output_writes"] = rate * detail["outputs"]
    return layer.model_copy(update={"acs": acs, "detail": detail})


def full_acs(layer: LayerCounts) -> float:
    """ACs of a layer if each of its inputs spiked in each of its unit frames."""
    steps = layer.detail.get("steps", 0.0)
    if not layer.dense_macs or not steps:
        return layer.acs
    weights = layer.detail.get("weights", 0.0)
    kept = 1.0 - layer.detail.get("zero_weights", 0.0) / weights if weights else 1.0
    return layer.dense_macs * kept * (1.0 - layer.detail.get("mac_steps", 0.0) / steps)


def event_rate(layers: Sequence[LayerCounts]) -> float | None:
    """The rate to hold against a break-even: ACs over the ACs of the same network at rate 1. None without spikes."""
    full = sum(full_acs(layer) for layer in layers)
    return sum(layer.acs for layer in layers) / full if full else None
