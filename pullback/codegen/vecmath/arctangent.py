"""arctan and arctan2: a quotient of at most 1 in size, its arctangent as a polynomial, and a multiple of pi/2."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pullback.codegen.vecmath.polynomial import constant_last
from pullback.dtypes import DType, f32, f64, signed_of_width
from pullback.ir.ops.scalar import Compare, Elementary, Scalar, ScalarBuilder


@dataclass(frozen=True)
class _Constants:
    half_pi: tuple[float, float]
    """pi/2 as a sum; both parts doubled are pi."""
    series: tuple[float, ...]
    """(arctan t - t) / t^3 in powers of t^2."""


_CONSTANTS: Mapping[DType, _Constants] = MappingProxyType({
    # On |t| <= 1 the error relative to arctan t is at most 2^-57.0.
    f64: _Constants(
        (1.5707963267948966, 6.123233995736766e-17),
        (
            -0.3333333333333307, 0.1999999999995175, -0.1428571428258817, 0.11111111007344007, -0.09090907007825005,
            0.07692279889202579, -0.0666640442573219, 0.05880529819318516, -0.05253526842308742, 0.047223490322590676,
            -0.042192488677245885, 0.036643412618211496, -0.029906529433420807, 0.02198872909253065,
            -0.013905015594166703, 0.007200410138316473, -0.00288741218336893, 0.0008324062086881195,
            -0.00015244682640974536, 1.3259491426219794e-05,
        ),
    ),
    # On |t| <= 1 the error relative to arctan t is at most 2^-27.2; the last coefficient is a little off the best, so
    # that arctan 1 is the float32 nearest to pi/4.
    f32: _Constants(
        (1.5707963705062866, -4.371138828673793e-08),
        (
            -0.33333298563957214, 0.1999852955341339, -0.1426401436328888, 0.10950861126184464, -0.08399207890033722,
            0.05787887051701546, -0.0310935340821743, 0.010866272263228893, -0.0017821413930505514,
        ),
    ),
})  # fmt: skip


def _angle(s: ScalarBuilder, t: Scalar, base: Scalar, base_rest: Scalar) -> Scalar:
    """base + base_rest + arctan t for |t| <= 1, where the base is 0 or at least 1."""
    square = s.mul(t, t)
    series = constant_last(s, square, _CONSTANTS[t.dtype].series)
    # base + t with its rounding error: what is small is summed first.
    total = s.add(base, t)
    error = s.add(s.sub(base, total), t)
    bend = s.fma(s.mul(t, square), series, base_rest)
    return s.add(total, s.add(bend, error))


def arctan(s: ScalarBuilder, x: Scalar) -> Scalar:
    """arctan |x|, or pi/2 + arctan(-1 / |x|) above 1, with the sign of x."""
    dtype, magnitude = x.dtype, s.abs(x)
    zero, one = s.constant(dtype, 0.0), s.constant(dtype, 1.0)
    inverts = s.compare(Compare.GT, magnitude, one)
    t = s.div(s.select(inverts, s.constant(dtype, -1.0), magnitude), s.select(inverts, magnitude, one))
    base, rest = (s.select(inverts, s.constant(dtype, part), zero) for part in _CONSTANTS[dtype].half_pi)
    return s.copysign(_angle(s, t, base, rest), x)


def arctan2(s: ScalarBuilder, y: Scalar, x: Scalar) -> Scalar:
    """pi/2 + arctan(-x / |y|) where |y| > |x|, else arctan(|y| / x) and, for x < 0, pi; with the sign of y."""
    dtype = x.dtype
    integer = signed_of_width(dtype.itemsize)
    zero, one = s.constant(dtype, 0.0), s.constant(dtype, 1.0)
    height, width = s.abs(y), s.abs(x)
    steep = s.compare(Compare.GT, height, width)
    quotient = s.div(s.select(steep, s.neg(x), height), s.select(steep, height, x))
    # 0 / 0 is to be 0, infinity by infinity 1 as for all other equals.
    diagonal = s.select(s.compare(Compare.EQ, width, zero), zero, s.copysign(one, x))
    t = s.select(s.compare(Compare.EQ, height, width), diagonal, quotient)
    is_left = s.compare(Compare.LT, s.bits(x), s.constant(integer, 0))
    base, rest = (
        s.select(steep, s.constant(dtype, part), s.select(is_left, s.constant(dtype, 2 * part), zero))
        for part in _CONSTANTS[dtype].half_pi
    )
    return s.copysign(_angle(s, t, base, rest), y)


FUNCTIONS: Mapping[Elementary, Callable[..., Scalar]] = MappingProxyType({
    Elementary.ARCTAN: arctan, Elementary.ARCTAN2: arctan2,
})  # fmt: skip

BOUNDS: Mapping[tuple[Elementary, DType], float] = MappingProxyType({
    (Elementary.ARCTAN, f32): 1.5, (Elementary.ARCTAN, f64): 1.5,
    (Elementary.ARCTAN2, f32): 2.0, (Elementary.ARCTAN2, f64): 2.0,
})  # fmt: skip
