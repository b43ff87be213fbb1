"""Downloads: resumed where they broke off, refused where the checksum is wrong, explained where there is no address."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from snn5bench.data.brought import Download
from snn5bench.data.downloads import get
from snn5bench.data.dvs_gesture import DvsGesture
from snn5bench.data.heidelberg import SHD
from snn5bench.errors import BenchError

BODY = bytes(range(256)) * 2000


class Server:
    """A server of one file that honours ranges, can break off early, and remembers what it was asked."""

    def __init__(self) -> None:
        self.body, self.stop_after, self.ranges = BODY, None, []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                asked = self.headers.get("Range")
                outer.ranges.append(asked)
                start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
                if start >= len(outer.body) > 0:
                    self.send_response(416)
                    self.end_headers()
                    return
                rest = outer.body[start:]
                self.send_response(206 if asked else 200)
                self.send_header("Content-Length", str(len(rest)))
                self.end_headers()
                self.wfile.write(rest[: outer.stop_after])
                self.close_connection = True

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/file"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


@pytest.fixture
def ask(server, tmp_path, monkeypatch):
    """`ask()` downloads the server's file as SHD; the folder it lands in is `ask.folder`."""
    monkeypatch.setenv("SNN5BENCH_DATA", str(tmp_path))

    def go(body: bytes = BODY, name: str = "shd_train.h5", unpack: bool = False):
        md5 = f"md5:{hashlib.md5(body).hexdigest()}"
        monkeypatch.setattr(SHD, "downloads", (Download(server.url, name, md5, unpack),))
        return get(SHD(SHD.Params()), lambda line: None)

    go.folder = tmp_path / "shd"
    return go


def test_a_broken_download_is_resumed_not_begun_again(server, ask):
    server.stop_after = 100_000
    with pytest.raises(BenchError, match=r"shd_train\.h5") as caught:
        ask()
    assert server.url in caught.value.problems[0].where
    assert [path.name for path in ask.folder.iterdir()] == ["shd_train.h5.part"], "what is not verified does not count"
    kept = (ask.folder / "shd_train.h5.part").stat().st_size
    assert 0 < kept <= 100_000
    server.stop_after = None
    assert ask() == ask.folder
    assert server.ranges == [None, f"bytes={kept}-"]
    assert (ask.folder / "shd_train.h5").read_bytes() == BODY
    ask()
    assert len(server.ranges) == 2, "a verified file is not fetched again"


def test_another_file_under_the_address_is_refused_and_not_kept(server, ask):
    server.body = BODY[:-1] + b"!"
    with pytest.raises(BenchError, match="hash"):
        ask()
    assert not list(ask.folder.iterdir())


def test_an_empty_answer_is_named(server, ask):
    server.body = b""
    with pytest.raises(BenchError, match="answered with nothing"):
        ask()


def test_a_whole_part_is_verified_without_asking_for_more(server, ask):
    ask.folder.mkdir()
    (ask.folder / "shd_train.h5.part").write_bytes(BODY)
    ask()
    assert (ask.folder / "shd_train.h5").read_bytes() == BODY


def test_an_archive_is_unpacked_into_the_folder(server, ask):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("Train/3/00001.bin", b"12345")
    server.body = packed.getvalue()
    ask(server.body, "train.zip", unpack=True)
    assert (ask.folder / "Train/3/00001.bin").read_bytes() == b"12345"


def test_without_an_address_the_way_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("SNN5BENCH_DATA", str(tmp_path))
    with pytest.raises(BenchError) as caught:
        get(DvsGesture(DvsGesture.Params()), lambda line: None)
    (problem,) = caught.value.problems
    assert "no address with a checksum" in problem.what
    assert "research.ibm.com/dvsgesture" in problem.do and "trials_to_" in problem.do
