"""The theorem of pulse-order: without time, accuracy is exactly chance."""

from __future__ import annotations

from collections import Counter, defaultdict
from math import factorial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snn5bench.contracts.dataset import Sample
from snn5bench.data.pulse_order import PulseOrder
from snn5bench.errors import BenchError


def samples(**params: object) -> tuple[PulseOrder, list[Sample]]:
    dataset = PulseOrder(PulseOrder.Params.model_validate(params))
    out: list[Sample] = []
    dataset.generate(out.append, lambda done, total: None)
    return dataset, out


def frames(dataset: PulseOrder, sample: Sample) -> np.ndarray:
    spec = dataset.spec()
    dense = np.zeros((spec.T, spec.channels), dtype=bool)
    dense[sample.step, sample.channel] = True
    return dense


def bag(dense: np.ndarray) -> Counter[bytes]:
    return Counter(row.tobytes() for row in dense)


settings_of = st.fixed_dictionaries(
    {
        "groups": st.integers(2, 3),
        "group_size": st.integers(1, 5),
        "T": st.integers(12, 30),
        "min_gap": st.integers(1, 3),
        "max_gap": st.integers(3, 5),
        "noise": st.sampled_from([0.0, 0.05, 0.3]),
        "train": st.integers(1, 3),
        "val": st.just(1),
        "test": st.integers(1, 3),
    }
)


@given(settings_of)
@settings(max_examples=40, deadline=None)
def test_the_classes_of_a_base_share_one_bag_of_frames(params):
    dataset, made = samples(**params)
    classes = factorial(params["groups"])
    assert len(made) == classes * (params["train"] + params["val"] + params["test"])
    for start in range(0, len(made), classes):
        base = made[start : start + classes]
        assert [s.label for s in base] == list(range(classes))
        assert len({s.split for s in base}) == 1
        dense = [frames(dataset, s) for s in base]
        assert len({frozenset(bag(d).items()) for d in dense}) == 1
        assert len({d.tobytes() for d in dense}) == classes


@given(settings_of, st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_any_classifier_of_the_bag_is_right_once_in_each_base(params, seed):
    """A random function of the bag of frames, and one of the counts per channel: exactly chance, at any size."""
    dataset, made = samples(**params)
    classes = factorial(params["groups"])
    rng = np.random.default_rng(seed)
    answers: dict[object, int] = defaultdict(lambda: int(rng.integers(classes)))
    for see in (lambda d: frozenset(bag(d).items()), lambda d: d.sum(0).tobytes()):
        right = sum(answers[see(frames(dataset, s))] == s.label for s in made)
        assert right * classes == len(made)


def test_same_bits_each_time():
    first, second = samples(train=5, val=2, test=2)[1], samples(train=5, val=2, test=2)[1]
    assert all(
        np.array_equal(a.step, b.step) and np.array_equal(a.channel, b.channel)
        for a, b in zip(first, second, strict=True)
    )


def test_pulses_that_do_not_fit_are_refused():
    with pytest.raises(BenchError, match="do not fit into T=10"):
        samples(T=10, min_gap=3, max_gap=12)
