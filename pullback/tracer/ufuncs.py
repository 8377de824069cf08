"""NumPy's ufuncs in IR: operands of any kind in, cast to the dtypes of the loop NumPy would run, one rule applied."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import log, pi
from types import MappingProxyType
from typing import Any

import numpy as np

from pullback.dtypes import DType, boolean, f64, u64
from pullback.ir.core import Builder, Op, Value
from pullback.ir.ops import arithmetic as a
from pullback.ir.ops import elementary as f
from pullback.ir.ops import logic as l
from pullback.ir.ops.creation import Full
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics import products
from pullback.tracer.semantics import reductions as r
from pullback.tracer.semantics.elementwise import Operand

Rule = Callable[..., Value | tuple[Value, ...]]


def elementwise(b: Builder, ufunc: np.ufunc, *operands: Operand) -> Value | tuple[Value, ...]:
    """A ufunc of `RULES` on operands of any dtypes and shapes that broadcast.

    Raises: DTypeError where NumPy has no loop for the dtypes, ShapeError for shapes that do not broadcast.
    """
    kinds = s.loop(ufunc, operands)
    shape = s.broadcast_shapes([s.shape_of(operand) for operand in operands], f"operands of np.{ufunc.__name__}")
    if ufunc in COMPARISONS:
        beyond = [_side(operand, kind) for operand, kind in zip(operands, kinds, strict=False)]
        if any(beyond):
            # NumPy compares a Python integer that the dtype cannot hold by its true size.
            return b.value(Full(bool(ufunc(*beyond)), boolean, shape))
    values = [s.ready(b, operand, kind, shape) for operand, kind in zip(operands, kinds, strict=False)]
    return RULES[ufunc](b, *values)


def _side(operand: Operand, dtype: DType) -> int:
    """-1 or 1 for a Python integer below or above what the dtype holds, else 0."""
    if type(operand) is not int or not dtype.is_integer:
        return 0
    low, high = s.limits(dtype)
    return -1 if operand < low else 1 if operand > high else 0


def _op(op: Op) -> Rule:
    """One op, whatever the dtype."""
    return lambda b, *values: b.value(op, *values)


def _unless_bool(op: Op, of_bools: Op) -> Rule:
    return lambda b, *values: b.value(of_bools if values[0].type.dtype.is_bool else op, *values)


def _same(b: Builder, x: Value) -> Value:
    return x


def _rounding(op: Op) -> Rule:
    return lambda b, x: b.value(op, x) if x.type.dtype.is_float else x


def comparison(op: Op) -> Rule:
    """A comparison; NumPy compares int64 with uint64 exactly."""

    def compared(b: Builder, x: Value, y: Value) -> Value:
        if x.type.dtype == y.type.dtype:
            return b.value(op, x, y)
        if x.type.dtype.is_signed:
            # A negative x is below every y: compare 0 with 1 there, else both as unsigned.
            negative = s.apply(b, l.Less(), x, 0)
            unsigned = s.cast(b, x, u64)
            return b.value(op, s.where(b, negative, 0, unsigned), s.where(b, negative, 1, y))
        negative = s.apply(b, l.Less(), y, 0)
        return b.value(op, s.where(b, negative, 1, x), s.where(b, negative, 0, s.cast(b, y, u64)))

    return compared


def absolute(b: Builder, x: Value) -> Value:
    return x if x.type.dtype.is_bool else b.value(a.Abs(), x)


def reciprocal(b: Builder, x: Value) -> Value:
    if x.type.dtype.is_float:
        return s.div(b, 1.0, x)
    whole = s.apply(b, l.Equal(), s.absolute(b, x), 1)
    return s.where(b, whole, x, 0)


def is_nan(b: Builder, x: Value) -> Value:
    return b.value(l.NotEqual(), x, x)


def is_finite(b: Builder, x: Value) -> Value:
    return b.value(l.IsFinite(), x) if x.type.dtype.is_float else s.number(b, True, boolean, x.type.shape)


def is_inf(b: Builder, x: Value) -> Value:
    if not x.type.dtype.is_float:
        return s.number(b, False, boolean, x.type.shape)
    return s.apply(b, l.Equal(), b.value(a.Abs(), x), float("inf"))


def sign_bit(b: Builder, x: Value) -> Value:
    """Also of -0.0, whose reciprocal is below 0."""
    below, zero = s.apply(b, l.Less(), x, 0.0), s.apply(b, l.Equal(), x, 0.0)
    return b.value(l.LogicalOr(), below, b.value(l.LogicalAnd(), zero, s.apply(b, l.Less(), s.div(b, 1.0, x), 0.0)))


def copysign(b: Builder, x: Value, y: Value) -> Value:
    size = b.value(a.Abs(), x)
    return b.value(l.Select(), sign_bit(b, y), b.value(a.Neg(), size), size)


def hypot(b: Builder, x: Value, y: Value) -> Value:
    """sqrt(x² + y²) with the larger one scaled out, so that nothing overflows on the way."""
    first, second = b.value(a.Abs(), x), b.value(a.Abs(), y)
    large, small = b.value(a.Maximum(), first, second), b.value(a.Minimum(), first, second)
    top = b.value(f.StopGradient(), large)
    usable = b.value(l.LogicalAnd(), s.apply(b, l.Greater(), top, 0.0), b.value(l.IsFinite(), top))
    scale = s.where(b, usable, top, 1.0)
    # The scale cancels out of the result, so that it may pass for a constant in derivatives.
    p, q = b.value(a.Div(), large, scale), b.value(a.Div(), small, scale)
    return s.mul(b, b.value(f.Sqrt(), s.add(b, s.mul(b, p, p), s.mul(b, q, q))), scale)


def cube_root(b: Builder, x: Value) -> Value:
    """|x| to the power 1/3, improved by one Newton step, with the sign of x."""
    size = b.value(a.Abs(), x)
    guess = s.power(b, size, 1.0 / 3.0)
    usable = b.value(l.LogicalAnd(), s.apply(b, l.Greater(), size, 0.0), b.value(l.IsFinite(), size))
    safe = s.where(b, usable, guess, 1.0)
    step = s.div(b, s.sub(b, safe, s.div(b, s.div(b, size, safe), safe)), 3.0)
    root = s.where(b, usable, s.sub(b, guess, step), guess)
    return b.value(l.Select(), s.apply(b, l.Less(), x, 0.0), b.value(a.Neg(), root), root)


def of_scaled(function: Op, factor: float, b: Builder, x: Value) -> Value:
    return b.value(function, s.mul(b, x, factor))


def times(factor: float, b: Builder, x: Value) -> Value:
    return s.mul(b, x, factor)


def log_to_base(base: float, b: Builder, x: Value) -> Value:
    """log(x) / log(base); the division keeps whole powers closer than a factor would."""
    return s.div(b, b.value(f.Log(), x), log(base))


def fmod(b: Builder, x: Value, y: Value) -> Value:
    """The remainder with the sign of x."""
    rest = b.value(a.Remainder(), absolute(b, x), absolute(b, y))
    return s.where(b, s.apply(b, l.Less(), x, 0), s.negative(b, rest), rest)


def divmod_of(b: Builder, x: Value, y: Value) -> tuple[Value, Value]:
    return b.value(a.FloorDivide(), x, y), b.value(a.Remainder(), x, y)


def modf(b: Builder, x: Value) -> tuple[Value, Value]:
    """Fraction and whole part, both with the sign of x."""
    whole = b.value(f.Trunc(), x)
    finite = b.value(l.IsFinite(), x)
    rest = s.where(b, finite, s.sub(b, x, whole), s.where(b, is_nan(b, x), x, 0.0))
    return copysign(b, rest, x), whole


def ignoring_nan(op: Op, b: Builder, x: Value, y: Value) -> Value:
    """fmax and fmin: the other one where one is NaN."""
    if not x.type.dtype.is_float:
        return _unless_bool(op, l.LogicalOr() if isinstance(op, a.Maximum) else l.LogicalAnd())(b, x, y)  # type: ignore[return-value]
    return s.where(b, is_nan(b, x), y, s.where(b, is_nan(b, y), x, b.value(op, x, y)))


def clip(b: Builder, x: Operand, low: Operand | None, high: Operand | None) -> Value:
    """np.clip; None is no bound. Where the bounds cross, the upper one wins."""
    bounds = [bound for bound in (low, high) if bound is not None]
    dtype = s.promoted([x, *bounds])
    shape = s.broadcast_shapes([s.shape_of(each) for each in (x, *bounds)])
    result = s.ready(b, x, dtype, shape)
    if low is not None:
        result = s.extreme(b, True, result, s.ready(b, low, dtype, shape))
    if high is not None:
        result = s.extreme(b, False, result, s.ready(b, high, dtype, shape))
    return result


def _one_minus_square_root(b: Builder, x: Value) -> Value:
    """sqrt(1 - x²) as sqrt((1 - x)(1 + x)): no cancellation near 1."""
    return b.value(f.Sqrt(), s.mul(b, s.sub(b, 1.0, x), s.add(b, x, 1.0)))


def arcsine(b: Builder, x: Value) -> Value:
    return b.value(f.Arctan2(), x, _one_minus_square_root(b, x))


def arccosine(b: Builder, x: Value) -> Value:
    return b.value(f.Arctan2(), _one_minus_square_root(b, x), x)


def _odd(b: Builder, x: Value, function: Callable[[Value], Value]) -> Value:
    """An odd function from its values at |x|, differentiable at 0 too."""
    negative = s.apply(b, l.Less(), x, 0.0)
    result = function(b.value(l.Select(), negative, b.value(a.Neg(), x), x))
    return b.value(l.Select(), negative, b.value(a.Neg(), result), result)


def inverse_sinh(b: Builder, x: Value) -> Value:
    """log1p(x + x² / (1 + sqrt(1 + x²))), and log(x) + log(2) where that rounds to the same."""

    def of_positive(size: Value) -> Value:
        large = s.apply(b, l.Greater(), size, 1e9 if x.type.dtype == f64 else 1e5)
        small = s.where(b, large, 1.0, size)
        squared = s.mul(b, small, small)
        root = b.value(f.Sqrt(), s.add(b, squared, 1.0))
        near = b.value(f.Log1p(), s.add(b, small, s.div(b, squared, s.add(b, root, 1.0))))
        far = s.add(b, b.value(f.Log(), s.where(b, large, size, 1.0)), log(2.0))
        return s.where(b, large, far, near)

    return _odd(b, x, of_positive)


def inverse_cosh(b: Builder, x: Value) -> Value:
    """log1p(t + sqrt(t) sqrt(t + 2)) with t = x - 1: exact near 1, no overflow."""
    t = s.sub(b, x, 1.0)
    roots = s.mul(b, b.value(f.Sqrt(), t), b.value(f.Sqrt(), s.add(b, t, 2.0)))
    return b.value(f.Log1p(), s.add(b, t, roots))


def inverse_tanh(b: Builder, x: Value) -> Value:
    """log1p(2x / (1 - x)) / 2."""
    return _odd(b, x, lambda size: s.mul(
        b, b.value(f.Log1p(), s.div(b, s.mul(b, size, 2.0), s.sub(b, 1.0, size))), 0.5))  # fmt: skip


def heaviside(b: Builder, x: Value, at_zero: Value) -> Value:
    inside = s.where(b, s.apply(b, l.Less(), x, 0.0), 0.0, s.where(b, is_nan(b, x), x, 1.0))
    return s.where(b, s.apply(b, l.Equal(), x, 0.0), at_zero, inside)


def log_add_exp2(b: Builder, x: Value, y: Value) -> Value:
    natural = b.value(f.Logaddexp(), s.mul(b, x, log(2.0)), s.mul(b, y, log(2.0)))
    return s.div(b, natural, log(2.0))


COMPARISONS: Mapping[np.ufunc, Rule] = MappingProxyType({
    np.less: comparison(l.Less()), np.less_equal: comparison(l.LessEqual()),
    np.greater: comparison(l.Greater()), np.greater_equal: comparison(l.GreaterEqual()),
    np.equal: comparison(l.Equal()), np.not_equal: comparison(l.NotEqual()),
})  # fmt: skip

RULES: Mapping[np.ufunc, Rule] = MappingProxyType({
    **COMPARISONS,
    np.add: _unless_bool(a.Add(), l.LogicalOr()), np.subtract: _op(a.Sub()),
    np.multiply: _unless_bool(a.Mul(), l.LogicalAnd()), np.true_divide: _op(a.Div()),
    np.power: _op(a.Pow()), np.float_power: _op(a.Pow()),
    np.floor_divide: _op(a.FloorDivide()), np.remainder: _op(a.Remainder()), np.fmod: fmod,
    np.divmod: divmod_of, np.modf: modf,
    np.negative: _op(a.Neg()), np.positive: _same, np.conjugate: _same, np.absolute: absolute, np.fabs: absolute,
    np.sign: _op(a.Sign()), np.square: lambda b, x: b.value(a.Mul(), x, x), np.reciprocal: reciprocal,
    np.maximum: _unless_bool(a.Maximum(), l.LogicalOr()), np.minimum: _unless_bool(a.Minimum(), l.LogicalAnd()),
    np.fmax: partial(ignoring_nan, a.Maximum()), np.fmin: partial(ignoring_nan, a.Minimum()),
    np.sqrt: _op(f.Sqrt()), np.cbrt: cube_root, np.hypot: hypot,
    np.exp: _op(f.Exp()), np.expm1: _op(f.Expm1()), np.exp2: lambda b, x: s.power(b, 2.0, x),
    np.log: _op(f.Log()), np.log1p: _op(f.Log1p()),
    np.log2: partial(log_to_base, 2.0), np.log10: partial(log_to_base, 10.0),
    np.logaddexp: _op(f.Logaddexp()), np.logaddexp2: log_add_exp2,
    np.sin: _op(f.Sin()), np.cos: _op(f.Cos()), np.tan: _op(f.Tan()),
    np.sinh: _op(f.Sinh()), np.cosh: _op(f.Cosh()), np.tanh: _op(f.Tanh()),
    np.arcsin: arcsine, np.arccos: arccosine, np.arctan: _op(f.Arctan()), np.arctan2: _op(f.Arctan2()),
    np.arcsinh: inverse_sinh, np.arccosh: inverse_cosh, np.arctanh: inverse_tanh,
    np.deg2rad: partial(times, pi / 180.0), np.radians: partial(times, pi / 180.0),
    np.rad2deg: partial(times, 180.0 / pi), np.degrees: partial(times, 180.0 / pi),
    np.heaviside: heaviside, np.copysign: copysign,
    np.floor: _rounding(f.Floor()), np.ceil: _rounding(f.Ceil()), np.trunc: _rounding(f.Trunc()),
    np.rint: _rounding(f.Rint()),
    np.logical_and: _op(l.LogicalAnd()), np.logical_or: _op(l.LogicalOr()), np.logical_xor: _op(l.LogicalXor()),
    np.logical_not: _op(l.LogicalNot()),
    np.bitwise_and: _op(l.LogicalAnd()), np.bitwise_or: _op(l.LogicalOr()), np.bitwise_xor: _op(l.LogicalXor()),
    np.invert: _op(l.LogicalNot()), np.left_shift: _op(l.ShiftLeft()), np.right_shift: _op(l.ShiftRight()),
    np.isnan: is_nan, np.isfinite: is_finite, np.isinf: is_inf, np.signbit: sign_bit,
})  # fmt: skip
"""What each ufunc does once its operands have the dtypes of NumPy's loop and one shape."""


def _newer(**functions: Callable[..., Value]) -> dict[np.ufunc, Callable[..., Value]]:
    """Those of the named ufuncs that this NumPy has."""
    return {getattr(np, name): function for name, function in functions.items() if hasattr(np, name)}


PRODUCTS: Mapping[np.ufunc, Callable[..., Value]] = MappingProxyType({
    np.matmul: products.matmul,
    **_newer(vecdot=products.vecdot, matvec=products.matvec, vecmat=products.vecmat),
})  # fmt: skip
"""Ufuncs over whole vectors and matrices."""

REDUCTIONS: Mapping[np.ufunc, Callable[..., Any]] = MappingProxyType({
    np.add: r.total, np.multiply: r.product,
    np.maximum: partial(lambda largest, b, x, axis, keepdims: r.extreme(b, largest, x, axis, keepdims), True),
    np.minimum: partial(lambda largest, b, x, axis, keepdims: r.extreme(b, largest, x, axis, keepdims), False),
    np.logical_and: r.all_of, np.logical_or: r.any_of,
})  # fmt: skip
"""What ``ufunc.reduce`` is."""
