"""Made-up records: small, deterministic, with every way a row can go wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from snn5bench.record import EnergyEstimate, Environment, Epoch, Fidelity, LayerCounts, Record, Status
from snn5bench.report.across import Probe, Probed
from snn5bench.report.build import build_table
from snn5bench.report.table import Claimed, Estimate, Table

N = 200
"""Test samples of a made-up run."""

ENVIRONMENT = Environment(python="3.11.4", platform="Linux", cpu="made-up", versions={"torch": "2.13.0"})


CLAIMS = {
    ("glif", "order"): [
        Claimed(
            text="92.1 %",
            verdict="direction reproduced",
            number="+2.0 points [+0.1, +3.9], 3 seeds, 200 samples",
            reason="needs SHD for the number",
            source="Yao <i>et al.</i> 2022, table 3",
            command="snn5bench run made-up",
        )
    ]
}
"""What the filled collection's best row is held against."""


PROBE = Probe(
    chance=0.125,
    lines=[
        Probed("counts, logistic", "counts alone", Estimate(mean=0.61, low=0.57, high=0.65, seeds=1)),
        Probed("sequence, gru", "everything", Estimate(reason="every step shows the same frame")),
    ],
)
"""A dataset's probe."""


class Bench:
    """Collects made-up records with their per-sample correctness."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.correct: dict[str, NDArray[np.bool_]] = {}

    def add(self, method: str, dataset: str, seed: int, right: int | None = None, **over: Any) -> Record:
        """One record. `right` of N samples are correct (shifted by the seed); without it the cell is not done."""
        twin = over.get("twin", "none")
        key = over.pop("key", f"{method}-{dataset}-{seed}-{twin}".replace("<", "lt"))
        fields: dict[str, Any] = {
            "suite": "made-up",
            "method": method,
            "variant": method,
            "method_params": {"hidden": [16]},
            "fidelity": Fidelity.faithful("checked"),
            "dataset": dataset,
            "dataset_params": {},
            "dataset_fingerprint": f"{dataset}-{seed}",
            "temporal": dataset != "control",
            "seed": seed,
            "budget": {"epochs": 2, "batch_size": 32},
            "key": key,
            "status": Status.DONE if right is not None else Status.FAILED,
            "environment": ENVIRONMENT,
        }
        if right is not None:
            self.correct[key] = np.roll(np.arange(N) < right, 3 * seed)
            fields |= self._numbers(right, seed)
        record = Record.model_validate(fields | over)
        self.records.append(record)
        return record

    def _numbers(self, right: int, seed: int) -> dict[str, Any]:
        share = right / N
        return {
            "selection_rule": "best validation epoch",
            "selected_epoch": 2,
            "val_accuracy": share,
            "test_accuracy": share,
            "n_test": N,
            "T": 20,
            "params": 12_345,
            "spike_rate": 0.05 + 0.01 * seed,
            "activation_sparsity": 0.95 - 0.01 * seed,
            "synops_per_sample": 1000.0 * right + 10 * seed,
            "energy_nj": {"a-model": 10.0 * right, "b-model": 25.0 * right},
            "ann_twin_energy_nj": {"a-model": 20_000.0, "b-model": 20_000.0},
            "energy": {
                "a-model": EnergyEstimate(energy_nj=10.0 * right, break_even_spike_rate=0.25),
                "b-model": EnergyEstimate(energy_nj=25.0 * right, break_even_spike_rate=share / 10),
                "c-model": EnergyEstimate(energy_nj=None, break_even_spike_rate=0.0),
            },
            "layers": [
                LayerCounts(
                    name="1", kind="synapses", acs=80.0 + seed, dense_macs=1000.0, detail={"steps": 20, "mac_steps": 0}
                )
            ],
            "curve": [
                Epoch(epoch=1, train_loss=1.0, val_accuracy=share / 2),
                Epoch(epoch=2, train_loss=0.5, val_accuracy=share),
            ],
            "train_seconds": 12.5 + seed,
        }

    def table(self, **options: Any) -> Table:
        """The table of all records added so far."""
        return build_table(self.records, self.correct, **options)


@pytest.fixture
def bench() -> Bench:
    """An empty collection."""
    return Bench()


def fill(bench: Bench) -> Bench:
    """Two datasets and every kind of row."""
    for seed in (0, 1, 2):
        bench.add("glif", "order", seed, 180 + seed, test_accuracy_peeked=0.95)
        bench.add("glif", "order", seed, 100, twin="notd")
        bench.add("lif", "order", seed, 179 - seed, notes=["a note | with a bar"])
        bench.add("lif", "order", seed, 101, twin="notd")
        bench.add("lif", "order", seed, 120, twin="shuffled")
        bench.add("<script>alert(1)</script>", "order", seed, 120, fidelity=Fidelity.inspired("takes <b>the idea</b>"))
        bench.add(
            "silent",
            "order",
            seed,
            90,
            synops_per_sample=None,
            spike_rate=None,
            energy_nj={"a-model": None, "b-model": 5.0},
            energy={"a-model": EnergyEstimate(energy_nj=None, reason="no reads counted")},
            ann_twin_energy_nj={},
            missing={"synops_per_sample": "a layer could not be counted"},
        )
        bench.add("broken", "order", seed, reason="loss became NaN in epoch 1")
        bench.add("ff", "order", seed, status=Status.INCOMPATIBLE, reason="needs a static input")
        bench.add("shd-only", "order", seed, status=Status.NEEDS_DATA, reason="put shd_train.h5 into the data folder")
        if seed < 2:
            bench.add("short", "order", seed, 150)
        bench.add("glif", "control", seed, 190 + seed)
        bench.add("glif", "control", seed, 190, twin="notd")
        bench.add("lif", "control", seed, 191)
        bench.add("lif", "control", seed, twin="notd", status=Status.INCOMPATIBLE, reason="a layer keeps its state")
    bench.add("flaky", "order", 0, 150)
    bench.add("flaky", "order", 1, 150)
    bench.add("flaky", "order", 2, reason="killed")
    return bench


@pytest.fixture
def full(bench: Bench) -> Bench:
    """The filled collection."""
    return fill(bench)


METHODS = (
    "lif lif-recurrent glif tskips spikingssm sssa ff conversion qcfs ecl sfn compressed[order=prune-quantise] "
    "compressed[order=quantise-prune] dstp spquant alif adlif se-adlif plif pmsn dcls-delays rf bhrf sew-resnet eventprop"
).split()
DATASETS = (
    "speech-digits pulse-order randman delayed-cue binary-adding ps-mnist mnist-1d event-chain listops pathfinder digits "
    "digits-poisson"
).split()
MODELS = "davidson-furber horowitz-fp32 horowitz-int8 lemaire simple yan-v1 yan-v4".split()
CONTROLS = ("digits", "digits-poisson")


def fill_atlas(bench: Bench) -> Bench:
    """As many rows as a long suite has: 25 methods by 12 datasets by 3 seeds, most of them without a NoTD twin, one that
    fits nowhere, one that fails on some, notes and marks on others."""
    for d, dataset in enumerate(DATASETS):
        for m, method in enumerate(METHODS):
            for seed in (0, 1, 2):
                common: dict[str, Any] = {"temporal": dataset not in CONTROLS, "variant": method}
                if method == "ff" and dataset == "speech-digits":
                    bench.add(method, dataset, seed, status=Status.INCOMPATIBLE, reason="it tries each label", **common)
                elif method == "sfn" and d % 5 == 2:
                    bench.add(method, dataset, seed, reason=f"loss became NaN in epoch {d}", **common)
                else:
                    bench.add(method, dataset, seed, **common, **_atlas_numbers(d, m, seed))
            if m < 5:
                for seed in (0, 1, 2):
                    bench.add(method, dataset, seed, 40 + m, twin="notd", temporal=common["temporal"])
    return bench


def _atlas_numbers(d: int, m: int, seed: int) -> dict[str, Any]:
    right = 60 + (37 * m + 53 * d) % 120 + 3 * seed
    spikes = 0.02 * (1 + (m + d) % 9)
    energy = {
        name: EnergyEstimate(
            energy_nj=(10.0 + m) * (1 + i) ** 3, break_even_spike_rate=0.3 / (1 + i) ** 2 if i < 6 else 0.0
        )
        for i, name in enumerate(MODELS)
    }
    kind = ("faithful", "reconstruction", "inspired")[m % 3]
    return {
        "right": right,
        "synops_per_sample": 10_000.0 * (1 + (7 * m + d) % 25),
        "fidelity": Fidelity(kind=kind, note=f"what is known of it is told in a sentence or two, number {m}"),
        "notes": [f"the artificial network before conversion: {m}"] if m % 4 == 0 else [],
        "energy": energy,
        "energy_nj": {name: estimate.energy_nj for name, estimate in energy.items()},
        "ann_twin_energy_nj": dict.fromkeys(MODELS, 500.0),
        "layers": [
            LayerCounts(
                name="1", kind="synapses", acs=1000 * spikes, dense_macs=1000.0, detail={"steps": 20, "mac_steps": 0}
            )
        ],
        "curve": [
            Epoch(epoch=e, train_loss=1.0 / e, val_accuracy=right / N * (1 - 0.8 / (1 + e))) for e in range(1, 16)
        ],
    }  # fmt: skip
