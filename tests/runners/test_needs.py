"""What a cell asks for, from what earlier records used."""

from __future__ import annotations

import pytest
import torch

from snn5bench import device
from snn5bench.cell import Cell
from snn5bench.record import Environment, Record
from snn5bench.runners import gpu
from snn5bench.runners.needs import DEFAULT_MEMORY, History, Needs

GB = 1 << 30


def cell(variant: str = "lif[decay=0.9]", dataset: str = "order", **over) -> Cell:
    fields = {
        "suite": "s", "method": "lif", "variant": variant, "method_params": {}, "dataset": dataset,
        "dataset_variant": dataset, "dataset_params": {}, "seed": 7, "epochs": 1, "batch_size": 2,
    }  # fmt: skip
    return Cell.model_validate(fields | over)


def record(variant: str = "lif[decay=0.9]", dataset: str = "order", memory: int | None = GB, **over) -> Record:
    threads = over.pop("threads", 1)
    fields = {
        "suite": "s", "method": "lif", "variant": variant, "method_params": {}, "dataset": dataset, "dataset_params": {},
        "seed": 0, "key": "k", "status": "done", "peak_memory_bytes": memory,
        "environment": Environment(python="3", platform="p", cpu="c", threads=threads),
    }  # fmt: skip
    return Record.model_validate(fields | over)


def test_without_records_a_cell_asks_for_the_documented_default():
    assert History([]).needs(cell()) == Needs(1, DEFAULT_MEMORY, 0.0)
    assert History([], gpus=0.25).needs(cell()).gpus == 0.25
    assert History([record(status="failed", memory=9 * GB)]).needs(cell()).memory_bytes == DEFAULT_MEMORY


def test_the_most_alike_cells_speak_with_headroom():
    history = History(
        [
            record(memory=2 * GB),
            record(memory=4 * GB, seed=1, threads=2),
            record("lif[decay=0.5]", memory=8 * GB),
            record("glif", method="glif", memory=16 * GB),
            record(dataset="other", memory=32 * GB),
        ]
    )
    assert history.needs(cell()) == Needs(2, 5 * GB, 0.0), "the row's largest seed"
    assert history.needs(cell("lif[decay=0.1]")).memory_bytes == 10 * GB, "the method on this dataset"
    assert history.needs(cell("alif", method="alif")).memory_bytes == 20 * GB, "the dataset"
    assert history.needs(cell(dataset="unseen")).memory_bytes == DEFAULT_MEMORY


def test_a_cell_that_stays_on_the_cpu_asks_for_no_gpu(monkeypatch):
    here = record("s4nn", method="s4nn", memory=2 * GB)
    there = record(memory=4 * GB, gpu_share=0.4)
    there.environment.device = "NVIDIA H100, CUDA 13.0"
    stays = cell("s4nn", method="s4nn")
    monkeypatch.setenv(device.VARIABLE, "cuda")
    history = History([here, there], gpus=1.0)
    assert history.needs(stays)[1:] == (2.5 * GB, 0.0)
    assert history.needs(cell())[1:] == (5 * GB, 0.5)
    assert History([here], gpus=1.0).needs(cell())[1:] == (DEFAULT_MEMORY, 1.0), "what a CPU held says nothing of a GPU"
    assert History([there], gpus=1.0).needs(stays)[1:] == (DEFAULT_MEMORY, 0.0), "nor the other way round"


@pytest.mark.parametrize(("share", "asked"), [(0.1, 0.13), (0.4, 0.5), (0.79, 0.99), (0.9, 1.0)])
def test_gpus_are_the_share_of_memory_that_was_held(share, asked):
    assert History([record(gpu_share=share)], gpus=1.0).needs(cell()).gpus == pytest.approx(asked)


def test_cells_whose_records_tell_of_no_gpu_ask_for_what_the_user_said():
    assert History([record()], gpus=0.5).needs(cell()).gpus == 0.5


def test_a_share_is_taken_from_the_gpu_only_where_it_was_used(monkeypatch):
    assert gpu.share() is None
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: type("P", (), {"total_memory": 8 * GB}))
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: 2 * GB)
    assert gpu.share() == 0.25
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: 0)
    assert gpu.share() is None
