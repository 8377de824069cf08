"""tanh, sinh and cosh from one reduction of |x| to k and r, as in exp."""
from __future__ import annotations

from pullback.codegen.vecmath.binary import FORMATS, at_most, sign_of, with_sign
from pullback.codegen.vecmath.exponential import CONSTANTS, power_of_two, reduce
from pullback.dtypes import f32, f64
from pullback.ir.ops.scalar import Elementary, Scalar, ScalarBuilder


def tanh(s: ScalarBuilder, x: Scalar) -> Scalar:
    """h / (h + 1) with h = (e**(2|x|) - 1) / 2, which is |x| itself for small x; then the sign of x."""
    magnitude = at_most(s, s.abs(x), CONSTANTS[x.dtype].flat / 2)
    r = reduce(s, magnitude, bias=FORMATS[x.dtype].bias, scale=2)
    factor = power_of_two(s, r.k, x.dtype)
    rest = s.fma(factor, s.constant(x.dtype, 0.5), s.constant(x.dtype, -0.5))
    h = s.fma(r.bend, factor, s.fma(r.high, factor, rest))
    return with_sign(s, s.div(h, s.add(h, s.constant(x.dtype, 1.0))), sign_of(s, x))


FUNCTIONS = {Elementary.TANH: tanh}

BOUNDS = {(Elementary.TANH, f32): 2.5, (Elementary.TANH, f64): 2.5}
