"""The validation split that the harness makes where a dataset brings none, and the check that splits do not overlap."""

from __future__ import annotations

import numpy as np

from snn5bench.errors import BenchError
from snn5bench.seeds import stream

TRAIN, VAL, TEST = 0, 1, 2
SPLITS = ("train", "val", "test")


def carve_validation(name: str, split: np.ndarray, label: np.ndarray, group: np.ndarray, share: float = 0.15) -> str:
    """Move `share` of train to validation, in place: whole groups where every train sample has one, else by class.

    The choice depends on the dataset's name alone, so it is the same for each method and each seed. Returns the rule in
    words.
    """
    train = np.flatnonzero(split == TRAIN)
    if len(train) and (group[train] >= 0).all() and len(np.unique(group[train])) > 1:
        groups = sorted(np.unique(group[train]).tolist(), key=lambda g: stream("validation", name, g))
        wanted, taken = share * len(train), 0
        for one in groups[:-1]:
            members = train[group[train] == one]
            if taken and taken + len(members) / 2 > wanted:
                break
            split[members] = VAL
            taken += len(members)
        return "validation by group, carved from train"
    for cls in np.unique(label[train]):
        members = train[label[train] == cls]
        order = sorted(members.tolist(), key=lambda i: stream("validation", name, i))
        split[order[: max(1, round(share * len(members)))]] = VAL
    return "validation stratified by class, carved from train"


def refuse_overlap(name: str, digests: list[bytes], split: np.ndarray) -> None:
    """Raise when a test or validation sample is also a train sample, bit for bit."""
    first: dict[bytes, int] = {}
    for index, content in enumerate(digests):
        if not content:
            continue
        twin = first.setdefault(content, index)
        if split[twin] != split[index]:
            raise BenchError(
                f"samples {twin} ({SPLITS[split[twin]]}) and {index} ({SPLITS[split[index]]}) are identical",
                where=f"dataset {name}",
                do="remove the duplicate or mend the split: a test sample that was trained on proves nothing",
            )
