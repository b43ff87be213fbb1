"""Counts of this package's own networks (fused kernels, delays, recurrence, chunks) against a loop over their spikes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from measure_nets import events, loop_linear
from torch import Tensor

from snn5bench.contracts.inputs import Events, Repeated
from snn5bench.measure.counts import Counter, Counts
from snn5bench.neurons.glif import GLIF
from snn5bench.neurons.lif import LIF
from snn5bench.neurons.network import SpikingNet
from snn5bench.neurons.skips import SkipSpec

T, B, C = 14, 3, 30


def count(net: SpikingNet, x: Tensor | Events | Repeated) -> Counts:
    with Counter(net.eval()) as counter, torch.no_grad():
        net(x)
    return counter.result()


def as_events(x: Tensor) -> Events:
    sample, step, channel = np.nonzero(x.permute(1, 0, 2).numpy())
    return Events(np.searchsorted(sample, np.arange(B + 1)), step.astype(np.int32), channel.astype(np.int32), T, C)


def loop(x: np.ndarray, weight: Tensor) -> int:
    """Operations of `[steps, B, n]` through a weight matrix, spike by spike."""
    return sum(loop_linear(frame, weight.detach().numpy()) for frame in x.reshape(-1, x.shape[-1]))


def net(skips: list[SkipSpec], recurrent: bool = False) -> SpikingNet:
    torch.manual_seed(0)
    made = SpikingNet(C, (12, 10), 4, lambda n: LIF(recurrent=n if recurrent else None), skips=skips)
    x = events(T, B, C, 0.15, seed=1)
    made.calibrate(x, 0.2)
    with torch.no_grad():
        for layer in made.synapses:
            layer.weight[:, ::4] = 0
    return made


SKIPS = [SkipSpec(1, 2, 3), SkipSpec(2, 1, 5), SkipSpec(0, 3, 2), SkipSpec(2, 2, 1)]


@pytest.mark.parametrize("form", ["dense", "events"])
@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("skips", [[], SKIPS], ids=["plain", "skips"])
@pytest.mark.parametrize("mode", ["full", "notd"])
def test_every_connection(form: str, recurrent: bool, skips: list[SkipSpec], mode: str) -> None:
    made = net(skips, recurrent)
    made.set_time(mode)
    x = events(T, B, C, 0.15, seed=1)
    found = count(made, as_events(x) if form == "events" else x)
    with torch.no_grad():
        spikes = [x.numpy(), *(layer.numpy() for layer in made.activity(x))]
    by_hand = sum(loop(spikes[k], layer.weight) for k, layer in enumerate((*made.synapses, made.readout)))
    if mode == "full":
        for k, neuron in enumerate(made.neurons, start=1):
            if neuron.recurrent_weight is not None:
                by_hand += loop(spikes[k][:-1], neuron.recurrent_weight)
        for skip in made.skips:
            # an input connection projects every step, also those that would arrive after the end
            arriving = T if skip.spec.src == 0 else T - skip.spec.delay
            by_hand += loop(spikes[skip.spec.src][:arriving], skip.projection.weight)
    assert found.acs_per_sample == by_hand / B
    assert found.macs_per_sample == 0
    assert not found.missing
    rate = sum(s.sum() for s in spikes[1:3]) / (T * B * 22)
    assert found.spike_rate == pytest.approx(rate, abs=1e-12)
    buffers = 3 * 12 + 5 * 10 + 2 * 30 + 1 * 10 if skips and mode == "full" else 0
    assert found.totals.get("delay_bits", 0) == buffers


def test_glif_and_a_repeated_frame() -> None:
    torch.manual_seed(0)
    made = SpikingNet(C, (12,), 4, lambda n: GLIF(n, T=T))
    frame = torch.rand(B, C) * (torch.rand(B, C) < 0.5)
    found = count(made, Repeated(frame, T))
    assert not found.missing
    assert found.macs_per_sample == int(frame.count_nonzero()) * 12 * T / B
    assert found.profile["synapses.0"]["synops"].tolist() == [int(frame.count_nonzero()) * 12 / B] * T
    assert found.totals["neuron_updates"] == 12 * T
