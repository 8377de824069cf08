"""exp and expm1: x = k ln 2 + r with |r| <= ln(2)/2, then a polynomial of r, then 2**k made from the bits of k.

The pieces serve every function that contains an exponential: `reduce`, `power_of_two`, `exp_limited`.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pullback.codegen.vecmath.binary import FORMATS, at_least, at_most, shifted_left
from pullback.codegen.vecmath.polynomial import halved
from pullback.dtypes import DType, f32, f64
from pullback.ir.ops.scalar import Compare, Elementary, Scalar, ScalarBuilder

LOG2_E = 1.4426950408889634


@dataclass(frozen=True)
class _Constants:
    """`ln2_high` has so few bits that k · ln2_high is exact for every k that occurs."""

    ln2_high: float
    ln2_low: float
    coefficients: tuple[float, ...]
    """q of e**r - 1 = r + r² q(r)."""
    lowest: float
    """exp is 0 from here down: below ln of half the smallest subnormal."""
    highest: float
    """exp is infinite from here up."""
    flat: float
    """exp(-flat) is nothing beside 1."""


CONSTANTS: Mapping[DType, _Constants] = MappingProxyType({
    # On |r| <= 0.3468 the relative error of r + r² q(r), against e**r - 1, is at most 2**-54.7.
    f64: _Constants(
        ln2_high=0.6931471805601177,
        ln2_low=-1.7239444525614835e-13,
        coefficients=(
            0.5000000000000006, 0.16666666666666588, 0.041666666666576466, 0.008333333333389733,
            0.0013888888931667006, 0.00019841269718713417, 2.4801505142838923e-05, 2.7557407683593137e-06,
            2.7626092770906223e-07, 2.505377650476101e-08,
        ),
        lowest=-746.0, highest=710.0, flat=40.0,
    ),
    # On |r| <= 0.3468 the relative error is at most 2**-25.7.
    f32: _Constants(
        ln2_high=0.693145751953125,
        ln2_low=1.428606765330187e-06,
        coefficients=(
            0.4999999701976776, 0.1666654348373413, 0.04166720062494278, 0.008366547524929047, 0.0013882516650483012,
        ),
        lowest=-104.0, highest=89.0, flat=20.0,
    ),
})  # fmt: skip


@dataclass(frozen=True)
class Reduced:
    """scale · x = k ln 2 + scale · r with |scale · r| <= ln(2)/2, as `reduce` gives it."""

    bits: Scalar
    """An integer with k + bias in its low bits."""
    k: Scalar
    high: Scalar
    """x - k ln2_high / scale, exactly: all of r but a small part; x itself where k = 0."""


def reduce(s: ScalarBuilder, x: Scalar, bias: int, scale: int = 1) -> Reduced:
    """Take the power of two out of e**(scale · x), for a `scale` of 1 or 2. Needs |k| < 2**11 (f64), 2**8 (f32)."""
    rounder = s.constant(x.dtype, FORMATS[x.dtype].rounder + bias)
    shifted = s.fma(x, s.constant(x.dtype, scale * LOG2_E), rounder)
    k = s.sub(shifted, rounder)
    return Reduced(s.bits(shifted), k, s.fma(k, s.constant(x.dtype, -CONSTANTS[x.dtype].ln2_high / scale), x))


def _series(s: ScalarBuilder, r: Scalar, scale: int, linear: Scalar) -> Scalar:
    """`linear` + (e**(scale · r) - 1) / scale - r."""
    coefficients = [each * scale ** (index + 1) for index, each in enumerate(CONSTANTS[r.dtype].coefficients)]
    square = s.mul(r, r)
    return s.fma(square, halved(s, r, square, coefficients), linear)


def growth(s: ScalarBuilder, reduced: Reduced) -> Scalar:
    """e**r - 1, wrong by about half a unit of r beside the rounding of the result."""
    high, dtype = reduced.high, reduced.high.dtype
    r = s.fma(reduced.k, s.constant(dtype, -CONSTANTS[dtype].ln2_low), high)
    return _series(s, r, 1, r)


def bend(s: ScalarBuilder, reduced: Reduced, scale: int = 1, remainder: Scalar | None = None) -> Scalar:
    """(e**(scale · r) - 1) / scale - `high`: small, and to be added last, so that the reduction adds no error.

    With a `remainder`, of the size of x's rounding error, it is x + remainder that was reduced.
    """
    high, dtype = reduced.high, reduced.high.dtype
    ln2_low = s.constant(dtype, -CONSTANTS[dtype].ln2_low / scale)
    low = s.mul(reduced.k, ln2_low) if remainder is None else s.fma(reduced.k, ln2_low, remainder)
    return _series(s, s.add(high, low), scale, low)


def power_of_two(s: ScalarBuilder, k: Scalar, dtype: DType) -> Scalar:
    """2**k of an integer whose low bits are k + bias of the format, -bias < k <= bias; higher bits do not matter."""
    return s.from_bits(shifted_left(s, k, FORMATS[dtype].fraction))


def power_of_two_in_halves(s: ScalarBuilder, k: Scalar, dtype: DType) -> tuple[Scalar, Scalar]:
    """Two normal numbers whose product is 2**k, for k beyond the range of one; k comes with the bias twice."""
    form = FORMATS[dtype]
    half = s.bit_and(shifted_left(s, k, form.fraction - 1), s.constant(form.integer, form.exponent_mask))
    return s.from_bits(half), s.from_bits(s.sub(shifted_left(s, k, form.fraction), half))


def exp_limited(s: ScalarBuilder, x: Scalar, power: int = 0, remainder: Scalar | None = None) -> Scalar:
    """2**power · exp(x + remainder) for x between the constants' `lowest` and `highest`, or NaN; `power` is small.

    2**k (1 + (e**r - 1)), with 2**k as two factors: so results overflow and lose bits below 2**-1022 on their own.
    """
    r = reduce(s, x, bias=2 * FORMATS[x.dtype].bias + power)
    less_one = growth(s, r) if remainder is None else s.add(r.high, bend(s, r, remainder=remainder))
    factor, other = power_of_two_in_halves(s, r.bits, x.dtype)
    return s.mul(s.fma(less_one, factor, factor), other)


def exp(s: ScalarBuilder, x: Scalar) -> Scalar:
    """`exp_limited` of x moved to where the result is 0 or infinite at the latest."""
    constants = CONSTANTS[x.dtype]
    return exp_limited(s, at_most(s, at_least(s, x, constants.lowest), constants.highest))


def exp_of_negated_magnitude(s: ScalarBuilder, x: Scalar) -> Scalar:
    """exp(-|x|)."""
    return exp_limited(s, at_least(s, s.neg(s.abs(x)), CONSTANTS[x.dtype].lowest))


def tiny_or(s: ScalarBuilder, x: Scalar, result: Scalar) -> Scalar:
    """x itself where it is so small that a function of slope 1 at 0 rounds to x, signed zeros included."""
    limit = s.constant(x.dtype, 2.0 ** -(FORMATS[x.dtype].fraction + 2))
    return s.select(s.compare(Compare.LT, s.abs(x), limit), x, result)


def expm1(s: ScalarBuilder, x: Scalar) -> Scalar:
    """2 (2**(k-1) expm1(r) + (2**(k-1) - 1/2)); the halves keep k = 1024 in range, and small x is its own result."""
    constants, form = CONSTANTS[x.dtype], FORMATS[x.dtype]
    limited = at_most(s, at_least(s, x, -constants.flat), constants.highest)
    r = reduce(s, limited, bias=form.bias - 1)
    factor = power_of_two(s, r.bits, x.dtype)
    straight = s.fma(r.high, factor, s.sub(factor, s.constant(x.dtype, 0.5)))
    half = s.fma(bend(s, r), factor, straight)
    return tiny_or(s, x, s.add(half, half))


FUNCTIONS: Mapping[Elementary, Callable[..., Scalar]] = MappingProxyType({Elementary.EXP: exp, Elementary.EXPM1: expm1})

BOUNDS: Mapping[tuple[Elementary, DType], float] = MappingProxyType({
    (Elementary.EXP, f32): 1.5, (Elementary.EXP, f64): 1.5,
    (Elementary.EXPM1, f32): 1.5, (Elementary.EXPM1, f64): 1.5,
})  # fmt: skip
