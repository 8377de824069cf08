"""Elementary functions that are made of others where they are lowered, each with one derivative rule of its own."""
from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import ClassVar

import numpy as np

from pullback import dtypes
from pullback.dtypes import f64
from pullback.ir.core import Array
from pullback.ir.ops.base import Elementwise, Partial, Term
from pullback.ir.ops.scalar import Compare, Elementary, Scalar, ScalarBuilder
from pullback.ir.registry import register

LN2, LN10 = log(2.0), log(10.0)
# log10(2) in two parts, the first short enough that its product with an exponent is exact.
LOG2_HIGH, LOG2_LOW = 0.301025390625, 4.605038981195213738894724493e-06


class Composed(Elementwise):
    """A function whose code calls other elementary functions; `ulp` bounds its error, theirs included."""

    ulp: ClassVar[float]


def _complement_root(s: ScalarBuilder, x: Scalar) -> Scalar:
    """sqrt(1 - x²) as sqrt((1 - x)(1 + x)): no cancellation near 1."""
    one = s.constant(x.dtype, 1.0)
    return s.sqrt(s.mul(s.sub(one, x), s.add(one, x)))


def _complement_root_term(x: Term) -> Term:
    return ((1.0 - x) * (x + 1.0)).apply("sqrt")


def _odd(s: ScalarBuilder, x: Scalar, function: Callable[[Scalar], Scalar]) -> Scalar:
    """An odd function from its values at |x|."""
    return s.copysign(function(s.abs(x)), x)


@register
class Arcsin(Composed):
    """In radians: ``f[...] -> f[...]``."""

    name: ClassVar[str] = "arcsin"
    ulp: ClassVar[float] = 5
    domains: ClassVar[tuple[tuple[float, float], ...]] = ((-0.95, 0.95),)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.arcsin(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        (x,) = operands
        return s.elementary(Elementary.ARCTAN2, x, _complement_root(s, x))

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return (1.0 / _complement_root_term(operands[0]),)


@register
class Arccos(Composed):
    """In radians: ``f[...] -> f[...]``."""

    name: ClassVar[str] = "arccos"
    ulp: ClassVar[float] = 5
    domains: ClassVar[tuple[tuple[float, float], ...]] = ((-0.95, 0.95),)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.arccos(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        (x,) = operands
        return s.elementary(Elementary.ARCTAN2, _complement_root(s, x), x)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return (-1.0 / _complement_root_term(operands[0]),)


@register
class Arcsinh(Composed):
    """Inverse of sinh: ``f[...] -> f[...]``."""

    name: ClassVar[str] = "arcsinh"
    ulp: ClassVar[float] = 6

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.arcsinh(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        (x,) = operands

        def of_positive(size: Scalar) -> Scalar:
            # log1p(x + x² / (1 + sqrt(1 + x²))), and log(x) + log(2) where log1p(x) is log(x).
            one = s.constant(x.dtype, 1.0)
            large = s.compare(Compare.GT, size, s.constant(x.dtype, 1e17 if x.dtype == f64 else 1e8))
            square = s.mul(size, size)
            near = s.add(size, s.div(square, s.add(one, s.sqrt(s.add(one, square)))))
            logarithm = s.elementary(Elementary.LOG1P, s.select(large, size, near))
            return s.select(large, s.add(logarithm, s.constant(x.dtype, LN2)), logarithm)

        return _odd(s, x, of_positive)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        (x,) = operands
        return (1.0 / x.apply("hypot", 1.0),)


@register
class Arccosh(Composed):
    """Inverse of cosh for x >= 1, NaN below: ``f[...] -> f[...]``."""

    name: ClassVar[str] = "arccosh"
    ulp: ClassVar[float] = 6
    domains: ClassVar[tuple[tuple[float, float], ...]] = ((1.05, 4.0),)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.arccosh(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        (x,) = operands
        # log1p(t + sqrt(t) sqrt(t + 2)) with t = x - 1: exact near 1; log(x) + log(2) where that is the same.
        large = s.compare(Compare.GT, x, s.constant(x.dtype, 1e17 if x.dtype == f64 else 1e8))
        t = s.sub(x, s.constant(x.dtype, 1.0))
        roots = s.mul(s.sqrt(t), s.sqrt(s.add(t, s.constant(x.dtype, 2.0))))
        logarithm = s.elementary(Elementary.LOG1P, s.select(large, x, s.add(t, roots)))
        return s.select(large, s.add(logarithm, s.constant(x.dtype, LN2)), logarithm)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        (x,) = operands
        return (1.0 / ((x - 1.0).apply("sqrt") * (x + 1.0).apply("sqrt")),)


@register
class Arctanh(Composed):
    """Inverse of tanh: ``f[...] -> f[...]``."""

    name: ClassVar[str] = "arctanh"
    ulp: ClassVar[float] = 6
    domains: ClassVar[tuple[tuple[float, float], ...]] = ((-0.9, 0.9),)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.arctanh(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        (x,) = operands

        def of_positive(size: Scalar) -> Scalar:
            ratio = s.div(s.add(size, size), s.sub(s.constant(x.dtype, 1.0), size))
            return s.mul(s.elementary(Elementary.LOG1P, ratio), s.constant(x.dtype, 0.5))

        return _odd(s, x, of_positive)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        (x,) = operands
        return (1.0 / ((1.0 - x) * (x + 1.0)),)


@register
class Cbrt(Composed):
    """Cube root, also of negative numbers: ``f[...] -> f[...]``."""

    name: ClassVar[str] = "cbrt"
    ulp: ClassVar[float] = 2
    domains: ClassVar[tuple[tuple[float, float], ...]] = ((0.2, 4.0),)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.cbrt(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        (x,) = operands

        def of_positive(size: Scalar) -> Scalar:
            # A third is not a float: one Newton step takes out what the power is off by.
            guess = s.elementary(Elementary.POW, size, s.constant(x.dtype, 1.0 / 3.0))
            excess = s.sub(guess, s.div(s.div(size, guess), guess))
            better = s.sub(guess, s.mul(excess, s.constant(x.dtype, 1.0 / 3.0)))
            # At 0 and at infinity the step is undefined and the guess is exact.
            return s.select(s.compare(Compare.EQ, better, better), better, guess)

        return _odd(s, x, of_positive)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return ((1.0 / (result * result)) * (1.0 / 3.0),)


@register
class Hypot(Composed):
    """sqrt(x² + y²) without overflow; the gradient at the origin is 0: ``(f[...], f[...]) -> f[...]``."""

    name: ClassVar[str] = "hypot"
    ulp: ClassVar[float] = 2
    arity: ClassVar[int] = 2
    domains: ClassVar[tuple[tuple[float, float], ...]] = ((-2.0, 2.0), (0.3, 2.0))

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.hypot(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        x, y = s.abs(operands[0]), s.abs(operands[1])
        dtype = x.dtype
        far, shift = (2.0**500, 2.0**600) if dtype == f64 else (2.0**60, 2.0**100)
        one, infinity = s.constant(dtype, 1.0), s.constant(dtype, float("inf"))
        top = s.maximum(x, y)
        # Scaled by powers of two, so that scaling never rounds.
        huge = s.compare(Compare.GT, top, s.constant(dtype, far))
        tiny = s.compare(Compare.LT, top, s.constant(dtype, 1.0 / far))
        down, up = s.constant(dtype, 1.0 / shift), s.constant(dtype, shift)
        scale = s.select(huge, down, s.select(tiny, up, one))
        back = s.select(huge, up, s.select(tiny, down, one))
        p, q = s.mul(x, scale), s.mul(y, scale)
        length = s.mul(s.sqrt(s.add(s.mul(p, p), s.mul(q, q))), back)
        endless = s.bit_or(s.compare(Compare.EQ, x, infinity), s.compare(Compare.EQ, y, infinity))
        return s.select(endless, infinity, length)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        x, y = operands
        origin = result.equals(0.0)
        return origin.select(0.0, x / result), origin.select(0.0, y / result)


@register
class Exp2(Composed):
    """2 to the power x, exact for whole x: ``f[...] -> f[...]``."""

    name: ClassVar[str] = "exp2"
    ulp: ClassVar[float] = 3

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.exp2(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        (x,) = operands
        return s.elementary(Elementary.POW, s.constant(x.dtype, 2.0), x)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return (result * LN2,)


def _split_exponent(s: ScalarBuilder, x: Scalar) -> tuple[Scalar, Scalar]:
    """m and e with x = m 2^e and m within a factor of sqrt(2) of 1, both as floats.

    Where x is not positive and finite, m is x and e is 0.
    """
    dtype = x.dtype
    integer = dtypes.i64 if dtype == f64 else dtypes.i32
    mantissa_bits, smallest, lift, half = (52, 2.0**-1022, 54, 0x3FE6A09E667F3BCD) if dtype == f64 else (
        23, 2.0**-126, 25, 0x3F3504F3)  # fmt: skip
    infinity, zero = s.constant(dtype, float("inf")), s.constant(dtype, 0.0)
    usual = s.bit_and(s.compare(Compare.GT, x, zero), s.compare(Compare.LT, x, infinity))
    tiny = s.compare(Compare.LT, x, s.constant(dtype, smallest))
    lifted = s.select(tiny, s.mul(x, s.constant(dtype, 2.0**lift)), x)
    # Bits beyond those of sqrt(1/2): what is left above the mantissa is the exponent.
    bits = s.bits(lifted)
    exponent = s.shift_right(s.sub(bits, s.constant(integer, half)), s.constant(integer, mantissa_bits))
    mantissa = s.from_bits(s.sub(bits, s.shift_left(exponent, s.constant(integer, mantissa_bits))))
    whole = s.cast(exponent, dtype)
    whole = s.select(tiny, s.sub(whole, s.constant(dtype, float(lift))), whole)
    return s.select(usual, mantissa, x), s.select(usual, whole, zero)


@register
class Log2(Composed):
    """Logarithm to base 2, exact for powers of 2: ``f[...] -> f[...]``."""

    name: ClassVar[str] = "log2"
    ulp: ClassVar[float] = 4
    domains: ClassVar[tuple[tuple[float, float], ...]] = ((0.2, 4.0),)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.log2(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        (x,) = operands
        mantissa, exponent = _split_exponent(s, x)
        logarithm = s.elementary(Elementary.LOG, mantissa)
        return s.add(exponent, s.div(logarithm, s.constant(x.dtype, LN2)))

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return (1.0 / (operands[0] * LN2),)


@register
class Log10(Composed):
    """Logarithm to base 10, exact for powers of 10: ``f[...] -> f[...]``."""

    name: ClassVar[str] = "log10"
    ulp: ClassVar[float] = 6
    domains: ClassVar[tuple[tuple[float, float], ...]] = ((0.2, 4.0),)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.log10(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        (x,) = operands
        mantissa, exponent = _split_exponent(s, x)
        logarithm = s.div(s.elementary(Elementary.LOG, mantissa), s.constant(x.dtype, LN10))
        rest = s.add(s.mul(exponent, s.constant(x.dtype, LOG2_LOW)), logarithm)
        return s.add(s.mul(exponent, s.constant(x.dtype, LOG2_HIGH)), rest)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return (1.0 / (operands[0] * LN10),)


@register
class Logaddexp2(Composed):
    """log2(2^x + 2^y) without overflow: ``(f[...], f[...]) -> f[...]``; near 0 in ulp of the operands."""

    name: ClassVar[str] = "logaddexp2"
    ulp: ClassVar[float] = 6
    arity: ClassVar[int] = 2
    domains: ClassVar[tuple[tuple[float, float], ...]] = ((0.5, 3.0),)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.logaddexp2(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        x, y = operands
        # The larger one, and log2(1 + 2^-distance); equal infinities have no distance.
        top = s.maximum(x, y)
        distance = s.select(s.compare(Compare.EQ, x, y), s.constant(x.dtype, 0.0), s.abs(s.sub(x, y)))
        decayed = s.elementary(Elementary.POW, s.constant(x.dtype, 0.5), distance)
        rest = s.div(s.elementary(Elementary.LOG1P, decayed), s.constant(x.dtype, LN2))
        return s.add(top, rest)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        x, y = operands
        return ((x - y) * LN2).apply("sigmoid"), ((y - x) * LN2).apply("sigmoid")
