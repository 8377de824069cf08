"""Calls of ufuncs and of their methods on traced values, and Python's operators: operands in, traced results out."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from pullback import dtypes
from pullback.errors import ArgumentValueError
from pullback.ir.core import Value
from pullback.location import caller
from pullback.tracer.numpy_functions.arguments import as_array, is_given, refuse
from pullback.tracer.numpy_functions.refused import refuse_ufunc
from pullback.tracer.numpy_functions.table import FUNCTIONS
from pullback.tracer.record import Recorder
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics import reductions as r
from pullback.tracer.semantics.elementwise import Operand, Weak
from pullback.tracer.traced import Traced, active, array_of, lower
from pullback.tracer.ufunc_plans import learn
from pullback.tracer.ufuncs import PRODUCTS, RULES, elementwise, is_known


def call_method(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """What NumPy hands to ``__array_ufunc__``, without ``out=``. Raises: TraceError for what is not traced."""
    match method:
        case "__call__":
            return call_ufunc(ufunc, *inputs, **named)
        case "reduce" if ufunc in REDUCERS:
            return REDUCERS[ufunc](inputs[0], **named)
        case "reduce" if ufunc in ASSOCIATIVE:
            return folded(ufunc, inputs[0], **named)
        case "accumulate" if ufunc in ASSOCIATIVE:
            return accumulated(ufunc, inputs[0], **named)
        case "outer" if ufunc in RULES:
            x, y = (as_array(each) for each in inputs)
            return call_ufunc(ufunc, np.reshape(x, (*x.shape, *(1,) * y.ndim)), y, **named)
        case _:
            refuse_ufunc(ufunc, method)


def call_ufunc(
    ufunc: np.ufunc, *operands: Any, dtype: Any = None, casting: str = "same_kind", order: Any = "K",
    subok: bool = True, where: Any = True, **named: Any,
) -> Any:  # fmt: skip
    """A ufunc on operands of which one at least is traced."""
    refuse(ufunc.__name__, where=where)
    if ufunc in PRODUCTS:
        return _product(ufunc, operands, dtype, **named)
    refuse(ufunc.__name__, **named)
    if not is_known(ufunc):
        refuse_ufunc(ufunc, "__call__")
    b = active()
    lowered = [lower(b, each) for each in operands]
    before = len(b.region.operations)
    result = elementwise(b, ufunc, *lowered, dtype=dtype, casting=casting)
    if dtype is None and casting == "same_kind":
        learn(b, ufunc, False, operands, lowered, b.region.operations[before:], result, False)
    return _wrapped(b, result)


def _wrapped(b: Recorder, result: Value | tuple[Value, ...], weak: bool = False) -> Any:
    if isinstance(result, tuple):
        return tuple([_wrapped(b, each, weak) for each in result])
    return b.wrap(result, weak)


def _product(ufunc: np.ufunc, operands: tuple[Any, ...], dtype: Any, axis: int = -1, **named: Any) -> Any:
    """np.matmul and its kin; only vecdot has an axis to choose."""
    refuse(ufunc.__name__, **named)
    b = active()
    found = [array_of(b, each) for each in operands]
    if dtype is not None:
        found = [s.cast(b, each, s.known_dtype(dtype)) for each in found]
    if axis != -1:
        found = [array_of(b, np.moveaxis(b.wrap(each), axis, -1)) for each in found]
    return b.wrap(PRODUCTS[ufunc](b, *found))


# What Python computes with True as with 1, where NumPy has a rule for bools.
_ON_INTEGERS = frozenset((
    np.add, np.subtract, np.multiply, np.floor_divide, np.remainder, np.divmod, np.power, np.negative, np.positive,
    np.absolute, np.invert, np.left_shift, np.right_shift,
))  # fmt: skip


def by_operator(ufunc: np.ufunc, *operands: Any) -> Any:
    """A Python operator. Of Python numbers alone the result is one too: it takes the dtype of what it meets."""
    for operand in operands:
        if not isinstance(operand, Traced | np.ndarray | np.generic) and hasattr(operand, "__array_ufunc__"):
            return NotImplemented
    if ufunc in PRODUCTS:
        return call_ufunc(ufunc, *operands)
    b = active()
    given: list[Operand] = [lower(b, operand) for operand in operands]
    lowered, before = given, len(b.region.operations)
    weak = all(not isinstance(operand, Value) for operand in lowered)
    if weak and ufunc in _ON_INTEGERS:
        lowered = [_python_integer(b, operand) for operand in lowered]
        negative = ufunc is np.power and type(lowered[1]) is int and lowered[1] < 0
        if negative and s.dtype_of(lowered[0]).is_integer:
            lowered[1] = float(lowered[1])  # type: ignore[arg-type]
    result = elementwise(b, ufunc, *lowered)
    learn(b, ufunc, True, operands, given, b.region.operations[before:], result, weak)
    return _wrapped(b, result, weak)


def _python_integer(b: Recorder, operand: Operand) -> Operand:
    """A Python bool as the integer that Python computes with; others as they are."""
    if isinstance(operand, Weak) and operand.value.type.dtype.is_bool:
        return Weak(s.cast(b, operand.value, dtypes.i64))
    return int(operand) if isinstance(operand, bool) else operand


def reducer(function: Callable[..., Any], *refused: str) -> Callable[..., Any]:
    """``ufunc.reduce`` as the function of NumPy that does the same, along axis 0 if none is given."""

    def reduced(x: Any, axis: Any = 0, **named: Any) -> Any:
        refuse(function.__name__, **{name: named.pop(name, None) for name in refused})
        if not is_given(named.get("initial")):
            named.pop("initial", None)
        return FUNCTIONS[function](x, axis=axis, **named)

    return reduced


def log_sum_of_powers(x: Any, axis: Any = 0, keepdims: bool = False, dtype: Any = None, **named: Any) -> Any:
    """np.logaddexp.reduce."""
    refuse("logaddexp.reduce", **named)
    b = active()
    value = array_of(b, x)
    if dtype is not None:
        value = s.cast(b, value, s.known_dtype(dtype))
    return b.wrap(r.logsumexp(b, value, axis, keepdims))


def _of_loop(ufunc: np.ufunc, x: Any, dtype: Any) -> Any:
    """An array as the ufunc's loop takes it: in ``dtype=``, and in bools for a connective."""
    x = as_array(x)
    if ufunc in (np.logical_and, np.logical_or, np.logical_xor):
        return np.not_equal(x, 0)
    return x if dtype is None else x.astype(dtype)


def folded(ufunc: np.ufunc, x: Any, axis: Any = 0, dtype: Any = None, keepdims: bool = False, **named: Any) -> Any:
    """``ufunc.reduce`` of an associative and commutative ufunc, by halves."""
    refuse(f"{ufunc.__name__}.reduce", **named)
    x = _of_loop(ufunc, x, dtype)
    axes = r.normal_axes(axis, x.ndim)
    for along in axes:
        rows = np.moveaxis(x, along, 0)
        if rows.shape[0] == 0:
            if ufunc.identity is None:
                raise ArgumentValueError(
                    f"zero-size array to reduction operation {ufunc.__name__} which has no identity", location=caller()
                )
            rows = np.full((1, *rows.shape[1:]), ufunc.identity, x.dtype)
        while rows.shape[0] > 1:
            half = rows.shape[0] // 2
            joined = ufunc(rows[:half], rows[half : 2 * half])
            rows = np.concatenate([joined, rows[2 * half :]]) if rows.shape[0] % 2 else joined
        x = np.moveaxis(rows, 0, along)
    return x if keepdims else np.squeeze(x, axis=axes)


def accumulated(ufunc: np.ufunc, x: Any, axis: int = 0, dtype: Any = None, **named: Any) -> Any:
    """``ufunc.accumulate`` of an associative ufunc, by doubling."""
    refuse(f"{ufunc.__name__}.accumulate", **named)
    if ufunc in (np.add, np.multiply):
        return (np.cumsum if ufunc is np.add else np.cumprod)(x, axis=axis, dtype=dtype)
    x = _of_loop(ufunc, x, dtype)
    rows = np.moveaxis(x, axis, 0)
    step = 1
    while step < rows.shape[0]:
        rows = np.concatenate([rows[:step], ufunc(rows[step:], rows[:-step])])
        step *= 2
    return np.moveaxis(rows, 0, axis)


ASSOCIATIVE = frozenset((
    np.add, np.multiply, np.maximum, np.minimum, np.fmax, np.fmin, np.logical_and, np.logical_or, np.logical_xor,
    np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.hypot, np.logaddexp, np.logaddexp2,
))  # fmt: skip

REDUCERS: Mapping[np.ufunc, Callable[..., Any]] = MappingProxyType({
    np.add: reducer(np.sum), np.multiply: reducer(np.prod), np.maximum: reducer(np.max), np.minimum: reducer(np.min),
    np.logical_and: reducer(np.all, "dtype", "initial"), np.logical_or: reducer(np.any, "dtype", "initial"),
    np.logaddexp: log_sum_of_powers,
})  # fmt: skip
"""What ``ufunc.reduce`` is where a function of NumPy does the same."""
