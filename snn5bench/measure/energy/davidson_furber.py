"""Davidson and Furber (2021): a spike with its weight fetch against a MAC with its own, on one 22 nm process."""

from __future__ import annotations

from snn5bench.measure.energy.prices import Prices, price_list

_UNIT_PJ = 0.06
"""E, the energy of a 32-bit addition."""

DavidsonFurber = price_list(
    Prices(
        name="davidson-furber",
        source="S. Davidson and S. Furber, Frontiers in Neuroscience 15:651141, 2021",
        year=2021,
        technology="22FDX",
        precision="32-bit accumulators, 8-bit weights",
        leaves_out="neuron updates, routing, addressing",
        bits=8,
        operations_pj={"macs": 5 * _UNIT_PJ, "acs": 1 * _UNIT_PJ},
        memory_pj={"macs": 7 * _UNIT_PJ, "acs": 6 * _UNIT_PJ},
    )
)
"""A spike costs 7 E at each synapse (add 1, read 5, write back 1), a MAC with its fetches 12 E: spiking wins below
12 / 7 spikes per synapse over the whole presentation."""
