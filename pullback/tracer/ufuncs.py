"""NumPy's ufuncs in IR: operands of any kind in, cast to the dtypes of the loop NumPy would run, one rule applied."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import pi
from types import MappingProxyType
from typing import Any

import numpy as np

from pullback.dtypes import DType, boolean, u64
from pullback.errors import ArgumentValueError
from pullback.ir.core import Builder, Op, Value
from pullback.ir.ops import arithmetic as a
from pullback.ir.ops import composed as c
from pullback.ir.ops import elementary as f
from pullback.ir.ops import logic as l
from pullback.ir.ops.creation import Full
from pullback.location import caller
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics import products
from pullback.tracer.semantics.elementwise import Operand
from pullback.tracer.special import special_rule

Rule = Callable[..., Value | tuple[Value, ...]]


def elementwise(
    b: Builder, ufunc: np.ufunc, *operands: Operand, dtype: Any = None, casting: str = "same_kind"
) -> Value | tuple[Value, ...]:
    """A ufunc of `RULES` on operands of any dtypes and shapes that broadcast, computed in `dtype` if there is one.

    Raises: DTypeError where NumPy has no loop for the dtypes, ShapeError for shapes that do not broadcast.
    """
    kinds = s.loop(ufunc, operands, dtype, casting)
    shape = s.broadcast_shapes([s.shape_of(operand) for operand in operands], f"operands of np.{ufunc.__name__}")
    if ufunc in COMPARISONS:
        beyond = [_side(operand, kind) for operand, kind in zip(operands, kinds, strict=False)]
        if any(beyond):
            # NumPy compares a Python integer that the dtype cannot hold by its true size.
            return b.value(Full(bool(ufunc(*beyond)), boolean, shape))
    if ufunc is np.power and kinds[0].is_integer and type(operands[1]) is int and operands[1] < 0:
        raise ArgumentValueError("integers to negative integer powers are not allowed", location=caller(),
                                 help="use x.astype(float) ** y")  # fmt: skip
    if ufunc is np.power and kinds[0].is_float and s.shape_of(operands[0]) and _is_half(operands[1]):
        # As NumPy does for arrays; pow differs at -0.0 and -inf.
        ufunc, operands = np.sqrt, operands[:1]
    values = [s.ready(b, operand, kind, shape) for operand, kind in zip(operands, kinds, strict=False)]
    return rule_of(ufunc)(b, *values)


def rule_of(ufunc: np.ufunc) -> Rule:
    """What a ufunc does: that of `RULES`, or of SciPy's. Raises: KeyError where there is none: see `is_known`."""
    rule = None if ufunc in RULES else special_rule(ufunc)
    return RULES[ufunc] if rule is None else rule


def is_known(ufunc: np.ufunc) -> bool:
    """Whether `elementwise` takes a ufunc."""
    return ufunc in RULES or special_rule(ufunc) is not None


def single(b: Builder, ufunc: np.ufunc, *operands: Operand) -> Value:
    """`elementwise` of a ufunc with one result."""
    result = elementwise(b, ufunc, *operands)
    assert isinstance(result, Value)
    return result


def _side(operand: Operand, dtype: DType) -> int:
    """-1 or 1 for a Python integer below or above what the dtype holds, else 0."""
    if type(operand) is not int or not dtype.is_integer:
        return 0
    low, high = s.limits(dtype)
    return -1 if operand < low else 1 if operand > high else 0


def _is_half(operand: Operand) -> bool:
    """Whether an operand is the number 0.5."""
    if not isinstance(operand, Value | s.Weak):
        return operand == 0.5
    owner = s.value_of(operand).owner
    return owner is not None and isinstance(owner.op, Full) and owner.op.value == 0.5 and not owner.op.dims


def _op(op: Op) -> Rule:
    """One op, whatever the dtype."""
    return lambda b, *values: b.value(op, *values)


def _unless_bool(op: Op, of_bools: Op) -> Rule:
    return lambda b, *values: b.value(of_bools if values[0].type.dtype.is_bool else op, *values)


def connective(op: Op) -> Rule:
    """Logic of numbers too: what is not 0 is true."""
    return lambda b, *values: b.value(op, *[s.truth(b, value) for value in values])


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
    """x, negated where its sign is not y's: differentiable at 0 too."""
    opposite = b.value(l.LogicalXor(), sign_bit(b, x), sign_bit(b, y))
    return b.value(l.Select(), opposite, b.value(a.Neg(), x), x)


def times(factor: float, b: Builder, x: Value) -> Value:
    return s.mul(b, x, factor)


def fmod(b: Builder, x: Value, y: Value) -> Value:
    """The remainder with the sign of x."""
    if not x.type.dtype.is_float and not x.type.dtype.is_signed:
        return b.value(a.Remainder(), x, y)
    # Not by abs(x), whose derivative at 0 is 0.
    negative = sign_bit(b, x) if x.type.dtype.is_float else s.apply(b, l.Less(), x, 0)
    size = b.value(l.Select(), negative, b.value(a.Neg(), x), x)
    rest = b.value(a.Remainder(), size, b.value(a.Abs(), y))
    return b.value(l.Select(), negative, b.value(a.Neg(), rest), rest)


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
    own = s.dtype_of(x)
    if own.is_integer:
        # A Python integer beyond the dtype is no bound.
        smallest, largest = s.limits(own)
        low = None if type(low) is int and low <= smallest else low
        high = None if type(high) is int and high >= largest else high
    bounds = [bound for bound in (low, high) if bound is not None]
    dtype = s.promoted([x, *bounds])
    shape = s.broadcast_shapes([s.shape_of(each) for each in (x, *bounds)])
    result = s.ready(b, x, dtype, shape)
    if low is not None:
        result = s.extreme(b, True, result, s.ready(b, low, dtype, shape))
    if high is not None:
        result = s.extreme(b, False, result, s.ready(b, high, dtype, shape))
    return result


def heaviside(b: Builder, x: Value, at_zero: Value) -> Value:
    inside = s.where(b, s.apply(b, l.Less(), x, 0.0), 0.0, s.where(b, is_nan(b, x), x, 1.0))
    return s.where(b, s.apply(b, l.Equal(), x, 0.0), at_zero, inside)


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
    np.sqrt: _op(f.Sqrt()), np.cbrt: _op(c.Cbrt()), np.hypot: _op(c.Hypot()),
    np.exp: _op(f.Exp()), np.expm1: _op(f.Expm1()), np.exp2: _op(c.Exp2()),
    np.log: _op(f.Log()), np.log1p: _op(f.Log1p()),
    np.log2: _op(c.Log2()), np.log10: _op(c.Log10()),
    np.logaddexp: _op(f.Logaddexp()), np.logaddexp2: _op(c.Logaddexp2()),
    np.sin: _op(f.Sin()), np.cos: _op(f.Cos()), np.tan: _op(f.Tan()),
    np.sinh: _op(f.Sinh()), np.cosh: _op(f.Cosh()), np.tanh: _op(f.Tanh()),
    np.arcsin: _op(c.Arcsin()), np.arccos: _op(c.Arccos()),
    np.arctan: _op(f.Arctan()), np.arctan2: _op(f.Arctan2()),
    np.arcsinh: _op(c.Arcsinh()), np.arccosh: _op(c.Arccosh()), np.arctanh: _op(c.Arctanh()),
    np.deg2rad: partial(times, pi / 180.0), np.radians: partial(times, pi / 180.0),
    np.rad2deg: partial(times, 180.0 / pi), np.degrees: partial(times, 180.0 / pi),
    np.heaviside: heaviside, np.copysign: copysign,
    np.floor: _rounding(f.Floor()), np.ceil: _rounding(f.Ceil()), np.trunc: _rounding(f.Trunc()),
    np.rint: _rounding(f.Rint()),
    np.logical_and: connective(l.LogicalAnd()), np.logical_or: connective(l.LogicalOr()),
    np.logical_xor: connective(l.LogicalXor()), np.logical_not: connective(l.LogicalNot()),
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
