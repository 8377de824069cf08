"""Reductions as NumPy has them: axis, keepdims, dtype, ddof; and what is built from them."""
from __future__ import annotations

import operator
from collections.abc import Sequence
from math import inf, prod
from typing import Any

from pullback import dtypes
from pullback.dtypes import DType
from pullback.errors import ArgumentError, ArgumentValueError, DTypeError, PullbackError
from pullback.ir.core import Builder, Op, Value
from pullback.ir.ops import arithmetic as a
from pullback.ir.ops import elementary as e
from pullback.ir.ops import reduction as r
from pullback.ir.ops.logic import Equal, IsFinite, Select
from pullback.ir.ops.shape import Concatenate, Reshape, Slice
from pullback.ir.types import Shape
from pullback.location import caller
from pullback.tracer.semantics.elementwise import absolute, cast, div, mul, number, sub, truth

Axis = int | Sequence[int] | None


def normal_axis(axis: Any, rank: int) -> int:
    """An axis counted from 0. Raises: ArgumentValueError if there is no such axis, ArgumentError for no integer."""
    try:
        found = operator.index(axis)
    except TypeError as error:
        if isinstance(error, PullbackError):
            raise
        raise ArgumentError(f"an axis is an integer, not {axis!r}", location=caller()) from None
    if not -rank <= found < rank:
        raise ArgumentValueError(
            f"axis {found} is out of bounds for array of dimension {rank}", location=caller(),
            help=f"axes go from 0 to {rank - 1}, or from -{rank} to -1" if rank else "the array has no axes",
        )  # fmt: skip
    return found % rank


def normal_axes(axis: Axis, rank: int) -> tuple[int, ...]:
    """Sorted axes from 0. Raises: ArgumentValueError for one named twice."""
    if axis is None:
        return tuple(range(rank))
    if rank == 0 and (axis == 0 or axis == -1):
        # As NumPy: what has no axes may be reduced along its first one.
        return ()
    wanted = [axis] if not isinstance(axis, list | tuple) else list(axis)
    found = sorted(normal_axis(each, rank) for each in wanted)
    if len(set(found)) != len(found):
        raise ArgumentValueError(f"duplicate value in 'axis': {tuple(wanted)}", location=caller())
    return tuple(found)


def without(shape: Shape, axes: Sequence[int]) -> Shape:
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def keep(b: Builder, result: Value, shape: Shape, axes: Sequence[int], keepdims: bool) -> Value:
    """The reduced axes put back with size 1, if so wished."""
    if not keepdims or not axes:
        return result
    return b.value(Reshape(tuple(1 if axis in axes else size for axis, size in enumerate(shape))), result)


def reduce(b: Builder, op: type[Op], x: Value, axis: Axis, keepdims: bool) -> Value:
    """One reduction op over normal axes."""
    axes = normal_axes(axis, x.type.rank)
    return keep(b, b.value(op(axes), x), x.type.shape, axes, keepdims)  # type: ignore[call-arg]


def widened(b: Builder, x: Value, dtype: DType | None) -> Value:
    """Sums and products of bools and small integers are taken in 64 bits."""
    if dtype is not None:
        return cast(b, x, dtype)
    own = x.type.dtype
    if own.is_float or own.itemsize == 8:
        return x
    return cast(b, x, dtypes.i64 if own.is_signed or own.is_bool else dtypes.u64)


def total(b: Builder, x: Value, axis: Axis = None, keepdims: bool = False, dtype: DType | None = None) -> Value:
    """np.sum; asked for in bools, whether any holds."""
    if dtype is not None and dtype.is_bool:
        return any_of(b, x, axis, keepdims)
    return reduce(b, r.ReduceSum, widened(b, x, dtype), axis, keepdims)


def product(b: Builder, x: Value, axis: Axis = None, keepdims: bool = False, dtype: DType | None = None) -> Value:
    """np.prod; asked for in bools, whether all hold."""
    if dtype is not None and dtype.is_bool:
        return all_of(b, x, axis, keepdims)
    return reduce(b, r.ReduceProd, widened(b, x, dtype), axis, keepdims)


def _float(b: Builder, x: Value, dtype: DType | None) -> Value:
    wanted = dtype if dtype is not None else x.type.dtype if x.type.dtype.is_float else dtypes.f64
    return cast(b, x, wanted)


def root(b: Builder, x: Value) -> Value:
    """sqrt(x) with derivative 0 at 0: for lengths and deviations, which are smooth but at one point."""
    zero = number(b, 0.0, x.type.dtype, x.type.shape)
    return b.value(Select(), b.value(Equal(), x, zero), zero, b.value(e.Sqrt(), x))


def mean(b: Builder, x: Value, axis: Axis = None, keepdims: bool = False, dtype: DType | None = None) -> Value:
    """np.mean: the sum over the count; integers in float64, and truncated if `dtype` asks for an integer."""
    axes = normal_axes(axis, x.type.rank)
    count = prod(x.type.shape[each] for each in axes)
    if dtype is not None and not dtype.is_float:
        return cast(b, div(b, total(b, x, axes, keepdims, dtype), float(count)), dtype)
    return div(b, reduce(b, r.ReduceSum, _float(b, x, dtype), axes, keepdims), float(count))


def variance(
    b: Builder, x: Value, axis: Axis = None, keepdims: bool = False, ddof: float = 0, dtype: DType | None = None
) -> Value:
    """np.var: the mean square distance from the mean. Raises: DTypeError for a dtype that is no float."""
    if dtype is not None and not dtype.is_float:
        raise DTypeError(
            f"a variance in {dtype.short_name} is not supported", location=caller(), help="use a float dtype"
        )
    values = _float(b, x, dtype)
    axes = normal_axes(axis, x.type.rank)
    center = mean(b, values, axes, keepdims=True)
    distance = sub(b, values, center)
    count = prod(x.type.shape[each] for each in axes)
    return div(b, reduce(b, r.ReduceSum, mul(b, distance, distance), axes, keepdims), float(max(count - ddof, 0)))


def deviation(
    b: Builder, x: Value, axis: Axis = None, keepdims: bool = False, ddof: float = 0, dtype: DType | None = None
) -> Value:
    """np.std; the derivative is 0 where all elements are the same."""
    return root(b, variance(b, x, axis, keepdims, ddof, dtype))


def extreme(b: Builder, largest: bool, x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """np.max or np.min. Raises: ArgumentValueError over nothing."""
    axes = normal_axes(axis, x.type.rank)
    if any(x.type.shape[each] == 0 for each in axes):
        name = "maximum" if largest else "minimum"
        raise ArgumentValueError(
            f"zero-size array to reduction operation {name} which has no identity", location=caller()
        )
    if x.type.dtype.is_bool:
        return reduce(b, r.ReduceAny if largest else r.ReduceAll, x, axes, keepdims)
    return reduce(b, r.ReduceMax if largest else r.ReduceMin, x, axes, keepdims)


def any_of(b: Builder, x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """np.any."""
    return reduce(b, r.ReduceAny, truth(b, x), axis, keepdims)


def all_of(b: Builder, x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """np.all."""
    return reduce(b, r.ReduceAll, truth(b, x), axis, keepdims)


def arg_extreme(b: Builder, largest: bool, x: Value, axis: int | None = None, keepdims: bool = False) -> Value:
    """np.argmax or np.argmin: the first extreme, over the flattened array without an axis."""
    op = r.ArgMax if largest else r.ArgMin
    if x.type.size == 0:
        name = "argmax" if largest else "argmin"
        raise ArgumentValueError(f"attempt to get {name} of an empty sequence", location=caller())
    if axis is None:
        result = b.value(op(0), b.value(Reshape((x.type.size,)), x))
        return keep(b, result, x.type.shape, range(x.type.rank), keepdims)
    if x.type.rank == 0 and axis in (0, -1):
        return b.value(op(0), b.value(Reshape((1,)), x))
    found = normal_axis(axis, x.type.rank)
    return keep(b, b.value(op(found), x), x.type.shape, [found], keepdims)


def norm(b: Builder, x: Value, order: Any = None, axis: Axis = None, keepdims: bool = False) -> Value:
    """np.linalg.norm: vectors in any order, matrices in Frobenius', 1 and infinity's; the derivative at 0 is 0.

    Raises: ArgumentValueError for other orders.
    """
    values = _float(b, x, None)
    axes = normal_axes(axis, x.type.rank)
    if axis is None and order is not None and x.type.rank > 2:
        raise ArgumentValueError(
            f"norm of order {order!r} of an array of {x.type.rank} axes: improper number of dimensions to norm",
            location=caller(), help="say which axis, or axes, to take it over",
        )  # fmt: skip
    if order is None or (order == "fro" and len(axes) == 2) or (order == 2 and len(axes) == 1):
        return root(b, reduce(b, r.ReduceSum, mul(b, values, values), axes, keepdims))
    if len(axes) == 2 and order in (1, -1, inf, -inf):
        return _matrix_norm(b, absolute(b, values), order, axis, keepdims)
    if len(axes) != 1 or isinstance(order, str):
        raise ArgumentValueError(
            f"norm of order {order!r} over axes {axes} is not supported", location=caller(),
            help="use the Frobenius norm, or a vector norm along one axis",
        )  # fmt: skip
    size = absolute(b, values)
    if order in (inf, -inf):
        return extreme(b, order > 0, size, axes, keepdims)
    if order == 1:
        return reduce(b, r.ReduceSum, size, axes, keepdims)
    if order == 0:
        return reduce(b, r.ReduceSum, cast(b, truth(b, size), values.type.dtype), axes, keepdims)
    summed = reduce(b, r.ReduceSum, _power_but_at_zero(b, size, float(order)), axes, keepdims)
    return _power_but_at_zero(b, summed, 1.0 / order)


def _power_but_at_zero(b: Builder, x: Value, exponent: float) -> Value:
    """x to a constant power with derivative 0 at 0."""
    zero = number(b, 0.0, x.type.dtype, x.type.shape)
    power = b.value(a.Pow(), x, number(b, exponent, x.type.dtype, x.type.shape))
    at_zero = zero if exponent > 0 else number(b, inf, x.type.dtype, x.type.shape)
    return b.value(Select(), b.value(Equal(), x, zero), at_zero, power)


def _matrix_norm(b: Builder, size: Value, order: float, axis: Axis, keepdims: bool) -> Value:
    """The largest (or smallest, below 0) sum of a column (order 1) or row (order inf)."""
    rank = size.type.rank
    rows, columns = (0, 1) if axis is None else [normal_axis(each, rank) for each in axis]  # type: ignore[union-attr]
    summed, compared = (rows, columns) if abs(order) == 1 else (columns, rows)
    sums = reduce(b, r.ReduceSum, size, summed, True)
    result = extreme(b, order > 0, sums, compared, True)
    axes = (rows, columns)
    return result if keepdims else b.value(Reshape(without(size.type.shape, axes)), result)


def logsumexp(b: Builder, x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """log(sum(exp(x))) shifted by the largest element, which gets no derivative of its own."""
    values = _float(b, x, None)
    axes = normal_axes(axis, x.type.rank)
    top = extreme(b, True, values, axes, keepdims=True)
    finite = b.value(IsFinite(), top)
    shift = b.value(Select(), finite, top, number(b, 0.0, top.type.dtype, top.type.shape))
    shift = b.value(e.StopGradient(), shift)
    summed = reduce(b, r.ReduceSum, b.value(e.Exp(), sub(b, values, shift)), axes, True)
    result = b.value(a.Add(), b.value(e.Log(), summed), shift)
    return result if keepdims else b.value(Reshape(without(x.type.shape, axes)), result)


def softmax(b: Builder, x: Value, axis: int) -> Value:
    """exp(x) over its sum along one axis."""
    values = _float(b, x, None)
    top = b.value(e.StopGradient(), extreme(b, True, values, axis, keepdims=True))
    powers = b.value(e.Exp(), sub(b, values, top))
    return div(b, powers, reduce(b, r.ReduceSum, powers, axis, True))


def cumulative(b: Builder, op: Op, x: Value, axis: int) -> Value:
    """Running sum or product along an axis, by doubling: log2(n) steps."""
    size = x.type.shape[axis]
    step = 1
    while step < size:
        shape = x.type.shape

        def part(source: Value, start: int, count: int, shape: Shape = shape) -> Value:
            starts = tuple(start if each == axis else 0 for each in range(len(shape)))
            sizes = tuple(count if each == axis else size for each, size in enumerate(shape))
            return b.value(Slice(starts, sizes, (1,) * len(shape)), source)

        head = part(x, 0, step)
        moved = b.value(op, part(x, step, size - step), part(x, 0, size - step))
        x = b.value(Concatenate(axis), head, moved)
        step *= 2
    return x
