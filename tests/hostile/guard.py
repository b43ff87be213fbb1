"""Watches what the code under test does to the machine: files written outside, processes, connections, objects unpickled."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_WRITES = {
    "os.mkdir": (0,), "os.remove": (0,), "os.rmdir": (0,), "os.truncate": (0,), "os.chmod": (0,), "os.chown": (0,),
    "os.rename": (0, 1), "os.link": (1,), "os.symlink": (1,), "shutil.rmtree": (0,), "os.utime": (0,),
}  # fmt: skip
"""Audit events that change files, and which of their arguments are paths."""
_NEVER = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect")
"""(But for git, which is asked for the commit.)"""
_PICKLED = ("numpy", "_codecs")
_state: Guard | None = None


class Guard:
    """Collects what was done that must not be."""

    def __init__(self, allowed: tuple[Path, ...], processes: bool) -> None:
        self.processes = processes
        self.allowed = tuple(os.path.realpath(path) for path in allowed)
        self.faults: list[str] = []

    def see(self, event: str, args: tuple[Any, ...]) -> None:
        """One audit event."""
        if event == "open":
            path, _, flags = args
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            if writes and not isinstance(path, int):
                self._place("open for writing", path)
        elif event in _WRITES:
            for position in _WRITES[event]:
                held = args[-1] if len(args) > 1 and isinstance(args[-1], int) and "rename" not in event else -1
                self._place(event, args[position], held)
        elif event == "pickle.find_class" and str(args[0]).partition(".")[0] not in _PICKLED:
            self.faults.append(f"unpickled {args[0]}.{args[1]}")
        elif event.startswith(_NEVER) and not self.processes and args[0] != "git":
            self.faults.append(f"{event} {args!r:.120}")

    def _place(self, event: str, path: Any, folder: int = -1) -> None:
        """`folder` is the open folder that a relative path stands in."""
        if isinstance(path, int):
            return
        base = str(Path(f"/proc/self/fd/{folder}").readlink()) if folder >= 0 else ""
        place = os.path.realpath(os.path.join(base, os.fsdecode(path)))  # noqa: PTH118 (a Path refuses hostile names)
        if event == "os.mkdir" and any(root.startswith(place + os.sep) for root in self.allowed):
            return
        if not any(place == root or place.startswith(root + os.sep) for root in self.allowed) and place != os.devnull:
            self.faults.append(f"{event} {place:.200}")


def _hook(event: str, args: tuple[Any, ...]) -> None:
    global _state
    guard = _state
    if guard is None or (event != "open" and event not in _WRITES and not event.startswith(("pickle.", *_NEVER))):
        return
    _state = None
    try:
        guard.see(event, args)
    finally:
        _state = guard


_installed = False


@contextmanager
def watched(*allowed: Path, processes: bool = False) -> Iterator[Guard]:
    """Within the block, files may change below `allowed` alone. The hook stays installed; it sleeps outside of blocks."""
    global _installed, _state
    if not _installed:
        sys.addaudithook(_hook)
        _installed = True
    guard = Guard(allowed, processes)
    _state = guard
    try:
        yield guard
    finally:
        _state = None
