"""The probe tells a dataset that needs time from one that does not; its result is kept while it holds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from snn5bench.contracts.dataset import DatasetSpec
from snn5bench.data import probe_models as models
from snn5bench.data.cache import folder_of, prepare
from snn5bench.data.digits import Digits
from snn5bench.data.nmnist import NMnist
from snn5bench.data.packed import Packed
from snn5bench.data.probe import WHAT, probe, stored
from snn5bench.data.pulse_order import PulseOrder
from snn5bench.data.splits import TEST
from tests.data.making import real

ORDER = PulseOrder.Params(T=12, min_gap=2, max_gap=4, train=150, val=30, test=50, noise=0.03)


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(models, "STEPS", 160)
    monkeypatch.setattr(models, "HIDDEN", 32)
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def packed() -> Packed:
    return prepare(PulseOrder(ORDER))


def test_order_is_seen_by_the_sequence_alone(short):
    said: list[str] = []
    found = probe(PulseOrder(ORDER), (0,), said.append)
    assert said == list(WHAT) == list(found.lines)
    got = {name: line.accuracy for name, line in found.lines.items()}
    assert got["counts, logistic"] == got["counts, mlp"] == got["frames, mlp"] == 0.5 == found.chance
    assert got["sequence, gru"] > 0.95
    line = found.lines["shuffled, gru"]
    assert line.low < 0.5 < line.high
    said.clear()
    again = probe(PulseOrder(ORDER), (0,), said.append)
    assert again == found and not said, "read, not measured"


def test_a_result_is_not_taken_for_other_seeds_or_other_data(short):
    dataset = PulseOrder(ORDER)
    probe(dataset, (0,))
    assert stored(dataset, (0,)) is not None
    assert stored(dataset, (0, 1)) is None
    assert stored(PulseOrder(ORDER.model_copy(update={"noise": 0.1})), (0,)) is None
    assert (folder_of(dataset) / "probe.json").is_file()


def test_static_frames_have_no_sequence_to_probe(short):
    found = probe(Digits(Digits.Params(T=2)))
    assert found.lines["counts, logistic"].accuracy > 0.9
    assert found.lines["sequence, gru"].accuracy is None
    assert "same frame" in found.lines["sequence, gru"].reason


def test_counts_are_the_dense_sum(packed):
    from snn5bench.data.batches import SplitBatches

    index = packed.indices(TEST)[:7]
    dense = SplitBatches(packed, TEST, 8).inputs(index).dense().sum(0).numpy()
    assert np.array_equal(models.counts_of(packed, index), dense)


def test_no_network_sees_more_than_it_should():
    spec = DatasetSpec(name="x", n_classes=3, T=6, channels=4, coding="events", temporal=True)
    torch.manual_seed(0)
    x, order = torch.rand(6, 2, 4), torch.tensor([3, 0, 5, 1, 4, 2])
    assert torch.allclose(models.as_counts(x), models.as_counts(x[order]))
    frames, gru = models.Frames(spec), models.Gru(spec)
    assert torch.allclose(frames(x)[order], frames(x[order]))
    later = x.clone()
    later[4:] += 1
    assert torch.equal(gru(x)[:4], gru(later)[:4])
    assert not torch.allclose(gru(x)[order], gru(x[order]))


def test_training_is_a_function_of_its_seed(short, packed):
    a, b, c = (models.trained(packed, models.Gru, models.as_sequence, seed) for seed in (0, 0, 1))
    assert np.array_equal(a, b)
    assert a.shape == c.shape == (100,)


@pytest.mark.real_data
def test_real_n_mnist_is_told_by_its_counts(monkeypatch):
    monkeypatch.setenv("SNN5BENCH_DATA", str(real("nmnist_small")))
    correct = models.logistic_on_counts(prepare(NMnist(NMnist.Params())))
    assert len(correct) == 100 and 0.84 <= correct.mean() <= 0.94
