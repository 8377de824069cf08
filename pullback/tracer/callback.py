"""pure_callback: a Python function that compiled code calls on arrays, as JAX defines it."""
from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback import dtypes
from pullback.errors import ArgumentError, CallbackError
from pullback.ir.ops.host import HostCall, HostFunction
from pullback.ir.types import ArrayType
from pullback.location import caller
from pullback.tracer.leaf import leaves_of
from pullback.tracer.record import current_recorder
from pullback.tracer.tensor_mark import IsTensor
from pullback.tracer.trace import name_of
from pullback.tracer.traced import array_of
from pullback.tracer.tree import Structure, flatten, leaves_like, paths, unflatten


class ShapeDtypeStruct:
    """A shape and a dtype: what `pure_callback` is told of an array that is yet to be computed."""

    __slots__ = ("dtype", "shape")

    def __init__(self, shape: Sequence[int], dtype: Any) -> None:
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)

    def __repr__(self) -> str:
        return f"ShapeDtypeStruct(shape={self.shape}, dtype={self.dtype})"


def pure_callback(callback: Callable[..., Any], result_shape_dtypes: Any, *args: Any, **kwargs: Any) -> Any:
    """``callback(*args, **kwargs)``, called by compiled code each time that it comes there.

    `callback` is any Python code; it gets NumPy arrays of its own (and NumPy scalars) in the nest of the arguments, and
    gives a nest like `result_shape_dtypes`, whose leaves have a shape and a dtype: arrays, or `ShapeDtypeStruct`. It
    must depend on its arguments alone: calls whose result is not needed are left out. Its
    exceptions come out of the compiled function. It has no derivative; `custom_jvp` and `custom_vjp` give it one. Under
    `vmap` it is called case by case.

    Raises: ArgumentError for arguments that are no arrays, CallbackError for results of other shapes or dtypes.
    """
    types, output = _types_of(result_shape_dtypes)
    values, structure = flatten((args, kwargs))
    name = name_of(callback)

    def on_leaves(*leaves: Any) -> list[Any]:
        # Without axes they are NumPy's numbers, as NumPy gives them.
        inner_args, inner_kwargs = unflatten(structure, [leaf[()] if not leaf.ndim else leaf for leaf in leaves])
        found = leaves_like(output, callback(*inner_args, **inner_kwargs))
        if found is None:
            raise CallbackError(f"{name} gives results that do not nest as was stated")
        return found

    function = HostFunction(name, on_leaves)
    recorder = current_recorder()
    if recorder is None:
        if any(isinstance(value, IsTensor) for value in values):
            from pullback.tracer.tensor_call import call_numpy  # loaded with the tensors

            return call_numpy(functools.partial(pure_callback, callback, result_shape_dtypes), args, kwargs)
        results = function.call([np.array(value) for value in values], types)
        return unflatten(output, [result if result.ndim else result[()] for result in results])
    recorder.note()
    leaves_of(values, lambda: paths(structure, "arguments"))
    operands = [array_of(recorder, value) for value in values]
    operation = recorder.emit(HostCall(function, types), *operands)
    return unflatten(output, [recorder.wrap(result) for result in operation.results])


def _types_of(result_shape_dtypes: Any) -> tuple[tuple[ArrayType, ...], Structure]:
    """The types of what a callback gives. Raises: ArgumentError for a leaf without shape and dtype."""
    leaves, structure = flatten(result_shape_dtypes)
    found = []
    for leaf, path in zip(leaves, paths(structure, "result_shape_dtypes"), strict=True):
        if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
            raise ArgumentError(f"{path} is a {type(leaf).__name__}, which has no shape and dtype", location=caller(),
                                help="give an array like the result, or ShapeDtypeStruct(shape, dtype)")  # fmt: skip
        dtype = dtypes.from_numpy(np.dtype(leaf.dtype))
        if dtype is None:
            raise ArgumentError(f"{path} has dtype {leaf.dtype}, which is not supported", location=caller())
        found.append(ArrayType(dtype, tuple(int(size) for size in leaf.shape)))
    return tuple(found), structure
