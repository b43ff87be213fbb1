"""Published splits that share samples: those that are also in a later split are dropped from the earlier, and counted."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np

from snn5bench.contracts.dataset import Sample, Write

LEAKED = "train or validation samples that are also in the test (dropped)"


class Unleaked:
    """Passes samples on to `write`, except those whose content came before in another split.

    Hand it the test split first, then validation, then train. Samples without events pass: they are no copies of
    each other.
    """

    def __init__(self, write: Write, counted: Counter[str]) -> None:
        self._write, self._counted = write, counted
        self._seen: dict[bytes, str] = {}

    def __call__(self, sample: Sample) -> None:
        content = _content(sample)
        if content and self._seen.setdefault(content, sample.split) != sample.split:
            self._counted[LEAKED] += 1
        else:
            self._write(sample)


def _content(sample: Sample) -> bytes:
    """Digest of what a network would be fed; empty without events."""
    if sample.frame is not None:
        return hashlib.sha256(np.ascontiguousarray(sample.frame, dtype="<f4").tobytes()).digest()
    if sample.step is None or sample.channel is None or len(sample.step) == 0:
        return b""
    pairs = np.unique(np.stack([sample.step, sample.channel]).astype("<i8"), axis=1)
    return hashlib.sha256(pairs.tobytes()).digest()
