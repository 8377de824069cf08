"""Promotion (NEP 50) and broadcasting: operands of any shapes and dtypes in, one elementwise operation out."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import copysign, inf, isfinite
from typing import Any

import numpy as np

from pullback import dtypes
from pullback.dtypes import DType
from pullback.errors import ArgumentValueError, DTypeError, ShapeError
from pullback.ir.core import Builder, Op, Value
from pullback.ir.ops import arithmetic as a
from pullback.ir.ops import logic as l
from pullback.ir.ops.creation import Full
from pullback.ir.ops.reduction import Broadcast
from pullback.ir.ops.shape import Reshape
from pullback.ir.types import Shape
from pullback.location import caller

Number = bool | int | float


@dataclass(frozen=True, slots=True)
class Weak:
    """A scalar that was a Python number: it takes the dtype of what it meets."""

    value: Value


Operand = Value | Weak | Number


def value_of(operand: Value | Weak) -> Value:
    return operand.value if isinstance(operand, Weak) else operand


def shape_of(operand: Operand) -> Shape:
    return value_of(operand).type.shape if isinstance(operand, Value | Weak) else ()


def _probe(operand: Operand) -> DType | type:
    """What NumPy's promotion depends on: a dtype, or the Python type of a number."""
    if isinstance(operand, Value):
        return operand.type.dtype
    if isinstance(operand, Weak):
        dtype = operand.value.type.dtype
        return float if dtype.is_float else bool if dtype.is_bool else int
    return type(operand)


@lru_cache(maxsize=1 << 12)
def _promoted(probes: tuple[DType | type, ...]) -> DType:
    examples: Mapping[DType | type, Any] = {float: 0.0, int: 0, bool: np.bool_}
    return known_dtype(np.result_type(*[p.numpy if isinstance(p, DType) else examples[p] for p in probes]))


@lru_cache(maxsize=1 << 12)
def _loop(ufunc: np.ufunc, probes: tuple[DType | type, ...], wanted: DType | None, casting: Any) -> tuple[DType, ...]:
    """Dtypes of operands and results of the loop that NumPy would run."""
    if not any(isinstance(probe, DType) for probe in probes):
        # A ufunc of Python numbers alone takes them as NumPy scalars.
        probes = tuple([_promoted((probe,)) for probe in probes])
    asked = [p.numpy if isinstance(p, DType) else np.dtype(bool) if p is bool else p for p in probes]
    shown = " and ".join(p.short_name if isinstance(p, DType) else f"a Python {p.__name__}" for p in probes)
    try:
        if wanted is None:
            found = ufunc.resolve_dtypes((*asked, *[None] * ufunc.nout), casting=casting)
        else:
            signature = (*[None] * ufunc.nin, *[wanted.numpy] * ufunc.nout)
            found = ufunc.resolve_dtypes((*asked, *[None] * ufunc.nout), signature=signature, casting=casting)
    except TypeError:
        raise DTypeError(
            f"np.{ufunc.__name__} is not defined for {shown}"
            + ("" if wanted is None else f" with dtype {wanted.short_name}"),
            location=caller(),
            help=_WAYS_OUT.get(ufunc, ""),
        ) from None
    if any(dtype == np.float16 for dtype in found[ufunc.nin :]):
        raise DTypeError(
            f"np.{ufunc.__name__} of {shown} is float16 in NumPy, which is not supported", location=caller(),
            help="use x.astype(np.float32) first",
        )  # fmt: skip
    # A predicate that NumPy computes from float16 is the same in float32.
    return tuple([known_dtype(np.float32 if dtype == np.float16 else dtype) for dtype in found])


_WAYS_OUT: Mapping[np.ufunc, str] = {
    np.subtract: "use ^ or np.logical_xor", np.negative: "use ~ or np.logical_not", np.positive: "use x.copy()",
    np.invert: "use np.logical_not", np.sign: "use x.astype(int)",
}  # fmt: skip


def loop(
    ufunc: np.ufunc, operands: Sequence[Operand], dtype: Any = None, casting: str = "same_kind"
) -> tuple[DType, ...]:
    """Dtypes of the operands, then of the results, as NumPy computes `ufunc`, with ``dtype=`` if there is one.

    Raises: DTypeError where NumPy has no such loop, or computes in float16.
    """
    wanted = None if dtype is None else known_dtype(dtype)
    return _loop(ufunc, tuple([_probe(operand) for operand in operands]), wanted, casting)


def dtype_of(operand: Operand) -> DType:
    """The dtype that an operand has on its own."""
    return promoted([operand])


def known_dtype(dtype: Any) -> DType:
    """The IR's dtype for a NumPy one. Raises: DTypeError where there is none."""
    found = dtypes.from_numpy(dtype)
    if found is None:
        names = ", ".join(each.short_name for each in dtypes.ALL)
        raise DTypeError(f"dtype {np.dtype(dtype)} is not supported", location=caller(), help=f"use one of {names}")
    return found


def promoted(operands: Sequence[Operand]) -> DType:
    """The dtype in which NumPy would combine the operands."""
    return _promoted(tuple([_probe(operand) for operand in operands]))


def broadcast_shapes(shapes: Sequence[Shape], what: str = "operands") -> Shape:
    """NumPy's broadcasting. Raises: ShapeError naming the shapes."""
    first = shapes[0]
    if all(shape == first for shape in shapes):
        return first
    rank = max(len(shape) for shape in shapes)
    result = [1] * rank
    for shape in shapes:
        for axis, size in enumerate(shape, start=rank - len(shape)):
            if size != 1 and result[axis] not in (1, size):
                shown = " and ".join(str(list(each)) for each in shapes)
                raise ShapeError(
                    f"{what} of shapes {shown} do not broadcast", location=caller(),
                    help="sizes must be equal, counted from the last axis, or 1",
                )  # fmt: skip
            if size != 1:
                result[axis] = size
    return tuple(result)


def broadcast_to(b: Builder, value: Value, shape: Shape) -> Value:
    """`value` repeated to `shape`. Raises: ShapeError where that cannot be."""
    have = value.type.shape
    if have == shape:
        return value
    lead = len(shape) - len(have)
    if lead < 0 or any(size not in (1, shape[lead + axis]) for axis, size in enumerate(have)):
        raise ShapeError(f"shape {list(have)} does not broadcast to {list(shape)}", location=caller())
    kept = tuple(axis for axis, size in enumerate(have) if size == shape[lead + axis])
    squeezed = tuple(have[axis] for axis in kept)
    if squeezed != have:
        value = b.value(Reshape(squeezed), value)
    axes = tuple(lead + axis for axis in kept)
    return value if squeezed == shape else b.value(Broadcast(shape, axes), value)


def number(b: Builder, value: Number, dtype: DType, shape: Shape = ()) -> Value:
    """A constant. Raises: ArgumentValueError for a Python integer that the dtype cannot hold, as NumPy."""
    if dtype.is_float:
        try:
            known = float(value)
        except OverflowError:
            raise ArgumentValueError(f"Python integer {value} is too large for a float", location=caller()) from None
        if dtype.itemsize == 4 and isfinite(known) and abs(known) >= _LARGEST_F32:
            known = copysign(inf, known)
        return b.value(Full(known, dtype, shape))
    if dtype.is_bool:
        return b.value(Full(bool(value), dtype, shape))
    low, high = limits(dtype)
    if not low <= int(value) <= high:
        raise ArgumentValueError(
            f"Python integer {value} out of bounds for {dtype.short_name}", location=caller(),
            help="give the array a wider dtype with astype",
        )  # fmt: skip
    return b.value(Full(int(value), dtype, shape))


# Half a unit above the largest float32: from here on rounding gives infinity.
_LARGEST_F32 = (2.0 - 2.0**-24) * 2.0**127


def limits(dtype: DType) -> tuple[int, int]:
    """Smallest and largest number of an integer dtype."""
    if dtype.is_signed:
        return -(1 << (dtype.bits - 1)), (1 << (dtype.bits - 1)) - 1
    return 0, (1 << dtype.bits) - 1


def cast(b: Builder, value: Value, dtype: DType) -> Value:
    """`value` as `dtype`."""
    return value if value.type.dtype == dtype else b.value(a.Cast(dtype), value)


def ready(b: Builder, operand: Operand, dtype: DType, shape: Shape) -> Value:
    """An operand as a value of a dtype and shape."""
    if isinstance(operand, Value) and operand.type.dtype is dtype and operand.type.dims == shape:
        return operand
    if isinstance(operand, Value | Weak):
        return broadcast_to(b, cast(b, value_of(operand), dtype), shape)
    return number(b, operand, dtype, shape)


def together(b: Builder, operands: Sequence[Operand], dtype: DType | None = None) -> list[Value]:
    """Operands promoted to one dtype and broadcast to one shape."""
    common = promoted(operands) if dtype is None else dtype
    shape = broadcast_shapes([shape_of(operand) for operand in operands])
    return [ready(b, operand, common, shape) for operand in operands]


def as_float(dtype: DType) -> DType:
    """The float dtype in which NumPy computes sin, sqrt and the like. Raises: DTypeError where that is float16."""
    if dtype.is_float:
        return dtype
    found = np.result_type(dtype.numpy, np.float16) if dtype.itemsize > 1 else np.dtype(np.float16)
    if found == np.float16:
        raise DTypeError(
            f"a float function of {dtype.short_name} is float16 in NumPy, which is not supported",
            location=caller(), help="use x.astype(np.float32) first",
        )  # fmt: skip
    return known_dtype(found)


def apply(b: Builder, op: Op, *operands: Operand) -> Value:
    """An elementwise op after promotion and broadcasting."""
    return b.value(op, *together(b, operands))


def add(b: Builder, x: Operand, y: Operand) -> Value:
    """x + y; of bools, or."""
    return apply(b, l.LogicalOr() if promoted([x, y]).is_bool else a.Add(), x, y)


def sub(b: Builder, x: Operand, y: Operand) -> Value:
    """x - y. Raises: DTypeError for bools, as NumPy."""
    if promoted([x, y]).is_bool:
        raise DTypeError("numpy boolean subtract is not supported", location=caller(), help="use ^ or logical_xor")
    return apply(b, a.Sub(), x, y)


def mul(b: Builder, x: Operand, y: Operand) -> Value:
    """x * y; of bools, and."""
    return apply(b, l.LogicalAnd() if promoted([x, y]).is_bool else a.Mul(), x, y)


def div(b: Builder, x: Operand, y: Operand) -> Value:
    """x / y; integers divide as float64."""
    dtype = promoted([x, y])
    return b.value(a.Div(), *together(b, [x, y], dtype if dtype.is_float else dtypes.f64))


def power(b: Builder, x: Operand, y: Operand) -> Value:
    """x ** y. Raises: ArgumentValueError for an integer to a negative constant power, as NumPy."""
    dtype = promoted([x, y])
    if dtype.is_bool:
        dtype = dtypes.i8
    if not dtype.is_float and not isinstance(y, Value | Weak) and y < 0:
        raise ArgumentValueError(
            "integers to negative integer powers are not allowed", location=caller(), help="use x.astype(float) ** y"
        )
    return b.value(a.Pow(), *together(b, [x, y], dtype))


def negative(b: Builder, x: Operand) -> Value:
    """-x. Raises: DTypeError for bools, as NumPy."""
    if promoted([x]).is_bool:
        raise DTypeError("numpy boolean negative is not supported", location=caller(), help="use ~ or logical_not")
    return apply(b, a.Neg(), x)


def absolute(b: Builder, x: Operand) -> Value:
    """|x|; a bool stays."""
    return ready(b, x, dtypes.boolean, shape_of(x)) if promoted([x]).is_bool else apply(b, a.Abs(), x)


def extreme(b: Builder, largest: bool, x: Operand, y: Operand) -> Value:
    """maximum or minimum."""
    if promoted([x, y]).is_bool:
        return apply(b, l.LogicalOr() if largest else l.LogicalAnd(), x, y)
    return apply(b, a.Maximum() if largest else a.Minimum(), x, y)


def truth(b: Builder, x: Operand) -> Value:
    """x != 0."""
    return ready(b, x, dtypes.boolean, shape_of(x))


def where(b: Builder, condition: Operand, x: Operand, y: Operand) -> Value:
    """x where the condition holds, else y."""
    dtype = promoted([x, y])
    shape = broadcast_shapes([shape_of(condition), shape_of(x), shape_of(y)])
    chosen = broadcast_to(b, truth(b, condition), shape)
    return b.value(l.Select(), chosen, ready(b, x, dtype, shape), ready(b, y, dtype, shape))
