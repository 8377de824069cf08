"""More elementwise functions of tensors: inverse and rounded ones, tests of numbers, blends, by PyTorch's names."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, pi
from typing import Any

import numpy as np

from pullback import dtypes
from pullback.errors import AutogradError
from pullback.ir.core import Builder, Op, Value
from pullback.ir.ops import arithmetic as a
from pullback.ir.ops import composed as c
from pullback.ir.ops import elementary as e
from pullback.ir.ops import logic as l
from pullback.ir.ops.base import Term
from pullback.location import caller
from pullback.tracer import special
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.tensor_apply import apply, checked, emit, float_dtype, own_float_dtype, result_dtype
from pullback.tracer.tensor_arithmetic import clamp, div, mul, pow, sub, unary
from pullback.tracer.tensor_base import TensorBase, record

Rule = Callable[..., Value]

acos, asin, asinh = (
    unary("AcosBackward0", c.Arccos()), unary("AsinBackward0", c.Arcsin()), unary("AsinhBackward0", c.Arcsinh()))  # fmt: skip
acosh, atanh = unary("AcoshBackward0", c.Arccosh()), unary("AtanhBackward0", c.Arctanh())
exp2, log2, log10 = unary("Exp2Backward0", c.Exp2()), unary("Log2Backward0", c.Log2()), unary("Log10Backward0", c.Log10())


def _floats(name: str, rule: Rule) -> Callable[..., Any]:
    """A function of one tensor by a rule; integers are taken as the default float."""

    def applied(input: Any) -> Any:
        return apply(name, rule, (input,), own_float_dtype)

    return applied


def _frac(b: Builder, x: Value) -> Value:
    return s.sub(b, x, b.value(e.Trunc(), x))


def _sinc(b: Builder, x: Value) -> Value:
    angle = s.mul(b, x, pi)
    empty = s.apply(b, l.Equal(), x, 0.0)
    # Near 0 the slope is that of the series, 0.
    safe = s.where(b, empty, 1.0, angle)
    return s.where(b, empty, 1.0, s.div(b, b.value(e.Sin(), safe), safe))


erfc = _floats("ErfcBackward0", lambda b, x: s.sub(b, 1.0, b.value(e.Erf(), x)))
frac = _floats("FracBackward0", _frac)
sinc = _floats("SincBackward0", _sinc)
deg2rad = _floats("Deg2RadBackward0", lambda b, x: s.mul(b, x, pi / 180.0))
rad2deg = _floats("Rad2DegBackward0", lambda b, x: s.mul(b, x, 180.0 / pi))


def sgn(input: Any) -> Any:
    """1, 0 or -1; of bools themselves."""
    return input.clone() if input.dtype_.is_bool else _sgn(input)


_sgn = unary("SgnBackward0", a.Sign(), floats=False)


def logit(input: Any, eps: float | None = None) -> Any:
    """log(x / (1 - x)), x kept at least `eps` away from 0 and 1."""

    def rule(b: Builder, x: Value) -> Value:
        if eps is not None:
            x = s.where(b, s.apply(b, l.Less(), x, eps), eps, s.where(b, s.apply(b, l.Greater(), x, 1 - eps), 1 - eps, x))
        return special.logit(Term(b, x)).value

    return apply("LogitBackward0", rule, (input,), own_float_dtype)


def positive(input: Any) -> Any:
    """+input."""
    if input.dtype_.is_bool:
        raise AutogradError("The `+` operator, on a bool tensor is not supported.", location=caller())
    return input


# Tests of numbers: no gradient


def _tested(rule: Rule, integers: bool = False) -> Callable[..., Any]:
    """A truth value for each element; of integers it is always `integers`."""

    def tested(input: Any) -> Any:
        if not input.dtype_.is_float:
            return record("", lambda b, x: s.number(b, integers, dtypes.boolean, x.type.shape), input)
        return record("", rule, input)

    return tested


def _is_infinite(b: Builder, x: Value) -> Value:
    return s.apply(b, l.Equal(), s.absolute(b, x), inf)


isnan = _tested(lambda b, x: b.value(l.NotEqual(), x, x))
isinf = _tested(_is_infinite)
isfinite = _tested(emit(l.IsFinite()), integers=True)
isposinf, isneginf = _tested(lambda b, x: s.apply(b, l.Equal(), x, inf)), _tested(lambda b, x: s.apply(b, l.Equal(), x, -inf))
isreal = _tested(lambda b, x: s.number(b, True, dtypes.boolean, x.type.shape), integers=True)


def signbit(input: Any) -> Any:
    """Whether the sign is negative, of -0 as well."""
    return input.of_array(np.signbit(np.array(input.array())))


def nan_to_num(input: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
    """NaN and infinities as numbers: 0, the largest and the least of the dtype, or those given."""
    if not input.dtype_.is_float:
        return input.clone()
    limits = np.finfo(input.dtype_.numpy)
    high, low = float(limits.max) if posinf is None else posinf, float(limits.min) if neginf is None else neginf

    def rule(b: Builder, x: Value) -> Value:
        x = s.where(b, b.value(l.NotEqual(), x, x), nan, x)
        x = s.where(b, s.apply(b, l.Equal(), x, inf), high, x)
        return s.where(b, s.apply(b, l.Equal(), x, -inf), low, x)

    return apply("NanToNumBackward0", rule, (input,), input.dtype_)


def isclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Whether ``|input - other| <= atol + rtol * |other|``. Raises: AutogradError for two dtypes."""
    if input.dtype_ != other.dtype_:
        words = [_TITLES.get(each.dtype_.name, each.dtype_.name) for each in (input, other)]
        raise AutogradError(f"{words[0]} did not match {words[1]}", location=caller())
    x, y = np.array(input.array()), np.array(other.array())
    return input.of_array(np.asarray(np.isclose(x, y, rtol, atol, equal_nan)))


_TITLES = {"f32": "Float", "f64": "Double", "i64": "Long", "i32": "Int", "bool": "Bool", "u8": "Byte"}


def allclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether all elements are close: see isclose."""
    return bool(np.all(isclose(input, other, rtol, atol, equal_nan).array()))


def equal(input: Any, other: Any) -> bool:
    """Whether sizes and all elements are the same."""
    return input.sizes == other.sizes and bool(np.array_equal(input.array(), other.array()))


def is_nonzero(input: Any) -> bool:
    """The truth of a tensor of one element."""
    return bool(input)


# Of several tensors


def _pairwise(name: str, rule: Rule, floats: bool = False) -> Callable[..., Any]:
    def applied(input: Any, other: Any) -> Any:
        tensor = input if isinstance(input, TensorBase) else other
        operands = (checked(input, tensor, name), checked(other, tensor, name))
        return apply(name, rule, operands, float_dtype if floats else result_dtype)

    return applied


def _xlogy(b: Builder, x: Value, y: Value) -> Value:
    empty = s.apply(b, l.Equal(), x, 0.0)
    hit = s.mul(b, x, b.value(e.Log(), s.where(b, empty, 1.0, y)))
    return s.where(b, b.value(l.NotEqual(), y, y), y, s.where(b, empty, 0.0, hit))


def _present(largest: bool) -> Rule:
    """The larger (smaller) one that is a number."""

    def rule(b: Builder, x: Value, y: Value) -> Value:
        better = b.value(l.GreaterEqual() if largest else l.LessEqual(), x, y)
        keep = b.value(l.LogicalOr(), better, b.value(l.NotEqual(), y, y))
        return b.value(l.Select(), keep, x, y)

    return rule


def _signed(b: Builder, x: Value, y: Value) -> Value:
    size = s.absolute(b, x)
    # 1 / -0 is negative.
    below = s.apply(b, l.Less(), y, 0.0)
    minus_zero = b.value(l.LogicalAnd(), s.apply(b, l.Equal(), y, 0.0), s.apply(b, l.Less(), s.div(b, 1.0, y), 0.0))
    return s.where(b, b.value(l.LogicalOr(), below, minus_zero), s.negative(b, size), size)


def _step(b: Builder, x: Value, y: Value) -> Value:
    above = s.where(b, s.apply(b, l.Greater(), x, 0), 1, 0)
    return s.where(b, s.apply(b, l.Equal(), x, 0), y, s.cast(b, above, y.type.dtype))


xlogy = _pairwise("XlogyBackward0", _xlogy, floats=True)
fmax, fmin = _pairwise("FmaxBackward0", _present(True)), _pairwise("FminBackward0", _present(False))
hypot = _pairwise("HypotBackward0", emit(c.Hypot()))
logaddexp2 = _pairwise("Logaddexp2Backward0", emit(c.Logaddexp2()), floats=True)
copysign = _pairwise("CopysignBackward0", _signed, floats=True)
heaviside = _pairwise("NotImplemented", _step)


def ldexp(input: Any, other: Any) -> Any:
    """input * 2 ** other."""
    return mul(input, pow(2.0, other))


def float_power(input: Any, exponent: Any) -> Any:
    """input ** exponent in float64."""
    tensor: Any = input if isinstance(input, TensorBase) else exponent
    wide = tensor.double()
    return pow(wide, exponent) if tensor is input else pow(input, wide)


def lerp(input: Any, end: Any, weight: Any) -> Any:
    """input + weight * (end - input), exact at both ends."""
    operands = (input, end, weight) if isinstance(weight, TensorBase) else (input, end)

    def rule(b: Builder, x: Value, y: Value, *weights: Value) -> Value:
        rest = s.sub(b, y, x)
        if not weights:
            near = weight < 0.5
            return s.add(b, x, s.mul(b, rest, weight)) if near else s.sub(b, y, s.mul(b, rest, 1 - weight))
        (w,) = weights
        before, after = s.add(b, x, s.mul(b, w, rest)), s.sub(b, y, s.mul(b, rest, s.sub(b, 1.0, w)))
        return s.where(b, s.apply(b, l.Less(), s.absolute(b, w), 0.5), before, after)

    return apply(f"LerpBackward{len(operands) - 2}", rule, operands, result_dtype((input, end)))


def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """input + value * tensor1 * tensor2."""

    def rule(b: Builder, x: Value, y: Value, z: Value) -> Value:
        product = s.mul(b, y, z)
        return s.add(b, x, product if value == 1 else s.mul(b, product, value))

    operands = (input, tensor1, tensor2)
    return apply("AddcmulBackward0", rule, operands, result_dtype(operands))


def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """input + value * tensor1 / tensor2. Raises: AutogradError for integers."""
    operands = (input, tensor1, tensor2)
    dtype = result_dtype(operands)
    if not dtype.is_float:
        raise AutogradError("Integer division with addcdiv is no longer supported, and in a future release addcdiv will "
                            "perform a true division of tensor1 and tensor2.", location=caller())  # fmt: skip

    def rule(b: Builder, x: Value, y: Value, z: Value) -> Value:
        return s.add(b, x, s.div(b, y if value == 1 else s.mul(b, y, value), z))

    return apply("AddcdivBackward0", rule, operands, dtype)


def _shifted(op: Op) -> Callable[..., Any]:
    def shifted(input: Any, other: Any) -> Any:
        operands = (input, checked(other, input, op.name))
        return apply("", emit(op), operands, result_dtype(operands))

    return shifted


bitwise_left_shift, bitwise_right_shift = _shifted(l.ShiftLeft()), _shifted(l.ShiftRight())


def clamp_min(input: Any, min: Any) -> Any:
    """At least `min`."""
    return clamp(input, min, name="ClampMinBackward0")


def clamp_max(input: Any, max: Any) -> Any:
    """At most `max`."""
    return clamp(input, None, max, name="ClampMaxBackward0")


def rsub(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """other - alpha * input."""
    return sub(other, input, alpha=alpha) if isinstance(other, TensorBase) else sub(other, mul(input, alpha))


def true_divide(input: Any, other: Any) -> Any:
    """input / other."""
    return div(input, other)


def dist(input: Any, other: Any, p: float = 2) -> Any:
    """The p-norm of the difference."""
    return (input - other).norm(p)

__all__ = [
    "acos",
    "acosh",
    "addcdiv",
    "addcmul",
    "allclose",
    "asin",
    "asinh",
    "atanh",
    "bitwise_left_shift",
    "bitwise_right_shift",
    "clamp_max",
    "clamp_min",
    "copysign",
    "deg2rad",
    "dist",
    "equal",
    "erfc",
    "exp2",
    "float_power",
    "fmax",
    "fmin",
    "frac",
    "heaviside",
    "hypot",
    "is_nonzero",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "isreal",
    "ldexp",
    "lerp",
    "log2",
    "log10",
    "logaddexp2",
    "logit",
    "nan_to_num",
    "positive",
    "rad2deg",
    "rsub",
    "sgn",
    "signbit",
    "sinc",
    "true_divide",
    "xlogy",
]  # fmt: skip
