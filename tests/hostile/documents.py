"""Targets that people write or get: suites, records, predictions, claims, baselines, packed data, submissions."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from snn5bench.errors import BenchError
from tests.hostile.box import CLAIMS, SUITE, Box
from tests.hostile.case import ODDITIES, Case, Target
from tests.hostile.console import snn5bench
from tests.hostile.mutate import as_json, blobs, lines, trees, values


def said(case: Case, folder: Path) -> str:
    """Run the words of a case; what they said on standard error where they refused."""
    ended = snn5bench(*case.words)
    if ended.code not in (0, 1, 2, 3) or "Traceback" in ended.out + ended.err:
        raise AssertionError(f"ended with {ended.code}: {ended.err[-2000:]}")
    if ended.code == 2 and not (ended.err.strip() or ended.out.strip()):
        raise AssertionError("refused without a word")
    return (ended.err or ended.out) if ended.code == 2 else ""


def either(*pairs: tuple[int, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """One of the strategies, by weight."""
    return st.sampled_from([s for weight, s in pairs for _ in range(weight)]).flatmap(lambda s: s)


def one(
    name: str, content: st.SearchStrategy[Any], *words: st.SearchStrategy[tuple[str, ...]]
) -> st.SearchStrategy[Case]:
    """A case with one spoilt file and one of the commands."""
    commands = st.one_of(*words) if words else st.just(())
    return st.builds(lambda c, w: Case(((name, c),), w), either((9, content), (1, ODDITIES)), commands)


def command(*words: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.just(words)


def _yaml(text: str) -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(text)


_GROWN = st.sampled_from(
    (
        b"datasets: [" + b"pulse-order, " * 4000 + b"]\nmethods: [lif]\nseeds: [0]\n",
        b"seeds: [" + b"0, " * 20000 + b"]\nmethods: [lif]\ndatasets: [digits]\n",
        b"seeds: [" + ", ".join(map(str, range(9000))).encode() + b"]\nmethods: [lif, glif]\ndatasets: [digits]\n",
        b"seeds: [0]\nbudget: {epochs: 1, batch_size: 1}\ndatasets: [digits]\nmethods:\n"
        + b"".join(b"- {name: lif, label: l%d}\n" % i for i in range(2400)),
        b"methods: [lif]\nseeds: [0]\ndatasets:\n- name: digits\n  grid:\n"
        + b"".join(b"    a%d: [%s]\n" % (i, b"1, " * 300) for i in range(8)),
        b"methods: [lif]\nseeds: [0]\ndatasets: [digits]\nbaseline: '" + b"*" * 60000 + b"'\n",
        b"a: " * 20000, b"- " * 30000, b"? " * 30000, b"[" * 65000, b"{" * 65000, b"\n" * 65000, b"a\n" * 32000,
        b"'" * 65001, b"| \n" + b" x\n" * 21000, b"#" * 65536, b"k: &a [*a, *a]\n", b"<<: {a: 1}\n", b"k: !!set {a, b}\n",
        b"%YAML 1.1\n---\nseeds: 012\n", b"---\n---\n", b"...\n", b"--- !!python/object/apply:os.system [ls]\n",
        "".join(f"k{i}: {{a: {i}}}\n" for i in range(4000)).encode(),
    )
)  # fmt: skip
_SUITES = either(
    (4, trees(_yaml(SUITE)).map(as_json)),
    (4, lines(SUITE)),
    (1, blobs(SUITE.encode())),
    (1, _GROWN),
    (1, values.map(as_json)),
)
_WORDS = (
    command("plan", "mine"), command("plan", "mine", "--json"), command("why", "lif@pulse-order#0", "--suite", "mine"),
    command("compare", "mine"), command("compare", "mine", "--json"), command("lock", "mine"), command("claims"),
    command("claims", "--json"), command("submit", "lif@pulse-order", "--suite", "mine"),
    command("report", "mine", "--json"),
)  # fmt: skip


def spoilt(path: Path) -> st.SearchStrategy[bytes]:
    """The content of a whole file of the box, spoilt by its kind."""
    good = path.read_bytes()
    return (
        either((4, trees(json.loads(good)).map(as_json)), (1, blobs(good))) if path.suffix == ".json" else blobs(good)
    )


def _suites() -> st.SearchStrategy[Case]:
    words = (
        command("plan", "mine", "--json"), command("plan", "mine"), command("plan", "mine", "--only", "l*", "--seeds", "0"),
    )  # fmt: skip
    return one("suites/mine.yaml", _SUITES, *words)


def _records() -> st.SearchStrategy[Case]:
    found = [
        p for name in ("lif", "wide", "lif+notd") for p in Path("results/mine/cells").glob(f"{name}--*--s0--*.json")
    ]
    return st.one_of([one(str(path), spoilt(path), *_WORDS) for path in found])


_DTYPES = ("i1", "u8", "i8", "f2", "f8", "?", "c16", "U3", "S2", "M8[s]", "V3")
_SHAPES = ((), (0,), (1,), (39,), (40,), (41,), (40, 1), (1, 40), (2, 20), (10**5,))


@st.composite
def _arrays(draw: st.DrawFn) -> bytes:
    """An npz whose arrays have other types, shapes, names or values than predictions have."""
    out: dict[str, np.ndarray] = {}
    for name in ("index", "label", "prediction"):
        how = draw(st.sampled_from(("good", "good", "odd", "gone", "value", "renamed")))
        good = np.arange(40, dtype="i4") % 2 if name != "index" else np.arange(40, dtype="i4")
        if how == "odd":
            good = np.zeros(draw(st.sampled_from(_SHAPES)), dtype=draw(st.sampled_from(_DTYPES)))
        elif how == "value":
            good[draw(st.integers(0, 39))] = draw(st.integers(-(2**31), 2**31 - 1))
        if how != "gone":
            out[name if how != "renamed" else draw(st.text(st.characters(codec="ascii"), min_size=1, max_size=8))] = (
                good
            )
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **out)  # type: ignore[arg-type]
    return buffer.getvalue()


@st.composite
def _zips(draw: st.DrawFn) -> bytes:
    """A zip that is no npz: strange members, headers that lie."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", draw(st.sampled_from((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))) as archive:
        for _ in range(draw(st.integers(0, 3))):
            name = draw(st.sampled_from(("label.npy", "prediction.npy", "../x.npy", "/etc/x.npy", "label", "a" * 300)))
            head = draw(
                st.sampled_from(
                    (
                        "{'descr': '<i8', 'fortran_order': False, 'shape': (%d,), }",
                        "{'descr': 'O', 'fortran_order': False, 'shape': (1,), }%.0d",
                        "(" * 90 + "%d",
                    )
                )
            )
            text = (head % draw(st.sampled_from((1, 10**6, 10**12, -5)))).ljust(117).encode() + b"\n"
            body = (
                b"\x93NUMPY"
                + draw(st.sampled_from((b"\x01\x00", b"\x02\x00", b"\x09\x00")))
                + len(text).to_bytes(2, "little")
            )
            archive.writestr(name, draw(st.sampled_from((body + text + b"\0" * 80, b"", b"x" * 100, b"\0" * 10**6))))
    return buffer.getvalue()


def _predictions() -> st.SearchStrategy[Case]:
    (path,) = Path("results/mine/cells").glob("lif--*--s0--*.npz")
    words = (
        command("compare", "mine"), command("lock", "mine"), command("claims"), command("report", "mine", "--json"),
        command("submit", "lif@pulse-order", "--suite", "mine"), command("compare", "mine", "--json"),
    )  # fmt: skip
    return one(str(path), either((3, spoilt(path)), (3, _arrays()), (2, _zips())), *words)


def _claims() -> st.SearchStrategy[Case]:
    content = either(
        (4, trees(_yaml(CLAIMS)).map(as_json)), (3, lines(CLAIMS)), (1, blobs(CLAIMS.encode())), (1, _GROWN)
    )
    return one("baselines/claims/a.yaml", content, command("claims"), command("claims", "--json"))


def _baselines() -> st.SearchStrategy[Case]:
    path = Path("baselines/locked/mine.json")
    words = (
        command("compare", "mine"), command("compare", "mine", "--json"),
        command("compare", "mine", "--markdown", "results/c.md", "--junit", "results/c.xml"),
    )  # fmt: skip
    return one(str(path), either((9, spoilt(path)), (1, values.map(as_json))), *words)


def _packed() -> st.SearchStrategy[Case]:
    """`meta.json` and the arrays of the packed data."""
    folder = next(path.parent for path in Path("cache/datasets").glob("*/meta.json"))
    words = (
        command("plan", "mine"), command("data", "check", *_SET), command("data", "path", *_SET),
        command("data", "prepare", "mine", "--manifest", "results/m.json"), command("why", "lif", "--suite", "mine"),
    )  # fmt: skip
    parts = [one(str(path), spoilt(path), *words) for path in sorted(folder.iterdir())]
    meta = one(str(folder / "meta.json"), spoilt(folder / "meta.json"), *words)
    return either((1, meta), (1, st.one_of(parts)))


_SETTINGS = ("T=16", "min_gap=2", "max_gap=4", "train=30", "val=10", "test=20")
_SET = ("pulse-order", *(word for setting in _SETTINGS for word in ("--set", setting)))


def _verify(case: Case, folder: Path) -> str:
    from snn5bench.submission import verify

    try:
        report = verify(Path("submissions/mine/lif--pulse-order"), rerun=False)
    except BenchError as error:
        return str(error)
    return "\n".join(map(str, report.problems))


def _submissions() -> st.SearchStrategy[Case]:
    """A file of a submission, or a further one."""
    folder = Path("submissions/mine/lif--pulse-order")
    parts = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content = lines(SUITE) | trees(_yaml(SUITE)).map(as_json) if path.suffix == ".yaml" else spoilt(path)
        parts.append(one(str(path), content))
    more = st.sampled_from(("x", "cells/x.json", "cells/x.npz", "cells/sub/x.json", "b.yaml", "cells"))
    parts.append(st.builds(lambda n, c: Case(((str(folder / n), c),)), more, st.binary(max_size=40) | ODDITIES))
    return st.one_of(parts)


def stock_submission(box: Box) -> None:
    """Put a whole submission into the box."""
    box.stock()
    ended = snn5bench("submit", "lif@pulse-order", "--suite", "mine")
    assert ended.code == 0, ended.err
    box.keep()


TARGETS = (
    Target("suites", 1500, _suites, said, Box.stock),
    Target("records", 1500, _records, said, Box.stock),
    Target("predictions", 900, _predictions, said, Box.stock),
    Target("claims", 700, _claims, said, Box.stock),
    Target("baselines", 900, _baselines, said, Box.stock),
    Target("packed data", 500, _packed, said, Box.stock),
    Target("submissions", 400, _submissions, _verify, stock_submission),
)
