"""Unevaluated sums of two floats, for twice the precision: floats or pairs in, pairs out.

Dekker (1971), "A floating-point technique for extending the available precision"; products with fma.
"""
from __future__ import annotations

from dataclasses import dataclass

from pullback.ir.ops.scalar import Scalar, ScalarBuilder


@dataclass(frozen=True)
class Pair:
    """high + low, where |low| is at most some units in the last place of high."""

    high: Scalar
    low: Scalar


def sum_of_ordered(s: ScalarBuilder, x: Scalar, y: Scalar) -> Pair:
    """x + y exactly, for |x| >= |y| or x = 0."""
    high = s.add(x, y)
    return Pair(high, s.add(s.sub(x, high), y))


def sum_of(s: ScalarBuilder, x: Scalar, y: Scalar) -> Pair:
    """x + y exactly, whichever is larger (Knuth)."""
    high = s.add(x, y)
    back = s.sub(high, y)
    return Pair(high, s.add(s.sub(x, back), s.sub(y, s.sub(high, back))))


def product_of(s: ScalarBuilder, x: Scalar, y: Scalar) -> Pair:
    """x · y exactly, unless it underflows."""
    high = s.mul(x, y)
    return Pair(high, s.fma(x, y, s.neg(high)))


def product_of_pairs(s: ScalarBuilder, x: Pair, y: Pair) -> Pair:
    """x · y to some units in the last place of its low part."""
    exact = product_of(s, x.high, y.high)
    return Pair(exact.high, s.fma(x.high, y.low, s.fma(x.low, y.high, exact.low)))
