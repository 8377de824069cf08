"""More elementwise functions of tensors: inverse and rounded ones, tests of numbers, blends, by PyTorch's names."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, pi
from typing import Any

import numpy as np

from pullback import dtypes
from pullback.errors import AutogradError
from pullback.ir.core import Builder, Op, Value
from pullback.ir.ops import composed as c
from pullback.ir.ops import elementary as e
from pullback.ir.ops import logic as l
from pullback.ir.ops import special as sp
from pullback.location import caller
from pullback.tracer.recipe import Kept
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.special import RULES
from pullback.tracer.tensor_apply import DTYPE_WORDS, Hidden, apply, checked, emit, float_dtype, own_float_dtype, result_dtype
from pullback.tracer.tensor_arithmetic import clamp, div, mul, pow, rsub, sgn, unary
from pullback.tracer.tensor_base import TensorBase, record
from pullback.tracer.ufuncs import is_finite, is_inf, is_nan, sign_bit

Rule = Callable[..., Value]

acos, asin, asinh = (
    unary("AcosBackward0", c.Arccos()), unary("AsinBackward0", c.Arcsin()), unary("AsinhBackward0", c.Arcsinh()))  # fmt: skip
acosh, atanh = unary("AcoshBackward0", c.Arccosh()), unary("AtanhBackward0", c.Arctanh())
exp2, log2, log10 = unary("Exp2Backward0", c.Exp2()), unary("Log2Backward0", c.Log2()), unary("Log10Backward0", c.Log10())
erfc, lgamma = unary("ErfcBackward0", sp.Erfc()), unary("LgammaBackward0", sp.Gammaln())
ndtr, log_ndtr = unary("SpecialNdtrBackward0", sp.Ndtr()), unary("SpecialLogNdtrBackward0", sp.LogNdtr())
digamma = unary("DigammaBackward0", sp.Polygamma(0))


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


entr = _floats("SpecialEntrBackward0", RULES["entr"])
frac = _floats("FracBackward0", _frac)
sinc = _floats("SincBackward0", _sinc)
deg2rad = _floats("Deg2RadBackward0", lambda b, x: s.mul(b, x, pi / 180.0))
rad2deg = _floats("Rad2DegBackward0", lambda b, x: s.mul(b, x, 180.0 / pi))


def logit(input: Any, eps: float | None = None) -> Any:
    """log(x / (1 - x)), x kept at least `eps` away from 0 and 1."""

    def rule(b: Builder, x: Value) -> Value:
        if eps is not None:
            x = s.where(b, s.apply(b, l.Less(), x, eps), eps, s.where(b, s.apply(b, l.Greater(), x, 1 - eps), 1 - eps, x))
        return RULES["logit"](b, x)

    return apply("LogitBackward0", rule, (input,), own_float_dtype)


def polygamma(n: int, input: Any) -> Any:
    """The derivative of digamma number n. Raises: AutogradError for a negative n."""
    if n < 0:
        raise AutogradError("polygamma(n, x) does not support negative n.", location=caller())
    return unary("PolygammaBackward0", sp.Polygamma(n))(input)


def positive(input: Any) -> Any:
    """+input."""
    if input.dtype_.is_bool:
        raise AutogradError("The `+` operator, on a bool tensor is not supported.", location=caller())
    return input


# Tests of numbers: no gradient


def _tested(rule: Rule) -> Callable[..., Any]:
    """A truth value for each element."""

    def tested(input: Any) -> Any:
        return record("", rule, input)

    return tested


def _equals(number: float) -> Rule:
    """Whether an element is a number that integers never are."""
    return lambda b, x: s.apply(b, l.Equal(), x, number) if x.type.dtype.is_float else is_inf(b, x)


isnan, isinf, isfinite = _tested(is_nan), _tested(is_inf), _tested(is_finite)
isposinf, isneginf = _tested(_equals(inf)), _tested(_equals(-inf))
isreal = _tested(lambda b, x: s.number(b, True, dtypes.boolean, x.type.shape))


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
        x = s.where(b, is_nan(b, x), nan, x)
        x = s.where(b, s.apply(b, l.Equal(), x, inf), high, x)
        return s.where(b, s.apply(b, l.Equal(), x, -inf), low, x)

    return apply("NanToNumBackward0", rule, (input,), input.dtype_)


def isclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Whether ``|input - other| <= atol + rtol * |other|``. Raises: AutogradError for two dtypes."""
    if input.dtype_ != other.dtype_:
        words = [DTYPE_WORDS[each.dtype_.name] for each in (input, other)]
        raise AutogradError(f"{words[0]} did not match {words[1]}", location=caller())
    x, y = np.array(input.array()), np.array(other.array())
    return input.of_array(np.asarray(np.isclose(x, y, rtol, atol, equal_nan)))


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


def _present(largest: bool) -> Rule:
    """The larger (smaller) one that is a number."""

    def rule(b: Builder, x: Value, y: Value) -> Value:
        better = b.value(l.GreaterEqual() if largest else l.LessEqual(), x, y)
        keep = b.value(l.LogicalOr(), better, is_nan(b, y))
        return b.value(l.Select(), keep, x, y)

    return rule


def _signed(b: Builder, x: Value, y: Value) -> Value:
    size = s.absolute(b, x)
    return s.where(b, sign_bit(b, y), s.negative(b, size), size)


def _step(b: Builder, x: Value, y: Value) -> Value:
    above = s.where(b, s.apply(b, l.Greater(), x, 0), 1, 0)
    return s.where(b, s.apply(b, l.Equal(), x, 0), y, s.cast(b, above, y.type.dtype))


xlogy = _pairwise("XlogyBackward0", RULES["xlogy"], floats=True)
xlog1py = _pairwise("SpecialXlog1PyBackward0", RULES["xlog1py"], floats=True)
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
    """input + weight * (end - input), exact at both ends. Raises: AutogradError for what are no floats."""
    dtype = result_dtype((input, end))
    if not dtype.is_float:
        raise AutogradError(f"\"lerp_kernel_scalar\" not implemented for '{DTYPE_WORDS[dtype.name]}'", location=caller())
    if isinstance(weight, TensorBase):
        return apply("LerpBackward1", _between, (input, end, weight), dtype)
    rule, part = (_after_start, weight) if weight < 0.5 else (_before_end, 1 - weight)
    return apply("LerpBackward0", rule, (input, end, Hidden(part)), dtype)


@Kept
def _after_start(b: Builder, x: Value, y: Value, part: Value) -> Value:
    return s.add(b, x, s.mul(b, s.sub(b, y, x), part))


@Kept
def _before_end(b: Builder, x: Value, y: Value, part: Value) -> Value:
    return s.sub(b, y, s.mul(b, s.sub(b, y, x), part))


@Kept
def _between(b: Builder, x: Value, y: Value, weight: Value) -> Value:
    near = s.apply(b, l.Less(), s.absolute(b, weight), 0.5)
    return s.where(b, near, _after_start(b, x, y, weight), _before_end(b, x, y, s.sub(b, 1.0, weight)))


def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """input + value * tensor1 * tensor2."""
    operands = (input, tensor1, tensor2)
    factors = () if value == 1 else (Hidden(value),)
    return apply("AddcmulBackward0", _plus_product, (*operands, *factors), result_dtype(operands))


@Kept
def _plus_product(b: Builder, x: Value, y: Value, z: Value, *factors: Value) -> Value:
    product = s.mul(b, y, z)
    return s.add(b, x, s.mul(b, product, factors[0]) if factors else product)


def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """input + value * tensor1 / tensor2. Raises: AutogradError for integers."""
    operands = (input, tensor1, tensor2)
    dtype = result_dtype(operands)
    if not dtype.is_float:
        raise AutogradError("Integer division with addcdiv is no longer supported, and in a future release addcdiv will "
                            "perform a true division of tensor1 and tensor2.", location=caller())  # fmt: skip
    factors = () if value == 1 else (Hidden(value),)
    return apply("AddcdivBackward0", _plus_quotient, (*operands, *factors), dtype)


@Kept
def _plus_quotient(b: Builder, x: Value, y: Value, z: Value, *factors: Value) -> Value:
    return s.add(b, x, s.div(b, s.mul(b, y, factors[0]) if factors else y, z))


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
    "digamma",
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
    "lgamma",
    "log2",
    "log10",
    "logaddexp2",
    "logit",
    "nan_to_num",
    "polygamma",
    "positive",
    "rad2deg",
    "rsub",
    "sgn",
    "signbit",
    "sinc",
    "true_divide",
    "xlogy",
]  # fmt: skip
