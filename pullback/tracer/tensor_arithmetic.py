"""Elementwise operations on tensors, with PyTorch's promotion: numbers are weakest, then tensors without axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from pullback import dtypes
from pullback.dtypes import DType
from pullback.errors import ArgumentError, AutogradError, UnsupportedError
from pullback.ir.core import Builder, Op, Value
from pullback.ir.ops import arithmetic as a
from pullback.ir.ops import elementary as e
from pullback.ir.ops import logic as l
from pullback.ir.ops.creation import Full
from pullback.location import caller
from pullback.tracer.contents import known
from pullback.tracer.recipe import KeyedRule, rule_key
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.tensor_base import TensorBase, Unseen, check_writable, record, write_recorded

Number: TypeAlias = "bool | int | float"
Operand: TypeAlias = "TensorBase | Number"

_default_float: ContextVar[DType] = ContextVar("pullback_default_float", default=dtypes.f32)


def default_float() -> DType:
    """The float dtype of Python's floats and of float functions of integers."""
    return _default_float.get()


def set_default_float(dtype: DType) -> None:
    """Make another float dtype the default, in this thread or task."""
    _default_float.set(dtype)


def category(dtype: DType) -> int:
    """0 for bool, 1 for integers, 2 for floats."""
    return 2 if dtype.is_float else 0 if dtype.is_bool else 1


def promote(first: DType, second: DType) -> DType:
    """torch.promote_types: a float beats every integer whatever its width."""
    if first == second:
        return first
    if first.is_float and second.is_float:
        return first if first.itemsize >= second.itemsize else second
    if category(first) != category(second) and 2 in (category(first), category(second)):
        return first if first.is_float else second
    return dtypes.promote(first, second)


def number_dtype(number: Number) -> DType:
    """The dtype that a Python number has on its own."""
    return dtypes.boolean if isinstance(number, bool) else dtypes.i64 if isinstance(number, int) else default_float()


def result_dtype(operands: Sequence[Operand]) -> DType:
    """torch.result_type of any number of operands."""
    levels: list[DType | None] = [None, None, None]
    for operand in operands:
        if isinstance(operand, TensorBase):
            level, dtype = (0 if operand.sizes else 1), operand.dtype_
        else:
            level, dtype = 2, number_dtype(operand)
        before = levels[level]
        levels[level] = dtype if before is None else promote(before, dtype)
    result: DType | None = None
    for dtype_found in levels:
        if dtype_found is None:
            continue
        if result is None or category(dtype_found) > category(result):
            result = dtype_found
    assert result is not None
    return result


def checked(operand: Any, tensor: TensorBase, name: str = "") -> Operand:
    """An operand as a tensor or a Python number. Raises: ArgumentError for anything else."""
    if isinstance(operand, TensorBase | bool | int | float):
        return operand
    if isinstance(operand, np.ndarray | np.generic) and dtypes.from_numpy(operand.dtype) is not None:
        return tensor.of_array(np.array(operand, order="C")) if operand.ndim else operand.item()
    raise ArgumentError(
        f"unsupported operand type(s) for {name}: 'Tensor' and '{type(operand).__name__}'", location=caller(),
        help="operands are tensors, numbers or NumPy arrays",
    )  # fmt: skip


def constant(number: Number, dtype: DType) -> Value:
    """A Python number as a value of its own: it may differ from call to call without another graph."""
    return _known_number(np.asarray(number, dtype.numpy).tobytes(), dtype)


@lru_cache(maxsize=1 << 10)
def _known_number(content: bytes, dtype: DType) -> Value:
    # One value for one number: a chain of steps by the same number reads it once.
    return known(np.frombuffer(content, dtype.numpy).reshape(()))


def fit(b: Builder, operand: Value | Number, dtype: DType, shape: tuple[int, ...]) -> Value:
    """An operand in a dtype and shape."""
    if not isinstance(operand, Value):
        operand = constant(operand, dtype)
    return s.broadcast_to(b, s.cast(b, operand, dtype), shape)


def sizes_of(operand: Operand) -> tuple[int, ...]:
    return operand.sizes if isinstance(operand, TensorBase) else ()


def broadcast(operands: Sequence[Operand]) -> tuple[int, ...]:
    """The operands' common shape. Raises: AutogradError where there is none."""
    return common_shape([sizes_of(operand) for operand in operands])


def common_shape(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """What shapes broadcast to. Raises: AutogradError in PyTorch's words."""
    result = shapes[0]
    for shape in shapes[1:]:
        if shape == result:
            continue
        rank = max(len(shape), len(result))
        left, right = (1,) * (rank - len(result)) + result, (1,) * (rank - len(shape)) + shape
        for axis, (m, n) in reversed(list(enumerate(zip(left, right, strict=True)))):
            if m != n and 1 not in (m, n):
                raise AutogradError(
                    f"The size of tensor a ({m}) must match the size of tensor b ({n}) at non-singleton dimension {axis}",
                    location=caller(),
                )
        result = tuple(n if m == 1 else m for m, n in zip(left, right, strict=True))
    return result


def apply(name: str, rule: Callable[..., Value], operands: Sequence[Operand], dtype: DType, gaps: bool = True) -> Any:
    """A rule of operands in one dtype and shape, recorded; with `gaps` numbers show as inputs of the step."""
    return record(name, Fitted(rule, dtype, broadcast(operands)), *as_values(operands, dtype, gaps))


def as_values(operands: Sequence[Operand], dtype: DType, gaps: bool = True) -> list[Any]:
    """Operands with numbers as values of a dtype."""
    found: list[Any] = []
    for operand in operands:
        if isinstance(operand, TensorBase):
            found.append(operand)
        else:
            number = constant(operand, dtype)
            found.append(number if gaps else Unseen(number))
    return found


class Fitted(KeyedRule):
    """A rule of operands that are brought to one dtype and shape first."""

    __slots__ = ("dtype", "rule", "shape")

    def __init__(self, rule: Callable[..., Value], dtype: DType, shape: tuple[int, ...]) -> None:
        self.rule = rule
        self.dtype = dtype
        self.shape = shape

    def key(self) -> Any:
        inner = rule_key(self.rule)
        return None if inner is None else (Fitted, inner, self.dtype, self.shape)

    def __call__(self, b: Builder, *values: Value) -> Value:
        return self.rule(b, *[fit(b, value, self.dtype, self.shape) for value in values])


@lru_cache(maxsize=1 << 8)
def emit(op: Op) -> Callable[..., Value]:
    return lambda b, *values: b.value(op, *values)


def _add(b: Builder, x: Value, y: Value) -> Value:
    return b.value(l.LogicalOr() if x.type.dtype.is_bool else a.Add(), x, y)


def _mul(b: Builder, x: Value, y: Value) -> Value:
    return b.value(l.LogicalAnd() if x.type.dtype.is_bool else a.Mul(), x, y)


def _times(rule: Callable[..., Value], alpha: Number) -> Callable[..., Value]:
    """A rule of x and alpha * y."""
    if alpha == 1:
        return rule

    def scaled(b: Builder, x: Value, y: Value) -> Value:
        return rule(b, x, _mul(b, y, s.number(b, alpha, y.type.dtype, y.type.shape)))

    return scaled


def add(input: Any, other: Any, *, alpha: Number = 1) -> Any:
    """input + alpha * other."""
    other = checked(other, input, "+")
    return apply("AddBackward0", _times(_add, alpha), (input, other), result_dtype((input, other)))


def sub(input: Any, other: Any, *, alpha: Number = 1) -> Any:
    """input - alpha * other."""
    other = checked(other, input, "-")
    dtype = result_dtype((input, other))
    _not_bool(dtype, (input, other))
    return apply("SubBackward0", _times(emit(a.Sub()), alpha), (input, other), dtype)


_NUMBERS = (int, float)


def _not_bool(dtype: DType, operands: tuple[Any, Any]) -> None:
    """Raises: AutogradError for bools that are subtracted."""
    if dtype.is_bool:
        raise AutogradError("Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or "
                            "`logical_xor()` operator instead.", location=caller())  # fmt: skip
    first, second = operands
    if type(first) is bool or type(second) is bool or (type(first) not in _NUMBERS and first.dtype_.is_bool) or (
        type(second) not in _NUMBERS and second.dtype_.is_bool
    ):
        raise AutogradError("Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a "
                            "mask, use the `~` or `logical_not()` operator instead.", location=caller())  # fmt: skip


def rsub(input: Any, other: Any) -> Any:
    """other - input."""
    other = checked(other, input, "-")
    if isinstance(other, TensorBase):
        return sub(other, input)
    dtype = result_dtype((input, other))
    _not_bool(dtype, (input, other))
    return apply("RsubBackward1", lambda b, x: b.value(a.Sub(), fit(b, other, dtype, x.type.shape), x), (input,), dtype)


def mul(input: Any, other: Any) -> Any:
    """input * other."""
    other = checked(other, input, "*")
    return apply("MulBackward0", _mul, (input, other), result_dtype((input, other)))


def as_float(dtype: DType) -> DType:
    """Float functions of integers are taken in the default dtype."""
    return dtype if dtype.is_float else default_float()


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """input / other; `rounding_mode` "floor" or "trunc" rounds."""
    other = checked(other, input, "/")
    dtype = result_dtype((input, other))
    if rounding_mode is not None:
        _divisible(f"div_{rounding_mode}_cpu", input, other)
        rule = emit(a.FloorDivide()) if rounding_mode == "floor" else _truncated
        return apply("DivBackward2", rule, (input, other), dtype)
    return apply("DivBackward0", emit(a.Div()), (input, other), as_float(dtype))


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
    result = apply("NotImplemented", emit(a.FloorDivide()), (input, other), result_dtype((input, other)), gaps=False)
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
    return apply(name, emit(a.Remainder()), (input, other), result_dtype((input, other)), gaps=False)


def fmod(input: Any, other: Any) -> Any:
    """The rest with the dividend's sign."""
    other = checked(other, input, "fmod")
    name = f"FmodBackward{int(isinstance(other, TensorBase))}"
    return apply(name, _fmod, (input, other), result_dtype((input, other)), gaps=False)


def _fmod(b: Builder, x: Value, y: Value) -> Value:
    rest = b.value(a.Remainder(), s.absolute(b, x), s.absolute(b, y))
    return s.where(b, s.apply(b, l.Less(), x, 0), s.negative(b, rest), rest)


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
    def compared(input: Any, other: Any) -> Any:
        other = checked(other, input, op.name)
        return apply("", emit(op), (input, other), result_dtype((input, other)))

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

    def applied(input: Any) -> Any:
        return apply(name, emit(op), (input,), as_float(input.dtype_) if floats else input.dtype_)

    applied.__name__ = op.name
    return applied


exp, expm1 = unary("ExpBackward0", e.Exp()), unary("Expm1Backward0", e.Expm1())
log, log1p = unary("LogBackward0", e.Log()), unary("Log1PBackward0", e.Log1p())
sin, cos, tan = unary("SinBackward0", e.Sin()), unary("CosBackward0", e.Cos()), unary("TanBackward0", e.Tan())
sinh, cosh, tanh = unary("SinhBackward0", e.Sinh()), unary("CoshBackward0", e.Cosh()), unary("TanhBackward0", e.Tanh())
atan, sqrt = unary("AtanBackward0", e.Arctan()), unary("SqrtBackward0", e.Sqrt())
sigmoid, erf = unary("SigmoidBackward0", e.Sigmoid()), unary("ErfBackward0", e.Erf())


def _signum(b: Builder, x: Value) -> Value:
    """The sign; as in PyTorch, that of NaN is 0."""
    found = b.value(a.Sign(), x)
    return s.where(b, b.value(l.Equal(), x, x), found, 0) if x.type.dtype.is_float else found


def sign(input: Any) -> Any:
    """1, 0 or -1; of NaN 0."""
    if input.dtype_.is_bool:
        return logical_and(input, True)
    return apply("SignBackward0", _signum, (input,), input.dtype_)


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

    return apply("RoundBackward1", rule, (input,), input.dtype_)


floor, ceil = _rounded("FloorBackward0", e.Floor()), _rounded("CeilBackward0", e.Ceil())
trunc, _nearest = _rounded("TruncBackward0", e.Trunc()), _rounded("RoundBackward0", e.Rint())


def neg(input: Any) -> Any:
    """-input."""
    if input.dtype_.is_bool:
        raise AutogradError("Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a "
                            "mask, use the `~` or `logical_not()` operator instead.", location=caller())  # fmt: skip
    return apply("NegBackward0", emit(a.Neg()), (input,), input.dtype_)


def abs(input: Any) -> Any:
    """|input|."""
    return apply("AbsBackward0", emit(a.Abs()), (input,), input.dtype_)


def reciprocal(input: Any) -> Any:
    """1 / input."""
    return apply("ReciprocalBackward0", lambda b, x: s.div(b, 1.0, x), (input,), as_float(input.dtype_))


def rsqrt(input: Any) -> Any:
    """1 / sqrt(input)."""
    rule = lambda b, x: s.div(b, 1.0, b.value(e.Sqrt(), x))  # noqa: E731
    return apply("RsqrtBackward0", rule, (input,), as_float(input.dtype_))


def square(input: Any) -> Any:
    """input ** 2."""
    return pow(input, 2)


def rectified(b: Builder, x: Value) -> Value:
    """max(x, 0); the derivative at 0 is 0."""
    return b.value(e.Relu(), x) if x.type.dtype.is_float else s.extreme(b, True, x, 0)


def relu(input: Any) -> Any:
    """max(input, 0); the derivative at 0 is 0."""
    return apply("ReluBackward0", rectified, (input,), input.dtype_)


def _binary(name: str, op: Op, floats: bool = False) -> Callable[..., Any]:
    def applied(input: Any, other: Any) -> Any:
        other = checked(other, input, op.name)
        dtype = result_dtype((input, other))
        return apply(name, emit(op), (input, other), as_float(dtype) if floats else dtype)

    return applied


def _extreme(name: str, op: Op, of_bools: Op) -> Callable[..., Any]:
    def applied(input: Any, other: Any) -> Any:
        other = checked(other, input, op.name)
        dtype = result_dtype((input, other))
        return apply(name, emit(of_bools if dtype.is_bool else op), (input, other), dtype)

    return applied


maximum = _extreme("MaximumBackward0", a.Maximum(), l.LogicalOr())
minimum = _extreme("MinimumBackward0", a.Minimum(), l.LogicalAnd())
atan2 = _binary("Atan2Backward0", e.Arctan2(), floats=True)
logaddexp = _binary("LogaddexpBackward0", e.Logaddexp(), floats=True)


def clamp(input: Any, min: Any = None, max: Any = None, *, name: str = "") -> Any:
    """Between `min` and `max`; at a bound the gradient passes. Raises: AutogradError without any bound."""
    by_tensors = isinstance(min, TensorBase) or isinstance(max, TensorBase)
    name = name or ("ClampBackward0" if by_tensors else "ClampBackward1")
    if min is None and max is None:
        raise AutogradError("torch.clamp: At least one of 'min' or 'max' must not be None", location=caller())
    bounds = [checked(each, input, "clamp") for each in (min, max) if each is not None]
    dtype = result_dtype((input, *bounds))

    def rule(b: Builder, x: Value, *limits: Value) -> Value:
        left = list(limits)
        if min is not None:
            low = left.pop(0)
            x = b.value(l.Select(), b.value(l.Less(), x, low), low, x)
        if max is not None:
            high = left.pop(0)
            x = b.value(l.Select(), b.value(l.Greater(), x, high), high, x)
        return x

    if not by_tensors:
        return apply(name, rule, (input, *bounds), dtype, gaps=False)
    left = as_values(bounds, dtype)
    places = [None if each is None else left.pop(0) for each in (min, max)]
    return record(name, Fitted(rule, dtype, broadcast((input, *bounds))), input, *places)


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """input where the condition holds, else other; alone, where the condition holds, an index for each axis."""
    if input is None and other is None:
        return tuple(condition.of_array(np.asarray(each, np.int64)) for each in np.nonzero(np.array(condition.array())))
    shape = broadcast((condition, input, other))
    dtype = result_dtype((input, other))

    def rule(b: Builder, chosen: Value, x: Value, y: Value) -> Value:
        return b.value(l.Select(), fit(b, chosen, dtypes.boolean, shape), fit(b, x, dtype, shape), fit(b, y, dtype, shape))

    operands = as_values((input, other), dtype)
    return record("WhereBackward0", rule, Unseen(condition.value), *operands, template=condition)


# In place


def written(name: str, rule: Callable[..., Value], target: Any, *others: Any) -> Any:
    """An operation whose result goes into its first operand. Raises: AutogradError where the dtype cannot hold it."""
    operands = (target, *(checked(other, target, name) for other in others))
    check_writable(target)
    dtype = result_dtype(operands)
    if category(dtype) > category(target.dtype_):
        raise AutogradError(f"result type {_WORDS[dtype.name]} can't be cast to the desired output type "
                            f"{_WORDS[target.dtype_.name]}", location=caller())  # fmt: skip
    rule = Fitted(rule, dtype, broadcast(operands))
    return write_recorded(target, name, rule, *as_values(operands[1:], dtype))


_WORDS = {
    "bool": "Bool", "i8": "Char", "i16": "Short", "i32": "Int", "i64": "Long", "u8": "Byte", "u16": "UInt16",
    "u32": "UInt32", "u64": "UInt64", "f32": "Float", "f64": "Double",
}  # fmt: skip
