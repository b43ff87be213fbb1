"""Lemaire et al. (2022): operations, addressing, and memory whose price grows with the size of the buffer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from snn5bench.measure.energy.model import CostModel, Parts
from snn5bench.record import LayerCounts

_WORD_BYTES = 4.0


class Lemaire(CostModel):
    """Analytical estimate for digital hardware with local buffers, 32-bit integers throughout.

    E. Lemaire, L. Cordone, A. Castagnetti, P.-E. Novac, J. Courtois, B. Miramond, arXiv 2210.13107, with `theta` input
    spikes counted once for each output (the paper's eq. 2 has a further factor N_in that its eq. 8, 10, 15 and 17 do not).

    Spike frames: an AC, an address, and a read and a write of a potential for each target of a spike; a convolution's
    targets are counted without borders, and two MACs find the first of them. Other frames: dense MACs. Neurons: a read
    and a write a step, one MAC for the leak, one AC for the reset of each spike. Messages pass through buffers of 1000.
    Equal to spikingjelly 2.0's estimate for binary networks, one sample at a time (its buffers grow with the batch, ours
    do not), except that our dense frames are counted one by one.
    """

    name = "lemaire"
    source = (
        "E. Lemaire et al., An analytical estimation of spiking neural networks energy efficiency, arXiv 2210.13107"
    )
    year = 2022
    technology = "45 nm"
    precision = "32-bit integer"
    leaves_out = "norms (taken as folded), pools, residuals, routing between cores, off-chip memory"

    add_pj: ClassVar[float] = 0.1
    mul_pj: ClassVar[float] = 3.1
    buffer_bytes: ClassVar[tuple[float, ...]] = (0.0, 8 * 1024.0, 32 * 1024.0, 1024 * 1024.0)
    access_pj_per_byte: ClassVar[tuple[float, ...]] = (0.0, 2.5, 5.0, 25.0)
    """Price of an access at those buffer sizes; linear in between, flat above."""
    fifo_words: ClassVar[float] = 1000.0

    def parts(self, layers: Sequence[LayerCounts], T: int, bits: int | None = None) -> Parts:
        """See `CostModel.parts`."""
        mul_pj = self.mul_pj * (1.0 if bits is None else bits / 32)
        spiking = any(layer.kind == "neuron" for layer in layers)
        bill = [
            self._layer(layer, mul_pj + self.add_pj, 1.0 if bits is None else bits / 32, spiking) for layer in layers
        ]
        return Parts(*(sum(part) for part in zip(*bill, strict=True)))

    def _layer(self, layer: LayerCounts, mac_pj: float, width: float, spiking: bool) -> Parts:
        operations = addressing = memory = 0.0
        if layer.dense_macs or layer.acs or layer.macs:
            for part in (self._spikes(layer), self._dense(layer, mac_pj, width, spiking), self._bias(layer)):
                operations, memory, addressing = (
                    operations + part.operations_pj,
                    memory + part.memory_pj,
                    addressing + part.addressing_pj,
                )
        if layer.kind == "neuron":
            neurons, spikes = layer.detail.get("out_features", 0.0), layer.detail.get("spikes", 0.0)
            operations += self.add_pj * spikes + (self.mul_pj + self.add_pj) * layer.neuron_updates
            memory += 2 * layer.neuron_updates * self._word_pj(neurons) + spikes * self._word_pj(self.fifo_words)
        return Parts(operations, memory, addressing)

    def _spikes(self, layer: LayerCounts) -> Parts:
        d = layer.detail
        spikes = d.get("spikes_in", d.get("recurrent_events", 0.0))
        acs = spikes * d["borderless_fan_out"] if "borderless_fan_out" in d else layer.acs
        targets = spikes * d["addresses_per_spike"] if "addresses_per_spike" in d else acs
        search = 2 * spikes * (self.mul_pj + self.add_pj) if "addresses_per_spike" in d else 0.0
        memory = (
            spikes * self._word_pj(self.fifo_words)
            + targets * self._word_pj(d.get("weights", 0.0) + d.get("biases", 0.0))
            + 2 * targets * self._word_pj(d.get("out_features", 0.0))
        )
        return Parts(self.add_pj * acs, memory, self.add_pj * targets + search)

    def _dense(self, layer: LayerCounts, mac_pj: float, width: float, spiking: bool) -> Parts:
        d = layer.detail
        frames = d.get("mac_steps", 0.0)
        if not frames:
            return Parts(0.0)
        n_in, n_out = d.get("in_features", 0.0), d.get("out_features", 0.0)
        convolution = "addresses_per_spike" in d
        per_frame = d.get("dense_macs_padded", layer.dense_macs) / (d.get("steps") or 1.0)
        macs = frames * per_frame
        reads = frames * (per_frame if convolution else n_in)
        memory = width * reads * self._word_pj(n_in) + macs * self._word_pj(
            d.get("weights", 0.0) + d.get("biases", 0.0)
        )
        if not spiking:
            memory += width * frames * n_out * self._word_pj(n_out)
        addresses = frames * (n_in + n_out + (d["addresses_per_spike"] if convolution else 0.0))
        return Parts(mac_pj * macs, memory, self.add_pj * addresses)

    def _bias(self, layer: LayerCounts) -> Parts:
        parameters = layer.detail.get("weights", 0.0) + layer.detail.get("biases", 0.0)
        return Parts(self.add_pj * layer.bias_adds, layer.bias_adds * self._word_pj(parameters))

    def _word_pj(self, words: float) -> float:
        """One 32-bit access to a buffer of so many words."""
        per_byte = np.interp(words * _WORD_BYTES, self.buffer_bytes, self.access_pj_per_byte)
        return float(_WORD_BYTES * per_byte)
