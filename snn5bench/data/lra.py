"""The Long Range Arena's texts (Tay et al. 2021): `lra-listops`, `lra-text`, `lra-retrieval`. A token a step."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from snn5bench.contracts.dataset import DatasetSpec, Progress, Sample, SplitName, Write
from snn5bench.contracts.params import DatasetParams
from snn5bench.data.brought import Brought, Finding, content, decoding, whole
from snn5bench.data.leaks import Unleaked
from snn5bench.data.listops_language import CHANNEL, TOKENS, evaluate, tokens
from snn5bench.errors import BenchError

_LONGEST = 1 << 24
CUT = "texts longer than T (cut at the end)"
_RELEASE = (
    "Download lra_release.gz (7.7 GB) from github.com/google-research/long-range-arena in a browser and unpack this "
    "part of it."
)


class Text(NamedTuple):
    """One sample as it is read."""

    where: str
    label: int
    split: SplitName
    parts: tuple[np.ndarray, ...]
    """Token numbers; two parts where two texts are compared."""


class _Sequences(Brought):
    """What the three have in common: each part has channels of its own and ends at the last step."""

    alphabet: ClassVar[int]
    parts: ClassVar[int] = 1
    classes: ClassVar[int]

    class Params(DatasetParams):
        """Length and read-out."""

        T: int = Field(2000, ge=1, le=65_535)
        """Timesteps; what is longer is cut at its end, and counted."""
        readout: Literal["sum", "last"] = "sum"
        """Logits summed over the steps, or taken at the last one."""

    params: Params

    def spec(self) -> DatasetSpec:
        return DatasetSpec(
            name=self.name,
            n_classes=self.classes,
            T=self.params.T,
            channels=self.parts * self.alphabet,
            coding="events",
            readout=self.params.readout,
            temporal=True,
        )

    def texts(self) -> Iterator[Text]:
        """Every sample: test first, then validation, then train."""
        raise NotImplementedError

    def generate(self, write: Write, progress: Progress) -> None:
        T, keep = self.params.T, Unleaked(write, self.counted)
        for done, text in enumerate(self.texts(), start=1):
            self.counted[CUT] += any(len(part) > T for part in text.parts)
            cut = [part[:T] for part in text.parts]
            step = np.concatenate([np.arange(T - len(part), T) for part in cut])
            channel = np.concatenate([part.astype(np.int64) + k * self.alphabet for k, part in enumerate(cut)])
            keep(Sample(text.label, text.split, step=step, channel=channel))
            progress(done, done)

    def check_file(self, path: Path) -> Iterator[Finding]:
        try:
            whole(path)
        except BenchError as error:
            yield Finding(str(path), error.problems[0].what, self.expects)
        else:
            yield Finding(str(path), "")


def _lines(path: Path, fields: int) -> Iterator[tuple[int, list[str]]]:
    """Line number and tab-separated fields of each line; no quoting."""
    with decoding(path, "is no text in UTF-8"), whole(path).open(encoding="utf-8", newline="\n") as file:
        for number in count(1):
            line = file.readline(_LONGEST)
            if not line:
                return
            if len(line) == _LONGEST:
                raise BenchError(f"the line is longer than {_LONGEST:,} letters", where=f"{path}:{number}")
            cells = line.rstrip("\n").split("\t")
            if len(cells) != fields:
                raise BenchError(f"has {len(cells)} fields, expected {fields}", where=f"{path}:{number}")
            yield number, cells


class LraListOps(_Sequences):
    """ListOps at its full length, 500 to 2,000 tokens, 96,000 / 2,000 / 2,000 samples. Each label is held against the
    value of its expression."""

    name = "lra-listops"
    summary = "nested MIN, MAX, MED and SM over digits, 500 to 2,000 tokens"
    licence = "Apache-2.0 (Long Range Arena)"
    places = ("lra-listops", "listops-1000", "lra_release/listops-1000")
    expects = "basic_train.tsv, basic_val.tsv and basic_test.tsv"
    how = f"{_RELEASE} Short expressions of our own need no download: dataset `listops`."
    alphabet, classes = len(TOKENS), 10

    _FILES: ClassVar[dict[SplitName, str]] = {
        "test": "basic_test.tsv",
        "val": "basic_val.tsv",
        "train": "basic_train.tsv",
    }

    def files(self) -> list[Path]:
        return self.need(list(self._FILES.values()))

    def texts(self) -> Iterator[Text]:
        for (split, _), path in zip(self._FILES.items(), self.files(), strict=True):
            for number, (source, target) in _lines(path, 2):
                if number == 1:
                    if (source, target) != ("Source", "Target"):
                        raise BenchError("has no header Source, Target", where=f"{path}:1")
                    continue
                where = f"{path}:{number}"
                try:
                    words, label = tokens(source), int(target)
                    value = evaluate(words)
                except (BenchError, ValueError) as error:
                    raise BenchError(f"is no expression with its value: {error}", where=where) from error
                if value != label:
                    raise BenchError(f"the label says {label}, the expression is {value}", where=where)
                yield Text(where, label, split, (np.array([CHANNEL[word] for word in words]),))


class LraText(_Sequences):
    """IMDB reviews byte by byte, 25,000 / 25,000 samples. The arena validated on the test split; here validation is
    carved out of train. Reviews that stand in both splits are dropped from train."""

    name = "lra-text"
    summary = "is a film review positive? byte by byte"
    licence = "IMDB reviews (Maas et al. 2011), for research"
    places = ("lra-text", "aclImdb", "lra_release/aclImdb")
    expects = "train/{pos,neg}/*.txt and test/{pos,neg}/*.txt"
    how = "Download aclImdb_v1.tar.gz (84 MB) from ai.stanford.edu/~amaas/data/sentiment and unpack it here."
    alphabet, classes = 256, 2

    class Params(_Sequences.Params):
        """Length and read-out."""

        T: int = Field(1000, ge=1, le=65_535)
        """Timesteps: 1,000 in the arena's settings, 4,096 in S4's."""

    params: Params

    def files(self) -> list[Path]:
        folder = self.folder()
        groups = [(split, mood) for split in ("test", "train") for mood in ("neg", "pos")]
        found = {group: sorted((folder / "/".join(group)).glob("*.txt")) for group in groups}
        absent = [f"{'/'.join(group)}/*.txt" for group, paths in found.items() if not paths]
        if absent:
            raise BenchError(f"{', '.join(absent)} not found", where=str(folder), do=self.how)
        return [path for paths in found.values() for path in paths]

    def texts(self) -> Iterator[Text]:
        for path in self.files():
            split: SplitName = "test" if path.parents[1].name == "test" else "train"
            raw = np.frombuffer(content(path), dtype=np.uint8)
            yield Text(str(path), int(path.parent.name == "pos"), split, (raw,))


class LraRetrieval(_Sequences):
    """Do two papers of the ACL anthology cite each other? Both run side by side, byte by byte, each on 256 channels of
    its own; the arena encodes them apart and compares the results."""

    name = "lra-retrieval"
    summary = "are two papers related? two byte streams side by side"
    licence = "ACL Anthology Network (Radev et al. 2009), for research"
    places = ("lra-retrieval", "tsv_data", "lra_release/tsv_data")
    expects = "new_aan_pairs.train.tsv, new_aan_pairs.eval.tsv and new_aan_pairs.test.tsv"
    how = _RELEASE
    alphabet, parts, classes = 256, 2, 2

    class Params(_Sequences.Params):
        """Length and read-out."""

        T: int = Field(4000, ge=1, le=65_535)
        """Timesteps; 4,000 in the arena."""

    params: Params
    _FILES: ClassVar[dict[SplitName, str]] = {
        "test": "new_aan_pairs.test.tsv",
        "val": "new_aan_pairs.eval.tsv",
        "train": "new_aan_pairs.train.tsv",
    }

    def files(self) -> list[Path]:
        return self.need(list(self._FILES.values()))

    def texts(self) -> Iterator[Text]:
        for (split, _), path in zip(self._FILES.items(), self.files(), strict=True):
            for number, (label, _, _, first, second) in _lines(path, 5):
                where = f"{path}:{number}"
                if label not in ("0", "1", "0.0", "1.0"):
                    raise BenchError(f"label '{label}' is neither 0 nor 1", where=where)
                both = tuple(np.frombuffer(text.encode(), dtype=np.uint8) for text in (first, second))
                yield Text(where, int(float(label)), split, both)
