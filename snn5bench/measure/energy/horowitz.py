"""Operations only, at the prices of Horowitz (ISSCC 2014): the number that most papers on spiking networks print."""

from __future__ import annotations

from snn5bench.measure.energy.prices import Prices, price_list

_LEFT_OUT = "all memory, addressing and routing; neuron updates, biases, norms, pools"

HorowitzFp32 = price_list(
    Prices(
        name="horowitz-fp32",
        source="M. Horowitz, Computing's energy problem, ISSCC 2014, doi 10.1109/ISSCC.2014.6757323",
        year=2014,
        technology="45 nm, 0.9 V",
        precision="32-bit floating point",
        leaves_out=_LEFT_OUT,
        bits=32,
        operations_pj={"macs": 4.6, "acs": 0.9, "matmul_macs": 4.6, "matmul_acs": 0.9},
    )
)
"""A MAC is a multiplication (3.7 pJ) and an addition (0.9 pJ), an AC an addition."""

HorowitzInt8 = price_list(
    Prices(
        name="horowitz-int8",
        source="M. Horowitz, Computing's energy problem, ISSCC 2014, doi 10.1109/ISSCC.2014.6757323",
        year=2014,
        technology="45 nm, 0.9 V",
        precision="8-bit integer",
        leaves_out=_LEFT_OUT,
        bits=8,
        operations_pj={"macs": 0.23, "acs": 0.03, "matmul_macs": 0.23, "matmul_acs": 0.03},
    )
)
"""A MAC is a multiplication (0.2 pJ) and an addition (0.03 pJ), an AC an addition."""
