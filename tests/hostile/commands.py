"""Targets that are command lines: words that nobody means, in this process and in one of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hypothesis import strategies as st

from tests.hostile.box import Box
from tests.hostile.case import Case, Odd, Target
from tests.hostile.documents import either, said
from tests.hostile.judge import WRITES_WHERE_TOLD
from tests.hostile.mutate import NASTY_NUMBERS, NASTY_TEXTS

_ODD = [text for text in NASTY_TEXTS if "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)]
_WORDS = st.sampled_from([*_ODD, "\udcff", "a\udc80"]) | st.text(
    st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12
)
"""What a shell can hand over: anything but NUL; bytes that are no UTF-8 arrive as lone surrogates."""


def _mostly(*known: str) -> st.SearchStrategy[str]:
    return either((3, st.sampled_from(known)), (1, _WORDS))


_PLACES = st.sampled_from(
    ("results", "elsewhere", "suites/mine.yaml", "suites/mine.yaml/x", "", "x" * 300, "x/" * 3000, "loop", "/proc/nowhere",
     "/dev/null", "/dev/null/x", "/dev/full", "é💥", "a\nb", "\udcff", "-", "dangling/x", "results/new/folder/x.json")
)  # fmt: skip
"""Where a user may ask for files: the box, and places where none can be."""
_SUITES = _mostly("mine", "mine", "suites/mine.yaml", "mine.yaml", "suites/mine", "loop", "suites", "pipe.yaml")
_ROWS = _mostly("lif@nowhere", "lif@pulse-order#", "@", "lif@pulse-order@x", "LIF@pulse-order")
_NUMBERS = _mostly(
    *(str(n) for n in NASTY_NUMBERS if n != 10**400), "1e3", "0,1", "1,,2", "٣", "0x1", "9" * 5000, "0", "1"
)
_NAMES = _mostly("shd", "pulse-order", "event-chain", "spike-file", "acme/none", "SHD", "digits")
_SETS = _mostly(
    "T=16", "T=", "=5", "T", "T=NaN", "T=Infinity", "T=-1", "T=1e400", "T=" + "9" * 400, "T=[1]", "T={}", "T=true",
     "window_s=Infinity", "window_s=NaN", "window_s=5e-324", "window_s=1e308", "file=../../x", "file=/etc/passwd", "file=.",
     "file=", "file=" + "x" * 300, "file=a\nb", "base=event-chain", 'base_params={"T": "x"}', "base=../x", "base=digits",
     'base_params={"coding": "latency"}', 'base_params={"coding": 5}', "base=shd", "base_params={}", "classes=99",
     "T=" + "[" * 3000,
)  # fmt: skip

_PATHS = {"--suites": _PLACES, "--results": _PLACES}
_OPTIONS: dict[tuple[str, ...], dict[str, st.SearchStrategy[str] | None]] = {
    ("plan",): {"--jobs": _NUMBERS, "--only": _WORDS, "--seeds": _NUMBERS, "--json": None, **_PATHS},
    ("run",): {"--only": _WORDS, "--seeds": _NUMBERS, "--runner": _mostly("serial", "ray"), "--suites": _PLACES},
    ("report",): {"--json": None, **_PATHS},
    ("index",): _PATHS,
    ("compare",): {"--baseline": _PLACES, "--markdown": _PLACES, "--junit": _PLACES, "--json": None, **_PATHS},
    ("why",): {"--suite": _SUITES, "--json": None, **_PATHS},
    ("reproduce",): {"--suite": _SUITES, "--jobs": _NUMBERS, "--json": None, **_PATHS},
    ("check",): {"--params": _SETS, "--json": None},
    ("lock",): _PATHS,
    ("claims",): {"--claims": _PLACES, "--json": None, **_PATHS},
    ("new", "method"): {"--to": _PLACES},
    ("submit",): {"--suite": _SUITES, "--to": _PLACES, **_PATHS},
    ("data", "list"): {"--json": None},
    ("data", "get"): {"--from": _PLACES},
    ("data", "check"): {"--set": _SETS, "--from": _PLACES, "--json": None},
    ("data", "path"): {"--set": _SETS, "--from": _PLACES, "--json": None},
    ("data", "probe"): {"--seeds": _WORDS, "--from": _PLACES, "--json": None},
    ("data", "prepare"): {"--manifest": _PLACES, **_PATHS},
    (): {"--help": None, "--version": None},
}
_CALLED: dict[str, st.SearchStrategy[str]] = {
    "plan": _SUITES, "run": _SUITES, "report": _SUITES, "compare": _SUITES, "lock": _SUITES, "prepare": _SUITES,
    "why": _ROWS | st.just("lif"), "reproduce": _ROWS, "submit": _ROWS | st.just("wide@pulse-order"),
    "check": _mostly("lif@", "../lif", "acme/x"), "method": _mostly("my-neuron", "a-b-c", "torch", "My", "a--b", "if"),
    "get": _mostly("dvs-gesture", "lra-text", "nothing", "pulse-order"), "check data": _NAMES, "path": _NAMES,
    "probe": _mostly("nothing", "shd", "n-mnist"),
}  # fmt: skip
_LAID: tuple[tuple[str, bytes | Odd], ...] = (
    ("loop", Odd("loop")),
    ("dangling", Odd("dangling")),
    ("pipe.yaml", Odd("pipe")),
)


@st.composite
def command_lines(draw: st.DrawFn) -> Case:
    """A verb with its words, some of them strange, some missing, some too many."""
    verb = draw(st.sampled_from(sorted(_OPTIONS)))
    called = _CALLED.get("check data" if verb == ("data", "check") else verb[-1] if verb else "")
    words = list(verb)
    if called is not None and draw(st.integers(0, 9)):
        word = draw(called)
        words += ["--", word] if word.startswith("-") and draw(st.booleans()) else [word]
    if draw(st.integers(0, 29)) == 0:
        words.insert(draw(st.integers(0, len(words))), draw(_WORDS))
    options = _OPTIONS[verb]
    for name in draw(st.lists(st.sampled_from(sorted(options)), max_size=3)) if options and "--" not in words else ():
        value = options[name]
        words += [name] if value is None else [name, draw(value)] if draw(st.integers(0, 19)) else [name]
    if "--suite" in options and "--suite" not in words and "--" not in words and draw(st.integers(0, 5)):
        words += ["--suite", "mine"]
    if verb == ("run",) and "--" not in words:
        words += ["--no-track", "--jobs", "1", "--results", "results"]
    return Case(_LAID, tuple(words))


def _apart(case: Case, folder: Path) -> str:
    """The same in a process of its own, whose terminal is narrow and knows ASCII alone."""
    before = _listing(folder)
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "COLUMNS": "20", "TERM": "dumb"}
    root = Path(__file__).parents[2]
    environment["PYTHONPATH"] = str(root)
    words = [os.fsencode(word) for word in case.words]
    done = subprocess.run(
        [sys.executable, "-m", "snn5bench", *words], env=environment, capture_output=True, timeout=120,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    err = done.stderr.decode(errors="replace")
    if done.returncode not in (0, 1, 2, 3) or "Traceback" in err:
        raise AssertionError(f"ended with {done.returncode}: {err[-2000:]}")
    told = {
        Path(word).resolve()
        for option, word in zip(case.words, case.words[1:], strict=False)
        if option in WRITES_WHERE_TOLD
    }
    roots = (*told, *(folder / name for name in ("results", "cache", "submissions", "baselines/locked")))
    here = case.words[:2] == ("new", "method") and "--to" not in case.words
    strange = (
        []
        if here
        else [p for p in _listing(folder) - before if not any(p == root or root in p.parents for root in roots)]
    )
    if strange:
        raise AssertionError(f"wrote {strange[0]}")
    return err if done.returncode == 2 else ""


def _listing(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if not path.is_dir()}


TARGETS = (
    Target("command lines", 1400, command_lines, said, Box.stock, names_place=False),
    Target(
        "command lines, own process", 80, command_lines, _apart, Box.stock, names_place=False, starts_processes=True
    ),
)
