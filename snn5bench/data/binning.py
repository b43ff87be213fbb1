"""From spike times to events on a grid of steps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Binned(NamedTuple):
    """Events sorted by step, then channel, without duplicates; and what did not become one."""

    step: np.ndarray
    """int32 [events]"""
    channel: np.ndarray
    """int32 [events]"""
    merged: int
    """Spikes that fell into an occupied cell of the grid."""
    dropped: int
    """Spikes after the window."""


def bin_spikes(times_s: np.ndarray, channel: np.ndarray, T: int, window_s: float) -> Binned:
    """Put spikes (`times_s` [spikes] >= 0, `channel` [spikes], any order) on `T` steps that share `window_s`."""
    step = np.floor(np.asarray(times_s, dtype=np.float64) * (T / window_s)).astype(np.int64)
    inside = step < T
    channels = int(channel.max()) + 1 if len(channel) else 1
    cells = np.unique(step[inside] * channels + channel[inside])
    return Binned(
        step=(cells // channels).astype(np.int32),
        channel=(cells % channels).astype(np.int32),
        merged=int(inside.sum()) - len(cells),
        dropped=int(len(step) - inside.sum()),
    )
