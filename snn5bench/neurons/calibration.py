"""Data-dependent initial scaling, so that no network, and no twin of one, starts silent or saturated.

After LSUV (Mishkin and Matas, 2016): layer by layer, the weights that feed a layer are multiplied by one factor until
the layer's mean spike rate on a batch is the target. A twin whose neurons integrate nothing needs larger weights for
the same rate; without this, a comparison of twins compares thresholds (neuroseqbench tunes theta by hand instead).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from snn5bench.contracts.inputs import BatchInput

if TYPE_CHECKING:
    from snn5bench.neurons.network import SpikingNet

_TRIALS = 12
_REACH = 6.0


@torch.no_grad()
def calibrate(net: SpikingNet, x: BatchInput, rate: float) -> dict[int, float]:
    """Bisect each layer's factor in 2^-6..2^6 until its spike rate on `x` is within 3 % of `rate`, at most 12 forward
    passes a layer; then scale the read-out so that the logits as read out (summed, or of the last step) have a standard
    deviation of 1. Deterministic. Returns the rate reached by each layer.

    Where even the largest factor stays below `rate` (a twin without memory on sparse input), half of what the largest
    factor reaches is the target; where it reaches nothing (a batch without events), the layer is left as it was.
    """
    if not 0 < rate < 1:
        raise ValueError(f"the target spike rate must be between 0 and 1, got {rate}")
    reached = {}
    for layer in range(1, net.depth + 1):
        incoming = net.incoming(layer)
        originals = [[p.clone() for p in synapses.parameters()] for synapses in incoming]

        def rate_at(exponent: float, layer: int = layer, incoming=incoming, originals=originals) -> float:  # type: ignore[no-untyped-def]
            for synapses, saved in zip(incoming, originals, strict=True):
                for parameter, original in zip(synapses.parameters(), saved, strict=True):
                    parameter.copy_(original * 2.0**exponent)
            return net.activity(x, layer)[layer - 1].mean(dtype=torch.float64).item()

        low, high = -_REACH, _REACH
        found = rate_at(high)
        if found == 0:
            reached[layer] = rate_at(0.0)
            continue
        target = rate if found >= rate else found / 2
        for _ in range(_TRIALS - 1):
            middle = (low + high) / 2
            found = rate_at(middle)
            if abs(found - target) <= 0.03 * target:
                break
            low, high = (middle, high) if found < target else (low, middle)
        reached[layer] = found
    logits = net(x)
    deviation = (logits[-1] if net.reads == "last" else logits.sum(0)).std().item()
    if deviation > 0:
        net.readout.rescale(1 / deviation)
    return reached
