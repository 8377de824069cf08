"""tanh, sinh and cosh from one reduction of |x| to k and r, as in exp."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from pullback.codegen.vecmath.binary import FORMATS, at_most, sign_of, with_sign
from pullback.codegen.vecmath.exponential import CONSTANTS, bend, exp_limited, power_of_two, reduce, tiny_or
from pullback.dtypes import DType, f32, f64
from pullback.ir.ops.scalar import Elementary, Scalar, ScalarBuilder


def tanh(s: ScalarBuilder, x: Scalar) -> Scalar:
    """h / (h + 1) with h = (e**(2|x|) - 1) / 2, which is |x| itself for small x; then the sign of x."""
    magnitude = at_most(s, s.abs(x), CONSTANTS[x.dtype].flat / 2)
    r = reduce(s, magnitude, bias=FORMATS[x.dtype].bias, scale=2)
    factor = power_of_two(s, r.bits, x.dtype)
    rest = s.fma(factor, s.constant(x.dtype, 0.5), s.constant(x.dtype, -0.5))
    h = s.fma(bend(s, r, scale=2), factor, s.fma(r.high, factor, rest))
    return with_sign(s, s.div(h, s.add(h, s.constant(x.dtype, 1.0))), sign_of(s, x))


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
    (Elementary.TANH, f32): 2.75, (Elementary.TANH, f64): 2.75,
    (Elementary.SINH, f32): 2.5, (Elementary.SINH, f64): 2.75,
    (Elementary.COSH, f32): 2.5, (Elementary.COSH, f64): 2.5,
})  # fmt: skip
