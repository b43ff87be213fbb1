"""The innermost loops of the state-space recurrence, written as vectors for LLVM; `ssm_kernels` calls them.

One pair of conjugate states walks a block of steps; its coefficients, state and sums stay in registers, a chunk of channels
at a time. A block is `[steps, columns]`, contiguous; the coefficients and states are `[2, N, H]`, real parts first, and the
pair's place in them is `at` (real) and `at + imag`. A product and the sum it goes into may be fused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from snn5bench.neurons.row_kernels import LONG, Chunk, over_columns

_WIDE = (64, 16, 4, 1)
"""Where a step needs few registers: what a step waits for, the one before, is hidden behind other channels."""
_NARROW = (16, 4, 1)
_FUSED = ("contract",)


def _plus(chunk: Chunk, total: Any, left: Any, right: Any) -> Any:
    """total + left right."""
    return chunk.builder.fadd(total, chunk.builder.fmul(left, right, flags=_FUSED), flags=_FUSED)


def _minus(chunk: Chunk, total: Any, left: Any, right: Any) -> Any:
    """total - left right."""
    return chunk.builder.fsub(total, chunk.builder.fmul(left, right, flags=_FUSED), flags=_FUSED)


def _times(chunk: Chunk, left: Any, right: Any) -> Any:
    return chunk.builder.fmul(left, right, flags=_FUSED)


def _pair(chunk: Chunk, array: Any, at: Any, imag: Any) -> tuple[Any, Any]:
    """Real and imaginary parts."""
    return chunk.load(array, at), chunk.load(array, chunk.builder.add(at, imag))


def _held(chunk: Chunk, values: tuple[Any, ...]) -> list[Any]:
    """Variables that begin with `values`."""
    places = []
    for value in values:
        place = cgutils.alloca_once(chunk.builder, chunk.vector())
        chunk.builder.store(value, place)
        places.append(place)
    return places


def _walk(chunk: Chunk, steps: Any, held: list[Any], step: Callable[..., tuple[Any, ...]]) -> list[Any]:
    """`step(t, *values)` gives the next values of the variables; returns the last."""
    builder = chunk.builder
    with cgutils.for_range_slice(builder, ir.Constant(LONG, 0), steps, ir.Constant(LONG, 1), LONG) as (t, _):
        for place, value in zip(held, step(t, *map(builder.load, held)), strict=True):
            builder.store(value, place)
    return [builder.load(place) for place in held]


def _next(chunk: Chunk, x: Any, ar: Any, ai: Any, hr: Any, hi: Any) -> tuple[Any, Any]:
    """a h + x."""
    real = _minus(chunk, _plus(chunk, x, ar, hr), ai, hi)
    return real, _plus(chunk, _times(chunk, ar, hi), ai, hr)


@intrinsic
def cut(
    context: Any, x: Any, at: Any, row: Any, now: Any, low: Any, block: Any, y: Any, steps: Any, columns: Any
) -> Any:  # fmt: skip
    """Copy `steps` rows of `x`, which begin at `at` and are `row` values apart, to `block`; `y` becomes now[low:] times
    them."""

    def body(chunk, columns, x, at, row, now, low, block, y, steps):
        gain = chunk.load(now, low)

        def step(t):
            value = chunk.load(x, chunk.builder.add(at, chunk.builder.mul(t, row)))
            there = chunk.builder.mul(t, columns)
            chunk.store(value, block, there)
            chunk.store(chunk.builder.fmul(gain, value), y, there)
            return ()

        _walk(chunk, steps, [], step)

    place = types.intp
    return over_columns((x, place, place, now, place, block, y, place), body, _NARROW)


@intrinsic
def cut_and_sum(
    context: Any, x: Any, at: Any, row: Any, g: Any, block: Any, total: Any, low: Any, steps: Any, columns: Any
) -> Any:  # fmt: skip
    """Copy rows of `x` to `block` as `cut` does; add their products with the block `g` to `total[low:]`."""

    def body(chunk, columns, x, at, row, g, block, total, low, steps):
        def step(t, sum_):
            value = chunk.load(x, chunk.builder.add(at, chunk.builder.mul(t, row)))
            there = chunk.builder.mul(t, columns)
            chunk.store(value, block, there)
            return (_plus(chunk, sum_, chunk.load(g, there), value),)

        (added,) = _walk(chunk, steps, _held(chunk, (chunk.vector(0.0),)), step)
        chunk.store(chunk.builder.fadd(chunk.load(total, low), added), total, low)

    place = types.intp
    return over_columns((x, place, place, g, block, total, place, place), body, _NARROW)


@intrinsic
def paste(context: Any, block: Any, out: Any, at: Any, row: Any, steps: Any, columns: Any) -> Any:
    """Copy `block` to `steps` rows of `out`, which begin at `at` and are `row` values apart."""

    def body(chunk, columns, block, out, at, row, steps):
        def step(t):
            value = chunk.load(block, chunk.builder.mul(t, columns))
            chunk.store(value, out, chunk.builder.add(at, chunk.builder.mul(t, row)))
            return ()

        _walk(chunk, steps, [], step)

    place = types.intp
    return over_columns((block, out, place, place, place), body, _NARROW)


@intrinsic
def keep(context: Any, state: Any, at: Any, imag: Any, kept: Any, kept_at: Any, columns: Any) -> Any:
    """Copy a pair's state to `kept[kept_at:]` and `kept[kept_at + imag:]`."""

    def body(chunk, columns, state, at, imag, kept, kept_at):
        real, imaginary = _pair(chunk, state, at, imag)
        chunk.store(real, kept, kept_at)
        chunk.store(imaginary, kept, chunk.builder.add(kept_at, imag))

    place = types.intp
    return over_columns((state, place, place, kept, place), body, _NARROW)


@intrinsic
def walk(
    context: Any, x: Any, y: Any, a: Any, p: Any, state: Any, at: Any, imag: Any, steps: Any, columns: Any
) -> Any:  # fmt: skip
    """Add Re(p h) to the block `y`, h being the state before each step, and move `state` on by h <- a h + x."""

    def body(chunk, columns, x, y, a, p, state, at, imag, steps):
        (ar, ai), (pr, pi) = _pair(chunk, a, at, imag), _pair(chunk, p, at, imag)

        def step(t, hr, hi):
            row = chunk.builder.mul(t, columns)
            chunk.store(_minus(chunk, _plus(chunk, chunk.load(y, row), pr, hr), pi, hi), y, row)
            return _next(chunk, chunk.load(x, row), ar, ai, hr, hi)

        hr, hi = _walk(chunk, steps, _held(chunk, _pair(chunk, state, at, imag)), step)
        chunk.store(hr, state, at)
        chunk.store(hi, state, chunk.builder.add(at, imag))

    place = types.intp
    return over_columns((x, y, a, p, state, place, place, place), body, _WIDE)


@intrinsic
def retrace(
    context: Any, x: Any, h: Any, a: Any, state: Any, state_at: Any, at: Any, imag: Any, steps: Any, columns: Any
) -> Any:  # fmt: skip
    """Write the states before each step to `h` `[steps, 2, columns]`, the first of which is `state[state_at:]`."""

    def body(chunk, columns, x, h, a, state, state_at, at, imag, steps):
        builder = chunk.builder
        ar, ai = _pair(chunk, a, at, imag)

        def step(t, hr, hi):
            row = builder.mul(t, columns)
            twice = builder.add(row, row)
            chunk.store(hr, h, twice)
            chunk.store(hi, h, builder.add(twice, columns))
            return _next(chunk, chunk.load(x, row), ar, ai, hr, hi)

        _walk(chunk, steps, _held(chunk, _pair(chunk, state, state_at, imag)), step)

    place = types.intp
    return over_columns((x, h, a, state, place, place, place, place), body, _WIDE)


@intrinsic
def walk_back(
    context: Any, g: Any, g_x: Any, h: Any, a: Any, p: Any, later: Any, g_a: Any, g_p: Any, at: Any, imag: Any,
    steps: Any, columns: Any,
) -> Any:  # fmt: skip
    """The reverse of `walk`, from the gradient `g` of y and the states `h` that `retrace` wrote.

    `later`, the gradient of the state behind the block, becomes that of the state before it; the gradients of x, a and p
    are added to `g_x`, `g_a` and `g_p`."""

    def body(chunk, columns, g, g_x, h, a, p, later, g_a, g_p, at, imag, steps):
        builder = chunk.builder
        (ar, ai), (pr, pi) = _pair(chunk, a, at, imag), _pair(chunk, p, at, imag)
        last = builder.sub(steps, ir.Constant(LONG, 1))

        def step(t, lr, li, g_ar, g_ai, g_pr, g_pi):
            row = builder.mul(builder.sub(last, t), columns)
            hr, hi = _pair(chunk, h, builder.add(row, row), columns)
            above = chunk.load(g, row)
            chunk.store(builder.fadd(chunk.load(g_x, row), lr), g_x, row)
            g_ar = _plus(chunk, _plus(chunk, g_ar, lr, hr), li, hi)
            g_ai = _minus(chunk, _plus(chunk, g_ai, li, hr), lr, hi)
            g_pr, g_pi = _plus(chunk, g_pr, above, hr), _minus(chunk, g_pi, above, hi)
            real = _plus(chunk, _plus(chunk, _times(chunk, above, pr), ar, lr), ai, li)
            imaginary = _minus(chunk, _minus(chunk, _times(chunk, ar, li), ai, lr), above, pi)
            return real, imaginary, g_ar, g_ai, g_pr, g_pi

        none = chunk.vector(0.0)
        begin = (*_pair(chunk, later, at, imag), none, none, none, none)
        lr, li, *sums = _walk(chunk, steps, _held(chunk, begin), step)
        chunk.store(lr, later, at)
        chunk.store(li, later, builder.add(at, imag))
        for array, parts in ((g_a, sums[:2]), (g_p, sums[2:])):
            for part, where in zip(parts, (at, builder.add(at, imag)), strict=True):
                chunk.store(builder.fadd(chunk.load(array, where), part), array, where)

    place = types.intp
    return over_columns((g, g_x, h, a, p, later, g_a, g_p, place, place, place), body, _NARROW)
