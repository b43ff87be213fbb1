"""Strategies for the content of data files: whole in their form, hostile in what they hold."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import tempfile
import wave
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.hostile.mutate import NASTY_NUMBERS, NASTY_TEXTS, blobs, lines, values
from tests.hostile.plant import aedat31, five_byte

_NUMBERS = st.sampled_from([n for n in NASTY_NUMBERS if isinstance(n, float) or abs(n) < 2**63])
_U32 = st.sampled_from((0, 1, 7, 8, 9, 28, 2**16, 2**31 - 1, 2**31, 2**32 - 1)) | st.integers(0, 60)
_DTYPES = ("f2", "f4", "f8", "i1", "i2", "i8", "u1", "u2", "u8", "?", "c8", "S3", "U3", "M8[s]")


class Evil:
    """Runs code when it is unpickled; `owned` shows it."""

    def __init__(self, how: int) -> None:
        self.how = how

    def __reduce__(self) -> tuple[Any, ...]:
        return ((os.system, ("touch owned",)), (Path.touch, (Path("owned"),)), (eval, ("1+1",)), (Evil, (0,)))[self.how]


@st.composite
def arrays(draw: st.DrawFn, shape: tuple[int, ...] = (6, 4)) -> np.ndarray:
    """Numbers of other types, shapes and sizes than expected."""
    form = draw(st.sampled_from((shape, shape, shape, (), (0,), (4,), (0, 4), (3, 5), (2, 3, 4), (1, 4), (10**5, 4))))
    dtype = np.dtype(draw(st.sampled_from(_DTYPES)))
    out = np.ones(form, dtype="f8")
    for _ in range(draw(st.integers(0, 3))):
        if out.size:
            out.reshape(-1)[draw(st.integers(0, out.size - 1))] = float(draw(_NUMBERS))
    with np.errstate(all="ignore"):
        return out.astype(dtype) if dtype.kind not in "M" else np.zeros(form, dtype)


@st.composite
def npy(draw: st.DrawFn) -> bytes:
    """A .npy: of odd arrays, of objects, or with a header that lies."""
    how = draw(st.integers(0, 5))
    if how == 0:
        buffer = io.BytesIO()
        objects = np.array([Evil(draw(st.integers(0, 3))), draw(values)], dtype=object)
        np.save(buffer, objects, allow_pickle=True)
        return buffer.getvalue()
    if how == 1:
        shape = draw(
            st.sampled_from(("(6, 4)", "(10**12, 4)", "(1000000000000, 4)", "(-1, 4)", "(6,)", "[6, 4]", "()", "6"))
        )
        kind = draw(st.sampled_from(("<f8", "O", "<U9", "V0", "|b1", "<f80", "[('a', '<f8')]", "x" * 9000, "<i8,<i8")))
        text = (
            f"{{'descr': '{kind}', 'fortran_order': {draw(st.booleans())}, 'shape': {shape}, }}".encode().ljust(117)
            + b"\n"
        )
        return (
            b"\x93NUMPY"
            + draw(st.sampled_from((b"\1\0", b"\3\0", b"\7\0")))
            + struct.pack("<H", len(text))
            + text
            + b"\0" * 200
        )
    buffer = io.BytesIO()
    np.save(buffer, draw(arrays()))
    return draw(blobs(buffer.getvalue())) if how == 2 else buffer.getvalue()


@st.composite
def h5(draw: st.DrawFn) -> bytes:
    """An HDF5 file in SHD's layout, or nearly."""
    import h5py

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.h5"
        with h5py.File(path, "w", libver=draw(st.sampled_from(("earliest", "latest")))) as file:
            rows = draw(st.integers(0, 8))
            for name in ("spikes/times", "spikes/units", "labels", "extra/speaker"):
                _column(draw, file, name, rows)
        raw = path.read_bytes()
    return draw(blobs(raw, 2)) if draw(st.integers(0, 5)) == 0 else raw


def _column(draw: st.DrawFn, file: Any, name: str, rows: int) -> None:
    import h5py

    how = draw(
        st.sampled_from(
            ("good",) * 20
            + ("gone", "group", "flat", "text", "short", "endless", "soft", "outside", "empty", "raw", "virtual")
        )
    )
    ragged = name.startswith("spikes")
    if how == "gone":
        return
    if how == "group":
        file.create_group(name)
    elif how == "soft":
        file[name] = h5py.SoftLink(draw(st.sampled_from(("/labels", "/nowhere", f"/{name}"))))
    elif how == "outside":
        file[name] = h5py.ExternalLink(draw(st.sampled_from(("/dev/zero", "/etc/passwd", "nowhere.h5"))), "/labels")
    elif how == "empty":
        file[name] = h5py.Empty("f4")
    elif how == "text":
        file.create_dataset(
            name,
            data=[draw(st.text(st.characters(codec="ascii", min_codepoint=32)))] * max(rows, 1),
            dtype=h5py.string_dtype(),
        )
    elif how == "raw":
        file.create_dataset(name, (rows,), "u1", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])
    elif how == "virtual":
        layout = h5py.VirtualLayout((max(rows, 1),), "u1")
        layout[:] = h5py.VirtualSource("/etc/passwd", "x", (max(rows, 1),))
        file.create_virtual_dataset(name, layout)
    elif how == "endless":
        shape = draw(st.sampled_from(((10**9,), (10**14,), (10**5, 10**5), (10**7,))))
        kind = h5py.vlen_dtype(np.dtype("f4")) if draw(st.booleans()) else "u1"
        file.create_dataset(name, shape, kind, chunks=tuple(1000 for _ in shape))
    else:
        size = rows + (how == "short")
        if ragged and how != "flat":
            inner = np.dtype(draw(st.sampled_from(("f2", "f4", "f8", "i8", "u8", "u2", "i2", "u1"))))
            column = file.create_dataset(
                name, (size,), dtype=h5py.vlen_dtype(inner), chunks=(4,) if size >= 4 and draw(st.booleans()) else None
            )
            for i in range(size):
                row = np.full(
                    draw(st.integers(0, 3)) if draw(st.integers(0, 5)) == 0 else 3,
                    i / 10 if inner.kind == "f" else i,
                    dtype="f8",
                )
                if len(row) and draw(st.integers(0, 7)) == 0:
                    row[0] = float(draw(_NUMBERS))
                with np.errstate(all="ignore"):
                    column[i] = row.astype(inner)
        else:
            with np.errstate(all="ignore"):
                column = (np.arange(size) % 3).astype("f8" if draw(st.booleans()) else "i8")
                if size and draw(st.integers(0, 3)) == 0:
                    column[0] = (
                        float(draw(_NUMBERS)) if column.dtype.kind == "f" else draw(st.integers(-(2**63), 2**63 - 1))
                    )
                file[name] = (
                    column.astype(draw(st.sampled_from(_DTYPES[:12]))) if draw(st.integers(0, 4)) == 0 else column
                )


def zipped(inner: st.SearchStrategy[bytes], name: str) -> st.SearchStrategy[bytes]:
    """In a .zip, once, twice or under another name; or a bomb."""

    def pack(raw: bytes, how: int) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for place in ((name,), (name,), (name,), (), (name, f"b/{name}"), ("../../x.h5",), ("readme",))[how]:
                archive.writestr(place, raw)
        return buffer.getvalue()

    bomb = st.just(pack(b"\0" * (1 << 24), 0))
    return st.builds(pack, inner, st.integers(0, 6)) | st.builds(pack, inner, st.just(0)).flatmap(blobs) | bomb


def gzipped(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """In a .gz, whole or spoilt; or a bomb."""
    bomb = st.just(gzip.compress(b"\0" * (1 << 24)))
    return inner.map(gzip.compress) | inner.map(gzip.compress).flatmap(blobs) | inner | bomb


def events(high: int) -> st.SearchStrategy[bytes]:
    """Five-byte events on and off the sensor."""
    one = st.tuples(st.integers(0, high), st.integers(0, high), st.integers(0, 1), st.integers(0, 2**23 - 1))
    return st.lists(one, max_size=12).map(five_byte)


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    """AEDAT 3.1 with packet headers that lie."""
    out = aedat31([])[: -28 - 16]
    for _ in range(draw(st.integers(0, 4))):
        head = [draw(st.sampled_from((0, 1, 1, 1, 2, 9))), 0, 8, 4, 0, 2, 2, 2]
        for _ in range(draw(st.integers(0, 2))):
            head[draw(st.integers(2, 7))] = draw(_U32)
        out += struct.pack("<HHIIIIII", *head) + draw(st.binary(min_size=16, max_size=16) | st.binary(max_size=40))
    return out


@st.composite
def idx(draw: st.DrawFn) -> bytes:
    """An IDX file of any number of axes and lengths."""
    axes = draw(st.sampled_from((3, 1, 0, 2, 4, 200)))
    shape = [draw(st.sampled_from((28, 12, 4, 0, 2**32 - 1, 2**31, 65536))) for _ in range(min(axes, 5))]
    body = b"".join(struct.pack(">I", n) for n in shape)
    return (
        bytes([0, 0, draw(st.sampled_from((8, 8, 8, 13))), axes])
        + body
        + b"\5" * draw(st.sampled_from((0, 4, 12, 28 * 28 * 4)))
    )


@st.composite
def wav(draw: st.DrawFn) -> bytes:
    """A .wav of any form, sometimes spoilt."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(draw(st.sampled_from((1, 1, 1, 2, 6))))
        file.setsampwidth(draw(st.sampled_from((2, 2, 2, 1, 3, 4))))
        file.setframerate(draw(st.sampled_from((16_000, 16_000, 8_000, 44_100, 1, 100_000_000))))
        file.writeframes(
            draw(st.sampled_from((b"", b"\0" * 320, b"\xff\x7f" * 160, b"\1\0" * 200_001)))
            or draw(st.binary(max_size=320))
        )
    return draw(blobs(buffer.getvalue())) if draw(st.booleans()) else buffer.getvalue()


@st.composite
def png(draw: st.DrawFn) -> bytes:
    """A picture in another mode, size or format, or with sizes that lie."""
    from PIL import Image

    if draw(st.integers(0, 3)) == 0:
        width, height = draw(_U32), draw(_U32)

        def chunk(kind: bytes, body: bytes) -> bytes:
            return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

        head = struct.pack(
            ">IIBBBBB",
            width,
            height,
            draw(st.sampled_from((1, 8, 16, 7))),
            draw(st.integers(0, 7)),
            0,
            0,
            draw(st.integers(0, 1)),
        )
        body = zlib.compress(b"\0" * draw(st.sampled_from((10, 1056, 10**6))))
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    mode, form = (
        draw(st.sampled_from(("L", "RGB", "RGBA", "1", "P", "I;16", "LA"))),
        draw(st.sampled_from(("PNG", "PNG", "PNG", "BMP", "GIF", "PPM"))),
    )
    side = draw(st.sampled_from(((32, 32), (32, 32), (1, 1), (31, 32), (2000, 2000))))
    buffer = io.BytesIO()
    picture = Image.new(mode, side)
    (picture if form == "PNG" else picture.convert("L")).save(buffer, form)
    return draw(blobs(buffer.getvalue())) if draw(st.booleans()) else buffer.getvalue()


def _bombs() -> tuple[bytes, ...]:
    """Short pickles that grow, each in its own way."""
    tuples = b"(" + b"0" + b")q\x00" + b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(60)) + b"}h\x3cK\x01s."
    lists = b"]q\x00" + b"".join(b"]q%c(" % (i + 1) + b"h%c" % i * 10 + b"e" for i in range(30)) + b"."
    doubled = b"K\x01\x85" + b"2\x86" * 60 + b"}q\x002s."
    return (
        b"\x80\x02" + tuples, b"\x80\x02" + lists, b"\x80\x02" + doubled, b"\x80\x02Nr\xff\xff\xff\x7f.", b"(" * 10**6,
        b"\x80\x04\x96" + struct.pack("<Q", 2**40) + b".", b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"\1.",
        b"I" + b"9" * 10**5 + b"\n.", b"\x80\x02}(C\x04datacnumpy\nndarray\n(J\xff\xff\xff\x7fM\x00\x0ctR.",
        b"cos\nsystem\n(S'touch owned'\ntR.",
        b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x07\x00\x00\x00nowheretR.", b"\x80\x02cnumpy\ndtype\n(U\x02O8K\0K\1tR.",
    )  # fmt: skip


@st.composite
def batches(draw: st.DrawFn, key: str) -> bytes:
    """A pickled batch of CIFAR with other content, or a pickle that is evil or grows."""
    how = draw(st.integers(0, 5))
    if how == 0:
        return draw(st.sampled_from(_bombs()))
    content: Any = {b"data": np.full((3, 3072), draw(st.integers(0, 255)), dtype=np.uint8), key.encode(): [0, 1, 2]}
    if how == 1:
        content[draw(st.sampled_from(sorted(content)))] = Evil(draw(st.integers(0, 2)))
    elif how == 2:
        content[b"data"] = draw(arrays((3, 3072)))
    elif how == 3:
        content[key.encode()] = draw(values | st.lists(_NUMBERS, min_size=3, max_size=3) | arrays((3,)))
    elif how == 4:
        content = draw(values)
    raw = pickle.dumps(content, protocol=draw(st.sampled_from((0, 1, 2, 3, 4, 5))))
    return draw(blobs(raw)) if how == 5 or draw(st.integers(0, 3)) == 0 else raw


def content_for(name: str, good: bytes) -> st.SearchStrategy[bytes]:
    """What fits the kind of file that `name` is."""
    path = Path(name)
    by_suffix: dict[str, Callable[[], st.SearchStrategy[bytes]]] = {
        ".h5": h5,
        ".npy": npy,
        ".bin": lambda: events(255),
        ".aedat": lambda: packets() if b"3.1" in good[:12] else blobs(good),
        ".wav": wav,
        ".png": png,
    }
    if path.suffix == ".gz":
        return gzipped(h5() if ".h5" in name else idx())
    if path.suffix == ".zip":
        return zipped(h5(), path.stem)
    if path.suffix in (".csv", ".tsv", ".txt") or (path.suffix == ".npy" and not good.startswith(b"\x93")):
        return lines(good.decode())
    if path.name.endswith("ubyte"):
        return idx()
    if path.suffix == "" and good[:1] == b"\x80":
        return batches("fine_labels" if b"fine_labels" in good else "labels")
    return by_suffix[path.suffix]()


NAMES = st.sampled_from(
    [
        text
        for text in NASTY_TEXTS
        if 0 < len(text.encode("utf-8", "surrogatepass")) < 100
        and "/" not in text
        and "\0" not in text
        and text not in (".", "..")
        and text.isprintable()
    ]
)
