"""NumPy's functions that put arrays together and take them apart: concatenate, stack, block, split, insert, delete."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from pullback.errors import ArgumentValueError, TraceError
from pullback.ir.core import Builder, Value
from pullback.location import caller
from pullback.tracer.numpy_functions.arguments import (
    Functions,
    arrays_of,
    as_array,
    dtype_or_none,
    holds_traced,
    known,
    newer,
    refuse,
)
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics import reductions as r
from pullback.tracer.semantics import shapes
from pullback.tracer.traced import active, array_of


def _joined(values: Any, dtype: Any, casting: Any, function: Callable[[Builder, list[Value]], Value]) -> Any:
    """Arrays through a function that joins them, in ``dtype=`` if one is given.

    Raises: TraceError where NumPy's casting rule forbids that dtype.
    """
    b = active()
    found = arrays_of(b, values)
    wanted = dtype_or_none(dtype)
    if wanted is not None:
        for each in found:
            if not np.can_cast(each.type.dtype.numpy, wanted.numpy, casting or "same_kind"):
                raise TraceError(f"cannot cast {each.type} to {wanted.short_name} by rule {casting or 'same_kind'!r}",
                                 location=caller())  # fmt: skip
        found = [s.cast(b, each, wanted) for each in found]
    return b.wrap(function(b, found))


def concatenate(arrays: Any, /, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: Any = None) -> Any:
    refuse("concatenate", out=out)
    return _joined(arrays, dtype, casting, lambda b, values: shapes.concatenate(b, values, axis))


def stack(arrays: Any, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: Any = None) -> Any:
    refuse("stack", out=out)
    return _joined(arrays, dtype, casting, lambda b, values: shapes.stack(b, values, axis))


def _vertical(b: Builder, parts: Sequence[Value]) -> Value:
    return shapes.concatenate(b, [shapes.at_least(b, part, 2) for part in parts], 0)


def _horizontal(b: Builder, parts: Sequence[Value]) -> Value:
    lines = [shapes.at_least(b, part, 1) for part in parts]
    return shapes.concatenate(b, lines, 0 if lines and lines[0].type.rank == 1 else 1)


def vstack(tup: Any, *, dtype: Any = None, casting: Any = None) -> Any:
    return _joined(tup, dtype, casting, _vertical)


def hstack(tup: Any, *, dtype: Any = None, casting: Any = None) -> Any:
    return _joined(tup, dtype, casting, _horizontal)


def dstack(tup: Any) -> Any:
    return np.concatenate([np.atleast_3d(each) for each in tup], axis=2)


def column_stack(tup: Any) -> Any:
    columns = [as_array(each) for each in tup]
    return np.concatenate([np.reshape(each, (-1, 1)) if each.ndim < 2 else each for each in columns], axis=1)


def append(arr: Any, values: Any, axis: Any = None) -> Any:
    if axis is None:
        return np.concatenate([np.ravel(as_array(arr)), np.ravel(as_array(values))])
    return np.concatenate([as_array(arr), as_array(values)], axis=axis)


def block(arrays: Any) -> Any:
    """np.block: the innermost lists lie side by side along the last axis, each level outward along the one before."""
    depth = _depth(arrays)
    rank = max(depth, *(np.ndim(each) for each in _flat(arrays)))

    def joined(part: Any, level: int) -> Any:
        if level == depth:
            each = as_array(part)
            return np.reshape(each, (1,) * (rank - each.ndim) + each.shape)
        return np.concatenate([joined(each, level + 1) for each in part], axis=level - depth)

    return joined(arrays, 0)


def _depth(arrays: Any) -> int:
    if not isinstance(arrays, list):
        return 0
    depths = {_depth(each) for each in arrays}
    if len(depths) != 1:
        raise ArgumentValueError("np.block: list depths are mismatched, or a list is empty", location=caller())
    return 1 + depths.pop()


def _flat(arrays: Any) -> list[Any]:
    return [leaf for each in arrays for leaf in _flat(each)] if isinstance(arrays, list) else [arrays]


def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    b = active()
    return [b.wrap(part) for part in shapes.split(b, array_of(b, ary), indices_or_sections, axis)]


def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    b = active()
    return [b.wrap(part) for part in shapes.split(b, array_of(b, ary), indices_or_sections, axis, uneven=True)]


def hsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    return split(ary, indices_or_sections, 0 if _ranked("hsplit", ary, 1) == 1 else 1)


def vsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    _ranked("vsplit", ary, 2)
    return split(ary, indices_or_sections, 0)


def dsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    _ranked("dsplit", ary, 3)
    return split(ary, indices_or_sections, 2)


def _ranked(name: str, ary: Any, least: int) -> int:
    rank = np.ndim(ary)
    if rank < least:
        raise ArgumentValueError(f"np.{name} needs an array of {least} axes or more, not {rank}", location=caller())
    return rank


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    if np.ndim(x) == 0:
        raise ArgumentValueError("np.unstack: input array must be at least 1-d", location=caller())
    rows = np.moveaxis(x, axis, 0)
    return tuple(rows[index] for index in range(rows.shape[0]))


def delete(arr: Any, obj: Any, axis: Any = None) -> Any:
    """np.delete at known places."""
    arr = as_array(arr)
    if axis is None:
        arr, axis = np.ravel(arr), 0
    along = r.normal_axis(axis, arr.ndim)
    places = obj if isinstance(obj, slice) else known("delete", "the places", obj)
    return np.take(arr, np.delete(np.arange(arr.shape[along]), places), axis=along)


def insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Any:
    """np.insert at known places."""
    arr, values = as_array(arr), as_array(values)
    if axis is None:
        arr, axis = np.ravel(arr), 0
    along = r.normal_axis(axis, arr.ndim)
    size = arr.shape[along]
    places = np.arange(*obj.indices(size)) if isinstance(obj, slice) else known("insert", "the places", obj)
    if places.dtype == bool:
        places = np.flatnonzero(places)
    values = np.reshape(values, (1,) * (arr.ndim - values.ndim) + values.shape)
    if places.ndim == 0:
        # As NumPy has it, the first axis of the values is then the one that is inserted along.
        values = np.moveaxis(values, 0, along)
    count = values.shape[along] if places.size == 1 else places.size
    shape = (*arr.shape[:along], count, *arr.shape[along + 1 :])
    added = np.broadcast_to(values, shape).astype(arr.dtype)
    order = np.insert(np.arange(size), places.reshape(-1)[0] if places.size == 1 else places, size + np.arange(count))
    return np.take(np.concatenate([arr, added], axis=along), order, axis=along)


def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple[Any, ...]:
    if indexing not in ("xy", "ij"):
        raise ArgumentValueError("np.meshgrid: valid values for `indexing` are 'xy' and 'ij'", location=caller())
    rank = len(xi)
    axes = list(range(rank))
    if indexing == "xy" and rank > 1:
        axes[0], axes[1] = 1, 0
    grids = [
        np.reshape(x, [-1 if each == axis else 1 for each in range(rank)]) for x, axis in zip(xi, axes, strict=True)
    ]
    return tuple(grids) if sparse else np.broadcast_arrays(*grids)


def ix_(*args: Any) -> tuple[Any, ...]:
    """np.ix_ of integers; masks among them are known ones."""
    found = []
    for place, each in enumerate(args):
        line = as_array(each)
        if line.ndim != 1:
            raise ArgumentValueError("np.ix_: cross index must be 1 dimensional", location=caller())
        if line.dtype == bool:
            line = np.flatnonzero(known("ix_", "a mask", line))
        found.append(np.reshape(line, [-1 if other == place else 1 for other in range(len(args))]))
    return tuple(found)


def apply_along_axis(func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    """np.apply_along_axis: the function is traced once for each line."""
    arr = as_array(arr)
    along = r.normal_axis(axis, arr.ndim)
    moved = np.moveaxis(arr, along, -1)
    lead = moved.shape[:-1]
    if 0 in lead:
        raise ArgumentValueError("cannot apply_along_axis when any iteration dimensions are 0", location=caller())
    lines = np.reshape(moved, (-1, moved.shape[-1]))
    results = [as_array(func1d(lines[index], *args, **kwargs)) for index in range(lines.shape[0])]
    whole = np.reshape(np.stack(results), (*lead, *results[0].shape))
    back = range(along, along + results[0].ndim)
    return np.moveaxis(whole, tuple(range(len(lead), whole.ndim)), tuple(back))


def in_brackets(owner: Any, index: Any) -> Any:
    """``np.r_[...]`` and ``np.c_[...]``. Raises: TraceError for their settings in text."""
    items = index if isinstance(index, tuple) else (index,)
    if not holds_traced(items):
        return owner[index]
    if any(isinstance(item, str) for item in items):
        raise TraceError("np.r_ with a text in its brackets is not traced", location=caller(),
                         help="use np.stack or np.concatenate")  # fmt: skip
    parts = [owner[item] if isinstance(item, slice) else as_array(item) for item in items]
    # Python's numbers have no dtype of their own here.
    kinds = [item if isinstance(item, int | float) else part.dtype for item, part in zip(items, parts, strict=True)]
    parts = [part.astype(np.result_type(*kinds)) for part in parts]
    if owner is np.r_:
        return np.concatenate([np.atleast_1d(part) for part in parts])
    return np.concatenate([part if part.ndim > 1 else np.reshape(part, (-1, 1)) for part in parts], axis=-1)


JOINING: Functions = MappingProxyType({
    np.concatenate: concatenate, np.stack: stack, np.vstack: vstack, np.hstack: hstack, np.dstack: dstack,
    np.column_stack: column_stack, np.append: append, np.block: block,
    np.split: split, np.array_split: array_split, np.hsplit: hsplit, np.vsplit: vsplit, np.dsplit: dsplit,
    np.delete: delete, np.insert: insert, np.meshgrid: meshgrid, np.ix_: ix_, np.apply_along_axis: apply_along_axis,
    **newer(np, unstack=unstack),
})  # fmt: skip
