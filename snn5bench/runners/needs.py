"""What a cell asks of a machine: derived from what earlier records of such cells used."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from typing import NamedTuple

from snn5bench import device, keys
from snn5bench.cell import Cell
from snn5bench.record import Record, Status

HEADROOM = 1.25
"""Over the largest peak that a record tells."""
DEFAULT_MEMORY = 1 << 30
"""Bytes, where no record tells; the built-in cells peak at 0.3 to 0.9 GB, PyTorch included."""


_Likeness = tuple[str, ...]


class Needs(NamedTuple):
    """Resources of one cell, or of a node."""

    cpus: float
    memory_bytes: int
    gpus: float
    """A fraction where several cells fit the memory of one GPU."""

    def within(self, other: Needs) -> bool:
        """Whether all of it fits what `other` has."""
        return all(mine <= theirs for mine, theirs in zip(self, other, strict=True))


class History:
    """Earlier records, by how alike their cells are: the same row, else the method on the dataset, else the dataset. Those
    from a GPU say nothing of a cell on the CPU, nor the other way round."""

    def __init__(self, records: Iterable[Record], gpus: float = 0.0) -> None:
        """`gpus` is what a cell asks for where no record tells."""
        self.gpus = gpus
        self._used: dict[_Likeness, list[Record]] = {}
        for record in records:
            if record.status is Status.DONE:
                where = record.environment.device if record.environment else device.CPU
                for likeness in _likeness(where, record.variant, record.method, record.dataset, record.twin):
                    self._used.setdefault(likeness, []).append(record)

    def needs(self, cell: Cell) -> Needs:
        """CPUs are the threads that ran; memory is the peak with `HEADROOM`; GPUs are the share of one GPU's memory that
        was held, with `HEADROOM`. Without records: one CPU, `DEFAULT_MEMORY`. Where no record tells of a GPU: what the
        user said; none for a cell that stays on the CPU while others go to a GPU."""
        where = keys.device_of(cell)
        default = self.gpus if where == device.chosen() else 0.0
        likeness = _likeness(where, cell.variant, cell.method, cell.dataset_variant, cell.twin)
        seen = next((self._used[one] for one in likeness if one in self._used), [])
        peaks = [record.peak_memory_bytes for record in seen if record.peak_memory_bytes]
        shares = [record.gpu_share for record in seen if record.gpu_share]
        return Needs(
            cpus=max([record.environment.threads for record in seen if record.environment], default=1),
            memory_bytes=ceil(HEADROOM * max(peaks)) if peaks else DEFAULT_MEMORY,
            gpus=min(1.0, ceil(100 * HEADROOM * max(shares)) / 100) if shares else default,
        )


def _likeness(where: str, variant: str, method: str, dataset: str, twin: str) -> tuple[_Likeness, ...]:
    kind = device.CPU if where == device.CPU else device.CUDA
    return ((kind, "row", variant, dataset, twin), (kind, "method", method, dataset), (kind, "dataset", dataset))
