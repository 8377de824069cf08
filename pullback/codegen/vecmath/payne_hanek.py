"""Any finite float64, however large, modulo a quarter turn: one element at a time, in whole numbers.

Payne and Hanek, "Radian reduction for trigonometric functions" (SIGNUM Newsletter 18, 1983): of x * 2/pi only those
bits of 2/pi matter that are left after whole turns are dropped. No double comes nearer to a multiple of pi/2 than about
2^-61 of it (J.-M. Muller, "Elementary Functions", section 11), so 126 bits of the fraction leave more than 60 correct.
"""
from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from pullback.dtypes import f64, i64, u64
from pullback.ir.ops.scalar import Compare, Scalar, ScalarBuilder, Table


@dataclass(frozen=True)
class Reduced:
    """|x| = quarters * pi/2 + r + rest, modulo whole turns; only the two low bits of the integer `quarters` matter."""

    r: Scalar
    rest: Scalar
    quarters: Scalar


_LEADING = 64
"""Zero bits before the binary point of 2/pi in the table, so that windows of small arguments start inside it."""
_WORDS = 21


def _inverse_tangent(denominator: int, one: int) -> int:
    """one * arctan(1 / denominator), from its Taylor series."""
    power, total, k = one // denominator, 0, 0
    while power:
        total += (power if k % 2 == 0 else -power) // (2 * k + 1)
        power //= denominator**2
        k += 1
    return total


def _two_over_pi() -> tuple[int, ...]:
    """The table: 2/pi in words of 64 bits, highest first, from Machin's pi/4 = 4 arctan(1/5) - arctan(1/239)."""
    bits = 64 * _WORDS - _LEADING
    one = 1 << (bits + 64)
    quarter = 4 * _inverse_tangent(5, one) - _inverse_tangent(239, one)
    digits = (one << bits) // (2 * quarter)
    return tuple((digits >> (64 * (_WORDS - 1 - word))) & (2**64 - 1) for word in range(_WORDS))


_TABLE = Table("two_over_pi", u64, _two_over_pi())


def _word(s: ScalarBuilder, value: int) -> Scalar:
    return s.constant(u64, value)


def _high_product(s: ScalarBuilder, x: Scalar, y: Scalar) -> Scalar:
    """The upper 64 bits of the product of two u64."""
    half, low = _word(s, 32), _word(s, 2**32 - 1)
    x0, x1, y0, y1 = s.bit_and(x, low), s.shift_right(x, half), s.bit_and(y, low), s.shift_right(y, half)
    middle = s.add(s.mul(x1, y0), s.shift_right(s.mul(x0, y0), half))
    other = s.add(s.mul(x0, y1), s.bit_and(middle, low))
    return s.add(s.mul(x1, y1), s.add(s.shift_right(middle, half), s.shift_right(other, half)))


def _window(s: ScalarBuilder, start: Scalar) -> list[Scalar]:
    """Three words of the table from bit `start` on."""
    word = s.shift_right(start, _word(s, 6))
    words = [s.lookup(_TABLE, s.add(word, _word(s, number))) for number in range(4)]
    left = s.bit_and(start, _word(s, 63))
    # Twice, because a shift by 64 would be undefined.
    right = s.sub(_word(s, 63), left)
    return [
        s.bit_or(s.shift_left(high, left), s.shift_right(s.shift_right(low, _word(s, 1)), right))
        for high, low in pairwise(words)
    ]


def _fraction(s: ScalarBuilder, high: Scalar, low: Scalar) -> tuple[Scalar, Scalar]:
    """(high as a signed number + low) * 2^-64, low being a fraction, as a sum of two float64."""
    upper = s.mul(s.cast(s.shift_right(s.cast(high, i64), s.constant(i64, 32)), f64), s.constant(f64, 2.0**-32))
    lower = s.mul(s.cast(s.cast(s.bit_and(high, _word(s, 2**32 - 1)), i64), f64), s.constant(f64, 2.0**-64))
    tail = s.mul(s.cast(s.cast(s.shift_right(low, _word(s, 1)), i64), f64), s.constant(f64, 2.0**-127))
    most = s.add(upper, lower)
    least = s.add(s.sub(lower, s.sub(most, upper)), tail)
    total = s.add(most, least)
    return total, s.sub(least, s.sub(total, most))


def reduce_large(s: ScalarBuilder, x: Scalar) -> Reduced:
    """Reduce |x| for a float64 x of at least 1; r is NaN for infinities."""
    pattern = s.bits(x)
    exponent = s.bit_and(s.shift_right_logical(pattern, s.constant(i64, 52)), s.constant(i64, 2047))
    mantissa = s.bit_or(s.bit_and(pattern, s.constant(i64, 2**52 - 1)), s.constant(i64, 2**52))
    m = s.cast(mantissa, u64)
    # |x| = m 2^(exponent - 1075). Bits of 2/pi that are worth 4 or more in the product are whole turns: left out.
    start = s.cast(s.add(exponent, s.constant(i64, _LEADING - 1075 - 2)), u64)
    first, second, third = _window(s, start)
    # m times the window, its highest 128 of 192 bits: two bits of quarter turns, then the fraction.
    middle = s.mul(m, second)
    low = s.add(middle, _high_product(s, m, third))
    carry = s.cast(s.compare(Compare.LT, low, middle), u64)
    high = s.add(s.add(s.mul(m, first), _high_product(s, m, second)), carry)
    # Nearest quarter turn: read as signed, the fraction is from -1/2 to 1/2.
    two = _word(s, 2)
    signed = s.bit_or(s.shift_left(high, two), s.shift_right(low, _word(s, 62)))
    quarters = s.add(s.shift_right(high, _word(s, 62)), s.shift_right(signed, _word(s, 63)))
    fraction, tail = _fraction(s, signed, s.shift_left(low, two))
    # (fraction + tail) pi/2; x - x is 0, or NaN.
    fraction = s.add(fraction, s.sub(x, x))
    half_pi, half_pi_rest = s.constant(f64, 1.5707963267948966), s.constant(f64, 6.123233995736766e-17)
    product = s.mul(fraction, half_pi)
    left = s.fma(tail, half_pi, s.fma(fraction, half_pi_rest, s.fma(fraction, half_pi, s.neg(product))))
    r = s.add(product, left)
    return Reduced(r, s.sub(left, s.sub(r, product)), s.cast(quarters, i64))
