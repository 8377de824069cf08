"""NumPy's ufuncs in IR: which function of semantics each calls, and the reductions that `ufunc.reduce` means."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import log, pi
from typing import Any

import numpy as np

from pullback import dtypes
from pullback.ir.core import Builder, Op, Value
from pullback.ir.ops import arithmetic as a
from pullback.ir.ops import elementary as f
from pullback.ir.ops import logic as l
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics import reductions as r
from pullback.tracer.semantics.elementwise import Operand
from pullback.tracer.semantics.products import matmul

Elementwise = Callable[..., Value]


def _plain(op: Op) -> Elementwise:
    return lambda b, *operands: s.apply(b, op, *operands)


def _smooth(op: Op) -> Elementwise:
    return lambda b, *operands: s.apply_float(b, op, *operands)


def _floats(b: Builder, *operands: Operand) -> list[Value]:
    """Operands in their common float dtype."""
    return s.together(b, operands, s.as_float(s.promoted(operands)))


def square(b: Builder, x: Operand) -> Value:
    return s.mul(b, x, x)


def reciprocal(b: Builder, x: Operand) -> Value:
    dtype = s.promoted([x])
    return s.div(b, 1.0, x) if dtype.is_float else s.modulo(b, a.FloorDivide(), 1, x)


def positive(b: Builder, x: Operand) -> Value:
    return s.ready(b, x, s.promoted([x]), s.shape_of(x))


def is_nan(b: Builder, x: Operand) -> Value:
    value = positive(b, x)
    return b.value(l.NotEqual(), value, value)


def is_finite(b: Builder, x: Operand) -> Value:
    return _smooth(l.IsFinite())(b, x)


def is_inf(b: Builder, x: Operand) -> Value:
    (value,) = _floats(b, x)
    return s.apply(b, l.Equal(), b.value(a.Abs(), value), float("inf"))


def sign_bit(b: Builder, x: Operand) -> Value:
    (value,) = _floats(b, x)
    below = s.apply(b, l.Less(), value, 0.0)
    zero = s.apply(b, l.Equal(), value, 0.0)
    return b.value(l.LogicalOr(), below, b.value(l.LogicalAnd(), zero, s.apply(b, l.Less(), s.div(b, 1.0, value), 0.0)))


def hypot(b: Builder, x: Operand, y: Operand) -> Value:
    """sqrt(x² + y²) with the larger one scaled out, so that nothing overflows on the way."""
    first, second = (b.value(a.Abs(), each) for each in _floats(b, x, y))
    large, small = b.value(a.Maximum(), first, second), b.value(a.Minimum(), first, second)
    top = b.value(f.StopGradient(), large)
    usable = b.value(l.LogicalAnd(), s.apply(b, l.Greater(), top, 0.0), b.value(l.IsFinite(), top))
    scale = s.where(b, usable, top, 1.0)
    p, q = b.value(a.Div(), large, scale), b.value(a.Div(), small, scale)
    return s.mul(b, b.value(f.Sqrt(), s.add(b, s.mul(b, p, p), s.mul(b, q, q))), scale)


def copysign(b: Builder, x: Operand, y: Operand) -> Value:
    value, other = _floats(b, x, y)
    size = b.value(a.Abs(), value)
    return b.value(l.Select(), sign_bit(b, other), b.value(a.Neg(), size), size)


def scaled(function: Op, factor: float, before: bool, b: Builder, x: Operand) -> Value:
    """A function of ``x * factor``, or that factor times the function."""
    (value,) = _floats(b, x)
    if before:
        return b.value(function, s.mul(b, value, factor))
    return s.mul(b, b.value(function, value), factor)


def times(factor: float, b: Builder, x: Operand) -> Value:
    (value,) = _floats(b, x)
    return s.mul(b, value, factor)


def fmod(b: Builder, x: Operand, y: Operand) -> Value:
    """The remainder with the sign of x."""
    dtype = s.promoted([x, y])
    value, divisor = s.together(b, [x, y], dtypes.i8 if dtype.is_bool else dtype)
    rest = b.value(a.Remainder(), s.absolute(b, value), s.absolute(b, divisor))
    return s.where(b, s.apply(b, l.Less(), value, 0), s.negative(b, rest), rest)


def clip(b: Builder, x: Operand, low: Operand | None, high: Operand | None) -> Value:
    """np.clip; None is no bound."""
    result: Operand = x
    if low is not None:
        result = s.extreme(b, True, result, low)
    if high is not None:
        result = s.extreme(b, False, result, high)
    return positive(b, result)


def arcsine(b: Builder, x: Operand) -> Value:
    """arctan2(x, sqrt((1 - x)(1 + x))): no cancellation near 1."""
    (value,) = _floats(b, x)
    rest = b.value(f.Sqrt(), s.mul(b, s.sub(b, 1.0, value), s.add(b, value, 1.0)))
    return b.value(f.Arctan2(), value, rest)


def arccosine(b: Builder, x: Operand) -> Value:
    (value,) = _floats(b, x)
    rest = b.value(f.Sqrt(), s.mul(b, s.sub(b, 1.0, value), s.add(b, value, 1.0)))
    return b.value(f.Arctan2(), rest, value)


def inverse_sinh(b: Builder, x: Operand) -> Value:
    """sign(x) log1p(|x| + x² / (1 + sqrt(1 + x²)))."""
    (value,) = _floats(b, x)
    size = b.value(a.Abs(), value)
    large = s.apply(b, l.Greater(), size, 1e8 if value.type.dtype == dtypes.f64 else 1e4)
    small = s.where(b, large, 1.0, size)
    squared = s.mul(b, small, small)
    root = b.value(f.Sqrt(), s.add(b, squared, 1.0))
    near = b.value(f.Log1p(), s.add(b, small, s.div(b, squared, s.add(b, root, 1.0))))
    far = s.add(b, b.value(f.Log(), s.where(b, large, size, 1.0)), log(2.0))
    return s.mul(b, s.where(b, large, far, near), s.where(b, s.apply(b, l.Less(), value, 0.0), -1.0, 1.0))


def inverse_cosh(b: Builder, x: Operand) -> Value:
    """log(x + sqrt(x - 1) sqrt(x + 1))."""
    (value,) = _floats(b, x)
    roots = s.mul(b, b.value(f.Sqrt(), s.sub(b, value, 1.0)), b.value(f.Sqrt(), s.add(b, value, 1.0)))
    return b.value(f.Log(), s.add(b, value, roots))


def inverse_tanh(b: Builder, x: Operand) -> Value:
    """log1p(2x / (1 - x)) / 2."""
    (value,) = _floats(b, x)
    ratio = s.div(b, s.mul(b, value, 2.0), s.sub(b, 1.0, value))
    return s.mul(b, b.value(f.Log1p(), ratio), 0.5)


def heaviside(b: Builder, x: Operand, at_zero: Operand) -> Value:
    value, middle = _floats(b, x, at_zero)
    return s.where(b, s.apply(b, l.Equal(), value, 0.0), middle, s.where(b, s.apply(b, l.Less(), value, 0.0), 0.0, 1.0))


UFUNCS: Mapping[np.ufunc, Elementwise] = {
    np.add: s.add, np.subtract: s.sub, np.multiply: s.mul, np.true_divide: s.div, np.power: s.power,
    np.float_power: lambda b, x, y: s.power(b, *_floats(b, x, y)),
    np.floor_divide: partial(lambda op, b, x, y: s.modulo(b, op, x, y), a.FloorDivide()),
    np.remainder: partial(lambda op, b, x, y: s.modulo(b, op, x, y), a.Remainder()), np.fmod: fmod,
    np.negative: s.negative, np.positive: positive, np.absolute: s.absolute, np.fabs: s.absolute,
    np.sign: _plain(a.Sign()), np.square: square, np.reciprocal: reciprocal,
    np.maximum: lambda b, x, y: s.extreme(b, True, x, y), np.minimum: lambda b, x, y: s.extreme(b, False, x, y),
    np.fmax: lambda b, x, y: s.where(b, is_nan(b, x), y, s.where(b, is_nan(b, y), x, s.extreme(b, True, x, y))),
    np.fmin: lambda b, x, y: s.where(b, is_nan(b, x), y, s.where(b, is_nan(b, y), x, s.extreme(b, False, x, y))),
    np.sqrt: _smooth(f.Sqrt()), np.cbrt: lambda b, x: s.mul(b, _plain(a.Sign())(b, _floats(b, x)[0]),
                                                            s.power(b, s.absolute(b, _floats(b, x)[0]), 1.0 / 3.0)),
    np.exp: _smooth(f.Exp()), np.expm1: _smooth(f.Expm1()), np.log: _smooth(f.Log()), np.log1p: _smooth(f.Log1p()),
    np.exp2: lambda b, x: s.power(b, 2.0, _floats(b, x)[0]),
    np.log2: partial(scaled, f.Log(), 1.0 / log(2.0), False), np.log10: partial(scaled, f.Log(), 1.0 / log(10.0), False),
    np.sin: _smooth(f.Sin()), np.cos: _smooth(f.Cos()), np.tan: _smooth(f.Tan()),
    np.sinh: _smooth(f.Sinh()), np.cosh: _smooth(f.Cosh()), np.tanh: _smooth(f.Tanh()),
    np.arcsin: arcsine, np.arccos: arccosine, np.arctan: _smooth(f.Arctan()), np.arctan2: _smooth(f.Arctan2()),
    np.arcsinh: inverse_sinh, np.arccosh: inverse_cosh, np.arctanh: inverse_tanh,
    np.logaddexp: _smooth(f.Logaddexp()), np.hypot: hypot, np.heaviside: heaviside, np.copysign: copysign,
    np.deg2rad: partial(times, pi / 180.0), np.radians: partial(times, pi / 180.0),
    np.rad2deg: partial(times, 180.0 / pi), np.degrees: partial(times, 180.0 / pi),
    np.floor: lambda b, x: s.rounding(b, f.Floor(), x), np.ceil: lambda b, x: s.rounding(b, f.Ceil(), x),
    np.trunc: lambda b, x: s.rounding(b, f.Trunc(), x), np.rint: lambda b, x: s.rounding(b, f.Rint(), x),
    np.less: _plain(l.Less()), np.less_equal: _plain(l.LessEqual()), np.equal: _plain(l.Equal()),
    np.not_equal: _plain(l.NotEqual()), np.greater: _plain(l.Greater()), np.greater_equal: _plain(l.GreaterEqual()),
    np.logical_and: lambda b, x, y: s.logical(b, l.LogicalAnd(), x, y),
    np.logical_or: lambda b, x, y: s.logical(b, l.LogicalOr(), x, y),
    np.logical_xor: lambda b, x, y: s.logical(b, l.LogicalXor(), x, y),
    np.logical_not: lambda b, x: s.logical(b, l.LogicalNot(), x),
    np.bitwise_and: lambda b, x, y: s.bitwise(b, l.LogicalAnd(), x, y),
    np.bitwise_or: lambda b, x, y: s.bitwise(b, l.LogicalOr(), x, y),
    np.bitwise_xor: lambda b, x, y: s.bitwise(b, l.LogicalXor(), x, y),
    np.invert: lambda b, x: s.bitwise(b, l.LogicalNot(), x),
    np.left_shift: lambda b, x, y: s.bitwise(b, l.ShiftLeft(), x, y),
    np.right_shift: lambda b, x, y: s.bitwise(b, l.ShiftRight(), x, y),
    np.isnan: is_nan, np.isfinite: is_finite, np.isinf: is_inf, np.signbit: sign_bit,
    np.matmul: matmul,
}  # fmt: skip

REDUCTIONS: Mapping[np.ufunc, Callable[..., Any]] = {
    np.add: r.total, np.multiply: r.product,
    np.maximum: lambda b, x, axis, keepdims: r.extreme(b, True, x, axis, keepdims),
    np.minimum: lambda b, x, axis, keepdims: r.extreme(b, False, x, axis, keepdims),
    np.logical_and: r.all_of, np.logical_or: r.any_of,
}  # fmt: skip
"""What ``ufunc.reduce`` is."""

