"""The language of ListOps (Nangia and Bowman 2018): tokens, values, and random expressions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

import numpy as np

from snn5bench.errors import BenchError

OPERATORS: Mapping[str, Callable[[Sequence[int]], int]] = {
    "[MIN": min,
    "[MAX": max,
    "[MED": lambda values: int(median(values)),
    "[SM": lambda values: sum(values) % 10,
}
"""What each operator makes of its arguments; all values are 0..9."""

DIGITS = tuple("0123456789")
CLOSE = "]"
TOKENS = (*DIGITS, *OPERATORS, CLOSE)
"""Token to channel, by position."""
CHANNEL = {token: channel for channel, token in enumerate(TOKENS)}


def tokens(source: str) -> list[str]:
    """The tokens of an expression as published: parentheses only group, `X` is how LRA's readers rename `]`."""
    words = source.replace("(", " ").replace(")", " ").split()
    return [CLOSE if word == "X" else word for word in words]


def evaluate(words: Iterable[str]) -> int:
    """The value 0..9 of an expression. Raises `BenchError` where it is not one."""
    stack: list[tuple[str, list[int]]] = [("", [])]
    for position, word in enumerate(words):
        if word in OPERATORS:
            stack.append((word, []))
        elif word == CLOSE:
            operator, values = stack.pop()
            if not stack or not values:
                raise _broken(position, "']' closes no operator with arguments")
            stack[-1][1].append(OPERATORS[operator](values))
        elif len(word) == 1 and word in DIGITS:
            stack[-1][1].append(int(word))
        else:
            raise _broken(position, f"'{word}' is no token of ListOps")
    if len(stack) != 1 or len(stack[0][1]) != 1:
        raise _broken(-1, "the expression is not closed, or is more than one")
    return stack[0][1][0]


def _broken(position: int, what: str) -> BenchError:
    return BenchError(what, where=f"token {position}" if position >= 0 else "end of the expression")


def draw(rng: np.random.Generator, max_depth: int, max_arguments: int, nesting: float, depth: int = 1) -> list[str]:
    """A random expression: an operator with 2 to `max_arguments` arguments at the root; below it, an operator with
    probability `nesting` above `max_depth`, else a digit. (LRA: 0.25, 10 and 10.)"""
    if depth > 1 and (depth >= max_depth or rng.random() >= nesting):
        return [DIGITS[rng.integers(10)]]
    operator = tuple(OPERATORS)[rng.integers(len(OPERATORS))]
    arguments = rng.integers(2, max_arguments + 1)
    inner = (draw(rng, max_depth, max_arguments, nesting, depth + 1) for _ in range(arguments))
    return [operator, *(word for argument in inner for word in argument), CLOSE]
