"""ListOps: the evaluator against 10,000 published expressions, and the generator's promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snn5bench.data.listops import ListOps
from snn5bench.data.listops_language import DIGITS, OPERATORS, TOKENS, draw, evaluate, tokens
from snn5bench.errors import BenchError
from tests.data.making import real, samples


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("7", 7),
        ("( ( ( ( ( [SM 6 ) 5 ) 9 ) 0 ) ] )", 0),
        ("[MED 3 4 ]", 3),
        ("[MED 9 0 5 ]", 5),
        ("[MAX 2 [MIN 8 9 ] [SM 5 5 5 ] X", 8),
    ],
)
def test_values_by_hand(source, value):
    assert evaluate(tokens(source)) == value


@pytest.mark.parametrize("source", ["", "1 2", "[MIN 1", "[MIN ]", "1 ]", "[AVG 1 2 ]", "10", "[MIN ٣ 2 ]"])
def test_what_is_no_expression_is_refused(source):
    with pytest.raises(BenchError):
        evaluate(tokens(source))


@pytest.mark.real_data
def test_all_published_expressions():
    lines = real("test_d20s.tsv").read_text().splitlines()
    assert len(lines) == 10_000
    wrong = [line for line in lines if evaluate(tokens(line.split("\t")[1])) != int(line.split("\t")[0])]
    assert not wrong


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(2, 10), st.floats(0, 0.4))
@settings(max_examples=60, deadline=None)
def test_drawn_expressions_keep_to_the_grammar(seed, max_depth, max_arguments, nesting):
    words = draw(np.random.default_rng(seed), max_depth, max_arguments, nesting)
    assert 0 <= evaluate(words) <= 9
    open_arguments: list[int] = []
    deepest = 0
    for word in words:
        if word in OPERATORS:
            open_arguments.append(0)
            deepest = max(deepest, len(open_arguments))
        elif word in DIGITS:
            open_arguments[-1] += 1
        else:
            assert 2 <= open_arguments.pop() <= max_arguments
            if open_arguments:
                open_arguments[-1] += 1
    assert deepest <= max(1, max_depth - 1)


def test_samples_say_their_value_and_end_at_the_last_step():
    dataset, made = samples(ListOps, train=200, val=50, test=50)
    spec = dataset.spec()
    assert spec.readout == "last"
    texts = []
    for sample in made:
        words = [TOKENS[c] for c in sample.channel]
        assert 6 <= len(words) <= spec.T
        assert sample.step.tolist() == list(range(spec.T - len(words), spec.T))
        assert evaluate(words) == sample.label and words[-1] == "]"
        texts.append(" ".join(words))
    assert len(set(texts)) == len(texts)


def test_impossible_lengths_are_named():
    with pytest.raises(BenchError, match="no new expression of 4 to 4 tokens"):
        samples(ListOps, min_length=4, T=4, max_depth=1, train=2000)
