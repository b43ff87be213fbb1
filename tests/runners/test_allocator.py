"""A worker's allocator keeps freed memory, and gives it back when told."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

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
