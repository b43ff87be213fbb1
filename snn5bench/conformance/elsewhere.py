"""Train a method as the checks do, in this process, and print the digest of its weights: `... NAME PARAMS`."""

from __future__ import annotations

import json
import sys

from snn5bench.conformance.subject import digest, opened

if __name__ == "__main__":
    with opened(sys.argv[1], json.loads(sys.argv[2])) as subject:
        print(digest(subject.fit()))
