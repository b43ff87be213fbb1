"""A folder with everything that the verbs read, whole: a suite, its records, a baseline, claims and packed data."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

SUITE = """\
description: what the campaign spoils
seeds: [0, 1]
budget: {epochs: 2, batch_size: 16}
record_peeking: true
baseline: lif
twins:
  notd: {methods: ['lif'], datasets: [temporal]}
  shuffled: null
datasets:
  - name: pulse-order
    params: {T: 16, min_gap: 2, max_gap: 4, train: 30, val: 10, test: 20}
    budget: {epochs: 1}
methods:
  - lif
  - {name: lif, label: wide, params: {hidden: [16, 8]}, on: {pulse-order: {lr: 0.01}}, budget: {'pulse*': {epochs: 3}}}
  - {name: glif, grid: {lr: [0.001, 0.01]}}
incompatible:
  - {method: 'glif*', dataset: pulse-order, reason: not today}
"""
CLAIMS = """\
claims:
  - id: time-helps
    claim: Memory between steps helps on pulse-order.
    source: nobody
    method: lif
    shown_on: [pulse-order]
    T: 16
    suite: mine
    predicates:
      - {kind: gain, dataset: pulse-order, method: lif, over: notd, above: 0.1}
      - {kind: gap_within, dataset: pulse-order, method: lif, over: wide, within: 0.5}
      - {kind: accuracy, dataset: pulse-order, method: lif, above: 0.2}
      - {kind: peeking_gap, within: 0.5}
      - {kind: energy_ratio, dataset: pulse-order, method: lif, model: simple, below: 1}
  - id: far-away
    claim: Something else.
    source: a paper
    needs: [a cluster]
"""
_LAYER = {
    "name": "0", "kind": "synapses", "neurons": 16, "spike_rate": 0.1, "activation_sparsity": 0.9, "macs": 10.0,
    "acs": 100.0, "bias_adds": 16.0, "neuron_updates": 256.0, "dense_macs": 1000.0, "silent_neurons": 1,
    "saturated_neurons": 0, "detail": {"reads": 3.0},
}  # fmt: skip


class Box:
    """The folder of one worker. `fresh` makes `work` what it was at the start."""

    def __init__(self, root: Path) -> None:
        self.root, self.whole, self.work = root.resolve(), root.resolve() / "whole", root.resolve() / "work"
        self.temporary = self.root / "tmp"
        self.temporary.mkdir(parents=True, exist_ok=True)
        self.environment = dict(os.environ)

    def enter(self) -> None:
        """Have this process look for everything in the box, and reach no network."""
        import tempfile

        here = {
            "SNN5BENCH_CACHE": str(self.work / "cache"), "SNN5BENCH_DATA": str(self.work / "data"), "HOME": str(self.work),
            "TMPDIR": str(self.temporary), "MPLCONFIGDIR": str(self.temporary), "COLUMNS": "200",
            "NUMBA_CACHE_DIR": str(self.temporary / "numba"),
            **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"),
        }  # fmt: skip
        os.environ.update(here)
        self.environment = dict(os.environ)
        tempfile.tempdir = str(self.temporary)
        self.fresh()

    def fresh(self) -> None:
        """Put back what the last input changed."""
        os.environ.clear()
        os.environ.update(self.environment)
        os.chdir(self.root)
        shutil.rmtree(self.work, ignore_errors=True)
        if self.whole.exists():
            shutil.copytree(self.whole, self.work, symlinks=True)
        else:
            self.work.mkdir()
        os.chdir(self.work)

    def empty(self) -> None:
        """Have nothing in it, and nothing to put back."""
        shutil.rmtree(self.whole, ignore_errors=True)
        self.fresh()

    def keep(self) -> None:
        """Take what is in `work` now as whole."""
        shutil.rmtree(self.whole, ignore_errors=True)
        shutil.copytree(self.work, self.whole, symlinks=True)

    def stock(self) -> None:
        """Lay down the suite, its data, records, baseline and claims."""
        from snn5bench import baseline
        from snn5bench.expand import read
        from snn5bench.plan import Planner, make_dataset
        from snn5bench.store import Store

        self.empty()
        for folder in ("suites", "baselines/claims", "baselines/locked", "results"):
            (self.work / folder).mkdir(parents=True)
        suite = self.work / "suites" / "mine.yaml"
        suite.write_text(SUITE)
        (self.work / "baselines" / "claims" / "a.yaml").write_text(CLAIMS)
        _, planned = read(suite)
        from snn5bench.data.cache import prepare
        from snn5bench.data.splits import TEST

        packed = prepare(make_dataset(planned[0].cell))
        index = packed.indices(TEST)
        label = packed.label[index]
        store = Store(self.work / "results", "mine")
        planner = Planner(store, [])
        for number, one in enumerate(planned):
            if one.incompatible:
                store.write(refusal_of(one.cell, one.incompatible))
                continue
            answers = np.where(np.arange(len(label)) % (number + 3) == 0, (label + 1) % 2, label)
            parts = planner.parts(one.cell)
            assert parts is not None
            record = record_of(one.cell, parts, packed, float((answers == label).mean()))
            arrays = {"index": index.astype("i4"), "label": label.astype("i2"), "prediction": answers.astype("i2")}
            store.write(record, arrays)
        records = store.records()
        baseline.write(baseline.lock(records, store.correct(records)), self.work / "baselines" / "locked" / "mine.json")
        self.keep()


def refusal_of(cell: Any, reason: str) -> Any:
    """The record of a cell that does not run."""
    from snn5bench.record import Record

    return Record.model_validate(
        {
            "suite": cell.suite, "method": cell.method, "variant": cell.variant, "method_params": cell.method_params,
            "dataset": cell.dataset_variant, "dataset_name": cell.dataset, "dataset_params": cell.dataset_params,
            "twin": cell.twin, "seed": cell.seed, "key": "0" * 32, "status": "incompatible", "reason": reason,
        }
    )  # fmt: skip


def record_of(cell: Any, parts: Any, packed: Any, accuracy: float) -> Any:
    """A record with every field filled, as a run would write it."""
    from snn5bench.measure.estimate import fill
    from snn5bench.record import Record

    record = Record.model_validate(
        {
            "suite": cell.suite, "method": cell.method, "variant": cell.variant, "method_params": cell.method_params,
            "method_version": "snn5bench 0.1.0", "fidelity": {"kind": "faithful", "note": "as published"},
            "dataset": cell.dataset_variant, "dataset_name": cell.dataset, "dataset_params": cell.dataset_params,
            "dataset_fingerprint": packed.meta.fingerprint, "transform": packed.meta.transform, "twin": cell.twin,
            "seed": cell.seed, "budget": {"epochs": cell.epochs, "batch_size": cell.batch_size}, "key": parts.key(),
            "key_parts": parts.model_dump(mode="json"), "status": "done", "selection_rule": "best validation epoch",
            "split_rule": packed.meta.split_rule, "selected_epoch": 0, "train_accuracy": 0.9, "val_accuracy": 0.8,
            "test_accuracy": accuracy, "test_accuracy_peeked": accuracy, "n_train": 30, "n_val": 10, "n_test": packed.n_test,
            "n_classes": packed.spec.n_classes, "T": packed.spec.T, "params": 100, "spike_rate": 0.1,
            "activation_sparsity": 0.9, "weight_sparsity": 0.0, "macs_per_sample": 10.0, "acs_per_sample": 100.0,
            "synops_per_sample": 100.0, "layers": [_LAYER], "notes": ["a note"],
            "curve": [{"epoch": 0, "train_loss": 1.0, "val_accuracy": 0.8, "test_accuracy": accuracy}],
            "train_seconds": 1.0, "train_steps": 4, "eval_seconds": 0.1, "peak_memory_bytes": 10**8,
            "environment": {"python": "3.11.7", "platform": "Linux", "cpu": "a cpu", "versions": {"torch": "2.9"}},
            "started_at": "2026-01-01T00:00:00+00:00", "git_commit": "0" * 40, "git_dirty": False,
        }
    )  # fmt: skip
    fill(record)
    return record
