"""A test split for recordings that have none: whole speakers, users or subjects, chosen by hash."""

from __future__ import annotations

import numpy as np

from snn5bench.seeds import stream


def held_out(name: str, group: np.ndarray, share: float = 0.2) -> np.ndarray:
    """Which samples [n] are for the test: all samples of `share` of the groups, at least one group.

    The choice depends on `name` and the groups' numbers alone.
    """
    groups = sorted(np.unique(group).tolist(), key=lambda g: stream("test", name, g))
    return np.isin(group, groups[: max(1, round(share * len(groups)))])


def held_out_by_class(name: str, label: np.ndarray, share: float = 0.1) -> np.ndarray:
    """Which samples [n] are for the test where nobody is known to have made them: `share` of each class."""
    out = np.zeros(len(label), dtype=bool)
    for cls in np.unique(label):
        members = sorted(np.flatnonzero(label == cls).tolist(), key=lambda i: stream("test", name, i))
        out[members[: max(1, round(share * len(members)))]] = True
    return out
