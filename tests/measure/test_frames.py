"""The passes over frames: compiled and torch forms are the same, and shapes are read right or refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from snn5bench.measure.frames import (
    INTEGER,
    REAL,
    TERNARY,
    _look,
    _look_torch,
    _scan,
    _scan_torch,
    as_frames,
    look,
    scan,
)

VALUES = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, -3.0, 0.5, 1e-30, float("inf"), float("nan"), 3e9])
FRAMES = arrays(np.float32, array_shapes(min_dims=3, max_dims=3, max_side=4), elements=VALUES)


@settings(deadline=None)
@given(FRAMES, st.integers(0, 9))
def test_torch_form_is_the_compiled_form(x: np.ndarray, seed: int) -> None:
    fan_out = np.random.default_rng(seed).integers(0, 50, x.shape[2])
    rows = x.reshape(-1, x.shape[2])
    for mine, theirs in zip(
        _scan(rows, fan_out), _scan_torch(torch.from_numpy(rows), torch.from_numpy(fan_out)), strict=True
    ):
        assert np.array_equal(mine, theirs)
    for mine, theirs in zip(_look(x), _look_torch(torch.from_numpy(x)), strict=True):
        assert np.array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("values", "level", "unrolled"),
    [([0, 1, -1], TERNARY, 0), ([2, 1, 0], INTEGER, 3), ([0.5, 1, 2], REAL, 0), ([float("nan"), 0, 0], REAL, 0)],
)
def test_levels(values: list[float], level: int, unrolled: int) -> None:
    found = scan(torch.tensor(values).view(1, 1, 3), np.ones(3, np.int64))
    assert (found.level.item(), found.unrolled.item()) == (level, unrolled)


def test_a_repeated_frame_is_looked_at_once_and_counted_at_each_step() -> None:
    frame = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    for found, dense in (
        (look(frame.expand(5, 2, 2)), look(frame.repeat(5, 1, 1))),
        (scan(frame.expand(5, 2, 2), np.array([3, 4])), scan(frame.repeat(5, 1, 1), np.array([3, 4]))),
    ):
        for mine, theirs in zip(found, dense, strict=True):
            assert np.array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("shape", "trailing", "frames"),
    [
        ((6, 3, 7), 1, (6, 3, 7)),
        ((18, 7), 1, (6, 3, 7)),
        ((3, 7), 1, (1, 3, 7)),
        ((4, 3, 7), 1, (4, 3, 7)),
        ((3, 6, 7), 1, (6, 3, 7)),
        ((6, 3, 5, 7), 1, (6, 3, 35)),
        ((18, 2, 4, 4), 3, (6, 3, 32)),
        ((3, 2, 4, 4), 3, (1, 3, 32)),
    ],
)
def test_shapes_for_three_samples_of_six_steps(shape: tuple[int, ...], trailing: int, frames: tuple[int, ...]) -> None:
    assert as_frames(torch.zeros(shape), trailing, T=6, B=3).shape == frames


@pytest.mark.parametrize(("shape", "trailing"), [((5, 7), 1), ((7, 4, 7), 1), ((7,), 1)])
def test_other_shapes_are_refused(shape: tuple[int, ...], trailing: int) -> None:
    with pytest.raises(ValueError, match="does not fit 3 samples of 6 steps"):
        as_frames(torch.zeros(shape), trailing, T=6, B=3)
