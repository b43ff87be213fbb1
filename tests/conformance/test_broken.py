"""Every broken method is caught by the check that is meant for it, and by no check that is not."""

from __future__ import annotations

import os

import pytest
import torch

from snn5bench.conformance import Verdict, check_method
from snn5bench.conformance.checks import CHECKS, OTHER_PROCESS
from tests.conformance.table import ELSEWHERE, HEAD, PAGE, SOURCE, line

HERE = [name for name in CHECKS if name != OTHER_PROCESS]
NOTD, SAMPLES = "the NoTD twin ignores time", "no state leaks between samples"
OF_ITS_BATCH, LABELS = "a sample does not depend on its batch", "test labels are out of reach"

CAUGHT = {
    "KeepsState": ("no state leaks between batches", {NOTD}),
    "MixesSamples": (SAMPLES, {OF_ITS_BATCH}),
    "BatchStatistics": (OF_ITS_BATCH, {SAMPLES, "causal as declared"}),
    "PlaceInBatch": (OF_ITS_BATCH, set()),
    "AlwaysDropsOut": ("evaluation draws nothing at random", {NOTD}),
    "DrawsUnseeded": ("same seed, same bits", set()),
    "DrawsFromPython": ("same seed, same bits", set()),
    "OwnSeed": ("same seed, same bits", set()),
    "OwnSteps": ("output is [T, B, classes]", {"every step is seen", NOTD}),
    "StopsEarly": ("every step is seen", {NOTD}),
    "SumsItself": ("output is [T, B, classes]", {"it trains"}),
    "LooksAhead": ("causal as declared", set()),
    "SaysItLooksAhead": ("causal as declared", set()),
    "Detached": ("training reaches every parameter", set()),
    "NeverUsed": ("training reaches every parameter", set()),
    "DividesByCount": ("finite at extreme rates", {NOTD}),
    "Overflows": ("finite at extreme rates", set()),
    "PlainAttribute": ("state_dict holds the network", set()),
    "ReturnsAnotherWithAttribute": ("state_dict holds the network", set()),
    "StateOfObjects": ("state_dict holds the network", set()),
    "StaysOnCpu": ("moves to another device and dtype", set()),
    "HiddenProduct": ("operations are counted", set()),
    "AnonymousNeuron": ("operations are counted", set()),
    "Unbounded": ("parameters outside their range are refused", set()),
    "TakesAnything": ("parameters outside their range are refused", set()),
    "ForgetsOnePath": (NOTD, set()),
    "RefusesSilently": (NOTD, set()),
    "MisreadsEvents": ("all input forms agree", set()),
    "PeeksThroughData": (LABELS, set()),
    "PeeksThroughReport": (LABELS, set()),
    "Crashes": ("it trains", {"output is [T, B, classes]"}),
    "SilentNetwork": ("it trains", {"every step is seen", "training reaches every parameter"}),
}
"""Class to the check that is meant for it, and those that fail in consequence."""


@pytest.fixture
def plugin(install_plugin):
    """The package `broken`, with each class under its name in small letters."""

    def install(*classes: str) -> None:
        install_plugin("broken", {"methods": SOURCE}, methods={c.lower(): f"broken.methods:{c}" for c in classes})

    return install


@pytest.mark.parametrize("broken", CAUGHT)
def test_it_is_caught(plugin, broken):
    plugin(broken)
    found = check_method(f"broken/{broken.lower()}", only=HERE)
    failed = {check.name: check for check in found if check.failed}
    meant, consequences = CAUGHT[broken]
    assert meant in failed
    assert failed.keys() - {meant} <= consequences
    for check in failed.values():
        assert check.seen
        assert check.expected
        assert check.cause
    assert line(broken, meant, failed) in PAGE.read_text().splitlines(), "write the page: tests.conformance.table"


def test_what_depends_on_hashes_is_caught_in_another_process(plugin):
    plugin("HashesNames")
    found = {check.name: check for check in check_method("broken/hashesnames")}
    assert {name for name, check in found.items() if check.failed} == {OTHER_PROCESS}
    assert "different weights" in found[OTHER_PROCESS].seen
    assert line("HashesNames", OTHER_PROCESS, {OTHER_PROCESS}) in PAGE.read_text()


def test_what_only_this_process_has_is_caught(plugin, monkeypatch):
    plugin("NeedsItsParent")
    monkeypatch.setenv("SNN5BENCH_TEST_PARENT", str(os.getpid()))
    (found,) = [c for c in check_method("broken/needsitsparent", only=["it trains", OTHER_PROCESS]) if c.failed]
    assert found.name == OTHER_PROCESS
    assert "only in the process that set it" in found.seen
    assert line("NeedsItsParent", OTHER_PROCESS, {OTHER_PROCESS}) in PAGE.read_text()


@pytest.mark.parametrize("name", ["Sound", "OtherWhenMoved", "StaysOnCpu"])
def test_the_branch_for_a_gpu_with_the_cpu_in_its_place(plugin, monkeypatch, name):
    """There is no GPU where these tests were written. The branch runs all the same; that a tensor left behind is refused
    can only be seen on a second device, so `StaysOnCpu` passes here (on `meta` it is caught)."""
    monkeypatch.setattr("snn5bench.conformance.weights.gpu", lambda: "cpu")
    plugin(name)
    title = "moves to another device and dtype"
    found = {check.name: check for check in check_method(f"broken/{name.lower()}", only=["it trains", title])}
    assert found[title].failed == (name == "OtherWhenMoved")
    assert ("on cpu, in float64, its logits differ by" if found[title].failed else "float64 and cpu") in (
        found[title].seen or found[title].note
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_on_a_gpu(plugin):
    """The same on a real one, with what is left on the CPU caught."""
    plugin("Sound", "StaysOnCpu")
    title = "moves to another device and dtype"
    sound, stays = (check_method(f"broken/{name}", only=["it trains", title])[-1] for name in ("sound", "staysoncpu"))
    assert (sound.verdict, sound.note) == (Verdict.PASSED, "float64 and cuda")
    assert "moved to cuda, it raises" in stays.seen


@pytest.mark.parametrize(
    ("sound", "check", "note"),
    [
        ("Sound", "it trains", "on events, T = 12, 24 channels"),
        ("RefusesWithReason", NOTD, "its neurons are what carries time"),
        ("GateByChance", "training reaches every parameter", "gain: reached under some of"),
        ("ReturnsAnother", "state_dict holds the network", "loaded into another seed's network"),
    ],
)
def test_the_sound_ones_pass(plugin, sound, check, note):
    plugin(sound)
    found = {check.name: check for check in check_method(f"broken/{sound.lower()}", only=HERE)}
    assert [check for check in found.values() if check.verdict is not Verdict.PASSED] == []
    assert note in found[check].note


def test_at_least_one_broken_method_for_each_check():
    assert CHECKS.keys() == {meant for meant, _ in CAUGHT.values()} | {OTHER_PROCESS}


def test_the_page_lists_them_all_and_no_other():
    text = PAGE.read_text()
    assert text.startswith(HEAD)
    assert [row.split(" | ")[0][2:] for row in text[len(HEAD) :].splitlines()] == [*CAUGHT, *ELSEWHERE]
    assert "NOTHING" not in text
