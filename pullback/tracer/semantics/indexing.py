"""``x[...]`` as NumPy has it: integers, slices, newaxis, ellipsis, masks and integer arrays; take, take_along_axis."""
from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from pullback import dtypes
from pullback.errors import OutOfBoundsError, PullbackError, ShapeError, TraceError
from pullback.ir.core import Builder, Value
from pullback.ir.ops.arithmetic import Add, Mul
from pullback.ir.ops.contraction import Gather
from pullback.ir.ops.creation import Full, Iota
from pullback.ir.ops.logic import GreaterEqual, Less, LogicalAnd, Select
from pullback.ir.ops.shape import Slice
from pullback.ir.types import Shape
from pullback.location import caller
from pullback.tracer.semantics.elementwise import broadcast_shapes, broadcast_to, cast
from pullback.tracer.semantics.reductions import normal_axis
from pullback.tracer.semantics.shapes import reshape, transpose


@dataclass(frozen=True)
class ArrayIndex:
    """An integer array as part of an index: a value, or known numbers that are checked at once."""

    value: Value | None
    known: np.ndarray[Any, Any] | None

    @property
    def shape(self) -> Shape:
        if self.known is not None:
            return tuple(self.known.shape)
        assert self.value is not None
        return self.value.type.shape


@dataclass(frozen=True)
class Window:
    """The basic part of an index: a slice of x, and the shape that it takes."""

    starts: tuple[int, ...]
    sizes: tuple[int, ...]
    steps: tuple[int, ...]
    shape: Shape


def expand(index: Any, rank: int) -> list[Any]:
    """The index as a list with the ellipsis written out. Raises: OutOfBoundsError for too many."""
    parts = list(index) if isinstance(index, tuple) else [index]
    used = 0
    for part in parts:
        if part is None or part is Ellipsis:
            continue
        used += part.ndim if _is_mask(part) or _is_computed_mask(part) else 1
    if sum(part is Ellipsis for part in parts) > 1:
        raise OutOfBoundsError("an index can only have a single ellipsis ('...')", location=caller())
    if used > rank:
        raise OutOfBoundsError(
            f"too many indices for array: array is {rank}-dimensional, but {used} were indexed", location=caller()
        )
    full = [slice(None)] * (rank - used)
    for place, part in enumerate(parts):
        if part is Ellipsis:
            return parts[:place] + full + parts[place + 1 :]
    return parts + full


def _is_mask(part: Any) -> bool:
    return isinstance(part, np.ndarray) and part.dtype == bool


def _is_computed_mask(part: Any) -> bool:
    return not isinstance(part, np.generic | Value) and getattr(part, "dtype", None) == np.dtype(bool)


def _integer(index: Any) -> int:
    """A plain integer. Raises: OutOfBoundsError for what is no index."""
    try:
        return operator.index(index)
    except TypeError as error:
        if isinstance(error, PullbackError):
            raise
        raise OutOfBoundsError(
            f"only integers, slices (`:`), ellipsis (`...`), None and integer or boolean arrays are valid indices, not "
            f"{index!r}", location=caller(),
        ) from None  # fmt: skip


def wrapped(index: Any, size: int, axis: int) -> int:
    """An integer index counted from 0. Raises: OutOfBoundsError beyond the axis."""
    found = _integer(index)
    if not -size <= found < size:
        raise OutOfBoundsError(f"index {found} is out of bounds for axis {axis} with size {size}", location=caller())
    return found % size


def basic_window(parts: Sequence[Any], shape: Shape) -> Window:
    """Integers, slices and newaxis only."""
    starts, sizes, steps, result = [], [], [], []
    axis = 0
    for part in parts:
        if part is None:
            result.append(1)
            continue
        size = shape[axis]
        if isinstance(part, slice):
            start, stop, step = part.indices(size)
            count = len(range(start, stop, step))
            starts.append(start if count else 0)
            sizes.append(count)
            steps.append(step if count else 1)
            result.append(count)
        else:
            starts.append(wrapped(part, size, axis))
            sizes.append(1)
            steps.append(1)
        axis += 1
    return Window(tuple(starts), tuple(sizes), tuple(steps), tuple(result))


def get(b: Builder, x: Value, index: Any) -> Value:
    """``x[index]``; array parts of the index are Values, ndarrays or lists.

    Raises: OutOfBoundsError for what is known to lie outside, and for a mask that is not known.
    """
    parts: list[Any] = []
    for part in expand(index, x.type.rank):
        axis = sum(each is not None for each in parts)
        if _is_mask(part):
            parts += _mask_part(part, x.type.shape[axis : axis + part.ndim], axis)
        else:
            parts.append(_array_part(part))
    if not any(isinstance(part, ArrayIndex) for part in parts):
        window = basic_window(parts, x.type.shape)
        return reshape(b, b.value(Slice(window.starts, window.sizes, window.steps), x), window.shape)
    return _advanced(b, x, parts)


def _array_part(part: Any) -> Any:
    """Array parts as ArrayIndex."""
    if isinstance(part, Value):
        if not part.type.dtype.is_integer:
            raise OutOfBoundsError(
                f"arrays used as indices must be of integer type, not {part.type}", location=caller()
            )
        return ArrayIndex(part, None)
    if isinstance(part, bool | np.bool_):
        raise TraceError("indexing by a single bool is not supported", location=caller(), help="use x[None] or x[:0]")
    if isinstance(part, np.ndarray | list):
        known = np.asarray(part) if isinstance(part, np.ndarray) or part else np.zeros(0, np.int64)
        if known.dtype.kind not in "iu":
            raise OutOfBoundsError(
                f"arrays used as indices must be of integer (or boolean) type, not {known.dtype}", location=caller()
            )
        return ArrayIndex(None, known.astype(np.int64))
    return part


def _mask_part(mask: np.ndarray[Any, Any], shape: Shape, axis: int) -> list[ArrayIndex]:
    """A known mask as the indices of its true elements, one for each of its axes.

    Raises: OutOfBoundsError for a mask of another shape than the axes it is for.
    """
    if mask.ndim == 0:
        raise TraceError("indexing by a single bool is not supported", location=caller(), help="use x[None] or x[:0]")
    for place, (size, wanted) in enumerate(zip(mask.shape, shape, strict=True)):
        if size != wanted:
            raise OutOfBoundsError(
                f"boolean index did not match indexed array along axis {axis + place}; size of axis is {wanted} but "
                f"size of corresponding boolean axis is {size}", location=caller(),
            )  # fmt: skip
    return [ArrayIndex(None, each) for each in mask.nonzero()]


def _advanced(b: Builder, x: Value, parts: list[Any]) -> Value:
    """Some parts are arrays: basic parts first, then one gather over the axes that arrays index."""
    # An integer beside arrays is an array of no axes: NumPy broadcasts it with them.
    arrays_at = [place for place, part in enumerate(parts) if isinstance(part, ArrayIndex)]
    indexed = [place for place, part in enumerate(parts)
               if place in arrays_at or not (part is None or isinstance(part, slice))]  # fmt: skip
    together = indexed == list(range(indexed[0], indexed[-1] + 1))
    basic = [slice(None) if place in indexed else part for place, part in enumerate(parts)]
    window = basic_window(basic, x.type.shape)
    if window.sizes != x.type.shape or any(step != 1 for step in window.steps):
        x = b.value(Slice(window.starts, window.sizes, window.steps), x)
    x = reshape(b, x, window.shape)
    # Now each part is an axis of x; put the indexed ones first and read rows.
    sizes = [x.type.shape[place] for place in indexed]
    rest = [place for place in range(len(parts)) if place not in indexed]
    rows = transpose(b, x, [*indexed, *rest])
    rest_shape = tuple(x.type.shape[place] for place in rest)
    rows = reshape(b, rows, (prod(sizes), *rest_shape))
    index = flat_index(b, [parts[place] for place in indexed], sizes)
    result = b.value(Gather(), rows, index)
    if not together:
        return result
    count, before = index.type.rank, sum(place < indexed[0] for place in rest)
    order = [*range(count, count + before), *range(count), *range(count + before, result.type.rank)]
    return transpose(b, result, order)


def flat_index(b: Builder, parts: Sequence[Any], sizes: Sequence[int]) -> Value:
    """Index arrays of several axes, broadcast together, as one index into the joined axis."""
    arrays = [part if isinstance(part, ArrayIndex) else ArrayIndex(None, np.asarray(_integer(part)))
              for part in parts]  # fmt: skip
    shape = broadcast_shapes([array.shape for array in arrays], "index arrays")
    if all(array.known is not None for array in arrays):
        known = [
            _checked(array.known, size, axis) for axis, (array, size) in enumerate(zip(arrays, sizes, strict=True))
        ]
        flat = np.zeros(shape, np.int64)
        for each, size in zip(known, sizes, strict=True):
            flat = flat * size + each
        return constant_index(b, flat)
    total: Value | None = None
    inside: Value | None = None
    for axis, (array, size) in enumerate(zip(arrays, sizes, strict=True)):
        if array.known is not None:
            value = constant_index(b, _checked(array.known, size, axis))
        else:
            assert array.value is not None
            value = _wrap(b, cast(b, array.value, dtypes.i64), size)
        value = broadcast_to(b, value, shape)
        if array.known is None and len(arrays) > 1:
            fits = _fits(b, value, size)
            inside = fits if inside is None else b.value(LogicalAnd(), inside, fits)
        if total is None:
            total = value
        else:
            total = b.value(Add(), b.value(Mul(), total, b.value(Full(size, dtypes.i64, shape))), value)
    assert total is not None
    if inside is not None:
        # One axis' overflow must not pass as another place of the joined axis: -1 fails the gather's check.
        total = b.value(Select(), inside, total, b.value(Full(-1, dtypes.i64, shape)))
    return total


def _fits(b: Builder, index: Value, size: int) -> Value:
    dims = index.type.dims
    low = b.value(GreaterEqual(), index, b.value(Full(0, dtypes.i64, dims)))
    return b.value(LogicalAnd(), low, b.value(Less(), index, b.value(Full(size, dtypes.i64, dims))))


def constant_index(b: Builder, index: np.ndarray[Any, Any]) -> Value:
    """Known indices as a value: numbers in the code for one, else an array that is captured."""
    if index.size == 1:
        return b.value(Full(int(index.reshape(())), dtypes.i64, tuple(index.shape)))
    line = index.reshape(-1)
    if index.ndim == 1 and np.array_equal(line, np.arange(index.size)):
        return b.value(Iota(0, dtypes.i64, tuple(index.shape)))
    return capture(b, np.ascontiguousarray(index))


def capture(b: Builder, array: np.ndarray[Any, Any]) -> Value:
    """An array as a value; only a builder that can hold arrays takes one."""
    holder = getattr(b, "capture", None)
    if holder is None:
        raise TraceError("this builder cannot capture arrays", location=caller())
    value = holder(array)
    assert isinstance(value, Value)
    return value


def _checked(index: Any, size: int, axis: int) -> np.ndarray[Any, Any]:
    """Known indices counted from 0. Raises: OutOfBoundsError for the first outside."""
    found = np.asarray(index)
    outside = (found < -size) | (found >= size)
    if outside.any():
        bad = int(found[outside].ravel()[0])
        raise OutOfBoundsError(f"index {bad} is out of bounds for axis {axis} with size {size}", location=caller())
    return np.where(found < 0, found + size, found)


def _wrap(b: Builder, index: Value, size: int) -> Value:
    """Negative indices count from the end."""
    dims = index.type.dims
    negative = b.value(Less(), index, b.value(Full(0, dtypes.i64, dims)))
    moved = b.value(Add(), index, b.value(Full(size, dtypes.i64, dims)))
    return b.value(Select(), negative, moved, index)


def take(b: Builder, x: Value, index: Any, axis: int | None = None) -> Value:
    """np.take."""
    if axis is None or x.type.rank == 0:
        x, axis = reshape(b, x, -1), 0 if axis is None else axis
    along = normal_axis(axis, x.type.rank)
    return get(b, x, (*[slice(None)] * along, index))


def take_along_axis(b: Builder, x: Value, index: Any, axis: int) -> Value:
    """np.take_along_axis: the other axes are indexed by their own positions, and broadcast where they have size 1.

    Raises: ShapeError where x and index differ otherwise.
    """
    along = normal_axis(axis, x.type.rank)
    shape = _array_part(index).shape
    if len(shape) != x.type.rank:
        raise ShapeError(
            f"take_along_axis: indices of {len(shape)} axes for an array of {x.type.rank}", location=caller()
        )
    parts: list[Any] = []
    for each, (size, wanted) in enumerate(zip(x.type.shape, shape, strict=True)):
        if each == along:
            parts.append(index)
            continue
        if size != wanted and 1 not in (size, wanted):
            raise ShapeError(
                f"take_along_axis: sizes {size} and {wanted} of axis {each} of array and indices do not broadcast",
                location=caller(),
            )  # fmt: skip
        # NumPy counts along the array's axis and broadcasts with the indices.
        count = np.arange(size)
        parts.append(count.reshape([-1 if other == each else 1 for other in range(x.type.rank)]))
    return get(b, x, tuple(parts))
