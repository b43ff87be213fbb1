"""`pathfinder`: are two dots the ends of one dashed path? Pictures of our own, a pixel a step."""

from __future__ import annotations

from typing import Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from snn5bench.contracts.dataset import Dataset, DatasetSpec, Progress, Sample, SplitName, Write
from snn5bench.contracts.params import DatasetParams
from snn5bench.data.dashes import DASH, GAP, MARGIN, Canvas, path
from snn5bench.seeds import stream

Ends = tuple[np.ndarray, np.ndarray]


class Scene(NamedTuple):
    """Two long dashed paths among short ones, without dots."""

    ink: np.ndarray
    """Grey, float [side, side] in 0..1."""
    first: Ends
    """Where the first long path ends, (row, column) in pixels, twice."""
    second: Ends


class Pathfinder(Dataset):
    """Pathfinder after Linsley et al. (2018) and the Long Range Arena (Tay et al. 2021), drawn by our own generator.

    A scene has two long dashed paths and some short ones. The class is whether the two dots stand on the two ends of the
    first path (1) or on an end of each (0). **Each scene is drawn twice, once for each class, and the two pairs of dots are
    equally far apart to within a pixel**: neither the amount of ink nor the distance between the dots says anything.
    Both pictures of a scene stand in the same split.

    Departures from the arena: that pairing (its negatives are other scenes, and the distance between dots is not held);
    paths of `dashes` dashes (up to 7) for 6, 9 or 14; thousands of pictures for 200,000. A step is a
    pixel, row by row; the one of `levels` channels that holds its grey fires, black being silent.
    """

    name = "pathfinder"
    summary = "are two dots the ends of one dashed path? pixel by pixel"
    licence = "generated"

    class Params(DatasetParams):
        """Size and difficulty."""

        side: Literal[16, 24, 32] = 32
        """Pixels of a side; T is its square."""
        dashes: int = Field(6, ge=2, le=7)
        """Dashes of each of the two long paths: the harder the more. A straight path must fit into the picture."""
        distractors: int = Field(4, ge=0, le=20)
        """Short paths, a third as long."""
        levels: int = Field(4, ge=1, le=255)
        """Channels that tell how bright a pixel is."""
        readout: Literal["sum", "last"] = "sum"
        """Logits summed over the steps, or taken at the last one."""
        train: int = Field(1000, ge=1)
        """Scenes in the train split; each gives two pictures."""
        val: int = Field(200, ge=1)
        """Scenes in the validation split."""
        test: int = Field(400, ge=1)
        """Scenes in the test split."""

        @model_validator(mode="after")
        def _fits(self) -> Self:
            most = int((self.side - 2 * MARGIN + GAP) / (DASH + GAP))
            if self.dashes > most:
                raise ValueError(f"{self.dashes} dashes do not fit into {self.side} pixels: dashes at most {most}")
            return self

    params: Params

    def spec(self) -> DatasetSpec:
        return DatasetSpec(
            name=self.name,
            n_classes=2,
            T=self.params.side**2,
            channels=self.params.levels,
            coding="events",
            readout=self.params.readout,
            temporal=True,
        )

    def generate(self, write: Write, progress: Progress) -> None:
        p = self.params
        sizes: dict[SplitName, int] = {"train": p.train, "val": p.val, "test": p.test}
        total, done = sum(sizes.values()), 0
        for split, scenes in sizes.items():
            for index in range(scenes):
                for label, picture in enumerate(self.pair(np.random.default_rng(stream(self.name, split, index)))):
                    step, channel = sequence(picture, p.levels)
                    write(Sample(label, split, step=step, channel=channel))
                done += 1
                progress(done, total)

    def pair(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """One scene with its dots on two paths, and on one: grey, float [side, side] in 0..1."""
        while True:
            scene = self.scene(rng)
            if scene is None:
                continue
            wanted = np.linalg.norm(scene.first[0] - scene.first[1])
            apart = {(a, b): np.linalg.norm(scene.first[a] - scene.second[b]) for a in (0, 1) for b in (0, 1)}
            fits = [pair for pair, distance in apart.items() if abs(distance - wanted) <= 1.0]
            if fits:
                a, b = fits[rng.integers(len(fits))]
                return _dotted(scene.ink, scene.first[a], scene.second[b]), _dotted(scene.ink, *scene.first)

    def scene(self, rng: np.random.Generator) -> Scene | None:
        """Two long paths and the short ones, or None where they found no room."""
        p = self.params
        canvas = Canvas(p.side)
        ends = []
        for _ in range(2):
            found = path(canvas, p.dashes, rng)
            if found is None:
                return None
            ends.append(found)
        for _ in range(p.distractors):
            path(canvas, max(1, p.dashes // 3), rng)
        return Scene(canvas.ink(), ends[0], ends[1])


def _dotted(ink: np.ndarray, *places: np.ndarray) -> np.ndarray:
    """`ink` with a bright dot, 1.5 pixels in radius, at each place."""
    row, column = np.indices(ink.shape)
    out = ink
    for place in places:
        distance = np.hypot(row - place[0], column - place[1])
        out = np.maximum(out, np.clip(2.0 - distance, 0.0, 1.0))
    return out


def sequence(picture: np.ndarray, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Events (`step`, `channel`) of a picture, float [side, side] in 0..1, row by row: level k of `levels` fires where
    the grey, rounded, is k of `levels`; black is silent."""
    level = np.rint(picture.reshape(-1) * levels).astype(np.int64)
    step = np.flatnonzero(level)
    return step, level[step] - 1
