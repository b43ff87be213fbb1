"""A price for each count: the form of most published models, and the form in which a user writes an own one in YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML, YAMLError

from snn5bench.errors import BenchError, Problem, did_you_mean
from snn5bench.measure.energy.model import CostModel, Parts
from snn5bench.measure.energy.shape import total
from snn5bench.record import LayerCounts

COUNTS = frozenset(
    "macs acs bias_adds neuron_updates dense_macs matmul_macs matmul_acs norm_macs norm_adds pool_adds pool_compares "
    "residual_adds spikes weight_reads bias_reads input_reads state_reads state_writes output_writes delay_bits outputs "
    "integer_unrolled_acs".split()
)
"""What can be priced; the meaning of each stands in `snn5bench.measure.counts`."""


class Prices(BaseModel):
    """A cost model as constants. Prices are picojoules for one unit of a count."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str
    source: str
    year: int
    technology: str
    precision: str
    leaves_out: str
    bits: int = Field(gt=0)
    """Width of an activation in a MAC, as priced."""
    operations_pj: dict[str, float] = {}
    memory_pj: dict[str, float] = {}
    addressing_pj: dict[str, float] = {}
    ann_activity: float = Field(1.0, gt=0, le=1)
    """Share of the dense twin's MACs that the model does not skip."""
    dense_real_frames: bool = False
    """Whether a frame of real values is multiplied densely, zeros and padding too."""


class PriceList(CostModel):
    """Energy as a sum of count times price.

    Narrower activations (the bit-matched twin): the multiplier's energy, the price of a MAC minus that of an AC, and the
    prices of reading and writing activations shrink with their bits; weights keep their width.
    """

    prices: ClassVar[Prices]

    def parts(self, layers: Sequence[LayerCounts], T: int, bits: int | None = None) -> Parts:
        """See `CostModel.parts`."""
        p = self.prices
        if p.dense_real_frames:
            layers = [_densified(layer) for layer in layers]
        share = 1.0 if bits is None else bits / p.bits
        operations = dict(p.operations_pj)
        for mac, ac in (("macs", "acs"), ("matmul_macs", "matmul_acs")):
            if mac in operations:
                operations[mac] = (1 - share) * operations.get(ac, 0.0) + share * operations[mac]
        memory = {k: v * share if k in ("input_reads", "output_writes") else v for k, v in p.memory_pj.items()}
        return Parts(_bill(layers, operations), _bill(layers, memory), _bill(layers, p.addressing_pj))


def _bill(layers: Sequence[LayerCounts], prices: Mapping[str, float]) -> float:
    return sum(price * total(layers, name) for name, price in prices.items())


def _densified(layer: LayerCounts) -> LayerCounts:
    steps, mac_steps = layer.detail.get("steps", 0.0), layer.detail.get("mac_steps", 0.0)
    if not mac_steps or not steps:
        return layer
    macs = layer.detail.get("dense_macs_padded", layer.dense_macs) * mac_steps / steps
    reads = layer.detail.get("weight_reads", 0.0) - layer.macs + macs
    return layer.model_copy(update={"macs": macs, "detail": layer.detail | {"weight_reads": reads}})


def price_list(prices: Prices) -> type[PriceList]:
    """The class of a model with these constants; register it as an entry point, or call it."""
    unknown = {
        name for part in (prices.operations_pj, prices.memory_pj, prices.addressing_pj) for name in part
    } - COUNTS
    if unknown:
        raise BenchError(
            [Problem(f"nothing is counted as '{n}'", prices.name, did_you_mean(n, COUNTS)) for n in unknown]
        )
    told = prices.model_dump(
        include={"name", "source", "year", "technology", "precision", "leaves_out", "ann_activity"}
    )
    return type("PriceList_" + prices.name.replace("-", "_"), (PriceList,), {"prices": prices, **told})


def from_yaml(path: Path) -> PriceList:
    """A model from a YAML file with the fields of `Prices`.

    Raises `BenchError` with file and key where a field is missing, unknown, of the wrong type, or prices what is not
    counted.
    """
    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        prices = Prices.model_validate(content)
    except OSError as unreadable:
        raise BenchError(f"cannot be read: {unreadable.strerror}", where=str(path)) from unreadable
    except YAMLError as broken:
        raise BenchError(f"is not YAML: {broken}", where=str(path)) from broken
    except ValidationError as wrong:
        raise BenchError(
            [Problem(e["msg"], f"{path}: {'.'.join(map(str, e['loc'])) or 'file'}") for e in wrong.errors()]
        ) from wrong
    return price_list(prices)()
