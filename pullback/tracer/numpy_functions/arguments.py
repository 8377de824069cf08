"""NumPy's optional arguments, read or refused: what a function of NumPy is called with in, plain parameters out."""
from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pullback.dtypes import DType
from pullback.errors import ShapeError, TraceError
from pullback.ir.core import Builder, Value
from pullback.location import caller
from pullback.tracer.record import Recorder
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.traced import Traced, active, array_of

NotGiven: Any = np._NoValue

Functions = Mapping[Any, Callable[..., Any]]
"""A function of NumPy, and what it does with traced values."""

_WAYS_OUT = {
    "out": "assign the result instead: y = np.{name}(...)",
    "where": "choose with np.where(mask, result, other)",
    "initial": "combine with the initial value after it",
}


def refuse(name: str, **given: Any) -> None:
    """Raises: TraceError naming the first argument that has another value than its default."""
    for argument, value in given.items():
        if value is None or value is NotGiven or value is True:
            continue
        if isinstance(value, tuple) and all(each is None for each in value):
            continue
        way = _WAYS_OUT.get(argument, "leave it out").format(name=name)
        raise TraceError(f"np.{name} with {argument}= is not traced", location=caller(), help=way)


def in_order(name: str, order: Any) -> None:
    """Raises: TraceError for a memory order that changes which element is which."""
    if order not in ("C", None):
        raise TraceError(f"np.{name} in order {order!r} is not traced", location=caller(),
                         help="use order='C', and transpose first for Fortran's order")  # fmt: skip


def given(value: Any, default: Any) -> Any:
    """An argument's value, or the default where there is none."""
    return default if value is NotGiven or value is None else value


def is_given(value: Any) -> bool:
    return value is not None and value is not NotGiven


def dtype_or_none(dtype: Any) -> DType | None:
    """The IR's dtype for ``dtype=``. Raises: DTypeError for one that it has not."""
    return s.known_dtype(dtype) if is_given(dtype) else None


def masked(b: Builder, value: Value, mask: Value, other: Any) -> Value:
    """`value` where the mask holds, else a number: what ``where=`` of a reduction means."""
    shape = s.broadcast_shapes([mask.type.shape, value.type.shape], "where= and the array")
    if shape != value.type.shape:
        raise ShapeError(f"where= of shape {list(mask.type.shape)} does not fit {value.type}", location=caller())
    return s.where(b, mask, value, s.number(b, other, value.type.dtype))


def arrays_of(b: Recorder, values: Any) -> list[Value]:
    """A sequence of arrays, as np.concatenate takes it; an array stands for its rows.

    Raises: ShapeError for an array without axes.
    """
    if hasattr(values, "ndim") and values.ndim == 0:
        raise ShapeError("a sequence of arrays is needed, not an array without axes", location=caller())
    return [array_of(b, each) for each in values]


def as_array(value: Any) -> Any:
    """A traced array as it is, a list that holds traced values stacked, all else as an ndarray."""
    if isinstance(value, Traced):
        return value
    if isinstance(value, list | tuple) and holds_traced(value):
        b = active()
        return b.wrap(array_of(b, value))
    return np.asarray(value)


def holds_traced(values: Any) -> bool:
    """Whether a nest of lists and tuples has a traced value in it."""
    return any(isinstance(each, Traced) or (isinstance(each, list | tuple) and holds_traced(each)) for each in values)


def known(name: str, argument: str, value: Any) -> np.ndarray[Any, Any]:
    """An argument that decides on shapes, as an ndarray. Raises: TraceError for a traced one."""
    found = as_array(value)
    if isinstance(found, Traced) and found.known is not None:
        return found.known
    if isinstance(found, Traced):
        raise TraceError(f"np.{name} with {argument} that the traced function computes has a shape that depends on values",
                         location=caller(), help=f"compute {argument} outside and pass it as static_argnums, or "
                         "choose with np.where")  # fmt: skip
    return np.asarray(found)


def unary(function: Callable[..., Value]) -> Callable[..., Any]:
    """A function of one array and plain parameters, as the function of NumPy that takes the same."""

    def applied(a: Any, *parameters: Any, **named: Any) -> Any:
        b = active()
        return b.wrap(function(b, array_of(b, a), *parameters, **named))

    return applied


def index_of(value: Any) -> int:
    """A plain integer. Raises: TypeError for what is none."""
    return operator.index(value)


def newer(module: Any, **functions: Callable[..., Any]) -> dict[Any, Callable[..., Any]]:
    """Those of the named functions that this NumPy has."""
    return {getattr(module, name): function for name, function in functions.items() if hasattr(module, name)}
