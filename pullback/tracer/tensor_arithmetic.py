"""Elementwise operations on tensors, by PyTorch's names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback import dtypes
from pullback.dtypes import DType
from pullback.errors import AutogradError, UnsupportedError
from pullback.ir.core import Builder, Op, Value
from pullback.ir.ops import arithmetic as a
from pullback.ir.ops import elementary as e
from pullback.ir.ops import logic as l
from pullback.ir.ops.creation import Full
from pullback.location import caller
from pullback.tracer import ufuncs
from pullback.tracer.recipe import Kept, kept_rules
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.tensor_apply import (
    Fitted,
    Hidden,
    Number,
    Operand,
    Rule,
    apply,
    as_values,
    broadcast,
    checked,
    common_shape,
    emit,
    fit,
    float_dtype,
    number_dtype,
    own_dtype,
    own_float_dtype,
    result_dtype,
    written,
)
from pullback.tracer.tensor_base import TensorBase, Unseen, record


@Kept
def _add(b: Builder, x: Value, y: Value) -> Value:
    return b.value(l.LogicalOr() if x.type.dtype.is_bool else a.Add(), x, y)


_sub, _div, _neg, _abs = emit(a.Sub()), emit(a.Div()), emit(a.Neg()), emit(a.Abs())


@Kept
def _mul(b: Builder, x: Value, y: Value) -> Value:
    return b.value(l.LogicalAnd() if x.type.dtype.is_bool else a.Mul(), x, y)


@Kept
def _add_times(b: Builder, x: Value, y: Value, factor: Value) -> Value:
    return _add(b, x, _mul(b, y, factor))


@Kept
def _sub_times(b: Builder, x: Value, y: Value, factor: Value) -> Value:
    return _sub(b, x, _mul(b, y, factor))


def scaled(rule: Rule, times: Rule, input: Any, other: Any, alpha: Number) -> tuple[Rule, tuple[Operand, ...]]:
    """The rule of a sum or difference with alpha * other, and its operands. Raises: AutogradError for an unfit `alpha`."""
    if type(alpha) is int and alpha == 1:
        return rule, (input, other)
    dtype = result_dtype((input, other))
    if isinstance(alpha, float) and not dtype.is_float:
        raise AutogradError("For integral input tensors, argument alpha must not be a floating point number.",
                            location=caller())  # fmt: skip
    if isinstance(alpha, bool) and not dtype.is_bool:
        raise AutogradError("Boolean alpha only supported for Boolean results.", location=caller())
    return times, (input, other, Hidden(alpha))


def add(input: Any, other: Any, *, alpha: Number = 1) -> Any:
    """input + alpha * other."""
    return apply("AddBackward0", *scaled(_add, _add_times, input, checked(other, input, "+"), alpha), result_dtype)


def sub(input: Any, other: Any, *, alpha: Number = 1) -> Any:
    """input - alpha * other."""
    return apply("SubBackward0", *scaled(_sub, _sub_times, input, checked(other, input, "-"), alpha), _difference_dtype)


def add_to(input: Any, other: Any, *, alpha: Number = 1) -> Any:
    """``input += alpha * other``."""
    rule, (target, *others) = scaled(_add, _add_times, input, checked(other, input, "+"), alpha)
    return written("AddBackward0", rule, target, *others)


def subtract_from(input: Any, other: Any, *, alpha: Number = 1) -> Any:
    """``input -= alpha * other``."""
    rule, (target, *others) = scaled(_sub, _sub_times, input, checked(other, input, "-"), alpha)
    return written("SubBackward0", rule, target, *others)


def _difference_dtype(operands: Sequence[Operand]) -> DType:
    """The dtype of a difference. Raises: AutogradError for bools."""
    dtype = result_dtype(operands)
    if dtype.is_bool:
        raise AutogradError("Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or "
                            "`logical_xor()` operator instead.", location=caller())  # fmt: skip
    if any(each.dtype_.is_bool if isinstance(each, TensorBase) else isinstance(each, bool) for each in operands):
        raise AutogradError("Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a "
                            "mask, use the `~` or `logical_not()` operator instead.", location=caller())  # fmt: skip
    return dtype


@Kept
def _from(b: Builder, x: Value, y: Value, *factors: Value) -> Value:
    return _sub_times(b, y, x, *factors) if factors else _sub(b, y, x)


def rsub(input: Any, other: Any, *, alpha: Number = 1) -> Any:
    """other - alpha * input."""
    other = checked(other, input, "-")
    _, (_, _, *factors) = scaled(_sub, _sub_times, other, input, alpha)
    name, second = ("RsubBackward0", other) if isinstance(other, TensorBase) else ("RsubBackward1", Hidden(other))
    return apply(name, _from, (input, second, *factors), _difference_dtype((input, other)))


def mul(input: Any, other: Any) -> Any:
    """input * other."""
    other = checked(other, input, "*")
    return apply("MulBackward0", _mul, (input, other), result_dtype)


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """input / other; `rounding_mode` "floor" or "trunc" rounds."""
    other = checked(other, input, "/")
    if rounding_mode is not None:
        _divisible(f"div_{rounding_mode}_cpu", input, other)
        rule = emit(a.FloorDivide()) if rounding_mode == "floor" else _truncated
        return apply("DivBackward2", rule, (input, other), result_dtype)
    return apply("DivBackward0", _div, (input, other), float_dtype)


def _truncated(b: Builder, x: Value, y: Value) -> Value:
    """Division toward zero: of integers the floor, one more where it lies below an inexact negative quotient."""
    if x.type.dtype.is_float:
        return b.value(e.Trunc(), b.value(a.Div(), x, y))
    floor, rest = b.value(a.FloorDivide(), x, y), b.value(a.Remainder(), x, y)
    opposite = b.value(l.LogicalXor(), s.apply(b, l.Less(), x, 0), s.apply(b, l.Less(), y, 0))
    inexact = b.value(l.LogicalAnd(), opposite, s.apply(b, l.NotEqual(), rest, 0))
    return b.value(a.Add(), floor, s.cast(b, inexact, x.type.dtype))


def rdiv(input: Any, other: Any) -> Any:
    """other / input."""
    other = checked(other, input, "/")
    return div(other, input) if isinstance(other, TensorBase) else mul(reciprocal(input), other)


def floor_divide(input: Any, other: Any) -> Any:
    """Division rounded down. Raises: AutogradError for integers over 0, UnsupportedError for bools."""
    other = checked(other, input, "//")
    _divisible("div_floor_cpu", input, other)
    result = apply("NotImplemented", emit(a.FloorDivide()), (input, other), result_dtype, gaps=False)
    if result.node is not None:
        result.node.refuse("derivative for aten::floor_divide is not implemented")
    return result


def _divisible(name: str, input: Any, other: Any) -> None:
    """Raises: UnsupportedError for bools, AutogradError for integers over 0."""
    dtype = result_dtype((input, other))
    if dtype.is_bool:
        raise UnsupportedError(f"\"{name}\" not implemented for 'Bool'", location=caller())
    if not dtype.is_float and not np.all(other.array() if isinstance(other, TensorBase) else other):
        raise AutogradError("ZeroDivisionError", location=caller(), help="integers cannot be divided by 0")


def remainder(input: Any, other: Any) -> Any:
    """The rest with the divisor's sign. Raises: AutogradError for integers over 0, UnsupportedError for bools."""
    if not isinstance(input, TensorBase):
        input = other.of_array(np.array(input, number_dtype(input).numpy))
    other = checked(other, input, "%")
    _divisible("remainder_cpu", input, other)
    name = f"RemainderBackward{int(isinstance(other, TensorBase))}"
    return apply(name, emit(a.Remainder()), (input, other), result_dtype, gaps=False)


def fmod(input: Any, other: Any) -> Any:
    """The rest with the dividend's sign. Raises: AutogradError for integers over 0, UnsupportedError for bools."""
    other = checked(other, input, "fmod")
    _divisible("fmod_cpu", input, other)
    name = f"FmodBackward{int(isinstance(other, TensorBase))}"
    return apply(name, ufuncs.fmod, (input, other), result_dtype, gaps=False)


def pow(input: Any, exponent: Any) -> Any:
    """input ** exponent."""
    if not isinstance(input, TensorBase):
        return rpow(exponent, input)
    exponent = checked(exponent, input, "** or pow()")
    dtype = result_dtype((input, exponent))
    if isinstance(exponent, TensorBase):
        if dtype.is_bool:
            raise UnsupportedError("\"pow\" not implemented for 'Bool'", location=caller())
        return apply("PowBackward1", emit(a.Pow()), (input, exponent), dtype)
    if dtype.is_bool:
        return logical_or(input, not exponent)
    if not dtype.is_float and exponent < 0:
        raise AutogradError("Integers to negative integer powers are not allowed.", location=caller())
    return apply("PowBackward0", power_by(exponent), (input,), dtype)


def power_by(exponent: Number) -> Callable[..., Value]:
    """The rule of x ** exponent. The exponent stands in the code: small ones become products."""

    def powered(b: Builder, x: Value, *_: Value) -> Value:
        dtype = x.type.dtype
        if dtype.is_float and exponent == 0.5:
            # As in PyTorch; pow differs at -0.0 and -inf.
            return b.value(e.Sqrt(), x)
        full = Full(float(exponent) if dtype.is_float else int(exponent), dtype, x.type.dims)
        return b.value(a.Pow(), x, b.value(full))

    return powered


def rpow(input: Any, base: Any) -> Any:
    """base ** input."""
    base = checked(base, input, "** or pow()")
    if isinstance(base, TensorBase):
        return pow(base, input)
    dtype = result_dtype((base, input))
    return apply("PowBackward2", lambda b, y: b.value(a.Pow(), fit(b, base, dtype, y.type.shape), y), (input,), dtype)


# Comparison and logic: no gradient


def _compared(op: Op) -> Callable[..., Any]:
    rule = emit(op)

    def compared(input: Any, other: Any) -> Any:
        other = checked(other, input, op.name)
        return apply("", rule, (input, other), result_dtype)

    compared.__name__ = op.name
    return compared


eq, ne = _compared(l.Equal()), _compared(l.NotEqual())
lt, le = _compared(l.Less()), _compared(l.LessEqual())
gt, ge = _compared(l.Greater()), _compared(l.GreaterEqual())


def _logical(op: Op) -> Callable[..., Any]:
    def combined(input: Any, *others: Any) -> Any:
        operands = (input, *(checked(other, input, op.name) for other in others))

        def rule(b: Builder, *values: Value) -> Value:
            return b.value(op, *[s.cast(b, value, dtypes.boolean) for value in values])

        return apply("", rule, operands, result_dtype(operands))

    return combined


logical_and, logical_or = _logical(l.LogicalAnd()), _logical(l.LogicalOr())
logical_xor, logical_not = _logical(l.LogicalXor()), _logical(l.LogicalNot())


def _bitwise(op: Op, symbol: str) -> Callable[..., Any]:
    def combined(input: Any, *others: Any) -> Any:
        operands = (input, *(checked(other, input, symbol) for other in others))
        dtype = result_dtype(operands)
        if dtype.is_float:
            raise UnsupportedError(f'"bitwise_{op.name.removeprefix("logical_")}_cpu" not implemented for '
                                   f"'{'Float' if dtype.itemsize == 4 else 'Double'}'", location=caller())  # fmt: skip
        return apply("", emit(op), operands, dtype)

    return combined


bitwise_and, bitwise_or = _bitwise(l.LogicalAnd(), "&"), _bitwise(l.LogicalOr(), "|")
bitwise_xor, bitwise_not = _bitwise(l.LogicalXor(), "^"), _bitwise(l.LogicalNot(), "~")


# Functions of one tensor


def unary(name: str, op: Op, floats: bool = True) -> Callable[..., Any]:
    """An elementwise function; with `floats`, integers are taken as the default float."""

    rule, policy = emit(op), own_float_dtype if floats else own_dtype

    def applied(input: Any) -> Any:
        return apply(name, rule, (input,), policy)

    applied.__name__ = op.name
    return applied


exp, expm1 = unary("ExpBackward0", e.Exp()), unary("Expm1Backward0", e.Expm1())
log, log1p = unary("LogBackward0", e.Log()), unary("Log1PBackward0", e.Log1p())
sin, cos, tan = unary("SinBackward0", e.Sin()), unary("CosBackward0", e.Cos()), unary("TanBackward0", e.Tan())
sinh, cosh, tanh = unary("SinhBackward0", e.Sinh()), unary("CoshBackward0", e.Cosh()), unary("TanhBackward0", e.Tanh())
atan, sqrt = unary("AtanBackward0", e.Arctan()), unary("SqrtBackward0", e.Sqrt())
sigmoid, erf = unary("SigmoidBackward0", e.Sigmoid()), unary("ErfBackward0", e.Erf())


@Kept
def _signum(b: Builder, x: Value) -> Value:
    """The sign; as in PyTorch, that of NaN is 0."""
    found = b.value(a.Sign(), x)
    return s.where(b, b.value(l.Equal(), x, x), found, 0) if x.type.dtype.is_float else found


def sign(input: Any, *, name: str = "SignBackward0") -> Any:
    """1, 0 or -1; of NaN 0; of bools themselves."""
    if input.dtype_.is_bool:
        return logical_and(input, True)
    return apply(name, _signum, (input,), own_dtype)


def sgn(input: Any) -> Any:
    """As `sign`."""
    return sign(input, name="SgnBackward0")


def _rounded(name: str, op: Op) -> Callable[..., Any]:
    def applied(input: Any) -> Any:
        rule = emit(op) if input.dtype_.is_float else _itself
        return apply(name, rule, (input,), input.dtype_)

    return applied


def _itself(b: Builder, x: Value) -> Value:
    return x


def round(input: Any, *, decimals: int = 0) -> Any:
    """To the nearest integer, of two to the even one; with `decimals` to so many of them."""
    if not decimals or not input.dtype_.is_float:
        return _nearest(input)
    scale = 10.0 ** (decimals if decimals > 0 else -decimals)

    def rule(b: Builder, x: Value) -> Value:
        moved = s.mul(b, x, scale) if decimals > 0 else s.div(b, x, scale)
        whole = b.value(e.Rint(), moved)
        return s.div(b, whole, scale) if decimals > 0 else s.mul(b, whole, scale)

    return apply("RoundBackward1", rule, (input,), own_dtype)


floor, ceil = _rounded("FloorBackward0", e.Floor()), _rounded("CeilBackward0", e.Ceil())
trunc, _nearest = _rounded("TruncBackward0", e.Trunc()), _rounded("RoundBackward0", e.Rint())


def neg(input: Any) -> Any:
    """-input."""
    if input.dtype_.is_bool:
        raise AutogradError("Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a "
                            "mask, use the `~` or `logical_not()` operator instead.", location=caller())  # fmt: skip
    return apply("NegBackward0", _neg, (input,), own_dtype)


def abs(input: Any) -> Any:
    """|input|."""
    return apply("AbsBackward0", _abs, (input,), own_dtype)


def reciprocal(input: Any) -> Any:
    """1 / input."""
    return apply("ReciprocalBackward0", lambda b, x: s.div(b, 1.0, x), (input,), own_float_dtype)


def rsqrt(input: Any) -> Any:
    """1 / sqrt(input)."""
    rule = lambda b, x: s.div(b, 1.0, b.value(e.Sqrt(), x))  # noqa: E731
    return apply("RsqrtBackward0", rule, (input,), own_float_dtype)


def square(input: Any) -> Any:
    """input ** 2."""
    return pow(input, 2)


@Kept
def rectified(b: Builder, x: Value) -> Value:
    """max(x, 0); the derivative at 0 is 0."""
    return b.value(e.Relu(), x) if x.type.dtype.is_float else s.extreme(b, True, x, 0)


def relu(input: Any) -> Any:
    """max(input, 0); the derivative at 0 is 0."""
    return apply("ReluBackward0", rectified, (input,), own_dtype)


def _paired(name: str, rule: Callable[..., Value], shown: str, floats: bool = False) -> Callable[..., Any]:
    policy = float_dtype if floats else result_dtype

    def applied(input: Any, other: Any) -> Any:
        other = checked(other, input, shown)
        return apply(name, rule, (input, other), policy)

    return applied


def _extreme(op: Op, of_bools: Op) -> Kept:
    return Kept(lambda b, x, y: b.value(of_bools if x.type.dtype.is_bool else op, x, y))


maximum = _paired("MaximumBackward0", _extreme(a.Maximum(), l.LogicalOr()), "maximum")
minimum = _paired("MinimumBackward0", _extreme(a.Minimum(), l.LogicalAnd()), "minimum")
atan2 = _paired("Atan2Backward0", emit(e.Arctan2()), e.Arctan2().name, floats=True)
logaddexp = _paired("LogaddexpBackward0", emit(e.Logaddexp()), e.Logaddexp().name, floats=True)


def clamp(input: Any, min: Any = None, max: Any = None, *, name: str = "") -> Any:
    """Between `min` and `max`; at a bound the gradient passes. Raises: AutogradError without any bound."""
    by_tensors = isinstance(min, TensorBase) or isinstance(max, TensorBase)
    name = name or ("ClampBackward0" if by_tensors else "ClampBackward1")
    if min is None and max is None:
        raise AutogradError("torch.clamp: At least one of 'min' or 'max' must not be None", location=caller())
    bounds = [checked(each, input, "clamp") for each in (min, max) if each is not None]
    rule = _clamped(min is not None, max is not None)
    if not by_tensors:
        return apply(name, rule, (input, *bounds), result_dtype, gaps=False)
    dtype = result_dtype((input, *bounds))
    left = as_values(bounds, dtype)
    places = [None if each is None else left.pop(0) for each in (min, max)]
    return record(name, Fitted(rule, dtype, broadcast((input, *bounds))), input, *places)


@kept_rules
def _clamped(from_below: bool, from_above: bool) -> Callable[..., Value]:
    """The rule of x and the bounds that there are."""

    def rule(b: Builder, x: Value, *bounds: Value) -> Value:
        if from_below:
            x = b.value(l.Select(), b.value(l.Less(), x, bounds[0]), bounds[0], x)
        if from_above:
            x = b.value(l.Select(), b.value(l.Greater(), x, bounds[-1]), bounds[-1], x)
        return x

    return rule


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """input where the condition holds, else other; alone, where the condition holds, an index for each axis."""
    if input is None and other is None:
        return tuple(condition.of_array(np.asarray(each, np.int64)) for each in np.nonzero(np.array(condition.array())))
    dtype = result_dtype((input, other))
    operands = as_values((input, other), dtype)
    return record("WhereBackward0", _choosing(dtype), Unseen(condition.value), *operands, template=condition)


@kept_rules
def _choosing(dtype: DType) -> Callable[..., Value]:
    """The rule of a condition and what it chooses from, in one dtype."""

    def rule(b: Builder, chosen: Value, x: Value, y: Value) -> Value:
        shape = common_shape([each.type.shape for each in (chosen, x, y)])
        return b.value(l.Select(), fit(b, chosen, dtypes.boolean, shape), fit(b, x, dtype, shape), fit(b, y, dtype, shape))

    return rule
