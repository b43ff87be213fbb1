"""A worker's allocator keeps freed memory, and gives it back when told."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from snn5bench.runners.allocator import large_pages

_PROGRAM = """
import resource, psutil, torch
from snn5bench.runners.allocator import give_back, keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.ones(10_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

new = faults()
assert keep_freed_memory()
while (kept := faults()) > 100 and psutil.Process().memory_info().rss < 2 << 30:
    pass
rss = psutil.Process().memory_info().rss
give_back()
print(new, kept, rss - psutil.Process().memory_info().rss)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")
def test_freed_memory_is_used_again_until_it_is_given_back() -> None:
    """40 MB a tensor, more than glibc ever keeps by itself."""
    said = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True).stdout
    new, kept, returned = map(int, said.split())
    assert new > 1_000
    assert kept <= 100
    assert returned > 30_000_000


def test_large_pages_leave_what_the_user_tuned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    assert large_pages() == {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.arena_max=2")
    assert large_pages() == {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.arena_max=2"}


_LARGE = """
import torch
kept = torch.ones(25_000_000)
print(sum(int(line.split()[1]) for line in open("/proc/self/smaps") if line.startswith("AnonHugePages")))
"""


def _may_ask() -> bool:
    """Whether this system gives large pages to who asks for them."""
    switch = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return platform.libc_ver()[0] == "glibc" and switch.is_file() and "[madvise]" in switch.read_text()


@pytest.mark.skipif(not _may_ask(), reason="no large pages for who asks")
def test_a_process_that_starts_with_it_gets_large_pages() -> None:
    """A tensor of 100 MB; without the variable none of it lies on large pages."""

    def kib(env: dict[str, str]) -> int:
        plain = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
        said = subprocess.run(
            [sys.executable, "-c", _LARGE], capture_output=True, text=True, check=True, env=plain | env
        )
        return int(said.stdout)

    assert kib({}) == 0
    assert kib({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}) > 50_000
