"""Train a method as the checks do, in this process, and print the digest of its weights: `... NAME PARAMS`.

It begins when a line comes on its input: the process that asked has compiled the kernels then, and this one loads them.
"""

from __future__ import annotations

import json
import sys

import torch

from snn5bench.conformance.subject import digest, opened

if __name__ == "__main__":
    torch.use_deterministic_algorithms(
        True, warn_only=True
    )  # a second's worth of imports, while the other one compiles
    with opened(sys.argv[1], json.loads(sys.argv[2])) as subject:
        if sys.stdin.readline():
            print(digest(subject.fit()))
