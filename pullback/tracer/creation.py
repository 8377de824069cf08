"""Arrays that a traced function makes with NumPy: they are known until traced values are assigned into them."""
from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from pullback import dtypes
from pullback.errors import ShapeError
from pullback.ir.core import Value
from pullback.location import caller
from pullback.tracer.chosen.elements import Chosen
from pullback.tracer.memory import Known
from pullback.tracer.record import Recorder, current_recorder
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.traced import Traced, active, array_of, stacked

CREATORS: frozenset[Any] = frozenset({
    np.arange, np.linspace, np.logspace, np.geomspace, np.eye, np.identity, np.tri, np.copy, np.diag, np.tile, np.repeat,
    np.concatenate, np.stack, np.vstack, np.hstack, np.outer, np.indices, np.zeros_like, np.ones_like, np.empty_like,
    np.full_like,
})  # fmt: skip
"""Functions of NumPy whose result is a new array, which may be assigned into."""


def fresh(array: Any, number: float | int | bool | None = None) -> Any:
    """A new array as a traced one; a scalar, or what has a dtype that the IR has not, stays what it is."""
    recorder = current_recorder()
    if recorder is None or type(array) is not np.ndarray or dtypes.from_numpy(array.dtype) is None:
        return array
    made = recorder.made()
    made.state = (None, Known(array if array.flags.owndata and array.flags.c_contiguous else array.copy(), number))
    return made


def creator(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of NumPy that makes a new array, for rewritten code."""

    def create(*args: Any, **named: Any) -> Any:
        return fresh(function(*args, **named))

    return create


def sizes(shape: Any) -> Any:
    """``shape=`` in Python's numbers. Raises: ConcreteError for one that is only known when the code runs."""
    if isinstance(shape, tuple | list):
        return tuple(sizes(each) for each in shape)
    return operator.index(shape) if isinstance(shape, Traced) else shape


def filled(function: Callable[..., Any], number: float) -> Callable[..., Any]:
    """np.zeros, np.ones, np.empty."""

    def create(shape: Any, *args: Any, **named: Any) -> Any:
        array = function(sizes(shape), *args, **named)
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
            return array
        if function is np.empty:
            # What an empty array holds is nobody's business, but it must be the same each time.
            array[...] = 0
        return fresh(array, array.dtype.type(number).item())

    return create


def full(shape: Any, fill_value: Any, dtype: Any = None, **named: Any) -> Any:
    """np.full; the value may be traced."""
    if not isinstance(fill_value, Traced) or fill_value.known is not None:
        return fresh(np.full(sizes(shape), fill_value, dtype, **named))
    b = active()
    wanted = sizes(shape)
    value = array_of(b, fill_value)
    if dtype is not None:
        value = s.cast(b, value, s.known_dtype(dtype))
    return b.wrap(s.broadcast_to(b, value, wanted if isinstance(wanted, tuple) else (wanted,)))


def has_traced(tree: Any) -> bool:
    """Whether a nested list has a traced value in it that Python does not know."""
    if isinstance(tree, list | tuple):
        return any(has_traced(each) for each in tree)
    return isinstance(tree, Traced) and tree.known is None


def array(object: Any, dtype: Any = None, **named: Any) -> Any:
    """np.array: a copy."""
    if isinstance(object, list | tuple) and any(isinstance(each, Chosen) for each in object):
        object = np.stack(object)
    if isinstance(object, Chosen):
        return object.copy() if dtype is None else object.astype(dtype)
    if not has_traced(object):
        return fresh(np.array(object, dtype, **named))
    b = active()
    return b.wrap(_converted(b, object, dtype))


def as_array(a: Any, dtype: Any = None, **named: Any) -> Any:
    """np.asarray: what is an array already stays the same one."""
    if isinstance(a, Traced) and (dtype is None or np.dtype(dtype) == a.dtype) and not a.weak:
        return a
    if isinstance(a, Chosen):
        return a if dtype is None or np.dtype(dtype) == a.dtype else a.astype(dtype)
    if not has_traced(a):
        made = np.asarray(a, dtype, **named)
        return made if made is a or isinstance(a, np.ndarray) else fresh(made)
    b = active()
    return b.wrap(_converted(b, a, dtype))


def scalar_type(kind: type[np.generic]) -> Callable[..., Any]:
    """np.float64 and its like, called: a cast."""

    def make(*args: Any, **named: Any) -> Any:
        if not args or not has_traced(args[0]):
            return kind(*args, **named)
        b = active()
        return b.wrap(_converted(b, args[0], kind))

    return make


def _converted(b: Recorder, object: Any, dtype: Any) -> Value:
    if isinstance(object, list | tuple):
        object = [b.wrap(_converted(b, each, None)) if has_traced(each) else each for each in object]
        shapes = {np.shape(each) for each in object}
        if len(shapes) > 1:
            raise ShapeError("an array of a list of parts of different shapes: " + " and ".join(map(str, sorted(shapes))),
                             location=caller())  # fmt: skip
    value = stacked(b, object) if isinstance(object, list | tuple) else array_of(b, object)
    return value if dtype is None else s.cast(b, value, s.known_dtype(dtype))
