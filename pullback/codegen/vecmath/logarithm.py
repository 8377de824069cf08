"""log and log1p: x = 2**k m with m in [sqrt(1/2), sqrt(2)], taken apart by its bits, then log(m) by a polynomial.

log(1 + f) = f - f²/2 + s (f²/2 + R(s²)) where s = f / (2 + f) and s R(s²) = log((1 + s) / (1 - s)) - 2 s: the form that
Ng gave it in fdlibm (Sun Microsystems, 1993), in which f itself is the leading term.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf, nan, sqrt
from types import MappingProxyType

from pullback.codegen.vecmath.binary import FORMATS
from pullback.codegen.vecmath.exponential import CONSTANTS as EXPONENTIAL
from pullback.codegen.vecmath.exponential import tiny_or
from pullback.codegen.vecmath.pair import sum_of
from pullback.codegen.vecmath.polynomial import estrin
from pullback.dtypes import DType, f32, f64
from pullback.ir.ops.scalar import Compare, Elementary, Scalar, ScalarBuilder


@dataclass(frozen=True)
class _Constants:
    root_half: int
    """The bits of sqrt(1/2): m is taken from there up."""
    coefficients: tuple[float, ...]
    """P of R(z) = z P(z)."""
    smallest_normal: float
    enlarge: int
    """Subnormals are multiplied by 2**enlarge first."""


CONSTANTS: Mapping[DType, _Constants] = MappingProxyType({
    # On z = s² <= 0.0295 the error of s R, against log((1 + s) / (1 - s)), is at most 2**-59.0.
    f64: _Constants(
        root_half=0x3FE6A09E667F3BCD,
        coefficients=(
            0.6666666666666734, 0.3999999999941461, 0.2857142874244679, 0.22222198562748985, 0.18183565086911857,
            0.15314025712105403, 0.14796249991873814,
        ),
        smallest_normal=2.0**-1022, enlarge=54,
    ),
    # On z <= 0.0295 the error is at most 2**-30.1.
    f32: _Constants(
        root_half=0x3F3504F3,
        coefficients=(0.6666677594184875, 0.39977550506591797, 0.29871606826782227),
        smallest_normal=2.0**-126, enlarge=25,
    ),
})  # fmt: skip


def take_apart(s: ScalarBuilder, x: Scalar) -> tuple[Scalar, Scalar]:
    """Split a positive finite x = 2**k m: gives k and m, both as floats; subnormals included."""
    constants = CONSTANTS[x.dtype]
    tiny = s.compare(Compare.LT, x, s.constant(x.dtype, constants.smallest_normal))
    normal = s.select(tiny, s.mul(x, s.constant(x.dtype, 2.0**constants.enlarge)), x)
    k, m, _ = split_bits(s, normal, constants.enlarge, tiny)
    return k, m


def split_bits(
    s: ScalarBuilder, x: Scalar, enlarged: int = 0, tiny: Scalar | None = None
) -> tuple[Scalar, Scalar, Scalar]:
    """The same for a normal number, of which those in `tiny` have been multiplied by 2**enlarged.

    The third is an integer that has the exponent of 2**k where a float has it.
    """
    form, integer = FORMATS[x.dtype], FORMATS[x.dtype].integer
    moved = s.add(s.bits(x), s.constant(integer, form.one - CONSTANTS[x.dtype].root_half))
    # The exponent, read as the last bits of 2**fraction + exponent.
    exponent = s.shift_right_logical(moved, s.constant(integer, form.fraction))
    carried = s.from_bits(s.bit_or(exponent, s.constant(integer, (form.bias + form.fraction) << form.fraction)))
    offset = s.constant(x.dtype, 2.0**form.fraction + form.bias)
    if tiny is not None:
        offset = s.select(tiny, s.constant(x.dtype, 2.0**form.fraction + form.bias + enlarged), offset)
    fraction = s.bit_and(moved, s.constant(integer, (1 << form.fraction) - 1))
    m = s.from_bits(s.add(fraction, s.constant(integer, CONSTANTS[x.dtype].root_half)))
    return s.sub(carried, offset), m, moved


def log_reduced(s: ScalarBuilder, k: Scalar, f: Scalar) -> Scalar:
    """k ln 2 + log(1 + f) for 1 + f in [sqrt(1/2), sqrt(2)]; f itself where f is small and k = 0."""
    dtype = f.dtype
    ratio = s.div(f, s.add(f, s.constant(dtype, 2.0)))
    z = s.mul(ratio, ratio)
    half_square = s.mul(s.mul(f, s.constant(dtype, 0.5)), f)
    tail = s.fma(z, estrin(s, z, CONSTANTS[dtype].coefficients), half_square)
    low = s.fma(ratio, tail, s.mul(k, s.constant(dtype, EXPONENTIAL[dtype].ln2_low)))
    below = s.sub(s.sub(half_square, low), f)
    return s.fma(k, s.constant(dtype, EXPONENTIAL[dtype].ln2_high), s.neg(below))


def log(s: ScalarBuilder, x: Scalar) -> Scalar:
    """k ln 2 + log(m); then -inf at 0, NaN below, and infinity and NaN as they are."""
    k, m = take_apart(s, x)
    result = log_reduced(s, k, s.sub(m, s.constant(x.dtype, 1.0)))
    zero = s.constant(x.dtype, 0.0)
    result = s.select(s.compare(Compare.LT, x, s.constant(x.dtype, inf)), result, x)
    outside = s.select(s.compare(Compare.EQ, x, zero), s.constant(x.dtype, -inf), s.constant(x.dtype, nan))
    return s.select(s.compare(Compare.LE, x, zero), outside, result)


def log1p(s: ScalarBuilder, x: Scalar) -> Scalar:
    """1 + x = 2**k m, and what rounding 1 + x lost is given back to m - 1: so small x is its own logarithm."""
    form, one = FORMATS[x.dtype], s.constant(x.dtype, 1.0)
    total = sum_of(s, x, one)
    k, m, moved = split_bits(s, total.high)
    exponent = s.bit_and(moved, s.constant(form.integer, form.exponent_mask))
    # 2**(1 - k), which is normal, or 0 at the largest k, where what was lost does not count.
    inverse = s.from_bits(s.sub(s.constant(form.integer, (2 * form.bias + 1) << form.fraction), exponent))
    half_lost = s.mul(total.low, s.constant(x.dtype, 0.5))
    result = log_reduced(s, k, s.fma(half_lost, inverse, s.sub(m, one)))
    result = s.select(s.compare(Compare.LT, x, s.constant(x.dtype, inf)), result, x)
    pole = s.constant(x.dtype, -1.0)
    outside = s.select(s.compare(Compare.EQ, x, pole), s.constant(x.dtype, -inf), s.constant(x.dtype, nan))
    return s.select(s.compare(Compare.LE, x, pole), outside, tiny_or(s, x, result))


def log1p_of_fraction(s: ScalarBuilder, x: Scalar) -> Scalar:
    """log(1 + x) for 0 <= x <= 1, or NaN: 1 + x is halved where that brings it nearer to 1."""
    large = s.compare(Compare.GT, x, s.constant(x.dtype, sqrt(2.0) - 1.0))
    f = s.select(large, s.fma(x, s.constant(x.dtype, 0.5), s.constant(x.dtype, -0.5)), x)
    return log_reduced(s, s.select(large, s.constant(x.dtype, 1.0), s.constant(x.dtype, 0.0)), f)


FUNCTIONS: Mapping[Elementary, Callable[..., Scalar]] = MappingProxyType({Elementary.LOG: log, Elementary.LOG1P: log1p})

BOUNDS: Mapping[tuple[Elementary, DType], float] = MappingProxyType({
    (Elementary.LOG, f32): 1.5, (Elementary.LOG, f64): 1.5,
    (Elementary.LOG1P, f32): 1.5, (Elementary.LOG1P, f64): 1.5,
})  # fmt: skip
