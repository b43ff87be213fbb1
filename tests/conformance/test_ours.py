"""Our own methods pass every check, under their defaults and where their parameters change the shape of the network."""

from __future__ import annotations

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from snn5bench import registry
from snn5bench.conformance import Verdict, check_method, show
from snn5bench.conformance.checks import CHECKS, OTHER_PROCESS
from snn5bench.conformance.seeds import elsewhere, other_process
from snn5bench.conformance.subject import opened
from snn5bench.errors import BenchError, ExitCode

ROOT = Path(__file__).parents[2]
HERE = [name for name in CHECKS if name != OTHER_PROCESS]
VARIANTS = [
    ("lif", {"recurrent": True}),
    ("lif", {"reset": "soft", "hidden": [16], "surrogate": "triangle"}),
    ("glif", {"channel_wise": False}),
    ("glif", {"hard_gates": True}),
    ("glif", {"hard_gates": True, "channel_wise": False}),
    ("tskips", {"skips": [[2, 1, 1], [1, 1, 2]], "mix": "convex"}),
    ("tskips", {"skips": [[0, 2, 3], [1, 3, 0], [2, 2, 4]], "hidden": [24, 24]}),
    ("tskips", {"skips": "search", "hidden": [20, 20], "search_candidates": 3}),
    ("tskips", {"skips": [[1, 2, 2], [2, 1, 3]], "hidden": [20, 20], "project": False}),
    ("spikingssm", {"neuron": "sdn", "norm": "batch", "prenorm": False}),
    ("sssa", {"form": "v1", "heads": 4}),
    ("dcls", {"hidden": [12], "max_delay": 3, "dropout": 0.2, "readout_delays": True}),
    ("asrc", {"adaptive": False, "skip": 3}),
    ("adaptive-slope", {"rule": "interval", "surrogate": "triangle", "reset": "hard"}),
    ("se-adlif", {"discretisation": "ef", "recurrent": True}),
    ("spikingssm", {"bidirectional": True}),
    ("conversion", {"present": "steps"}),
    ("qcfs", {"present": "steps"}),
]


@pytest.mark.parametrize(
    ("name", "params"), [*((name, {}) for name in registry.BUILTIN["methods"]), *VARIANTS], ids=str
)
def test_it_passes(name, params):
    wrong = [check for check in check_method(name, params, HERE) if check.verdict is not Verdict.PASSED]
    assert wrong == []


def test_the_same_bits_in_another_process():
    with opened("tskips") as subject, elsewhere(subject):
        subject.train()
        assert other_process(subject) == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.BUILTIN["methods"])
def test_the_same_bits_in_another_process_for_each_of_them(name):
    found = check_method(name, only=["it trains", OTHER_PROCESS])
    assert [check for check in found if check.verdict is not Verdict.PASSED] == []


def test_an_unknown_method_is_a_message():
    with pytest.raises(BenchError, match="did you mean 'glif'"):
        check_method("glyf")


def test_the_verb(install_plugin, monkeypatch):
    source = (Path(__file__).parent / "broken.py").read_text()
    install_plugin("broken", {"methods": source}, methods={"<b>": "broken.methods:StopsEarly"})
    command = [sys.executable, "-m", "snn5bench", "check", "broken/<b>", "--json"]
    program = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert program.returncode == 1
    document = json.loads(program.stdout)
    assert document["method"] == "broken/<b>"
    assert not document["passed"]
    assert [c["name"] for c in document["checks"]] == list(CHECKS)
    assert {c["name"] for c in document["checks"] if c["verdict"] == "failed"} >= {"every step is seen"}
    monkeypatch.setattr(show, "check_method", lambda name, params: check_method(name, params, HERE))
    console = Console(file=StringIO(), width=100)
    assert show.check_and_show("broken/<b>", None, console, as_json=False) is ExitCode.REGRESSION
    printed = " ".join(console.file.getvalue().split())
    for words in ("every step is seen FAILED", "seen:", "expected:", "usual cause:", "<b>: 2 of 18 checks failed"):
        assert words in printed


def test_parameters_of_the_verb_are_checked():
    for params, words in (("{", "not JSON"), ("[1]", "not a JSON object"), ('{"decay": 2}', "less than or equal to 1")):
        with pytest.raises(BenchError, match=words):
            show.check_and_show("lif", params, Console(file=StringIO()), as_json=False)
