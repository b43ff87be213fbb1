"""One hostile input: files as they are laid down, and the words of a command."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from hypothesis import strategies as st

from tests.hostile.box import Box


class Odd(NamedTuple):
    """Something other than a plain file of some bytes."""

    kind: str
    """`gone, folder, pipe, loop, dangling, link, device, sparse`"""


ODDITIES = st.sampled_from(
    [Odd(kind) for kind in ("gone", "folder", "pipe", "loop", "dangling", "link", "device", "sparse")]
)
SPARSE_BYTES = 1 << 40


class Case(NamedTuple):
    """What is laid into a whole box, and what is then run there."""

    files: tuple[tuple[str, bytes | Odd], ...] = ()
    words: tuple[str, ...] = ()


class Target(NamedTuple):
    """One kind of input."""

    name: str
    share: int
    """Inputs of 10,000."""
    cases: Callable[[], st.SearchStrategy[Case]]
    """Called once in a whole box, whose files the strategy spoils."""
    run: Callable[[Case, Path], str]
    """Feeds the input to the product, in its box. Returns what it said of it; empty where it took it. What it raises, other
    than a `BenchError`, is a fault."""
    stock: Callable[[Box], None]
    """Makes the box whole."""
    names_place: bool = True
    """Whether what it says must name a file of the input."""
    starts_processes: bool = False
    """Whether `run` starts processes of its own accord."""


def lay(case: Case, folder: Path) -> None:
    """Put the files of a case in their places below `folder`."""
    for name, content in case.files:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content.kind == "folder":
            path.mkdir()
        elif content.kind == "pipe":
            os.mkfifo(path)
        elif content.kind == "sparse":
            with path.open("wb") as file:
                file.truncate(SPARSE_BYTES)
        elif content.kind != "gone":
            aims = {"loop": path.name, "dangling": "nowhere", "link": "/etc/passwd", "device": "/dev/zero"}
            path.symlink_to(aims[content.kind])
