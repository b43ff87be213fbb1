"""From real values to spikes, one step a value: which channels fire says how large it is."""

from __future__ import annotations

import numpy as np


def thermometer(values: np.ndarray, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Events (`step`, `channel`) of `values` [T] in 0..1: channel k of `levels` fires where a value is at least
    (k + 1/2) / `levels`. The number of channels that fire is `levels` times the value, rounded; zero is silent."""
    bounds = (np.arange(levels) + 0.5) / levels
    step, channel = np.nonzero(np.asarray(values, dtype=np.float64)[:, None] >= bounds)
    return step, channel


def place(values: np.ndarray, low: float, high: float, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Events (`step`, `channel`) of `values` [T]: one event a step, in the one of `cells` equal cells of `low`..`high`
    that holds the value; the outer cells take what lies beyond."""
    scaled = (np.asarray(values, dtype=np.float64) - low) * (cells / (high - low))
    return np.arange(len(scaled)), np.clip(np.floor(scaled), 0, cells - 1).astype(np.int64)
