"""A row as a pull request: `collect` writes its folder and text, `verify` checks one that a stranger wrote."""

from snn5bench.submission.collection import collect
from snn5bench.submission.verification import Report, verify

__all__ = ["Report", "collect", "verify"]
