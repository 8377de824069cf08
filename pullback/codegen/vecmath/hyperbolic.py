"""tanh, sinh and cosh from one reduction of |x| to k and r, as in exp."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pullback.codegen.vecmath.binary import FORMATS, at_most, sign_of, with_sign
from pullback.codegen.vecmath.exponential import CONSTANTS, LOG2_E, bend, exp_limited, power_of_two, reduce, tiny_or
from pullback.codegen.vecmath.polynomial import estrin
from pullback.dtypes import DType, f32, f64
from pullback.ir.ops.scalar import Elementary, Scalar, ScalarBuilder

LN_2 = 0.6931471805599453


@dataclass(frozen=True)
class _Ratio:
    """tanh(r) = r (1 + z p(z)) / (1 + z q(z)), z = r², on |r| <= ln(2)/4; p and q are polynomials."""

    p: tuple[float, ...]
    q: tuple[float, ...]


_RATIOS: Mapping[DType, _Ratio] = MappingProxyType({
    # Minimax in the relative error, which is at most 2**-57.3.
    f64: _Ratio((0.1110993711423934, 0.0010574189575982212), (0.44443270447572087, 0.015868320451373877)),
    # At most 2**-30.5.
    f32: _Ratio((0.06658710914635657,), (0.39992019658033724,)),
})  # fmt: skip


def tanh(s: ScalarBuilder, x: Scalar) -> Scalar:
    """tanh(a + r) of tanh(a) = (2**k - 1) / (2**k + 1) and tanh(r) = t / d, where |x| = a + r, a = k ln(2)/2.

    One division of ((2**k - 1) d + (2**k + 1) t) by ((2**k + 1) d + (2**k - 1) t). k ln(2)/2 is rounded once only: what
    that loses is nothing beside tanh(x), which is flat where k is large.
    """
    dtype, one, ratio = x.dtype, s.constant(x.dtype, 1.0), _RATIOS[x.dtype]
    magnitude = at_most(s, s.abs(x), CONSTANTS[dtype].flat / 2)
    rounder = s.constant(dtype, FORMATS[dtype].rounder + FORMATS[dtype].bias)
    shifted = s.fma(magnitude, s.constant(dtype, 2 * LOG2_E), rounder)
    r = s.fma(s.sub(shifted, rounder), s.constant(dtype, -LN_2 / 2), magnitude)
    z = s.mul(r, r)
    t = s.fma(s.mul(r, z), estrin(s, z, ratio.p), r)
    d = s.fma(z, estrin(s, z, ratio.q), one)
    factor = power_of_two(s, s.bits(shifted), dtype)
    less, more = s.sub(factor, one), s.add(factor, one)
    above = s.fma(less, d, s.mul(more, t))
    below = s.fma(more, d, s.mul(less, t))
    return with_sign(s, s.div(above, below), sign_of(s, x))


def sinh(s: ScalarBuilder, x: Scalar) -> Scalar:
    """h + h / (2h + 1) with h = (e**|x| - 1) / 2, kept halved once more: so no step overflows before the result."""
    magnitude = at_most(s, s.abs(x), CONSTANTS[x.dtype].highest + 0.5)
    r = reduce(s, magnitude, bias=FORMATS[x.dtype].bias - 2)
    factor = power_of_two(s, r.bits, x.dtype)
    straight = s.fma(r.high, factor, s.sub(factor, s.constant(x.dtype, 0.25)))
    quarter = s.fma(bend(s, r), factor, straight)
    whole = s.fma(quarter, s.constant(x.dtype, 4.0), s.constant(x.dtype, 1.0))
    half = s.add(quarter, s.div(quarter, whole))
    return tiny_or(s, x, with_sign(s, s.add(half, half), sign_of(s, x)))


def cosh(s: ScalarBuilder, x: Scalar) -> Scalar:
    """h + 1 / (4h) with h = e**|x| / 2."""
    magnitude = at_most(s, s.abs(x), CONSTANTS[x.dtype].highest + 0.5)
    half = exp_limited(s, magnitude, power=-1)
    return s.add(half, s.div(s.constant(x.dtype, 0.25), half))


FUNCTIONS: Mapping[Elementary, Callable[..., Scalar]] = MappingProxyType({
    Elementary.TANH: tanh, Elementary.SINH: sinh, Elementary.COSH: cosh,
})  # fmt: skip

BOUNDS: Mapping[tuple[Elementary, DType], float] = MappingProxyType({
    (Elementary.TANH, f32): 2.75, (Elementary.TANH, f64): 3.0,
    (Elementary.SINH, f32): 2.5, (Elementary.SINH, f64): 2.75,
    (Elementary.COSH, f32): 2.5, (Elementary.COSH, f64): 2.5,
})  # fmt: skip
