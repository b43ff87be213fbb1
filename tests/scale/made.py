"""Suites of thousands of cells, with a valid record for each: one real cell is run, the others are made up around it."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np

from snn5bench import keys
from snn5bench.cell import Cell
from snn5bench.data.cache import prepare
from snn5bench.data.packed import Packed
from snn5bench.data.splits import TEST
from snn5bench.execute import execute
from snn5bench.expand import PlannedCell, read
from snn5bench.measure.estimate import fill
from snn5bench.outcome import Outcome
from snn5bench.plan import make_dataset
from snn5bench.record import Epoch
from snn5bench.seeds import stream
from snn5bench.store import Store

Shape = Literal["datasets", "methods"]
"""What a larger suite has more of. A row has five seeds and a NoTD twin: ten cells."""

ROW = 10
METHODS = 50
DATASETS = 4
EPOCHS = 20
SUITE = """\
seeds: [0, 1, 2, 3, 4]
budget: {{epochs: {epochs}, batch_size: 64}}
twins: {{notd: {{methods: ["*"]}}, shuffled: null}}
datasets:
  - name: pulse-order
    params: {{T: 50, train: 8, val: 4, test: {test}}}
    grid: {{noise: [{noises}]}}
methods:
  - name: lif
    params: {{hidden: [8]}}
    grid: {{decay: [{decays}]}}
"""


def grid(cells: int, shape: Shape) -> tuple[int, int]:
    """How many datasets and methods a suite of that many cells has."""
    datasets, methods = (
        (cells // ROW // METHODS, METHODS) if shape == "datasets" else (DATASETS, cells // ROW // DATASETS)
    )
    if datasets * methods * ROW != cells:
        raise ValueError(f"{cells} cells are not {datasets} x {methods} rows of {ROW}")
    return datasets, methods


def suite(path: Path, datasets: int, methods: int, samples: int = 2000) -> Path:
    """Write a suite of that many datasets, with `samples` test samples each, and methods."""
    noises = ", ".join(f"{0.02 + n / 10_000:.4f}" for n in range(datasets))
    decays = ", ".join(f"{0.5 + 0.4 * n / methods:.4f}" for n in range(methods))
    path.write_text(SUITE.format(epochs=EPOCHS, test=samples // 2, noises=noises, decays=decays))
    return path


def records(path: Path, results: Path) -> Store:
    """A record with its predictions for each cell of the suite at `path`, as a run would have stored them."""
    loaded, planned = read(path)
    store = Store(results, loaded.name)
    packed: dict[str, Packed] = {}
    real = _real(planned[0].cell)
    for one in planned:
        data = packed.setdefault(one.cell.dataset_variant, prepare(make_dataset(one.cell)))
        outcome = _made_up(one, data, real)
        store.write(outcome.record, outcome.arrays)
    return store


@cache
def _real(cell: Cell) -> Outcome:
    return execute(cell.model_copy(update={"epochs": 1}))


def _made_up(planned: PlannedCell, data: Packed, real: Outcome) -> Outcome:
    """An outcome whose accuracy grows with the method's number and falls to chance for the twin."""
    cell = planned.cell
    random = np.random.default_rng(stream("made-up", cell.row, cell.seed))
    ability = 0.5 if cell.twin == "notd" else float(cell.method_params["decay"])
    index = data.indices(TEST)
    label = data.label[index]
    right = random.random(len(label)) < ability + 0.01 * random.normal()
    prediction = np.where(right, label, 1 - label)
    parts = keys.parts_of(cell, data.meta.fingerprint, data.meta.transform)
    accuracy = float((prediction == label).mean())
    record = real.record.model_copy(
        deep=True,
        update={
            "suite": cell.suite,
            "variant": cell.variant,
            "method_params": cell.method_params,
            "dataset": cell.dataset_variant,
            "dataset_params": cell.dataset_params,
            "dataset_fingerprint": data.meta.fingerprint,
            "transform": data.meta.transform,
            "twin": cell.twin,
            "seed": cell.seed,
            "budget": {"epochs": cell.epochs, "batch_size": cell.batch_size},
            "key": parts.key(),
            "key_parts": parts.model_dump(mode="json"),
            "test_accuracy": accuracy,
            "val_accuracy": accuracy,
            "curve": [Epoch(epoch=e, train_loss=1 / (e + 1), val_accuracy=accuracy) for e in range(EPOCHS)],
            "n_test": len(label),
        },
    )
    fill(record)
    return Outcome(
        record,
        {
            "index": index.astype(np.int32),
            "label": label.astype(np.int16),
            "prediction": prediction.astype(np.int16),
        },
    )


if __name__ == "__main__":
    folder, count, growth = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    size = grid(count, growth)  # type: ignore[arg-type]
    records(suite(folder / "scale.yaml", *size), folder / "results")
