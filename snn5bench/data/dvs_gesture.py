"""`dvs-gesture`: eleven hand and arm gestures before an event camera."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from snn5bench.contracts.dataset import DatasetSpec, Progress, Sample, SplitName, Write
from snn5bench.contracts.params import DatasetParams
from snn5bench.data.aer import Address, read_aedat31
from snn5bench.data.brought import Brought, Finding, decoding, text_of, whole
from snn5bench.data.spike_times import to_steps
from snn5bench.errors import BenchError

SIDE = 128
_TRIALS: dict[SplitName, str] = {"train": "trials_to_train.txt", "test": "trials_to_test.txt"}
_TONIC: dict[SplitName, str] = {"train": "ibmGestureTrain", "test": "ibmGestureTest"}
_CLASSES = tuple(str(number) for number in range(11))
_LATEST = 1 << 40
"""Beyond any time in micro- or milliseconds: twelve days."""
REPAIRED = "clips with an end before their start or after the next start (end at the next start)"


class Clip(NamedTuple):
    """One gesture: its events from its own start."""

    where: str
    label: int
    split: SplitName
    user: int
    events: Address


class DvsGesture(Brought):
    """DVS128 Gesture (Amir et al. 2017) in either form: the published AEDAT 3.1 recordings with their label files, cut
    at the labels, or tonic's folders of cut clips, whose times are whole milliseconds.

    Users 24 to 29 are the official test split; validation is carved by user. The first 1.5 s of a clip are used by
    default (Shrestha and Orchard 2018); later events are counted. Whether it needs time is disputed (Vicente-Sola et
    al. 2022: solved from accumulated frames): see its probe and its twins.
    """

    name = "dvs-gesture"
    summary = "eleven gestures before an event camera, 29 users; disputed whether it needs time"
    licence = "CC BY 4.0"
    places = ("dvs-gesture", "DvsGesture", "DVSGesture")
    expects = (
        "trials_to_{train,test}.txt with the .aedat and _labels.csv files they name, or tonic's ibmGestureTrain "
        "and ibmGestureTest"
    )
    how = (
        "Download DvsGesture.tar.gz from research.ibm.com/dvsgesture in a browser and unpack it here: the "
        "mirrors that libraries use answer programs with an empty file."
    )

    class Params(DatasetParams):
        """Bins."""

        T: int = Field(60, ge=1, le=10_000)
        """Timesteps."""
        window_s: float = Field(1.5, gt=0)
        """Seconds from the start of a clip that the T steps share."""
        pool: Literal[1, 2, 4, 8] = 4
        """Side of the squares of pixels that share a channel; 4 gives 32 x 32."""

    params: Params

    def spec(self) -> DatasetSpec:
        side = SIDE // self.params.pool
        return DatasetSpec(
            name=self.name,
            n_classes=11,
            T=self.params.T,
            channels=2 * side * side,
            shape=(2, side, side),
            coding="events",
            temporal=True,
            bin_ms=1000 * self.params.window_s / self.params.T,
        )

    def _is_tonic(self) -> bool:
        return all((self.folder() / name).is_dir() for name in _TONIC.values())

    def files(self) -> list[Path]:
        folder = self.folder()
        if self._is_tonic():
            return sorted(path for name in _TONIC.values() for path in (folder / name).glob("user*/*.npy"))
        lists = self.need(list(_TRIALS.values()))
        trials = [trial for path in lists for trial in _trials(path)]
        if not trials:
            raise BenchError("the lists of trials are empty", where=str(folder))
        recordings = self.need([name for trial in trials for name in (trial, _labels_of(trial))])
        return [*lists, *recordings]

    def generate(self, write: Write, progress: Progress) -> None:
        p = self.params
        clips = self._tonic_clips if self._is_tonic() else self._aedat_clips
        total, read = len(self.files()), set[str]()
        for clip in clips():
            try:
                pixel = clip.events.channel(SIDE, SIDE, p.pool)
            except ValueError as error:
                raise BenchError(str(error), where=clip.where) from error
            channels = self.spec().channels
            step, channel = to_steps(clip.events.t, pixel, p.T, 1e6 * p.window_s, channels, clip.where, self.counted)
            write(Sample(clip.label, clip.split, clip.user, step=step, channel=channel))
            read.add(clip.where.partition(",")[0])
            progress(min(len(read), total), total)

    def _aedat_clips(self) -> Iterator[Clip]:
        for split, listing in _TRIALS.items():
            for trial in _trials(self.folder() / listing):
                yield from self._cut(self.folder() / trial, split)

    def _cut(self, path: Path, split: SplitName) -> Iterator[Clip]:
        events = read_aedat31(path)
        spans = read_labels(path.with_name(_labels_of(path.name)))
        starts = sorted(start for _, start, _ in spans)
        user = _user(path.name, path)
        for number, (label, start, end) in enumerate(spans):
            later = next((other for other in starts if other > start), None)
            if end <= start or (later is not None and end > later):
                end = later if later is not None else int(events.t.max(initial=start)) + 1
                self.counted[REPAIRED] += 1
            inside = (events.t >= start) & (events.t < end)
            cut = Address(*(column[inside] for column in events))
            yield Clip(f"{path}, clip {number}", label, split, user, cut._replace(t=cut.t - start))

    def _tonic_clips(self) -> Iterator[Clip]:
        for split, name in _TONIC.items():
            for path in sorted((self.folder() / name).glob("user*/*.npy")):
                if path.stem not in _CLASSES:
                    raise BenchError(f"is no class, expected 0.npy to {len(_CLASSES) - 1}.npy", where=str(path))
                events, user = read_tonic(path), _user(path.parent.name, path)
                first = events.t.min(initial=np.iinfo(np.int64).max)
                yield Clip(str(path), int(path.stem), split, user, events._replace(t=events.t - first))

    def check_file(self, path: Path) -> Iterator[Finding]:
        try:
            if path.suffix == ".npy":
                read_tonic(path)
            elif path.suffix == ".csv":
                read_labels(path)
            elif path.suffix == ".aedat":
                read_aedat31(path).channel(SIDE, SIDE)
        except (BenchError, ValueError) as error:
            what = error.problems[0].what if isinstance(error, BenchError) else str(error)
            yield Finding(str(path), what, "events on 128 x 128 pixels, or rows class,start,end")
        else:
            yield Finding(str(path), "")


def _trials(path: Path) -> list[str]:
    """The recordings that a list names, plain file names each."""
    trials = [line.strip() for line in text_of(path).splitlines() if line.strip()]
    for number, trial in enumerate(trials, start=1):
        if Path(trial).name != trial or not trial.endswith(".aedat"):
            raise BenchError(f"'{trial:.80}' is no name of an .aedat file", where=f"{path}, trial {number}")
    return trials


def _user(name: str, path: Path) -> int:
    """24 from `user24_led.aedat`."""
    if not (name.startswith("user") and name[4:6].isascii() and name[4:6].isdigit()):
        raise BenchError(f"'{name:.80}' names no user, expected user01 to user29", where=str(path))
    return int(name[4:6])


def _labels_of(trial: str) -> str:
    return f"{trial.removesuffix('.aedat')}_labels.csv"


def read_labels(path: Path) -> list[tuple[int, int, int]]:
    """Class 0..10, start and end in microseconds, of each gesture of a recording."""
    rows: list[tuple[int, int, int]] = []
    with decoding(path, "is no list of labels"):
        for number, row in enumerate(csv.DictReader(text_of(path).splitlines()), start=2):
            try:
                label, start, end = (int(row[key]) for key in ("class", "startTime_usec", "endTime_usec"))
            except (KeyError, TypeError, ValueError) as error:
                raise BenchError("expected class,startTime_usec,endTime_usec", where=f"{path}:{number}") from error
            if not 1 <= label <= len(_CLASSES):
                raise BenchError(f"class {label!s:.20} is not in 1..{len(_CLASSES)}", where=f"{path}:{number}")
            if not 0 <= min(start, end) <= max(start, end) < _LATEST:
                raise BenchError("start and end are not microseconds from 0", where=f"{path}:{number}")
            rows.append((label - 1, start, end))
    return rows


def read_tonic(path: Path) -> Address:
    """One of tonic's clips: N x 4 columns x, y, polarity and milliseconds."""
    with decoding(path, "is no whole .npy file"), whole(path).open("rb") as file:
        raw = np.lib.format.read_array(file, allow_pickle=False)
    if raw.ndim != 2 or raw.shape[1] != 4 or raw.dtype.kind not in "iufb":
        raise BenchError(
            f"holds {raw.dtype} {raw.shape}, expected rows of x, y, polarity, milliseconds", where=str(path)
        )
    if not (np.abs(raw.astype(np.float64)) < _LATEST).all():
        raise BenchError("holds values that are not finite, or too large", where=str(path))
    x, y, polarity, ms = raw.astype(np.int64).T
    return Address(x, y, polarity & 1, ms * 1000)
