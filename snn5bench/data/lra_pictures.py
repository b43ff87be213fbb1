"""The Long Range Arena's pictures, a pixel a step: `lra-image` (CIFAR-10 in grey) and `lra-pathfinder` (and Path-X)."""

from __future__ import annotations

import io
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from snn5bench.contracts.dataset import DatasetSpec, Progress, Sample, SplitName, Write
from snn5bench.contracts.params import DatasetParams
from snn5bench.data.brought import Brought, Finding, content, decoding, there
from snn5bench.data.image_files import read_grey
from snn5bench.data.leaks import Unleaked
from snn5bench.data.pictures import Cifar10
from snn5bench.errors import BenchError
from snn5bench.seeds import stream

_PLAIN = frozenset(string.ascii_letters + string.digits + "._-/")
_LUMA = np.array([0.299, 0.587, 0.114])


class PixelParams(DatasetParams):
    """How a pixel becomes a spike."""

    levels: int = Field(256, ge=2, le=256)
    """Channels; the one of its grey level fires."""
    readout: Literal["sum", "last"] = "sum"
    """Logits summed over the steps, or taken at the last one."""


def sequence(grey: np.ndarray, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Events (`step`, `channel`) of a grey picture uint8 [height, width], row by row, one spike a step."""
    return np.arange(grey.size), grey.reshape(-1).astype(np.int64) * levels // 256


def _spec(name: str, steps: int, classes: int, params: PixelParams) -> DatasetSpec:
    return DatasetSpec(
        name=name,
        n_classes=classes,
        T=steps,
        channels=params.levels,
        coding="events",
        readout=params.readout,
        temporal=True,
    )


class LraImage(Cifar10):
    """CIFAR-10 in grey (ITU-R 601 luma), 1,024 steps; the last tenth of train is validation, as in the arena: 45,000 /
    5,000 / 10,000."""

    name = "lra-image"
    summary = "CIFAR-10 in grey, pixel by pixel"
    how = "`snn5bench data get cifar10` (170 MB); both share their files"

    class Params(PixelParams, Cifar10.Params):
        """How a pixel becomes a spike."""

        T: Literal[1024] = 1024
        """One step for each pixel."""

    params: Params

    def spec(self) -> DatasetSpec:
        return _spec(self.name, 1024, self.classes, self.params)

    def generate(self, write: Write, progress: Progress) -> None:
        grey: dict[SplitName, list[np.ndarray]] = {"test": [], "train": []}
        numbers: dict[SplitName, list[int]] = {"test": [], "train": []}
        for split, _, pixels, labels in self.read():
            grey[split] += list(np.rint(np.tensordot(_LUMA, pixels, (0, 1))).astype(np.uint8))
            numbers[split] += labels.tolist()
        keep, total, done = Unleaked(write, self.counted), sum(map(len, grey.values())), 0
        for split, source, part in self._parts(len(grey["train"])):
            for picture, label in zip(grey[source][part], numbers[source][part], strict=True):
                step, channel = sequence(picture, self.params.levels)
                keep(Sample(label, split, step=step, channel=channel))
                done += 1
                progress(done, total)

    @staticmethod
    def _parts(train: int) -> tuple[tuple[SplitName, SplitName, slice], ...]:
        """Split, where its pictures are, and which of them."""
        border = train - train // 10
        return (
            ("test", "test", slice(None)),
            ("val", "train", slice(border, None)),
            ("train", "train", slice(border)),
        )


class Drawing(NamedTuple):
    """One line of Pathfinder's metadata."""

    path: Path
    label: int


class LraPathfinder(Brought):
    """Are two dots joined by a dashed path? Pictures of 32 x 32 (Pathfinder) or 128 x 128 (Path-X).

    The arena splits 80 / 10 / 10 at random without a seed; here by a hash of the picture's place. Metadata are text
    lines in the release and real arrays from newer generators: both are read. The release's one empty picture
    (curv_baseline/imgs/0/sample_172.png) and other empty ones are left out and counted.
    """

    name = "lra-pathfinder"
    summary = "are two dots joined by a dashed path? pixel by pixel"
    licence = "Apache-2.0 (Long Range Arena); Linsley et al. 2018"
    places = ("lra-pathfinder", "lra_release/lra_release", "lra_release", ".")
    expects = "pathfinder32/curv_{baseline,contour_length_9,contour_length_14}/{imgs,metadata}"
    how = (
        "Download lra_release.gz (7.7 GB) from github.com/google-research/long-range-arena in a browser and unpack "
        "pathfinder32 (or pathfinder128) here."
    )

    class Params(PixelParams):
        """Which pictures."""

        side: Literal[32, 64, 128, 256] = 32
        """Pixels of a side: 32 is Pathfinder, 128 is Path-X."""
        difficulty: Literal["baseline", "contour_length_9", "contour_length_14"] = "contour_length_14"
        """Length of the path; the arena uses the longest."""

    params: Params

    def spec(self) -> DatasetSpec:
        return _spec(self.name, self.params.side**2, 2, self.params)

    def _home(self) -> Path:
        return self.folder() / f"pathfinder{self.params.side}" / f"curv_{self.params.difficulty}"

    def folder(self) -> Path:
        wanted = f"pathfinder{self.params.side}"
        return next((folder for folder in self.folders() if (folder / wanted).is_dir()), super().folder())

    def files(self) -> list[Path]:
        found = sorted((self._home() / "metadata").glob("*.npy"), key=lambda path: (len(path.stem), path.stem))
        if not found:
            raise BenchError(f"{self._home()}/metadata/*.npy not found", where=str(self.folder()), do=self.how)
        return found

    def drawings(self) -> list[Drawing]:
        """Every picture with its label, in the order of the metadata."""
        return [Drawing(self._home() / name, label) for path in self.files() for name, label in read_metadata(path)]

    def generate(self, write: Write, progress: Progress) -> None:
        drawings, side = self.drawings(), self.params.side
        keep, order = Unleaked(write, self.counted), {"test": 0, "val": 1, "train": 2}
        planned = sorted(((self._split(drawing), drawing) for drawing in drawings), key=lambda pair: order[pair[0]])
        for done, (split, drawing) in enumerate(planned, start=1):
            progress(done, len(planned))
            if there(drawing.path) and drawing.path.is_file() and drawing.path.stat().st_size == 0:
                self.counted["empty pictures (left out)"] += 1
                continue
            grey = read_grey(drawing.path)
            if grey.shape != (side, side):
                raise BenchError(f"is {grey.shape}, expected {side} x {side}", where=str(drawing.path))
            step, channel = sequence(grey, self.params.levels)
            keep(Sample(drawing.label, split, step=step, channel=channel))

    def _split(self, drawing: Drawing) -> SplitName:
        tenth = stream("lra-pathfinder", drawing.path.relative_to(self.folder()).as_posix()) % 10
        return "test" if tenth == 0 else "val" if tenth == 1 else "train"

    def check_file(self, path: Path) -> Iterator[Finding]:
        try:
            rows = read_metadata(path)
        except BenchError as error:
            yield Finding(str(path), error.problems[0].what, "a line for each picture, label in field 3")
            return
        absent = [name for name, _ in rows if not there(self._home() / name)]
        yield Finding(
            str(path), f"{len(absent)} pictures are missing, {absent[0]} first" if absent else "", "all pictures"
        )


def read_metadata(path: Path) -> list[tuple[str, int]]:
    """Place and label of each picture of one `metadata/<b>.npy`, whether it is an array or lines of text."""
    with decoding(path, "is no whole table"):
        raw = content(path)
        if raw.startswith(b"\x93NUMPY"):
            table = np.lib.format.read_array(io.BytesIO(raw), allow_pickle=False)
            lines = [[str(cell) for cell in row] for row in np.atleast_2d(table)]
        else:
            lines = [line.split() for line in raw.decode(errors="replace").splitlines() if line.strip()]
        return [_drawing(cells, f"{path}, row {number}") for number, cells in enumerate(lines, start=1)]


def _drawing(cells: list[str], where: str) -> tuple[str, int]:
    if len(cells) < 4 or cells[3] not in ("0", "1", "0.0", "1.0"):
        raise BenchError("expected folder, picture, number, label 0 or 1", where=where)
    place = f"{cells[0]}/{cells[1]}"
    if not set(place) <= _PLAIN or place.startswith("/") or ".." in place.split("/"):
        raise BenchError("the picture's place is no plain path below the folder", where=where)
    return place, int(float(cells[3]))
