"""Every method on a GPU: it trains and is measured there, starts with the CPU's bits, is counted as on the CPU, repeats.

`SNN5BENCH_REHEARSE_GPU=1` runs the same with torch's `cpu:0` in the place of the GPU: slow, and finds slips of this file.
"""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path

import pytest
import torch

from snn5bench import device, execute, registry
from snn5bench.cell import Cell
from snn5bench.conformance import synthetic
from snn5bench.conformance.subject import digest, gap
from snn5bench.contracts.inputs import dense
from snn5bench.data.batches import SplitBatches
from snn5bench.data.splits import TEST
from snn5bench.measure.counts import Counter
from snn5bench.record import Status
from snn5bench.train import feed

COUNTS = "macs_per_sample acs_per_sample synops_per_sample spike_rate activation_sparsity weight_sparsity".split()
REHEARSED = os.environ.get("SNN5BENCH_REHEARSE_GPU") == "1"
GPU = "cpu:0" if REHEARSED else "cuda"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not (REHEARSED or torch.cuda.is_available()), reason="no GPU here"),
]
METHODS = sorted(name for name, entry in registry.entries("methods").items() if entry.package == "snn5bench")


@pytest.fixture(autouse=True)
def _rehearse(monkeypatch):
    if REHEARSED:
        monkeypatch.setattr(device, "start", torch.device)
        monkeypatch.setattr(device, "finish", lambda name: None)
        monkeypatch.setattr(device, "full_name", str)


def one(method, packed, where, seed=0):
    """A run of the protocol on `packed`, its network, and the digest of the network that `fit` prepared first."""
    params = registry.load("methods", method).Params.model_validate({}).model_dump(mode="json")
    cell = Cell(
        suite="gpu", method=method, variant=method, method_params=params, dataset="pulse-order",
        dataset_variant="synthetic", dataset_params={}, seed=seed, epochs=2, batch_size=8,
    )  # fmt: skip
    run = execute._Run(cell, packed, execute.blank(cell, Status.FAILED), None, where)
    first, prepare = [], run._prepare

    def watched(model):
        model = prepare(model)
        first.append((digest(model), {p.device.type for p in model.parameters()}))
        return model

    run._prepare = watched  # type: ignore[method-assign]
    return run, run.fit(), first[0]


def counted(model, packed, where):
    """Logits and counts in float64, where rounding flips no spike."""
    model = copy.deepcopy(model).to(where).double().eval()
    logits = []
    with Counter(model) as counter, torch.no_grad():
        for x, _ in SplitBatches(packed, TEST, 8, device=where).epoch():
            logits.append(feed(model, dense(x).double()).cpu())
    counts = counter.result()
    numbers = {name: getattr(counts, name) for name in COUNTS}
    layers = {layer.name: layer.model_dump(mode="json") for layer in counts.layers}
    return torch.cat(logits, 1), numbers, layers, counts.missing


def apart(here, there):
    """What the counts of two devices differ in, in words."""
    found = []
    if gap(here[0], there[0]) > 1e-6 * max(1.0, float(here[0].abs().max())):
        found.append(f"logits in float64 differ by {gap(here[0], there[0]):.3g}")
    found += [f"{k} {here[1][k]} here, {there[1][k]} there" for k in here[1] if not near(here[1][k], there[1][k])]
    if here[2].keys() != there[2].keys():
        found.append(f"layers {sorted(here[2].keys() ^ there[2].keys())} are seen on one device alone")
    if here[3] != there[3]:
        found.append(f"missing {here[3]} here, {there[3]} there")
    return found


def near(a, b):
    return a == b or (a is not None and b is not None and abs(a - b) <= 1e-9 * abs(a))


@pytest.mark.parametrize("method", METHODS)
def test_method(method, tmp_path):
    cls = registry.load("methods", method)
    made = cls(cls.Params.model_validate({}))
    spec = next((spec for spec in synthetic.FORMS if made.supports(spec)), None)
    assert spec is not None
    packed = synthetic.write(tmp_path / "data", spec)
    if not cls.on_gpu:
        pytest.skip("stays on the CPU")
    _, _, (on_cpu, _) = one(method, packed, "cpu")
    run, model, (start, places) = one(method, packed, GPU)
    run.measure(model)
    record, found = run.record, []
    if start != on_cpu:
        found.append("the network starts with other bits than on the CPU")
    if places != {torch.device(GPU).type}:
        found.append(f"the network is on {places}")
    assert record.environment is not None
    if not REHEARSED:
        if torch.cuda.get_device_name() not in record.environment.device:
            found.append(f"the record says {record.environment.device}")
        if record.environment.backend != "triton":
            found.append(f"the kernels were {record.environment.backend}")
    if record.missing:
        found.append(f"not counted: {record.missing}")
    found += apart(counted(model, packed, "cpu"), counted(model, packed, GPU))
    _, same_model, _ = one(method, packed, GPU)
    if digest(same_model) != digest(model):
        found.append("it does not repeat: the same seed ends in other bits")
    note(method, found, record)
    assert not found, "; ".join(found)


def note(method, found, record):
    """One file a method in $OUT, where one is asked for."""
    if folder := os.environ.get("OUT"):
        numbers = {k: getattr(record, k) for k in ("train_seconds", "eval_seconds", "test_accuracy")}
        text = json.dumps({"method": method, "found": found, **numbers, "environment": record.environment.model_dump()})
        Path(folder, f"method-{method.replace('/', '-')}.json").write_text(text)


@pytest.mark.skipif(REHEARSED, reason="no GPU here")
@pytest.mark.parametrize("twin", ["none", "notd", "sdbp", "shuffled"])
def test_a_whole_cell_with_its_twins(twin, monkeypatch):
    monkeypatch.setenv(device.VARIABLE, "cuda")
    params = registry.load("methods", "lif").Params.model_validate({"hidden": (32, 32)}).model_dump(mode="json")
    data = registry.load("datasets", "pulse-order")
    settings = data.Params().model_dump(mode="json")
    cell = Cell(
        suite="gpu", method="lif", variant="lif", method_params=params, dataset="pulse-order",
        dataset_variant="pulse-order", dataset_params=settings, twin=twin, seed=0, epochs=2, batch_size=64,
    )  # fmt: skip
    record = execute.execute(cell).record
    assert record.status is Status.DONE, record.reason
    assert record.key_parts["versions"]["device"] == "cuda" and record.environment is not None
    assert torch.cuda.get_device_name() in record.environment.device
