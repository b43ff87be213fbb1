"""spikingjelly's composite: Horowitz's operations and a flat price for each byte of weights and states."""

from __future__ import annotations

from snn5bench.measure.energy.prices import Prices, price_list

_WORD_PJ = 4 * 24.96
"""A 32-bit word at 24.96 pJ a byte (3.12 pJ a bit, the figure that STEP uses)."""
_ADDS_PER_UPDATE = 5
"""Additions and subtractions that spikingjelly 2.0 counts for one step of one LIF neuron with soft reset."""

SimpleEnergy = price_list(
    Prices(
        name="simple",
        source="spikingjelly 2.0, op_counter/simple_energy.py: Horowitz (ISSCC 2014) with the memory price of STEP",
        year=2026,
        technology="45 nm",
        precision="32-bit floating point, 32-bit words",
        leaves_out="addressing, routing, input and output traffic, any reuse of what was read",
        bits=32,
        operations_pj={
            "macs": 4.6,
            "acs": 0.9,
            "matmul_macs": 4.6,
            "matmul_acs": 0.9,
            "neuron_updates": 0.9 * _ADDS_PER_UPDATE,
            "norm_macs": 4.6 + 0.9,
            "norm_adds": 0.9,
            "pool_adds": 0.9,
            "residual_adds": 0.9,
        },
        memory_pj={"weight_reads": _WORD_PJ, "bias_adds": _WORD_PJ, "state_reads": _WORD_PJ, "state_writes": _WORD_PJ},
        dense_real_frames=True,
    )
)
"""Equal to spikingjelly's own profiler on binary multilayer perceptrons. Different, on purpose: zero weights cost nothing;
whether a frame is real-valued is asked frame by frame, not for a whole batch; residuals are counted in full; the
profiler's own reduction over each convolution's input, which it adds to the ACs, is not."""
