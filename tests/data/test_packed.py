"""The packed store: every event in comes out, splits are whole, bad samples are named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snn5bench.contracts.dataset import DatasetSpec, Sample
from snn5bench.data.batches import SplitBatches
from snn5bench.data.packed import Packed, Writer
from snn5bench.data.splits import TEST, TRAIN, VAL, carve_validation
from snn5bench.errors import BenchError

SPEC = DatasetSpec(name="made-up", n_classes=3, T=6, channels=5, coding="events", temporal=True)


def pack(folder, samples, spec=SPEC):
    with Writer(folder, spec, {"bins": spec.T}) as writer:
        for sample in samples:
            writer(sample)
        meta = writer.finish()
    return Packed(folder), meta


def event_sample(rng, index, split="train", group=-1):
    n = int(rng.integers(1, 20))
    return Sample(index % 3, split, group, rng.integers(0, SPEC.T, n), rng.integers(0, SPEC.channels, n))


@given(st.integers(0, 2**32 - 1), st.integers(12, 30))
@settings(max_examples=25, deadline=None)
def test_events_in_are_events_out(tmp_path_factory, seed, count):
    rng = np.random.default_rng(seed)
    splits = ["train", "val", "test"]
    made = [event_sample(rng, i, splits[i % 3]) for i in range(count)]
    dense = np.zeros((SPEC.T, count, SPEC.channels))
    for i, s in enumerate(made):
        dense[s.step, i, s.channel] = 1
    if len({dense[:, i].tobytes() for i in range(count)}) < count:
        return  # identical samples in two splits are refused, which another test holds
    packed, meta = pack(tmp_path_factory.mktemp("packed"), made)
    events = SplitBatches(packed, TRAIN, count).inputs(np.arange(count))
    assert np.array_equal(events.dense().numpy(), dense)
    assert meta.events + meta.merged_events == sum(len(s.step) for s in made)
    assert meta.events == dense.sum()
    assert meta.samples == {w: sum(s.split == w for s in made) for w in splits}


def test_shuffled_time_keeps_each_frame_and_is_the_same_in_each_epoch(tmp_path):
    rng = np.random.default_rng(0)
    packed, _ = pack(tmp_path, [event_sample(rng, i, ["train", "val", "test"][i % 3]) for i in range(30)])
    plain, shuffled = SplitBatches(packed, TEST, 64), SplitBatches(packed, TEST, 64, shuffle_time_seed=7)
    (x, _), (y, _), (z, _) = next(plain.epoch()), next(shuffled.epoch()), next(shuffled.epoch())
    a, b, c = x.dense().numpy(), y.dense().numpy(), z.dense().numpy()
    assert np.array_equal(b, c)
    assert not np.array_equal(a, b)
    for i in range(a.shape[1]):
        assert sorted(r.tobytes() for r in a[:, i]) == sorted(r.tobytes() for r in b[:, i])


def test_order_stream_reshuffles_and_repeats_with_its_seed(tmp_path):
    rng = np.random.default_rng(0)
    packed, _ = pack(tmp_path, [event_sample(rng, i, ["train", "val", "test"][i // 3 % 3]) for i in range(60)])

    def labels(seed):
        batches = SplitBatches(packed, TRAIN, 7, order_seed=seed)
        return [[y.tolist() for _, y in batches.epoch()] for _ in range(2)]

    assert labels(1) == labels(1)
    assert labels(1) != labels(2)
    assert labels(1)[0] != labels(1)[1]
    assert sum(map(len, labels(1)[0])) == 21
    peeked = SplitBatches(packed, TRAIN, 7, order_seed=1)
    next(iter(peeked.epoch()))
    assert [[y.tolist() for _, y in peeked.epoch()] for _ in range(2)] == labels(1), "an abandoned pass does not count"


def test_validation_by_group_never_shares_a_group():
    group = np.repeat(np.arange(10), 8)
    split = np.zeros(80, dtype="u1")
    split[group >= 8] = TEST
    rule = carve_validation("any", split, np.arange(80) % 4, group)
    assert "by group" in rule
    assert not set(group[split == TRAIN]) & set(group[split == VAL])
    assert 0.08 <= (split == VAL).sum() / (group < 8).sum() <= 0.3


def test_validation_by_class_is_stratified_and_fixed():
    label = np.repeat(np.arange(4), 20)
    first, second = np.zeros(80, dtype="u1"), np.zeros(80, dtype="u1")
    carve_validation("any", first, label, np.full(80, -1))
    carve_validation("any", second, label, np.full(80, -1))
    assert np.array_equal(first, second)
    assert np.bincount(label[first == VAL]).tolist() == [3, 3, 3, 3]


def test_a_sample_in_two_splits_is_refused(tmp_path):
    same = {"step": np.array([1]), "channel": np.array([2])}
    made = [
        Sample(0, "train", **same),
        Sample(1, "test", **same),
        Sample(0, "val", step=np.array([0]), channel=np.array([0])),
    ]
    with pytest.raises(BenchError, match=r"samples 0 \(train\) and 1 \(test\) are identical"):
        pack(tmp_path, made)


@pytest.mark.parametrize(
    ("sample", "says"),
    [
        (Sample(3, "train", step=np.array([0]), channel=np.array([0])), "label 3"),
        (Sample(0, "train", step=np.array([6]), channel=np.array([0])), "step 6..6 leaves 0..5"),
        (Sample(0, "train", step=np.array([0]), channel=np.array([-1])), "channel -1"),
        (Sample(0, "train", step=np.array([0.5]), channel=np.array([0])), "dtype float64"),
        (Sample(0, "train", step=np.array([0, 1]), channel=np.array([0])), "of one length"),
        (Sample(0, "train", frame=np.zeros(5)), "needs `step`"),
    ],
)
def test_a_bad_sample_is_named_with_its_index(tmp_path, sample, says):
    good = Sample(0, "train", step=np.array([0]), channel=np.array([0]))
    with pytest.raises(BenchError, match=says) as caught:
        pack(tmp_path, [good, sample])
    assert "sample 1" in caught.value.problems[0].where


def test_the_fingerprint_covers_content_labels_and_split(tmp_path):
    def fingerprint(name, **change):
        base = {"step": np.array([0, 1]), "channel": np.array([0, 1])}
        made = [Sample(0, "train", **base), Sample(1, "val", step=np.array([2]), channel=np.array([2]))]
        made.append(Sample(2, "test", step=np.array([3]), channel=np.array([3]))._replace(**change))
        return pack(tmp_path / name, made)[1].fingerprint

    first = fingerprint("a")
    assert first == fingerprint("b")
    assert first == fingerprint("c", step=np.array([3, 3]), channel=np.array([3, 3])), (
        "a merged duplicate is no other sample"
    )
    assert len({first, fingerprint("d", label=1), fingerprint("e", step=np.array([4])), fingerprint("f", group=1)}) == 4
