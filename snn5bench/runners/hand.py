"""The driver's end of one worker process: gives it cells, hears from it, knows its memory, ends it with all it started."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

import psutil

from snn5bench.cell import Cell
from snn5bench.runners.allocator import large_pages
from snn5bench.runners.worker import BOOTSTRAP

THREADS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")

_GUARD = ["/bin/sh", "-c", "read -r _; kill -9 0"]
"""Leads the worker's process group and ends it when the pipe from the driver closes, however the driver ended: a worker that
holds the interpreter's lock, or is stopped, could not notice by itself, and what it started would stay."""

_GONE_S = 5.0
"""How long a killed process is waited for; one that hangs in the kernel (a share that stalls) is left to the system."""

News = SimpleQueue[tuple["Hand", Any]]
"""What workers say: `READY`, an `Outcome`, or None when a worker can say no more."""


class Hand:
    """One worker process of the pool."""

    def __init__(self, news: News) -> None:
        self.guard = subprocess.Popen(_GUARD, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, process_group=0)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", BOOTSTRAP, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | THREADS | large_pages(),
            process_group=self.guard.pid,
        )
        self.ready = False
        self.cell: Cell | None = None
        self.since = time.monotonic()
        """When it was started, or given its cell."""
        self.memory_at_rest = 0
        self.mourned = False
        """Whether its end was seen before; what it said last has been heard since."""
        self._send(sys.path)
        threading.Thread(target=self._listen, args=(news,), name=f"hears-{self.process.pid}", daemon=True).start()

    def give(self, cell: Cell) -> None:
        """Hand it a cell. A worker that has died meanwhile is heard of through `news`, as always."""
        self.cell, self.since = cell, time.monotonic()
        self._send(cell)

    def _send(self, what: object) -> None:
        assert self.process.stdin is not None
        with suppress(OSError):
            pickle.dump(what, self.process.stdin)
            self.process.stdin.flush()

    def _listen(self, news: News) -> None:
        assert self.process.stdout is not None
        try:
            while True:
                news.put((self, pickle.load(self.process.stdout)))
        except Exception:  # the end of the pipe, or half a message: either way it has no more to say
            news.put((self, None))

    @property
    def gone(self) -> bool:
        """Whether the process has ended."""
        return self.process.poll() is not None

    def memory(self) -> int:
        """Bytes that it and its children hold, without the pages of files that they share."""
        try:
            one = psutil.Process(self.process.pid)
            return sum(_own(process) for process in (one, *one.children(recursive=True)))
        except psutil.Error:
            return 0

    def stop(self) -> None:
        """End it at once, and all that it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.guard.pid, signal.SIGKILL)
        for process in (self.process, self.guard):
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GONE_S)
            if process.stdin is not None:
                with suppress(OSError):
                    process.stdin.close()


def _own(process: psutil.Process) -> int:
    try:
        info = process.memory_info()
    except psutil.Error:
        return 0
    return int(info.rss - getattr(info, "shared", 0))
