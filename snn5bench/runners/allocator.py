"""The C library's allocator in a worker: it keeps freed memory while a cell runs, and gives it back between cells; and it
asks for large pages (2 MB, where the system has them to give), since a step walks over more memory than the processor has
addresses of small ones at hand.

By default glibc gives the system a tensor's memory as soon as it is freed, and the next tensor is new memory again: a page
fault for every 4 KiB, up to a third of an evaluation. Other C libraries are left as they are.
"""

from __future__ import annotations

import ctypes
import os
import platform
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 512 << 20
"""Free memory at the end of the heap that is kept."""
_OWN_PAGES_BYTES = 128 << 20
"""From this size on a tensor still gets pages of its own, which go back when it is freed."""

_TUNABLES, _LARGE_PAGES = "GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"


def large_pages() -> dict[str, str]:
    """The environment variable that a process has to start with to get large pages; what the user tuned stays."""
    own = os.environ.get(_TUNABLES)
    return {_TUNABLES: f"{_LARGE_PAGES}:{own}" if own else _LARGE_PAGES}


@cache
def _glibc() -> ctypes.CDLL | None:
    """The C library of this process, where it is glibc."""
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


def keep_freed_memory() -> bool:
    """Keep what is freed from now on; whether this system can."""
    if (library := _glibc()) is None:
        return False
    return bool(library.mallopt(_MMAP_THRESHOLD, _OWN_PAGES_BYTES) and library.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES))


def give_back() -> None:
    """Give all free memory back, so that one cell's peak says nothing of the cell before."""
    if (library := _glibc()) is not None:
        library.malloc_trim(0)
