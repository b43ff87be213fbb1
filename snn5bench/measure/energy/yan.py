"""Yan, Bai and Wong (arXiv 2409.08290), versions 1 and 4: the source of "an SNN must be 93 % sparse".

The threshold moved with the version, because the baseline and the movement model did; so the version is part of the name.
"""

from __future__ import annotations

from collections.abc import Sequence

from snn5bench.measure.energy.model import CostModel, Parts
from snn5bench.measure.energy.prices import Prices, price_list
from snn5bench.measure.energy.shape import matched_bits, total
from snn5bench.record import LayerCounts

YanV1 = price_list(
    Prices(
        name="yan-v1",
        source="Z. Yan, Z. Bai and W.-F. Wong, arXiv 2409.08290 version 1, spatial-dataflow architecture",
        year=2024,
        technology="45 nm",
        precision="8-bit integer",
        leaves_out="movement of spikes and activations, off-chip memory, the reset after a spike",
        bits=8,
        operations_pj={"macs": 0.23, "acs": 0.03, "neuron_updates": 2 * 0.03},
        memory_pj={"weight_reads": 20.0, "neuron_updates": 2 * 20.0},
        ann_activity=0.45,
    )
)
"""Each product of the dense network costs 20.23 pJ (a weight access and a MAC) and 45 % of them are done ("the best-case
ANN"); a spike costs 20.03 pJ at each synapse and a neuron 40.06 pJ a step. So, with n inputs to a neuron, sparsity must
exceed 1 - (0.45 * 20.23 - 40.06 T / n) / (20.03 T): 92.5 % for VGG-16 (n = 2395) at T = 6, 97.2 % at T = 16. The
constants are those of the curve in the authors' published plotting code; there, 20 pJ is an access, not a bit."""


class YanV4(CostModel):
    """Version 4 (2026): against a dense network with ceil(log2(T + 1))-bit activations, with routing.

    A reconstruction. Published: additions, comparisons and subtractions 0.05448 pJ; moving a spike 3.0 pJ, moving dense
    activations 0.25 pJ a bit, for each hop; 4-bit weights. Not published in what could be read: the price of a weight
    access and of a MAC. Here they are solved from the published break-even rates (5.7 % at T = 5 with 4-bit weights;
    10.4 and 12.3 % at T = 2 with 4 and 8 bits; 8.2 % at T = 3 with 8), which come out within 0.1 points, as does the
    published sensitivity (3.4 to 10.8 % when movement prices change by half). The published 29.7 % at T = 1 does not.
    One hop from each source to each target.
    """

    name = "yan-v4"
    source = "Z. Yan, Z. Bai, K. Tang and W.-F. Wong, arXiv 2409.08290 version 4 (reconstruction)"
    year = 2026
    technology = "22 nm"
    precision = "4-bit weights, activations of ceil(log2(T + 1)) bits"
    leaves_out = "control, off-chip memory, storing membrane potentials"
    partial = "reconstruction: two of its prices are solved from the published break-even rates"

    add_pj = 0.05448
    mac_pj = 0.019
    spike_hop_pj = 3.0
    dense_bit_hop_pj = 0.25
    weight_bit_pj = 0.0368
    weight_bits = 4

    def twin_bits(self, T: int) -> int | None:
        """The twin is the bit-matched one."""
        return matched_bits(T)

    def parts(self, layers: Sequence[LayerCounts], T: int, bits: int | None = None) -> Parts:
        """See `CostModel.parts`; movement counts as addressing, since it is the price of reaching a target."""
        acs, macs = total(layers, "acs"), total(layers, "macs")
        spikes, updates = total(layers, "spikes"), total(layers, "neuron_updates")
        width = matched_bits(T) if bits is None else bits
        return Parts(
            self.add_pj * (acs + updates + spikes) + self.mac_pj * macs,
            self.weight_bit_pj * self.weight_bits * (acs + macs),
            self.spike_hop_pj * acs + self.dense_bit_hop_pj * width * macs,
        )
