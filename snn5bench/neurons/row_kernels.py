"""The innermost loops of synapses and LIF neurons, written as vectors for LLVM; numba kernels call them.

numba would keep a sum of weight rows in memory: it cannot know how many come, nor that no two arrays overlap. Here the
columns stay in registers, 128 at a time (then 64, 16, 4 and 1, for what is left), while the rows go by. A sum begins with
the bias and takes one row after the other, so that whoever adds the same rows gets the same bits.

Arrays are contiguous, and a place in one is given as a flat offset: a slice would count references.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_WIDTHS = (128, 64, 32, 16, 4, 1)
LONG = ir.IntType(64)


class Chunk(NamedTuple):
    """`width` columns from `column` on, of arrays whose values are of type `real`."""

    builder: Any
    real: Any
    width: int
    column: Any

    def vector(self, value: float | None = None) -> Any:
        """The type of these columns' values, or a constant of it."""
        kind = ir.VectorType(self.real, self.width)
        return kind if value is None else ir.Constant(kind, [value] * self.width)

    def _place(self, array: Any, at: Any) -> Any:
        place = self.builder.gep(array, [self.builder.add(at, self.column)])
        return self.builder.bitcast(place, self.vector().as_pointer())

    def load(self, array: Any, at: Any) -> Any:
        """The values of `array` from `at` on."""
        value = self.builder.load(self._place(array, at))
        value.align = 4
        return value

    def store(self, value: Any, array: Any, at: Any) -> None:
        """Write them."""
        self.builder.store(value, self._place(array, at)).align = 4

    def each(self, scalar: Any) -> Any:
        """`scalar` in all columns."""
        empty = ir.Constant(self.vector(), ir.Undefined)
        one = self.builder.insert_element(empty, scalar, ir.Constant(ir.IntType(32), 0))
        first = ir.Constant(ir.VectorType(ir.IntType(32), self.width), [0] * self.width)
        return self.builder.shuffle_vector(one, empty, first)

    def set_bits(self, flags: Any, words: Any, at: Any) -> None:
        """Set the bits of these columns in `words` (zero before) where `flags` are true."""
        builder = self.builder
        bits = builder.bitcast(flags, ir.IntType(self.width))
        place = builder.gep(words, [builder.add(at, builder.udiv(self.column, ir.Constant(LONG, 64)))])
        if self.width < 64:
            shift = builder.urem(self.column, ir.Constant(LONG, 64))
            bits = builder.or_(builder.load(place), builder.shl(builder.zext(bits, LONG), shift))
        builder.store(bits, builder.bitcast(place, bits.type.as_pointer())).align = 8


def _chunks(builder: Any, real: Any, columns: Any, body: Callable[[Chunk], None], widths: tuple[int, ...]) -> None:
    """Run `body` on all columns, the widest chunks first."""
    start = ir.Constant(LONG, 0)
    for width in widths:
        step = ir.Constant(LONG, width)
        stop = builder.sub(columns, builder.urem(columns, step))
        with cgutils.for_range_slice(builder, start, stop, step, LONG) as (column, _):
            body(Chunk(builder, real, width, column))
        start = stop


def _rows(builder: Any, index: Any, first: Any, stop: Any, columns: Any, body: Callable[[Any], None]) -> None:
    """Run `body` on the offset of every row that `index[first:stop]` names."""
    with cgutils.for_range_slice(builder, first, stop, ir.Constant(LONG, 1), LONG) as (k, _):
        body(builder.mul(builder.zext(builder.load(builder.gep(index, [k])), LONG), columns))


def _total(chunk: Chunk, weight: Any, index: Any, first: Any, stop: Any, columns: Any, begin: Any) -> Any:
    """`begin` plus the rows of `weight`."""
    total = cgutils.alloca_once(chunk.builder, chunk.vector())
    chunk.builder.store(begin, total)

    def add(row: Any) -> None:
        chunk.builder.store(chunk.builder.fadd(chunk.builder.load(total), chunk.load(weight, row)), total)

    _rows(chunk.builder, index, first, stop, columns, add)
    return chunk.builder.load(total)


def _opened(context: Any, builder: Any, signature: Any, arguments: Any) -> list[Any]:
    """The arguments, each array as the pointer to its values, each truth value as one bit."""
    opened = []
    for kind, value in zip(signature.args, arguments, strict=True):
        if isinstance(kind, types.Array):
            value = context.make_array(kind)(context, builder, value=value).data
        elif isinstance(kind, types.Boolean):
            value = builder.icmp_unsigned("!=", value, ir.Constant(value.type, 0))
        opened.append(value)
    return opened


def over_columns(kinds: tuple[Any, ...], body: Callable[..., None], widths: tuple[int, ...] = _WIDTHS) -> Any:
    """What an intrinsic returns whose last argument is the number of columns: `body(chunk, columns, *others)` does the work
    on each chunk of them; `widths` end with 1."""
    numbers = next(kind.dtype for kind in kinds if isinstance(kind, types.Array))

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        *others, columns = _opened(context, builder, signature, arguments)
        _chunks(builder, context.get_value_type(numbers), columns, lambda chunk: body(chunk, columns, *others), widths)
        return context.get_dummy_value()

    return types.void(*kinds, types.intp), generate


@intrinsic
def add_rows(
    context: Any,
    weight: Any,
    index: Any,
    first: Any,
    stop: Any,
    bias: Any,
    bias_at: Any,
    out: Any,
    at: Any,
    columns: Any,
) -> Any:
    """out[at:] = bias[bias_at:] + the sum of the rows of `weight` that `index[first:stop]` names."""

    def body(chunk, columns, weight, index, first, stop, bias, bias_at, out, at):
        chunk.store(_total(chunk, weight, index, first, stop, columns, chunk.load(bias, bias_at)), out, at)

    place = types.intp
    return over_columns((weight, index, place, place, bias, place, out, place), body)


@intrinsic
def add_rows_and_fire(
    context: Any, weight: Any, index: Any, first: Any, stop: Any, bias: Any, bias_at: Any,
    decay: Any, theta: Any, hard: Any, carry: Any, v: Any, at: Any, bits: Any, bits_at: Any, columns: Any,
) -> Any:  # fmt: skip
    """One step of LIF neurons (`lif_scan`) whose current is what `add_rows` makes: `v[at:]` becomes the membrane, `carry`
    what it leaves to the next step, and of the words `bits[bits_at:]` (zero before) the bits of those that fire are set."""

    def body(
        chunk, columns, weight, index, first, stop, bias, bias_at, decay, theta, hard, carry, v, at, bits, bits_at
    ):
        builder, zero = chunk.builder, ir.Constant(LONG, 0)
        current = _total(chunk, weight, index, first, stop, columns, chunk.load(bias, bias_at))
        u = builder.fadd(chunk.load(carry, zero), current)
        fires = builder.fcmp_ordered(">=", u, chunk.each(theta))
        decayed = builder.fmul(chunk.each(decay), u)
        kept = builder.fmul(decayed, builder.select(fires, chunk.vector(0.0), chunk.vector(1.0)))
        lowered = builder.fsub(decayed, builder.select(fires, chunk.each(theta), chunk.vector(0.0)))
        chunk.store(u, v, at)
        chunk.store(builder.select(hard, kept, lowered), carry, zero)
        chunk.set_bits(fires, bits, bits_at)

    place, number = types.intp, weight.dtype
    kinds = (weight, index, place, place, bias, place, number, number, types.boolean, carry, v, place, bits, place)
    return over_columns(kinds, body)


@intrinsic
def back_step(
    context: Any, g_s: Any, g_at: Any, slope: Any, slope_at: Any, v: Any, at: Any, decay: Any, theta: Any, hard: Any,
    reset: Any, through_time: Any, carried: Any, g_x: Any, g_bias: Any, columns: Any,
) -> Any:  # fmt: skip
    """The reverse of a LIF step: `g_x[at:]` becomes the gradient of the current, from that of the spikes `g_s[g_at:]`, the
    surrogate `slope[slope_at:]` and the membrane `v[at:]`. `carried`, the gradient of the current one step later, is
    updated, and `g_bias` added up. `reset` is 1 where a gradient goes through the reset, else 0."""

    def body(
        chunk, columns, g_s, g_at, slope, slope_at, v, at, decay, theta, hard, reset, through_time, carried, g_x, g_bias
    ):
        builder, zero = chunk.builder, ir.Constant(LONG, 0)
        steep, u, later = chunk.load(slope, slope_at), chunk.load(v, at), chunk.load(carried, zero)
        fires = builder.fcmp_ordered(">=", u, chunk.each(theta))
        past = builder.fmul(chunk.each(reset), steep)
        keeps = builder.select(fires, chunk.vector(0.0), chunk.vector(1.0))
        kept = builder.fmul(chunk.each(decay), builder.fsub(keeps, builder.fmul(u, past)))
        lowered = builder.fsub(chunk.each(decay), builder.fmul(chunk.each(theta), past))
        g = builder.fmul(later, builder.select(hard, kept, lowered))
        g = builder.fadd(builder.fmul(chunk.load(g_s, g_at), steep), g)
        chunk.store(g, g_x, at)
        chunk.store(builder.select(through_time, g, chunk.vector(0.0)), carried, zero)
        chunk.store(builder.fadd(chunk.load(g_bias, zero), g), g_bias, zero)

    place, number, flag = types.intp, v.dtype, types.boolean
    kinds = (g_s, place, slope, place, v, place, number, number, flag, number, flag, carried, g_x, g_bias)
    return over_columns(kinds, body)


@intrinsic
def scatter_row(context: Any, g: Any, at: Any, index: Any, first: Any, stop: Any, g_weight: Any, columns: Any) -> Any:
    """Add `g[at:]` to the rows of `g_weight` that `index[first:stop]` names."""

    def body(chunk, columns, g, at, index, first, stop, g_weight):
        added = chunk.load(g, at)

        def add(row: Any) -> None:
            chunk.store(chunk.builder.fadd(chunk.load(g_weight, row), added), g_weight, row)

        _rows(chunk.builder, index, first, stop, columns, add)

    return over_columns((g, types.intp, index, types.intp, types.intp, g_weight), body)


@intrinsic
def flag_row(context: Any, x: Any, at: Any, bits: Any, bits_at: Any, others: Any, others_at: Any, columns: Any) -> Any:
    """Of the words `bits[bits_at:]` (zero before) set the bits of the values `x[at:]` that are not zero, and of
    `others[others_at:]` those of the values that are neither zero nor one."""

    def body(chunk, columns, x, at, bits, bits_at, others, others_at):
        values = chunk.load(x, at)
        some = chunk.builder.fcmp_unordered("!=", values, chunk.vector(0.0))
        chunk.set_bits(some, bits, bits_at)
        odd = chunk.builder.fcmp_unordered("!=", values, chunk.vector(1.0))
        chunk.set_bits(chunk.builder.and_(some, odd), others, others_at)

    return over_columns((x, types.intp, bits, types.intp, others, types.intp), body)


@intrinsic
def trailing_zeros(context: Any, word: Any) -> Any:
    """Place of the lowest set bit of a 64-bit word that is not zero."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate
