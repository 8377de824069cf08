"""Comparison, logic, bits and choice: results that carry no derivative, and the select that routes one."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np

from pullback.dtypes import ALL, DType, boolean, f32, f64, i32, i64, u8
from pullback.errors import DTypeError
from pullback.ir.core import Array, Builder, Sample, Value
from pullback.ir.ops.base import Elementwise, Partial, Term
from pullback.ir.ops.scalar import Compare, Scalar, ScalarBuilder
from pullback.ir.reads import SAME, Dependence, Known, Reads
from pullback.ir.registry import register
from pullback.ir.types import ArrayType


class Comparison(Elementwise):
    """``(t[...], t[...]) -> bool[...]``."""

    arity: ClassVar[int] = 2
    dtypes: ClassVar[tuple[DType, ...]] = ALL
    predicate: ClassVar[Compare]
    function: ClassVar[Callable[..., Any]]

    def result_dtype(self, types: tuple[ArrayType, ...]) -> DType:
        return boolean

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (type(self).function(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        return s.compare(self.predicate, *operands)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        random = np.random.default_rng(2)
        for dtype in (boolean, f32, f64, i32, i64, u8):
            for shape in ((), (1,), (3, 5), (0, 4), (37,)):
                operands = tuple(np.asarray(random.integers(0, 3, shape)).astype(dtype.numpy) for _ in range(2))
                yield Sample(cls(), operands, differentiable=False)
        yield Sample(cls(), (np.array([np.nan, 1.0, np.nan, np.inf]), np.array([1.0, np.nan, np.nan, np.inf])), False)


@register
class Less(Comparison):
    """x < y."""

    name: ClassVar[str] = "less"
    predicate: ClassVar[Compare] = Compare.LT
    function: ClassVar[Callable[..., Any]] = np.less


@register
class LessEqual(Comparison):
    """x <= y."""

    name: ClassVar[str] = "less_equal"
    predicate: ClassVar[Compare] = Compare.LE
    function: ClassVar[Callable[..., Any]] = np.less_equal


@register
class Equal(Comparison):
    """x == y."""

    name: ClassVar[str] = "equal"
    predicate: ClassVar[Compare] = Compare.EQ
    function: ClassVar[Callable[..., Any]] = np.equal


@register
class NotEqual(Comparison):
    """x != y."""

    name: ClassVar[str] = "not_equal"
    predicate: ClassVar[Compare] = Compare.NE
    function: ClassVar[Callable[..., Any]] = np.not_equal


@register
class Greater(Comparison):
    """x > y."""

    name: ClassVar[str] = "greater"
    predicate: ClassVar[Compare] = Compare.GT
    function: ClassVar[Callable[..., Any]] = np.greater


@register
class GreaterEqual(Comparison):
    """x >= y."""

    name: ClassVar[str] = "greater_equal"
    predicate: ClassVar[Compare] = Compare.GE
    function: ClassVar[Callable[..., Any]] = np.greater_equal


class Bitwise(Elementwise):
    """On bools the logical connective, on integers bit by bit: ``(t[...], t[...]) -> t[...]``."""

    arity: ClassVar[int] = 2
    dtypes: ClassVar[tuple[DType, ...]] = tuple(dtype for dtype in ALL if not dtype.is_float)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        random = np.random.default_rng(2)
        for dtype in cls.dtypes:
            for shape in ((), (37,), (0,)):
                values = tuple(np.asarray(random.integers(0, 7, shape)) for _ in range(cls.arity))
                operands = tuple((each % 2 if dtype.is_bool else each).astype(dtype.numpy) for each in values)
                yield Sample(cls(), operands, differentiable=False)


@register
class LogicalAnd(Bitwise):
    """x & y."""

    name: ClassVar[str] = "logical_and"

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.bitwise_and(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        return s.bit_and(*operands)


@register
class LogicalOr(Bitwise):
    """x | y."""

    name: ClassVar[str] = "logical_or"

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.bitwise_or(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        return s.bit_or(*operands)


@register
class LogicalXor(Bitwise):
    """x ^ y."""

    name: ClassVar[str] = "logical_xor"

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.bitwise_xor(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        return s.bit_xor(*operands)


@register
class LogicalNot(Bitwise):
    """~x: ``t[...] -> t[...]``."""

    name: ClassVar[str] = "logical_not"
    arity: ClassVar[int] = 1

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.invert(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        return s.bit_not(*operands)


class Shift(Bitwise):
    """Shifts of integers; by their width or more they give what no bits leave, as in NumPy."""

    dtypes: ClassVar[tuple[DType, ...]] = tuple(dtype for dtype in ALL if dtype.is_integer)

    def _in_range(self, s: ScalarBuilder, x: Scalar, y: Scalar) -> Scalar:
        high = s.compare(Compare.LT, y, s.constant(y.dtype, x.dtype.bits))
        return s.bit_and(high, s.compare(Compare.GE, y, s.constant(y.dtype, 0))) if y.dtype.is_signed else high


@register
class ShiftLeft(Shift):
    """x << y."""

    name: ClassVar[str] = "shift_left"

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.left_shift(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        x, y = operands
        zero = s.constant(x.dtype, 0)
        fits = self._in_range(s, x, y)
        return s.select(fits, s.shift_left(x, s.select(fits, y, zero)), zero)


@register
class ShiftRight(Shift):
    """x >> y."""

    name: ClassVar[str] = "shift_right"

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.right_shift(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        x, y = operands
        zero = s.constant(x.dtype, 0)
        fits = self._in_range(s, x, y)
        if not x.dtype.is_signed:
            return s.select(fits, s.shift_right(x, s.select(fits, y, zero)), zero)
        return s.shift_right(x, s.select(fits, y, s.constant(x.dtype, x.dtype.bits - 1)))


@register
class Select(Elementwise):
    """x where the condition holds, else y: ``(bool[...], t[...], t[...]) -> t[...]``.

    The cotangent goes, by the same condition, to one side; the other gets exactly 0.
    """

    name: ClassVar[str] = "select"
    arity: ClassVar[int] = 3
    dtypes: ClassVar[tuple[DType, ...]] = ALL

    def check_dtypes(self, types: tuple[ArrayType, ...]) -> None:
        condition, x, y = types
        if not condition.dtype.is_bool or x.dtype != y.dtype:
            raise DTypeError(f"select takes a bool and two of one dtype, not {', '.join(map(str, types))}")

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.where(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        return s.select(*operands)

    def pullback(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], cotangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        (cotangent,) = cotangents
        if cotangent is None or not results[0].type.dtype.is_float:
            return None, None, None
        condition, term = Term(b, operands[0]), Term(b, cotangent)
        x_bar, y_bar = condition.select(term, 0.0).value, condition.select(0.0, term).value
        return None, b.masked(x_bar), b.masked(y_bar)

    def jvp(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], tangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        _, x_dot, y_dot = tangents
        if x_dot is None and y_dot is None:
            return (None,)
        condition = Term(b, operands[0])
        sides = [0.0 if side is None else Term(b, side) for side in (x_dot, y_dot)]
        return (b.masked(condition.select(*sides).value),)

    def dependence(self, types: tuple[ArrayType, ...], result: ArrayType, known: Known) -> Dependence:
        condition = known(0)
        if condition is None:
            return None, SAME, SAME
        chosen, every = condition.reshape(len(condition), -1), np.arange(result.size)
        return None, Reads(np.where(chosen, every, -1)), Reads(np.where(chosen, -1, every))

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        random = np.random.default_rng(4)
        for dtype in (f64, f32, i64, boolean):
            for shape in ((), (1,), (3, 5), (0, 4), (37,)):
                sides = tuple(np.asarray(random.uniform(-2, 2, shape)).astype(dtype.numpy) for _ in range(2))
                yield Sample(cls(), (np.asarray(random.uniform(size=shape) > 0.5), *sides), dtype.is_float)


@register
class Masked(Elementwise):
    """Its operand, whose zeros are there on purpose: where a branch was not taken: ``f[...] -> f[...]``.

    Derivatives put it around cotangents that meet a matrix product, so that derivatives of derivatives know of them.
    Where the operand is 0, a cotangent or tangent that is not finite is nothing.
    """

    name: ClassVar[str] = "masked"

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (operands[0],)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        return operands[0]

    def _cleaned(self, b: Builder, x: Value, factor: Value | None) -> tuple[Value | None]:
        if factor is None:
            return (None,)
        live = Term(b, x).apply("not_equal", 0.0).apply("logical_or", Term(b, factor).apply("is_finite"))
        return (b.masked(live.select(Term(b, factor), 0.0).value),)

    def pullback(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], cotangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        return self._cleaned(b, operands[0], cotangents[0])

    def jvp(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], tangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        return self._cleaned(b, operands[0], tangents[0])


@register
class IsFinite(Elementwise):
    """Neither infinite nor NaN: ``f[...] -> bool[...]``."""

    name: ClassVar[str] = "is_finite"

    def result_dtype(self, types: tuple[ArrayType, ...]) -> DType:
        return boolean

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.isfinite(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        (x,) = operands
        return s.compare(Compare.LT, s.abs(x), s.constant(x.dtype, float("inf")))

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return (None,)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for dtype in (f32, f64):
            yield Sample(cls(), (np.array([0.0, np.inf, -np.inf, np.nan, 3.0]).astype(dtype.numpy),), False)
