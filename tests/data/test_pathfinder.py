"""Pathfinder of our own: the label is right, and neither ink nor the distance of the dots gives it away."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from snn5bench.data.dashes import CLEAR, DASH, GAP, Canvas, path
from snn5bench.data.pathfinder import Pathfinder, sequence
from tests.data.making import same, samples

SCENES = [Pathfinder(Pathfinder.Params(dashes=dashes)) for dashes in (3, 6, 7)]


def components(segments: list) -> list[int]:
    """For each dash the number of its path, by union-find over dashes whose nearest ends are one gap apart."""
    number = list(range(len(segments)))
    for i, a in enumerate(segments):
        for j, b in enumerate(segments[:i]):
            if min(np.linalg.norm(p - q) for p in a for q in b) < GAP + 0.01:
                number = [number[j] if n == number[i] else n for n in number]
    return number


@pytest.mark.parametrize("dashes", [2, 6, 7])
def test_two_long_paths_never_touch_and_wind_gently(dashes):
    rng, ends = np.random.default_rng(0), [None, None]
    while any(found is None for found in ends):
        canvas = Canvas(32)
        ends = [path(canvas, dashes, rng) for _ in range(2)]
    number = components(canvas.segments)
    assert len(set(number[:dashes])) == len(set(number[dashes:])) == 1 and number[0] != number[-1]
    assert all(abs(np.linalg.norm(b - a) - DASH) < 1e-9 for a, b in canvas.segments)
    apart = min(
        np.linalg.norm(p - q)
        for a in canvas.segments[:dashes]
        for b in canvas.segments[dashes:]
        for p in (a[0], a[1])
        for q in (b[0], b[1])
    )
    assert apart > CLEAR - 0.1


@pytest.mark.parametrize("dataset", SCENES, ids=lambda d: f"{d.params.dashes} dashes")
def test_a_pair_differs_in_its_dots_alone_which_are_equally_far_apart(dataset):
    rng = np.random.default_rng(3)
    for _ in range(5):
        apart, joined = dataset.pair(rng)
        dots = [np.argwhere(picture > 0.95) for picture in (apart, joined)]
        spread = [np.linalg.norm(d[:, None] - d[None], axis=-1).max() for d in dots]
        assert abs(spread[0] - spread[1]) < 4, "a dot is three pixels wide, places are rounded to pixels"
        moved, bright = np.argwhere(apart != joined), np.concatenate(dots)
        assert len(moved) and np.linalg.norm(moved[:, None] - bright[None], axis=-1).min(1).max() < 2.5


def test_only_joined_dots_stand_on_one_path():
    dataset, rng, seen = SCENES[1], np.random.default_rng(5), 0
    for _ in range(10):
        scene = dataset.scene(rng)
        if scene is None:
            continue
        seen += 1
        assert not np.shares_memory(scene.first[0], scene.second[0])
        lengths = [np.linalg.norm(a - b) for a, b in (scene.first, scene.second)]
        assert max(lengths) <= 6 * DASH + 5 * GAP + 1e-9, "no longer than a straight path"
    assert seen


def test_a_step_is_a_pixel_and_black_is_silent():
    picture = np.array([[0.0, 0.3], [1.0, 0.1]])
    step, channel = sequence(picture, 4)
    assert step.tolist() == [1, 2] and channel.tolist() == [0, 3]


def test_balanced_and_the_same_bits_each_time():
    _, first = samples(Pathfinder, train=6, val=2, test=3)
    assert [s.label for s in first] == [0, 1] * 11
    assert [s.split for s in first] == ["train"] * 12 + ["val"] * 4 + ["test"] * 6
    assert same(first, samples(Pathfinder, train=6, val=2, test=3)[1])


def test_paths_that_cannot_fit_are_refused():
    with pytest.raises(ValidationError, match="6 dashes do not fit into 16 pixels: dashes at most 3"):
        Pathfinder.Params(side=16)
