"""`listops`: nested operations on digits, read token by token; short enough for a CPU."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import Field, model_validator

from snn5bench.contracts.dataset import Dataset, DatasetSpec, Progress, Sample, SplitName, Write
from snn5bench.contracts.params import DatasetParams
from snn5bench.data.listops_language import CHANNEL, TOKENS, draw, evaluate
from snn5bench.errors import BenchError
from snn5bench.seeds import stream

_PATIENCE = 200


def encode(words: list[str], T: int) -> tuple[np.ndarray, np.ndarray]:
    """Events (`step`, `channel`): a token a step, the last token at step T - 1. `words` has at most T."""
    return np.arange(T - len(words), T), np.array([CHANNEL[word] for word in words])


class ListOps(Dataset):
    """Random ListOps expressions of our own (the task is LRA's; its length, 500 to 2,000, is cut). One channel for each
    of 15 tokens; expressions end at the last step, where the answer is read.

    Every expression ends with `]`, so a network with its time cut is at chance: the share of the largest class.
    Classes are as the language gives them, not balanced (0 and 9 lead). No expression occurs twice.
    """

    name = "listops"
    summary = "nested MIN, MAX, MED and SM over digits, a token a step (LRA's ListOps, short)"
    licence = "generated"

    class Params(DatasetParams):
        """Size and difficulty."""

        min_length: int = Field(6, ge=4)
        """Least number of tokens."""
        T: int = Field(40, ge=4, le=4000)
        """Timesteps, and the greatest number of tokens."""
        max_depth: int = Field(4, ge=1, le=20)
        """Greatest nesting of operators."""
        max_arguments: int = Field(5, ge=2, le=20)
        """Of an operator."""
        nesting: float = Field(0.3, ge=0, lt=1)
        """Probability that an argument is an operator."""
        train: int = Field(4000, ge=1)
        """Samples of the train split."""
        val: int = Field(500, ge=1)
        """Samples of the validation split."""
        test: int = Field(1000, ge=1)
        """Samples of the test split."""

        @model_validator(mode="after")
        def _lengths_fit(self) -> Self:
            if self.min_length > self.T:
                raise ValueError(f"min_length {self.min_length} is above T={self.T}")
            return self

    params: Params

    def spec(self) -> DatasetSpec:
        return DatasetSpec(
            name=self.name,
            n_classes=10,
            T=self.params.T,
            channels=len(TOKENS),
            coding="events",
            readout="last",
            temporal=True,
        )

    def generate(self, write: Write, progress: Progress) -> None:
        p = self.params
        sizes: dict[SplitName, int] = {"train": p.train, "val": p.val, "test": p.test}
        total, done, seen = sum(sizes.values()), 0, set[str]()
        for split, size in sizes.items():
            rng = np.random.default_rng(stream("listops", split))
            for _ in range(size):
                words = self._new(rng, seen)
                step, channel = encode(words, p.T)
                write(Sample(evaluate(words), split, step=step, channel=channel))
                done += 1
                progress(done, total)

    def _new(self, rng: np.random.Generator, seen: set[str]) -> list[str]:
        p = self.params
        for _ in range(_PATIENCE):
            words = draw(rng, p.max_depth, p.max_arguments, p.nesting)
            text = " ".join(words)
            if p.min_length <= len(words) <= p.T and text not in seen:
                seen.add(text)
                return words
        raise BenchError(
            f"no new expression of {p.min_length} to {p.T} tokens came up in {_PATIENCE} draws",
            where="listops: min_length, T, max_depth, max_arguments, nesting",
            do="widen the lengths, allow more nesting, or ask for fewer samples",
        )
