"""Floats as bits: powers of two, rounding to an integer and clamping, in a few instructions every machine has.

No instruction here converts between integers and floats: AVX2 has none for 64 bits. Adding 1.5 · 2**52 (2**23) instead
leaves a small integer in the low bits of the sum.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pullback.dtypes import DType, f32, f64, i32, i64
from pullback.ir.ops.scalar import Compare, Scalar, ScalarBuilder


@dataclass(frozen=True)
class Format:
    """A binary floating-point format: bits of the fraction, bias of the exponent, the integer of its width."""

    integer: DType
    fraction: int
    bias: int

    @property
    def rounder(self) -> float:
        """1.5 · 2**fraction: a number of at most 2**(fraction - 2) added to it is rounded to an integer."""
        return 1.5 * 2.0**self.fraction

    @property
    def exponent_mask(self) -> int:
        """The bits of the exponent, which are those of infinity."""
        return (2 * self.bias + 1) << self.fraction

    @property
    def sign_mask(self) -> int:
        """The bit of the sign, as a signed integer."""
        return -1 << (self.integer.bits - 1)

    @property
    def one(self) -> int:
        """The bits of 1.0."""
        return self.bias << self.fraction


FORMATS: Mapping[DType, Format] = MappingProxyType({f32: Format(i32, 23, 127), f64: Format(i64, 52, 1023)})


def shifted_left(s: ScalarBuilder, x: Scalar, places: int) -> Scalar:
    """An integer times 2**places; what leaves at the top is lost."""
    return s.shift_left(x, s.constant(x.dtype, places))


def at_most(s: ScalarBuilder, x: Scalar, limit: float) -> Scalar:
    """The smaller of x and a limit other than 0; NaN stays NaN. One instruction."""
    high = s.constant(x.dtype, limit)
    return s.select(s.compare(Compare.GT, x, high), high, x)


def at_least(s: ScalarBuilder, x: Scalar, limit: float) -> Scalar:
    """The larger of x and a limit other than 0; NaN stays NaN. One instruction."""
    low = s.constant(x.dtype, limit)
    return s.select(s.compare(Compare.LT, x, low), low, x)


def sign_of(s: ScalarBuilder, x: Scalar) -> Scalar:
    """The sign bit of x alone, as an integer."""
    return s.bit_and(s.bits(x), s.constant(FORMATS[x.dtype].integer, FORMATS[x.dtype].sign_mask))


def with_sign(s: ScalarBuilder, magnitude: Scalar, sign: Scalar) -> Scalar:
    """A float that is not negative, given the sign bit that `sign_of` took."""
    return s.from_bits(s.bit_or(s.bits(magnitude), sign))
