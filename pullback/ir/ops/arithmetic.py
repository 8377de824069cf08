"""Elementwise arithmetic: + - * / // % and their kin, on integers and floats as NumPy does it."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pullback import dtypes
from pullback.dtypes import ALL, DType, f32, f64, i32, i64, u8, u64
from pullback.ir.core import Array, Builder, Sample, Value
from pullback.ir.ops.base import Elementwise, Partial, Term
from pullback.ir.ops.scalar import Compare, Elementary, Scalar, ScalarBuilder
from pullback.ir.registry import register

NUMBERS = tuple(dtype for dtype in reversed(ALL) if not dtype.is_bool)
"""The most frequent ones first: it is looked through for every operation."""


class Arithmetic(Elementwise):
    """Elementwise on all integers and floats; samples cover both."""

    dtypes: ClassVar[tuple[DType, ...]] = NUMBERS

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        random = np.random.default_rng(11)
        domains = cls.domains if len(cls.domains) == cls.arity else cls.domains * cls.arity
        for dtype in (f32, f64, i32, i64, u8, u64):
            for shape in ((), (1,), (3, 5), (0, 4), (37,)):
                if dtype.is_float:
                    yield Sample(cls(), tuple(random.uniform(*domain, shape).astype(dtype.numpy) for domain in domains))
                else:
                    low = -9 if dtype.is_signed else 0
                    operands = tuple(np.asarray(random.integers(low, 9, shape)).astype(dtype.numpy) for _ in domains)
                    yield Sample(cls(), operands, differentiable=False)


@register
class Add(Arithmetic):
    """``(t[...], t[...]) -> t[...]``; integers wrap."""

    name: ClassVar[str] = "add"
    arity: ClassVar[int] = 2

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.add(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        return s.add(*operands)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return 1.0, 1.0


@register
class Sub(Arithmetic):
    """``(t[...], t[...]) -> t[...]``; integers wrap."""

    name: ClassVar[str] = "sub"
    arity: ClassVar[int] = 2

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.subtract(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        return s.sub(*operands)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return 1.0, -1.0


@register
class Mul(Arithmetic):
    """``(t[...], t[...]) -> t[...]``; integers wrap."""

    name: ClassVar[str] = "mul"
    arity: ClassVar[int] = 2

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.multiply(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        return s.mul(*operands)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        x, y = operands
        return y, x


@register
class ZeroMul(Elementwise):
    """``x * y``, but x itself where x is 0, even if y is infinite or NaN: ``(f[...], f[...]) -> f[...]``.

    Derivatives use it where x is a cotangent that a mask has zeroed: a branch not taken contributes nothing.
    """

    name: ClassVar[str] = "zero_mul"
    arity: ClassVar[int] = 2

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        x, y = operands
        return (np.where(x == 0, x, x * y),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        x, y = operands
        return s.select(s.compare(Compare.EQ, x, s.constant(x.dtype, 0.0)), x, s.mul(x, y))

    def _by_x(self, b: Builder, factor: Value, x: Value, y: Value) -> Value:
        """factor * y, but by 0 where x is 0 and y is not finite: y was left out there.

        An infinite partial of a zero that stays a zero would meet other zeros in a matrix product.
        """
        used = Term(b, x).apply("not_equal", 0.0).apply("logical_or", Term(b, y).apply("is_finite"))
        return b.scale(factor, used.select(Term(b, y), 0.0).value)

    def _by_y(self, b: Builder, factor: Value, x: Value) -> Value:
        """factor * x, and exactly 0 where x is 0: what a mask has zeroed stays zero."""
        return b.masked(Term(b, x).equals(0.0).select(0.0, Term(b, b.scale(factor, x))).value)

    def pullback(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], cotangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        (cotangent,) = cotangents
        if cotangent is None:
            return None, None
        x, y = operands
        return self._by_x(b, cotangent, x, y), self._by_y(b, cotangent, x)

    def jvp(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], tangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        x, y = operands
        x_dot, y_dot = tangents
        total: Value | None = None
        if x_dot is not None:
            total = self._by_x(b, b.masked(x_dot), x, y)
        if y_dot is not None:
            part = self._by_y(b, y_dot, x)
            total = part if total is None else b.value(Add(), total, part)
        return (total if total is None else b.masked(total),)


@register
class Div(Elementwise):
    """True division of floats: ``(f[...], f[...]) -> f[...]``."""

    name: ClassVar[str] = "div"
    arity: ClassVar[int] = 2
    domains: ClassVar[tuple[tuple[float, float], ...]] = ((-2.0, 2.0), (0.5, 2.0))

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.true_divide(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        return s.div(*operands)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        _, y = operands
        return 1.0 / y, -(result / y)

    def _by_quotient(self, b: Builder, factor: Value, y: Value) -> Value:
        """factor / y: one rounding less than factor * (1 / y), and 0 / 0 only where y is 0."""
        return b.scale(factor, (1.0 / Term(b, y)).value)

    def pullback(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], cotangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        (cotangent,) = cotangents
        if cotangent is None:
            return None, None
        x_bar = self._by_quotient(b, cotangent, operands[1])
        return x_bar, b.scale(x_bar, (-Term(b, results[0])).value)


@register
class FloorDivide(Arithmetic):
    """Division rounded down; integers give 0 for a zero divisor: ``(t[...], t[...]) -> t[...]``."""

    name: ClassVar[str] = "floor_divide"
    arity: ClassVar[int] = 2
    domains: ClassVar[tuple[tuple[float, float], ...]] = ((-9.0, 9.0), (0.5, 2.0))

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.floor_divide(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        x, y = operands
        zero = s.constant(x.dtype, 0)
        if not x.dtype.is_float:
            quotient, remainder = _truncating(s, x, y)
            if x.dtype.is_signed:
                one = s.constant(x.dtype, 1)
                opposite = s.compare(Compare.LT, s.bit_xor(remainder, y), zero)
                inexact = s.bit_and(s.compare(Compare.NE, remainder, zero), opposite)
                quotient = s.select(inexact, s.sub(quotient, one), quotient)
            return s.select(s.compare(Compare.EQ, y, zero), zero, quotient)
        # As CPython: the quotient of an exact remainder, so that floor(x / y) is not off by rounding.
        remainder, one = s.rem(x, y), s.constant(x.dtype, 1.0)
        opposite = s.bit_xor(s.compare(Compare.LT, y, zero), s.compare(Compare.LT, remainder, zero))
        above = s.bit_and(opposite, s.compare(Compare.NE, remainder, zero))
        quotient = s.div(s.sub(x, remainder), y)
        quotient = s.select(above, s.sub(quotient, one), quotient)
        floor = s.floor(quotient)
        half = s.constant(x.dtype, 0.5)
        rounded = s.select(
            s.compare(Compare.GT, s.sub(quotient, floor), half), s.add(floor, one), floor
        )
        plain = s.div(x, y)
        signed = s.select(s.compare(Compare.EQ, quotient, zero), s.copysign(zero, plain), rounded)
        return s.select(s.compare(Compare.EQ, y, zero), plain, signed)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return None, None


@register
class Remainder(Arithmetic):
    """Remainder with the divisor's sign; integers give 0 for a zero divisor: ``(t[...], t[...]) -> t[...]``."""

    name: ClassVar[str] = "remainder"
    arity: ClassVar[int] = 2
    domains: ClassVar[tuple[tuple[float, float], ...]] = ((-9.0, 9.0), (1.5, 1.9))

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.remainder(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        x, y = operands
        if x.dtype.is_float:
            return _float_modulus(s, x, y)
        zero = s.constant(x.dtype, 0)
        _, remainder = _truncating(s, x, y)
        if x.dtype.is_signed:
            opposite = s.compare(Compare.LT, s.bit_xor(remainder, y), zero)
            inexact = s.bit_and(s.compare(Compare.NE, remainder, zero), opposite)
            remainder = s.select(inexact, s.add(remainder, y), remainder)
        return s.select(s.compare(Compare.EQ, y, zero), zero, remainder)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        x, y = operands
        return 1.0, -x.apply("floor_divide", y)


def _truncating(s: ScalarBuilder, x: Scalar, y: Scalar) -> tuple[Scalar, Scalar]:
    """C's quotient and remainder; divisors 0 and -1, on which the processor traps, are handled apart."""
    one = s.constant(x.dtype, 1)
    trapping = s.compare(Compare.EQ, y, s.constant(x.dtype, 0))
    if not x.dtype.is_signed:
        divisor = s.select(trapping, one, y)
        return s.div(x, divisor), s.rem(x, divisor)
    minus = s.compare(Compare.EQ, y, s.constant(x.dtype, -1))
    divisor = s.select(s.bit_or(trapping, minus), one, y)
    return s.select(minus, s.neg(x), s.div(x, divisor)), s.rem(x, divisor)


def _float_modulus(s: ScalarBuilder, x: Scalar, y: Scalar) -> Scalar:
    """Python's float modulo: fmod, moved to the divisor's sign; a zero result takes that sign too."""
    zero = s.constant(x.dtype, 0.0)
    remainder = s.rem(x, y)
    opposite = s.bit_xor(s.compare(Compare.LT, y, zero), s.compare(Compare.LT, remainder, zero))
    moved = s.select(opposite, s.add(remainder, y), remainder)
    signed = s.select(s.compare(Compare.EQ, remainder, zero), s.copysign(zero, y), moved)
    return s.select(s.compare(Compare.EQ, y, zero), remainder, signed)


@register
class Neg(Arithmetic):
    """``t[...] -> t[...]``; integers wrap."""

    name: ClassVar[str] = "neg"

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.negative(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        return s.neg(*operands)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return (-1.0,)


@register
class Abs(Arithmetic):
    """``t[...] -> t[...]``; the derivative is sign(x), 0 at 0."""

    name: ClassVar[str] = "abs"

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.abs(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        return s.abs(*operands)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return (operands[0].apply("sign"),)


@register
class Sign(Arithmetic):
    """-1, 0 or 1, NaN for NaN: ``t[...] -> t[...]``."""

    name: ClassVar[str] = "sign"

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.sign(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        (x,) = operands
        zero, one = s.constant(x.dtype, 0), s.constant(x.dtype, 1)
        positive = s.compare(Compare.GT, x, zero)
        if not x.dtype.is_float and not x.dtype.is_signed:
            return s.select(positive, one, zero)
        negative = s.compare(Compare.LT, x, zero)
        signed = s.select(positive, one, s.select(negative, s.constant(x.dtype, -1), zero))
        return s.select(s.compare(Compare.NE, x, x), x, signed) if x.dtype.is_float else signed

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return (None,)


@register
class Pow(Arithmetic):
    """x to the power y; integers need y >= 0 (else 0 is given): ``(t[...], t[...]) -> t[...]``. Floats within 2 ulp."""

    name: ClassVar[str] = "pow"
    arity: ClassVar[int] = 2
    domains: ClassVar[tuple[tuple[float, float], ...]] = ((0.5, 2.0), (-2.0, 2.0))

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        x, y = operands
        if x.dtype.kind == "f":
            return (np.power(x, y),)
        negative = y < 0
        return (np.where(negative, 0, np.power(x, np.where(negative, 0, y))).astype(x.dtype),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        x, y = operands
        if x.dtype.is_float:
            return s.elementary(Elementary.POW, x, y)
        zero, one = s.constant(x.dtype, 0), s.constant(x.dtype, 1)
        base, exponent, result = x, y, one
        for _ in range(x.dtype.bits):
            odd = s.compare(Compare.NE, s.bit_and(exponent, one), zero)
            result = s.select(odd, s.mul(result, base), result)
            base, exponent = s.mul(base, base), s.shift_right_logical(exponent, one)
        return s.select(s.compare(Compare.LT, y, zero), zero, result) if x.dtype.is_signed else result

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        x, y = operands
        # 0 ** 0 is the constant 1, and 0 ** y is flat in y for y > 0.
        by_base = y.equals(0.0).select(0.0, y * x.apply("pow", y - 1.0))
        flat = x.equals(0.0).apply("logical_and", y.apply("greater_equal", 0.0))
        return by_base, flat.select(0.0, result * x.apply("log"))


class Extreme(Arithmetic):
    """The larger or smaller of two; NaN if either is; at a tie each gets half of the cotangent."""

    arity: ClassVar[int] = 2
    beats: ClassVar[str] = "greater"

    def pullback(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], cotangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        routed = self._routed(b, operands, (cotangents[0], cotangents[0]))
        return tuple(each if each is None else b.masked(each) for each in routed)

    def jvp(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], tangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        parts = [part for part in self._routed(b, operands, (tangents[0], tangents[1])) if part is not None]
        if not parts:
            return (None,)
        return (b.masked(parts[0]) if len(parts) == 1 else b.value(Add(), *parts),)

    def _routed(
        self, b: Builder, operands: tuple[Value, ...], factors: tuple[Value | None, Value | None]
    ) -> tuple[Value | None, Value | None]:
        x, y = Term(b, operands[0]), Term(b, operands[1])
        tie = x.equals(y)
        routed: list[Value | None] = []
        for winner, loser, factor in ((x, y, factors[0]), (y, x, factors[1])):
            if factor is None:
                routed.append(None)
                continue
            term = Term(b, factor)
            wins = winner.apply(self.beats, loser)
            routed.append(wins.select(term, tie.select(term * 0.5, 0.0)).value)
        return routed[0], routed[1]


@register
class Maximum(Extreme):
    """``(t[...], t[...]) -> t[...]``."""

    name: ClassVar[str] = "maximum"
    beats: ClassVar[str] = "greater"

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.maximum(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        return s.maximum(*operands)


@register
class Minimum(Extreme):
    """``(t[...], t[...]) -> t[...]``."""

    name: ClassVar[str] = "minimum"
    beats: ClassVar[str] = "less"

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.minimum(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        return s.minimum(*operands)


@register
@dataclass(frozen=True)
class Cast(Elementwise):
    """NumPy's astype: ``t[...] -> dtype[...]``. Linear between floats; no derivative otherwise."""

    name: ClassVar[str] = "cast"
    dtypes: ClassVar[tuple[DType, ...]] = ALL
    dtype: DType

    def result_dtype(self, types: tuple[object, ...]) -> DType:
        return self.dtype

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (operands[0].astype(self.dtype.numpy),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        return s.cast(operands[0], self.dtype)

    def pullback(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], cotangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        source = operands[0].type.dtype
        if cotangents[0] is None or not (source.is_float and self.dtype.is_float):
            return (None,)
        return (b.value(Cast(source), cotangents[0]),)

    def jvp(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], tangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        if tangents[0] is None or not self.dtype.is_float:
            return (None,)
        return (b.value(Cast(self.dtype), tangents[0]),)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        random = np.random.default_rng(5)
        for source in ALL:
            for target in ALL:
                signed = all(each.is_signed or each.is_float for each in (source, target))
                low = -9 if signed else 0
                values = random.integers(low, 9, 37) * (0.75 if source.is_float else 1)
                operands = (values.astype(source.numpy),)
                yield Sample(cls(target), operands, target is dtypes.f64 and source is dtypes.f64)
