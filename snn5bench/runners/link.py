"""The driver's end of its link to Ray. Ray may end the process that speaks to it; here that is a child, and is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from snn5bench.runners.messages import News, Start, Task

SILENCE_S = 300.0
"""After this long without news the child counts as dead; it speaks every second while it is well."""
STARTING_S = 240.0
"""The same for its first news: it may have to start a cluster."""
CLOSING_S = 20.0


class Gone(Exception):
    """The child died, or hangs."""


class Link:
    """A child process that is connected to Ray. What it and Ray print goes to a file that nobody sees."""

    def __init__(self, start: Start) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the child)
        self._channel: Connection
        self._channel, theirs = Pipe()
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; "
            f"from snn5bench.runners.bridge import main; main({theirs.fileno()})"
        )
        self._child = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()
        self._send(start)

    def send(self, task: Task) -> None:
        """Hand over one task. Raises `Gone`."""
        self._send(task)

    def _send(self, message: object) -> None:
        try:
            self._channel.send(message)
        except OSError as error:
            raise Gone(self._why()) from error

    def receive(self, timeout_s: float = SILENCE_S) -> News:
        """The next news. Raises `Gone` where there is none."""
        try:
            if not self._channel.poll(timeout_s):
                raise Gone(f"no news for {timeout_s:.0f} s")
            news: News = self._channel.recv()
        except (EOFError, OSError) as error:
            raise Gone(self._why()) from error
        return news

    def close(self) -> None:
        """End the child, and with it a local cluster; kindly first."""
        with suppress(OSError):
            self._channel.send(None)
        try:
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(CLOSING_S)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()
            self._channel.close()
            self._log.close()

    def _why(self) -> str:
        """The last that the child or Ray printed."""
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(CLOSING_S)
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - 4096))
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else f"its process ended with code {self._child.poll()}"
