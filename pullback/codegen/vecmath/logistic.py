"""sigmoid, softplus and logaddexp: all of exp(-|d|), which cannot overflow."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from pullback.codegen.vecmath.binary import FORMATS, at_least
from pullback.codegen.vecmath.exponential import (
    CONSTANTS,
    exp_limited,
    exp_of_negated_magnitude,
    power_of_two_in_halves,
    reduce,
)
from pullback.codegen.vecmath.hyperbolic import tangent
from pullback.codegen.vecmath.logarithm import log1p_of_fraction
from pullback.dtypes import DType, f32, f64
from pullback.ir.ops.scalar import Compare, Elementary, Scalar, ScalarBuilder


def sigmoid(s: ScalarBuilder, x: Scalar) -> Scalar:
    """1 / (1 + e) or e / (1 + e), with e = exp(-|x|) = 2**k (d + t) / (d - t) not divided out: t / d is tanh(r/2)."""
    constants = CONSTANTS[x.dtype]
    limited = at_least(s, s.neg(s.abs(x)), constants.lowest)
    reduced = reduce(s, limited, bias=2 * FORMATS[x.dtype].bias)
    t, d = tangent(s, s.fma(reduced.k, s.constant(x.dtype, -constants.ln2_low), reduced.high), scale=2)
    factor, other = power_of_two_in_halves(s, reduced.bits, x.dtype)
    decayed, rest = s.mul(s.mul(s.add(d, t), factor), other), s.sub(d, t)
    positive = s.compare(Compare.GE, x, s.constant(x.dtype, 0.0))
    return s.div(s.select(positive, rest, decayed), s.add(decayed, rest))


def softplus(s: ScalarBuilder, x: Scalar) -> Scalar:
    """max(x, 0) + log(1 + exp(-|x|))."""
    zero = s.constant(x.dtype, 0.0)
    floor = s.select(s.compare(Compare.GT, x, zero), x, zero)
    return s.add(floor, log1p_of_fraction(s, exp_of_negated_magnitude(s, x)))


def logaddexp(s: ScalarBuilder, x: Scalar, y: Scalar) -> Scalar:
    """max(x, y) + log(1 + exp(-|x - y|)); equal operands are at distance 0, infinities too.

    What rounding the distance lost counts where the larger is near 0 and so is the result.
    """
    zero, lowest = s.constant(x.dtype, 0.0), s.constant(x.dtype, CONSTANTS[x.dtype].lowest)
    order = s.compare(Compare.GT, x, y)
    larger, smaller = s.select(order, x, y), s.select(order, y, x)
    difference = s.sub(smaller, larger)
    counts = s.compare(Compare.GT, difference, lowest)
    # Exact where the smaller is larger in magnitude; else nothing depends on it.
    lost = s.select(counts, s.sub(s.sub(smaller, difference), larger), zero)
    distance = s.select(s.compare(Compare.EQ, x, y), zero, at_least(s, difference, CONSTANTS[x.dtype].lowest))
    return s.add(larger, log1p_of_fraction(s, exp_limited(s, distance, remainder=lost)))


FUNCTIONS: Mapping[Elementary, Callable[..., Scalar]] = MappingProxyType({
    Elementary.SIGMOID: sigmoid, Elementary.SOFTPLUS: softplus, Elementary.LOGADDEXP: logaddexp,
})  # fmt: skip

BOUNDS: Mapping[tuple[Elementary, DType], float] = MappingProxyType({
    (Elementary.SIGMOID, f32): 2.75, (Elementary.SIGMOID, f64): 2.75,
    (Elementary.SOFTPLUS, f32): 2.5, (Elementary.SOFTPLUS, f64): 2.5,
    (Elementary.LOGADDEXP, f32): 4.0, (Elementary.LOGADDEXP, f64): 4.0,
})  # fmt: skip
