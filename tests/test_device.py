"""`--device`: what it refuses, what it puts into the key, and how a batch goes over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from snn5bench import device, keys
from snn5bench.cell import Cell
from snn5bench.cli import app
from snn5bench.contracts.inputs import Events
from snn5bench.errors import BenchError
from snn5bench.execute import execute
from snn5bench.expand import read
from snn5bench.record import Status
from snn5bench.runners import cluster
from snn5bench.suite import find

NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")


def cell(method="lif", params=None):
    from snn5bench import registry

    found = registry.load("methods", method).Params.model_validate(params or {})
    data = registry.load("datasets", "pulse-order").Params()
    return Cell(
        suite="x", method=method, variant=method, method_params=found.model_dump(mode="json"), dataset="pulse-order",
        dataset_variant="pulse-order", dataset_params=data.model_dump(mode="json"), seed=0, epochs=1, batch_size=32,
    )  # fmt: skip


def parts(one):
    return keys.parts_of(one, "data", {})


def test_the_key_of_a_cpu_cell_knows_of_no_device(monkeypatch):
    monkeypatch.delenv(device.VARIABLE, raising=False)
    unset = parts(cell())
    for word in ("cpu", ""):
        monkeypatch.setenv(device.VARIABLE, word)
        assert parts(cell()).key() == unset.key()
    assert not unset.versions.keys() & {"device", "triton"}


def test_a_gpu_is_part_of_the_key(monkeypatch):
    on_cpu = parts(cell())
    monkeypatch.setenv(device.VARIABLE, "cuda")
    on_gpu = parts(cell())
    assert on_gpu.key() != on_cpu.key()
    assert {k: v for k, v in on_gpu.versions.items() if k not in on_cpu.versions}.keys() == {"device", "triton"}


@pytest.mark.parametrize(("method", "params"), [("s4nn", {}), ("compressed", {"base": "s4nn"})])
def test_what_cannot_train_on_a_gpu_keeps_its_cpu_key(monkeypatch, method, params):
    one = cell(method, params)
    on_cpu = parts(one)
    monkeypatch.setenv(device.VARIABLE, "cuda")
    assert keys.device_of(one) == "cpu" and parts(one).key() == on_cpu.key()


@pytest.mark.parametrize("word", ["cud", "gpu"])
@pytest.mark.parametrize("verb", [["plan", "smoke"], ["run", "smoke"], ["reproduce", "x"], ["why", "x"]])
def test_another_word_is_refused_before_anything_runs(monkeypatch, verb, word):
    monkeypatch.setenv(device.VARIABLE, "cpu")
    result = CliRunner().invoke(app, [*verb, "--device", word])
    assert isinstance(result.exception, BenchError)
    (problem,) = result.exception.problems
    assert problem.what == f"no device is called '{word}'" and problem.do == "cpu or cuda"


def test_the_variable_is_read_and_refused_alike(monkeypatch):
    monkeypatch.setenv(device.VARIABLE, "tpu")
    with pytest.raises(BenchError, match="no device is called 'tpu'"):
        parts(cell())


@NO_GPU
def test_a_run_without_a_gpu_is_refused_before_anything_runs(monkeypatch, tmp_path):
    monkeypatch.setenv(device.VARIABLE, "cpu")
    result = CliRunner().invoke(app, ["run", "smoke", "--device", "cuda", "--no-track", "--results", str(tmp_path)])
    assert isinstance(result.exception, BenchError) and not list(tmp_path.rglob("*.json"))
    (problem,) = result.exception.problems
    assert (
        "no GPU can be used here" in problem.what and problem.where == "--device cuda" and "--device cpu" in problem.do
    )


@NO_GPU
def test_a_cell_without_a_gpu_fails_with_the_reason(monkeypatch):
    monkeypatch.setenv(device.VARIABLE, "cuda")
    record = execute(cell()).record
    assert record.status is Status.FAILED and "no GPU can be used here" in record.reason


def test_a_plan_for_a_gpu_needs_none(monkeypatch, tmp_path):
    monkeypatch.setenv(device.VARIABLE, "cpu")
    result = CliRunner().invoke(app, ["plan", "smoke", "--device", "cuda", "--json", "--results", str(tmp_path)])
    assert result.exit_code == 0, result.output


def test_a_record_says_cpu(monkeypatch):
    monkeypatch.delenv(device.VARIABLE, raising=False)
    record = execute(cell()).record
    assert record.status is Status.DONE and record.environment is not None
    assert (record.environment.device, record.environment.backend) == ("cpu", "numba")


def test_events_become_dense_on_another_device_as_here():
    rng = np.random.default_rng(0)
    made = torch.from_numpy((rng.random((7, 3, 11)) < 0.3).astype(np.float32))
    made[:, 1] = 0
    sample, step, channel = np.nonzero(made.permute(1, 0, 2).numpy())
    indptr = np.searchsorted(sample, np.arange(4)).astype(np.int64)
    arrays = indptr, step.astype(np.int32), channel.astype(np.int32), 7, 11
    assert torch.equal(Events(*arrays).dense(), made)
    assert torch.equal(Events(*arrays, device="cpu:0").dense(), made)


def test_the_ray_runner_hands_the_choice_to_its_nodes(monkeypatch):
    asked = []
    monkeypatch.setenv(device.VARIABLE, "cuda")
    monkeypatch.setattr(cluster, "_connect", lambda start, patience: asked.append(start) or 1 / 0)
    planned = read(find("smoke", Path("suites")))[1]
    with pytest.raises(ZeroDivisionError):
        cluster.run([p.cell for p in planned[:1]], lambda *_: None, None, 1, print)  # type: ignore[arg-type]
    assert asked[0].env[device.VARIABLE] == "cuda"
