"""Hypothesis strategies that spoil what is good: bytes, lines of text, and trees of plain values."""

from __future__ import annotations

import copy
import json
import struct
from typing import Any

from hypothesis import strategies as st

NASTY_NUMBERS: tuple[Any, ...] = (
    0, -1, 1, 2**31, -(2**31), 2**32, 2**53 + 1, 2**63, -(2**63), 2**64, 10**30, 10**400, 0.5, -0.0, 1e-320, 1e300,
    float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
NASTY_TEXTS = (
    "", " ", "\n", "\x00", "\x1b[2J\x1b]0;owned\x07", "\ufeff", "\u202egnp.exe", "\ud7ff", "é" * 30, "日本語", "💥",
    "x" * 61, "x" * 300, "x" * 5000, "../../outside", "/etc/passwd", "..", ".", "~", "~nobody/x", "-rf", "--help", "a/b",
    "a\\b", "C:\\x", "con", "NaN", "null", "true", "0", "-1", "1e999", "1_000", "0x10", "2001-01-01", "{{7*7}}", "${HOME}",
    "$(touch owned)", "`touch owned`", "%s%n", "<script>alert(1)</script>", "'; drop table cells; --", "=1+1", "*", "[a-",
    "*" * 40, "(a+)+$", "[" * 200,
)  # fmt: skip

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(NASTY_NUMBERS),
    st.integers(-10, 10),
    st.integers(),
    st.floats(),
    st.sampled_from(NASTY_TEXTS),
    st.text(max_size=12),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
"""What a document may hold where something else is expected."""

Path_ = tuple[Any, ...]


def paths(tree: Any, at: Path_ = ()) -> list[Path_]:
    """The place of every value of a tree, the root first."""
    found = [at]
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        found += paths(value, (*at, key))
    return found


@st.composite
def trees(draw: st.DrawFn, base: Any, edits: int = 3) -> Any:
    """`base` with up to `edits` values replaced, removed, doubled, renamed or swapped."""
    tree = copy.deepcopy(base)
    for _ in range(draw(st.integers(1, edits))):
        at = draw(st.sampled_from(paths(tree)))
        if not at:
            if draw(st.integers(0, 19)) == 0:
                return draw(values)
            continue
        parent = tree
        for key in at[:-1]:
            parent = parent[key]
        how = draw(
            st.sampled_from(("replace", "replace", "number", "remove", "double", "rename", "swap", "add", "deepen"))
        )
        if how == "replace":
            parent[at[-1]] = draw(values)
        elif how == "number":
            parent[at[-1]] = draw(st.sampled_from(NASTY_NUMBERS))
        elif how == "remove":
            del parent[at[-1]]
        elif how == "double" and isinstance(parent, list):
            parent.insert(at[-1], copy.deepcopy(parent[at[-1]]))
        elif how == "rename" and isinstance(parent, dict):
            parent[draw(st.sampled_from(NASTY_TEXTS) | st.text(max_size=8))] = parent.pop(at[-1])
        elif how == "swap":
            other = draw(st.sampled_from(paths(tree)))
            if other and other[: len(at)] != at and at[: len(other)] != other:
                there = tree
                for key in other[:-1]:
                    there = there[key]
                parent[at[-1]], there[other[-1]] = there[other[-1]], parent[at[-1]]
        elif how == "add" and isinstance(parent, dict):
            parent[draw(st.text(max_size=8))] = draw(values)
        elif how == "deepen":
            for _ in range(draw(st.sampled_from((1, 45, 300)))):
                parent[at[-1]] = [parent[at[-1]]]
    return tree


def as_json(tree: Any) -> bytes:
    """JSON as Python writes it: NaN and Infinity among it, and numbers of any length."""
    return json.dumps(tree, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass")


_WORDS = tuple(
    struct.pack(form, value)
    for form in ("<I", ">I", "<Q", "<H", ">H")
    for value in (0, 1, 0x7FFF, 0xFFFF)
) + tuple(struct.pack("<I", v) for v in (0x7FFFFFFF, 0xFFFFFFFF, 0x80000000)) + (
    struct.pack("<d", float("nan")), struct.pack("<d", 1e300), struct.pack("<e", float("inf")), b"\xff" * 8, b"\x00" * 16,
)  # fmt: skip


@st.composite
def blobs(draw: st.DrawFn, base: bytes, edits: int = 4) -> bytes:
    """`base` cut, flipped, overwritten, doubled, shuffled or filled, in up to `edits` places."""
    raw = bytearray(base)
    for _ in range(draw(st.integers(1, edits))):
        how = draw(
            st.sampled_from(("flip", "flip", "word", "word", "cut", "remove", "insert", "repeat", "swap", "fill"))
        )
        at = draw(st.integers(0, len(raw)) | st.integers(0, min(len(raw), 64)))
        end = min(len(raw), at + draw(st.integers(1, 64)))
        if how == "flip" and at < len(raw):
            raw[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "word":
            word = draw(st.sampled_from(_WORDS))
            raw[at : at + len(word)] = word
        elif how == "cut":
            del raw[at:]
        elif how == "remove":
            del raw[at:end]
        elif how == "insert":
            raw[at:at] = draw(st.binary(min_size=1, max_size=40))
        elif how == "repeat":
            raw[at:at] = raw[at:end] * draw(st.sampled_from((1, 2, 500)))
        elif how == "swap":
            other = draw(st.integers(0, len(raw)))
            low, high = sorted((at, other))
            raw[low:] = raw[high:] + raw[low:high]
        elif how == "fill":
            raw[at:end] = bytes([draw(st.integers(0, 255))]) * (end - at)
    return bytes(raw)


@st.composite
def lines(draw: st.DrawFn, base: str, edits: int = 3) -> bytes:
    """`base` with lines removed, doubled, moved, cut, indented, or words replaced; sometimes with bytes that are no text."""
    rows = base.split("\n")
    for _ in range(draw(st.integers(1, edits))):
        at = draw(st.integers(0, len(rows) - 1))
        how = draw(
            st.sampled_from(("remove", "double", "move", "cut", "indent", "word", "word", "word", "insert", "many"))
        )
        if how == "remove" and len(rows) > 1:
            del rows[at]
        elif how == "double":
            rows.insert(at, rows[at])
        elif how == "move":
            rows.insert(draw(st.integers(0, len(rows))), rows.pop(at)) if len(rows) > 1 else None
        elif how == "cut":
            rows[at] = rows[at][: draw(st.integers(0, len(rows[at])))]
        elif how == "indent":
            rows[at] = (
                draw(st.sampled_from((" ", "   ", "\t", "- ", "? ", "&a ", "*a ", "!!python/object ", "%YAML 9 ")))
                + rows[at]
            )
        elif how == "word":
            words = rows[at].replace(",", " , ").replace("\t", " \t ").split(" ")
            one = draw(st.integers(0, len(words) - 1))
            words[one] = str(draw(scalars))
            rows[at] = " ".join(words)
        elif how == "insert":
            rows.insert(at, draw(st.text(max_size=40)))
        elif how == "many":
            rows[at:at] = [rows[at]] * draw(st.sampled_from((40, 400)))
    text = "\n".join(rows).encode("utf-8", "surrogatepass")
    return draw(blobs(text, 2)) if draw(st.integers(0, 4)) == 0 else text
