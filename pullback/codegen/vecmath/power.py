"""pow: exp(y log|x|), the logarithm as a pair of floats, then the sign and C's special cases."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf, nan
from types import MappingProxyType

from pullback.codegen.vecmath.binary import FORMATS, at_least, at_most, sign_of
from pullback.codegen.vecmath.exponential import CONSTANTS as EXPONENTIAL
from pullback.codegen.vecmath.exponential import exp_limited
from pullback.codegen.vecmath.logarithm import take_apart
from pullback.codegen.vecmath.pair import Pair, product_of, product_of_pairs, sum_of_ordered
from pullback.codegen.vecmath.polynomial import estrin
from pullback.dtypes import DType, f32, f64
from pullback.ir.ops.scalar import Compare, Elementary, Scalar, ScalarBuilder


@dataclass(frozen=True)
class _Constants:
    twelfth: tuple[float, float]
    """1/12 as a pair."""
    coefficients: tuple[float, ...]
    """Q of log((1 + t/2) / (1 - t/2)) = t + t z (1/12 + z Q(z)), z = t²."""
    largest: float
    """The largest finite number."""


CONSTANTS: Mapping[DType, _Constants] = MappingProxyType({
    # On z <= 0.118 the relative error is at most 2**-66.0.
    f64: _Constants(
        twelfth=(0.08333333333333333, 4.625929269271485e-18),
        coefficients=(
            0.012500000000000705, 0.0022321428570389874, 0.0004340277835950077, 8.877824390132941e-05,
            1.878266386199433e-05, 4.045652210124597e-06, 1.00681973027453e-06,
        ),
        largest=(2.0 - 2.0**-52) * 2.0**1023,
    ),
    # On z <= 0.118 the relative error is at most 2**-36.5.
    f32: _Constants(
        twelfth=(0.0833333358168602, -2.4835269396561444e-09),
        coefficients=(0.01250004768371582, 0.0022302446886897087, 0.00045739629422314465),
        largest=(2.0 - 2.0**-23) * 2.0**127,
    ),
})  # fmt: skip


def log_pair(s: ScalarBuilder, x: Scalar) -> Pair:
    """log(x) of a positive finite x, within 2**-64 (f64) or 2**-35 (f32) of its size.

    x = 2**k (1 + f) and t = f / (1 + f/2), so that log(1 + f) = log((1 + t/2) / (1 - t/2)).
    """
    dtype = x.dtype
    one, half = s.constant(dtype, 1.0), s.constant(dtype, 0.5)
    k, m = take_apart(s, x)
    f = s.sub(m, one)
    divisor = s.fma(f, half, one)
    divisor_low = s.fma(f, half, s.sub(one, divisor))
    inverse = s.div(one, divisor)
    quotient = s.mul(f, inverse)
    missing = s.sub(s.fma(s.neg(quotient), divisor, f), s.mul(quotient, divisor_low))
    t = Pair(quotient, s.mul(missing, inverse))
    z = product_of_pairs(s, t, t)
    constants = CONSTANTS[dtype]
    high, low = (s.constant(dtype, part) for part in constants.twelfth)
    series = sum_of_ordered(s, high, s.mul(z.high, estrin(s, z.high, constants.coefficients)))
    bend = product_of_pairs(s, t, product_of_pairs(s, z, Pair(series.high, s.add(series.low, low))))
    fraction = sum_of_ordered(s, t.high, bend.high)
    fraction_low = s.add(fraction.low, s.add(t.low, bend.low))
    whole = s.mul(k, s.constant(dtype, EXPONENTIAL[dtype].ln2_high))
    total = sum_of_ordered(s, whole, fraction.high)
    return Pair(total.high, s.add(total.low, s.fma(k, s.constant(dtype, EXPONENTIAL[dtype].ln2_low), fraction_low)))


def pow(s: ScalarBuilder, x: Scalar, y: Scalar) -> Scalar:
    """exp(y log|x|), negated for a negative x and an odd y; NaN for a negative x and a y that is no integer."""
    dtype = x.dtype
    zero, one, infinity = s.constant(dtype, 0.0), s.constant(dtype, 1.0), s.constant(dtype, inf)
    magnitude = s.abs(x)
    logarithm = log_pair(s, magnitude)
    high = s.select(s.compare(Compare.LT, magnitude, infinity), logarithm.high, magnitude)
    high = s.select(s.compare(Compare.EQ, x, zero), s.constant(dtype, -inf), high)
    # A finite y, so that log(1) = 0 gives a product of 0; any other logarithm times `largest` is beyond all limits.
    largest = CONSTANTS[dtype].largest
    exponent = at_least(s, at_most(s, y, largest), -largest)
    product = product_of(s, exponent, high)
    limited = at_least(s, at_most(s, product.high, EXPONENTIAL[dtype].highest), EXPONENTIAL[dtype].lowest)
    inside = s.compare(Compare.EQ, limited, product.high)
    remainder = s.select(inside, s.fma(exponent, logarithm.low, product.low), zero)
    power = exp_limited(s, limited, remainder=remainder)
    # The sign, and what is no number.
    whole = s.compare(Compare.EQ, s.trunc(y), y)
    half_y = s.mul(y, s.constant(dtype, 0.5))
    odd = s.bit_and(whole, s.compare(Compare.NE, s.trunc(half_y), half_y))
    sign = s.select(odd, sign_of(s, x), s.constant(FORMATS[dtype].integer, 0))
    power = s.from_bits(s.bit_xor(s.bits(power), sign))
    negative = s.bit_and(s.compare(Compare.LT, x, zero), s.compare(Compare.LT, magnitude, infinity))
    power = s.select(s.bit_and(negative, s.bit_not(whole)), s.constant(dtype, nan), power)
    return s.select(s.bit_or(s.compare(Compare.EQ, y, zero), s.compare(Compare.EQ, x, one)), one, power)


FUNCTIONS: Mapping[Elementary, Callable[..., Scalar]] = MappingProxyType({Elementary.POW: pow})

BOUNDS: Mapping[tuple[Elementary, DType], float] = MappingProxyType({
    (Elementary.POW, f32): 1.5, (Elementary.POW, f64): 1.5,
})  # fmt: skip
