"""Checks that any registered method must pass, in seconds, on synthetic data: `check_method("lif")`."""

from snn5bench.conformance.check import Check, Verdict
from snn5bench.conformance.checks import check_method

__all__ = ["Check", "Verdict", "check_method"]
