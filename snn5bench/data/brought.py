"""Datasets that the user brings: where they are looked for, what must be there, and what is wrong with it."""

from __future__ import annotations

import hashlib
import os
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, NamedTuple

from snn5bench.contracts.dataset import Dataset
from snn5bench.contracts.verdict import Verdict
from snn5bench.errors import BenchError


class Download(NamedTuple):
    """A file whose address and checksum are both known."""

    url: str
    file: str
    """Its name here."""
    checksum: str
    """`md5:...` or `sha256:...`, as its publisher or a well-kept library states it."""
    unpack: bool = False
    """Whether the dataset's reader needs it unpacked."""


class Finding(NamedTuple):
    """One thing that `check` looked at."""

    path: str
    problem: str
    """Empty where it is as expected."""
    expected: str = ""


def data_roots() -> list[Path]:
    """The folders of `SNN5BENCH_DATA` (separated as in `PATH`), or `./data`."""
    named = [part for part in os.environ.get("SNN5BENCH_DATA", "").split(os.pathsep) if part]
    try:
        return [Path(part).expanduser() for part in named] or [Path("data")]
    except RuntimeError as error:
        raise BenchError(
            str(error), where=f"SNN5BENCH_DATA={os.pathsep.join(named)}", do="write the path out"
        ) from error


class Brought(Dataset):
    """A dataset in the form in which its publisher (or tonic) lays it on disk.

    Subclasses set the words below and implement `files`, `spec`, `generate` and, where they can tell more than that a
    file is there, `check`.
    """

    places: ClassVar[tuple[str, ...]]
    """Names of its folder under a data root: ours first, then those that other libraries use."""
    expects: ClassVar[str]
    """The files that must be in the folder, in words."""
    how: ClassVar[str]
    """Where to get them, and their size."""
    downloads: ClassVar[tuple[Download, ...]] = ()

    def folders(self) -> list[Path]:
        """Every folder that is looked into, the preferred one first."""
        return [root / place for root in data_roots() for place in self.places]

    def folder(self) -> Path:
        """The first folder that exists, else the preferred one."""
        return next((folder for folder in self.folders() if folder.is_dir()), self.folders()[0])

    @abstractmethod
    def files(self) -> list[Path]:
        """Every file that is read, in a fixed order. Raises `BenchError` where one that must be there is missing."""

    def available(self) -> Verdict:
        """Whether the files are there; else which folder to fill, with what, and where to get it."""
        try:
            self.files()
        except BenchError as error:
            return Verdict.no(
                f"{error.problems[0].what}; put {self.expects} into {self.folders()[0]} "
                f"(SNN5BENCH_DATA names the folder above). {self.how}"
            )
        return Verdict.yes()

    def transform(self) -> dict[str, object]:
        """The parameters, and a digest of the names and sizes of the files; their content is in the fingerprint."""
        return {**super().transform(), "files": self._stamp()}

    def _stamp(self) -> str:
        try:
            folder, files = self.folder(), self.files()
            listing = "\n".join(f"{path.relative_to(folder).as_posix()} {path.stat().st_size}" for path in files)
        except (BenchError, OSError):
            return "absent"
        return hashlib.sha256(listing.encode()).hexdigest()[:16]

    def check(self) -> Iterator[Finding]:
        """A finding for each thing looked at; a problem says what is wrong and what was expected."""
        try:
            files = self.files()
        except BenchError as error:
            yield Finding(str(self.folder()), error.problems[0].what, self.expects)
            return
        for path in files:
            yield from self.check_file(path)

    def check_file(self, path: Path) -> Iterator[Finding]:
        """Findings on one file; by default, that it has any content."""
        empty = path.stat().st_size == 0
        yield Finding(str(path), "the file is empty" if empty else "", "some content" if empty else "")

    def need(self, names: Sequence[str]) -> list[Path]:
        """The files of these names in the folder; raises `BenchError` that names those that are missing."""
        folder = self.folder()
        paths = [folder / name for name in names]
        absent = [f"{path.name:.80}" for path in paths if not there(path)]
        if absent:
            raise BenchError(f"{', '.join(absent)} not found", where=str(folder), do=self.how)
        return paths


def there(path: Path) -> bool:
    """Whether anything has that name; a name that no file can have has nothing."""
    try:
        return path.exists()
    except OSError:
        return False


def whole(path: Path) -> Path:
    """`path` where it is a file with content, else a `BenchError` that says what it is instead."""
    if not there(path):
        raise BenchError("is not there", where=str(path), do="get the file again")
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is no plain file"
        raise BenchError(f"{what}, expected a file", where=str(path), do="move the file that should be here")
    if path.stat().st_size == 0:
        raise BenchError("the file is empty", where=str(path), do="get it again: the download broke off")
    return path


MOST_BYTES = 1 << 28
"""Of a file that is read as a whole; the largest that are published so have 160 MB."""


def content(path: Path) -> bytes:
    """All bytes of a file."""
    if (size := whole(path).stat().st_size) > MOST_BYTES:
        raise BenchError(f"has {size:,} bytes, expected at most {MOST_BYTES:,}", where=str(path), do="get it again")
    return path.read_bytes()


def text_of(path: Path) -> str:
    """The text of a file in UTF-8."""
    with decoding(path, "is no text in UTF-8"):
        return content(path).decode()


@contextmanager
def decoding(path: Path, what: str) -> Iterator[None]:
    """Names the file where a decoder stumbles. On bytes that nobody foresaw, decoders raise whatever their depths raise:
    anything but a `BenchError` becomes one that says `what` is wrong."""
    try:
        yield
    except BenchError:
        raise
    except Exception as error:
        why = f"{str(error) or type(error).__name__:.200}"
        raise BenchError(f"{what} ({why})", where=str(path), do="get the file again") from error
