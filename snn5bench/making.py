"""The packed data of a suite, made before its cells run: each dataset once, and none stops the others."""

from __future__ import annotations

from collections.abc import Sequence

from snn5bench import registry
from snn5bench.cell import Cell
from snn5bench.data.cache import cache_root, folder_of, prepare
from snn5bench.errors import BenchError
from snn5bench.expand import PlannedCell
from snn5bench.plan import make_dataset, source_of
from snn5bench.progress import Display


def prepare_data(planned: Sequence[PlannedCell], display: Display) -> dict[str, str]:
    """Make or open the packed data of every cell that can run; returns why data could not be made, by `source_of` their
    cells. Data that must be brought, and datasets that do not work at all, are left to the plan.

    Raises `BenchError` where packed data cannot be written: that stops every dataset.
    """
    failed: dict[str, str] = {}
    cells = {source_of(one.cell): one.cell for one in planned if not one.incompatible and one.spec is not None}
    for source, cell in cells.items():
        try:
            _prepare(cell, display)
        except registry.BrokenPlugin:
            continue
        except Exception as error:
            if isinstance(error, OSError) and _is_ours(error, cell):
                raise BenchError(
                    f"the data of '{cell.dataset}' could not be packed: {error.strerror or error}",
                    where=str(error.filename or cache_root()),
                    do="free the disk, or point SNN5BENCH_CACHE at a folder that can be written",
                ) from error
            words = error.problems[0].what if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"
            failed[source] = f"its data could not be made: {words}"
            display.console.print(f"{cell.dataset_variant}: {failed[source]}", highlight=False, markup=False)
    return failed


def _prepare(cell: Cell, display: Display) -> None:
    dataset = make_dataset(cell)
    with registry.blaming("datasets", cell.dataset, "does not say whether it is here"):
        ready = (folder_of(dataset) / "meta.json").is_file() or not dataset.available()
    if not ready:
        with display.data(cell.dataset_variant) as progress:
            prepare(dataset, progress)


def _is_ours(error: OSError, cell: Cell) -> bool:
    """Whether it is this machine's cache that failed, and not a plugin that looks for files of its own."""
    named = str(error.filename or "")
    return registry.entry("datasets", cell.dataset).package == "snn5bench" or named.startswith(str(cache_root()))
