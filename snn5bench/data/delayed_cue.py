"""`delayed-cue`: the class is shown in the first step and asked for in the last. Without memory, accuracy is chance."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from snn5bench.contracts.dataset import Dataset, DatasetSpec, Progress, Sample, SplitName, Write
from snn5bench.contracts.params import DatasetParams
from snn5bench.seeds import stream


class DelayedCue(Dataset):
    """One channel pulses at step 0; distractors follow on all channels; only the output of the last step counts.

    A *base* fixes the distractors of the steps 1 to `delay`; each class gives it one sample, which differs in step 0
    alone. So the last frame is the same for all classes of a base: a network with its time cut, whose last step sees
    that frame only, gives all of them one answer and is right on exactly one. Counts do tell a little, since the cue is
    one spike among the distractors. All samples of a base stand in the same split.
    """

    name = "delayed-cue"
    summary = "remember which input pulsed first, through distractors, until the last step; chance without memory"
    licence = "generated"

    class Params(DatasetParams):
        """Size and difficulty."""

        classes: int = Field(4, ge=2, le=64)
        """Channels, and classes."""
        delay: int = Field(20, ge=1, le=5000)
        """Steps from the cue to the answer; T is one more."""
        noise: float = Field(0.1, ge=0, lt=1)
        """Probability of a distractor, per channel and step after the cue."""
        train: int = Field(400, ge=1)
        """Bases in the train split; each gives a sample of every class."""
        val: int = Field(100, ge=1)
        """Bases in the validation split."""
        test: int = Field(300, ge=1)
        """Bases in the test split."""

    params: Params

    def spec(self) -> DatasetSpec:
        return DatasetSpec(
            name=self.name,
            n_classes=self.params.classes,
            T=self.params.delay + 1,
            channels=self.params.classes,
            coding="events",
            readout="last",
            temporal=True,
        )

    def generate(self, write: Write, progress: Progress) -> None:
        p = self.params
        sizes: dict[SplitName, int] = {"train": p.train, "val": p.val, "test": p.test}
        total, done = sum(sizes.values()), 0
        seen: set[bytes] = set()
        for split, bases in sizes.items():
            rng = np.random.default_rng(stream("delayed-cue", split))
            for _ in range(bases):
                noise = self._noise(rng, seen)
                step, channel = np.nonzero(noise)
                for label in range(p.classes):
                    write(Sample(label, split, step=np.r_[0, step + 1], channel=np.r_[label, channel]))
                done += 1
                progress(done, total)

    def _noise(self, rng: np.random.Generator, seen: set[bytes]) -> np.ndarray:
        """Distractors [delay, classes] that no base had before, as far as there are any left."""
        for _ in range(100):
            noise = rng.random((self.params.delay, self.params.classes)) < self.params.noise
            if noise.tobytes() not in seen:
                break
        seen.add(noise.tobytes())
        return noise
