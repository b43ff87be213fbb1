"""A broken MLflow server, and a tracking database whose making is interrupted."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.faults.holds import after
from tests.faults.world import Tally, World, kill, said, wait_for

Answer = Callable[[socket.socket], None]


def _refuses_with_500(peer: socket.socket) -> None:
    peer.recv(65536)
    peer.sendall(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\nConnection: close\r\n\r\nwhoops")
    peer.close()


def _says_nothing(peer: socket.socket) -> None:
    time.sleep(3600)


def _drips(peer: socket.socket) -> None:
    peer.recv(65536)
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        peer.sendall(b" ")
        time.sleep(1)


def _talks_nonsense(peer: socket.socket) -> None:
    peer.recv(65536)
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n<html>no!")
    peer.close()


SERVERS: dict[str, Answer | None] = {
    "connection refused": None,
    "500 to each request": _refuses_with_500,
    "takes requests and never answers": _says_nothing,
    "answers one byte a second": _drips,
    "answers something that is not MLflow": _talks_nonsense,
}


def broken(world: World, instants: int) -> Tally:
    """Each broken server in turn: every record is there, and the failure is said once."""
    tally = Tally("a broken MLflow server", f"a local HTTP server: {', '.join(SERVERS)}")
    for number in range(max(instants, len(SERVERS))):
        name, answer = list(SERVERS.items())[number % len(SERVERS)]
        with _served(answer) as port:
            results = world.fresh()
            done = world.run(world.suite, results, "--track", "-j", "1", MLFLOW_TRACKING_URI=f"http://127.0.0.1:{port}")
        found = said(done, 0, "8 done")
        if done.stdout.count("tracking stopped, records are kept") != 1:
            found.append(f"said {done.stdout.count('tracking stopped')} times that tracking stopped")
        tally.problems += [f"{name}: {problem}" for problem in found] + world.orphans()
        after(world, tally, results, {})
    return tally


def half_made(world: World, instants: int) -> Tally:
    """The driver is killed while MLflow makes its database; the next run must be able to track."""
    tally = Tally("kill -9 while mlflow.db is made", "at a random instant after its first file appears")
    for _ in range(instants):
        here, results = world.fresh("here"), world.fresh()
        process = world.start(world.command(world.suite, results, "--track", "-j", "1"), cwd=here)
        wait_for(partial(_begun, here), process)
        time.sleep(world.rng.uniform(0, 3))
        kill(process)
        tally.problems += world.orphans()
        again = world.finish(world.start(world.command(world.suite, results, "--track", "-j", "1"), cwd=here))
        if "tracking stopped" in again.stdout or not (here / "mlflow.db").is_file():
            tally.problems.append(f"the database cannot be used any more: {again.stdout[-400:]}")
        tally.problems += [f"left: {p.name}" for p in here.iterdir() if ".part" in p.name]
        after(world, tally, results, {})
    return tally


def _begun(here: Path) -> bool:
    return any("mlflow.db" in path.name for path in here.iterdir())


@contextmanager
def _served(answer: Answer | None) -> Iterator[int]:
    """A server on a free port that treats each connection with `answer`; with None, a port where nobody listens."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    if answer is None:
        listener.close()
        yield port
        return

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=_answered, args=(answer, peer), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield port
    finally:
        listener.close()


def _answered(answer: Answer, peer: socket.socket) -> None:
    try:
        answer(peer)
    except OSError:
        peer.close()
