"""Targets that are data files: every form that users bring, read by its own reader, packed and checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from unittest.mock import patch

from hypothesis import strategies as st

from tests.hostile.box import Box
from tests.hostile.case import ODDITIES, Case, Target
from tests.hostile.documents import either, said
from tests.hostile.formats import NAMES, content_for
from tests.hostile.mutate import blobs
from tests.hostile.plant import PLANTS

SHARE = 180


class _Here:
    """A pool of processes that is this one, so that an input stays where it is watched."""

    def __init__(self, max_workers: int) -> None:
        assert max_workers > 0

    def map(self, call: Callable[..., object], *columns: Iterable[object], chunksize: int) -> Iterator[object]:
        return map(call, *columns)

    def shutdown(self, wait: bool, kill_workers: bool) -> None:
        pass


def _settings(name: str) -> list[str]:
    return [word for key, value in PLANTS[name].params.items() for word in ("--set", f"{key}={value}")]


def stock(name: str, box: Box) -> None:
    """Lay the whole data down."""
    box.empty()
    PLANTS[name].lay(box.work / "data")
    box.keep()


def _cases(name: str) -> st.SearchStrategy[Case]:
    paths = sorted(path for path in Path("data").rglob("*") if path.is_file())
    parts = []
    for path in paths:
        good = path.read_bytes()
        others = [p.read_bytes() for p in paths if p != path][:8]
        other = st.sampled_from(others) if others else st.just(b"")
        content = either((8, content_for(str(path), good)), (4, blobs(good)), (1, other), (1, ODDITIES))
        spoilt = content.map(lambda c, at=str(path): Case(((at, c),)))
        renamed = NAMES.map(lambda n, at=path, raw=good: _renamed(at, n, raw))
        parts.append(either((15, spoilt), (1, renamed)))
    kinds: dict[tuple[str, bool], list[st.SearchStrategy[Case]]] = {}
    for path, part in zip(paths, parts, strict=True):
        kinds.setdefault((path.suffix, "list" in path.name), []).append(part)
    return st.one_of([st.one_of(group[:6]) for group in kinds.values()])


def _renamed(path: Path, name: str, raw: bytes) -> Case:
    from tests.hostile.case import Odd

    return Case(((str(path), Odd("gone")), (str(path.with_name(f"{name}{path.suffix}")), raw)))


def _read(name: str, case: Case, folder: Path) -> str:
    """`data check`, then the reader and the packed store; what that refused."""
    import loky

    from snn5bench.data.cache import prepare
    from snn5bench.data.whole import check_packed
    from snn5bench.shelf import make

    plant, words = PLANTS[name], _settings(name)
    said(Case(words=("data", "check", plant.dataset, *words)), folder)
    dataset = make(plant.dataset, words[1::2])
    with patch.object(loky, "ProcessPoolExecutor", _Here):
        packed = prepare(dataset)
    finding = check_packed(packed.folder)
    if finding.problem:
        raise AssertionError(f"packed, but not whole: {finding.problem}")
    return ""


TARGETS = tuple(
    Target(f"data: {name}", SHARE, partial(_cases, name), partial(_read, name), partial(stock, name)) for name in PLANTS
)
