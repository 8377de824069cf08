"""NumPy's optional arguments, read or refused: what a function of NumPy is called with in, plain parameters out."""
from __future__ import annotations

import operator
from typing import Any

import numpy as np

from pullback.dtypes import DType
from pullback.errors import ShapeError, TraceError
from pullback.ir.core import Builder, Value
from pullback.location import caller
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.traced import array_of

NotGiven: Any = np._NoValue  # type: ignore[attr-defined]

_WAYS_OUT = {
    "out": "assign the result instead: y = np.{name}(...)",
    "where": "choose with np.where(mask, result, other)",
    "initial": "combine with the initial value after it",
}


def refuse(name: str, **given: Any) -> None:
    """Raises: TraceError naming the first argument that has another value than its default."""
    for argument, value in given.items():
        if value is None or value is NotGiven or value is True or value == (None,):
            continue
        way = _WAYS_OUT.get(argument, "leave it out").format(name=name)
        raise TraceError(f"np.{name} with {argument}= is not traced", location=caller(), help=way)


def given(value: Any, default: Any) -> Any:
    """An argument's value, or the default where there is none."""
    return default if value is NotGiven or value is None else value


def is_given(value: Any) -> bool:
    return value is not None and value is not NotGiven


def dtype_or_none(dtype: Any) -> DType | None:
    """The IR's dtype for ``dtype=``. Raises: DTypeError for one that it has not."""
    return s.known_dtype(dtype) if is_given(dtype) else None


def sizes(shape: Any) -> tuple[int, ...]:
    """``shape=`` as a tuple."""
    if isinstance(shape, tuple | list):
        return tuple(operator.index(size) for size in shape)
    return (operator.index(shape),)


def masked(b: Builder, value: Value, mask: Value, other: float | bool) -> Value:
    """`value` where the mask holds, else a number: what ``where=`` of a reduction means."""
    shape = s.broadcast_shapes([mask.type.shape, value.type.shape], "where= and the array")
    if shape != value.type.shape:
        raise ShapeError(f"where= of shape {list(mask.type.shape)} does not fit {value.type}", location=caller())
    return s.where(b, mask, value, s.number(b, other, value.type.dtype))


def arrays_of(b: Any, values: Any) -> list[Value]:
    """A sequence of arrays, as np.concatenate takes it; an array stands for its rows."""
    if hasattr(values, "ndim") and values.ndim == 0:
        raise ShapeError("a sequence of arrays is needed, not an array without axes", location=caller())
    return [array_of(b, each) for each in values]
