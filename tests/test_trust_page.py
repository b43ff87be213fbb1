"""docs/trust.md: its transcripts end as the commands end, and its rule is the rule."""

from __future__ import annotations

import pytest

from snn5bench.compare import FIRST, FURTHER, ONLY, SECOND
from tests.transcripts import PAGE, play

TEXT = PAGE.read_text()
WORDS = {15: "fifteen"}


def test_the_rule_is_as_written():
    for words in (
        f"calls a row worse at p < {100 * FIRST.alpha:g} %",
        f"suspects it at p < {100 * FIRST.suspect:g} %",
        f"{WORDS[FURTHER]} further seeds",
        f"calls them worse at p < {100 * SECOND.alpha:g} %",
        f"With one look the bound is {100 * ONLY.alpha:g} %",
    ):
        assert words in " ".join(TEXT.split())


def test_no_transcript_is_missing():
    for scene in ("compare", "why", "reproduce"):
        _, _, rest = TEXT.partition(f"<!-- {scene} -->\n```\n$ snn5bench {scene} ")
        assert "$ echo $?" in rest.partition(f"<!-- end of {scene} -->")[0]


@pytest.mark.slow
def test_the_transcripts_end_as_the_commands_do(tmp_path):
    scenes = play(tmp_path)
    code, shown = scenes["compare"]
    assert code == 1
    assert "regression: 1 worse, 1 same" in shown
    assert "code: slow_leak.neuron was edited (3 of 6 cells)" in shown
    code, shown = scenes["reproduce"]
    assert code == 0
    assert shown.count(": bit-equal") == 4
    assert "because: code: slow_leak.neuron was edited" in scenes["why"][1]
