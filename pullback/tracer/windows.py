"""``x[...]`` with numbers, slices, newaxis and ellipsis, the numbers known or computed: the part of x, and how it is
written."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback import dtypes
from pullback.errors import ArgumentValueError, LengthError
from pullback.ir.core import Builder, Value
from pullback.ir.ops.arithmetic import Add
from pullback.ir.ops.creation import Full
from pullback.ir.ops.logic import Less, Select
from pullback.ir.ops.shape import Assemble, Slice
from pullback.ir.ops.window import DynamicAdd, DynamicSlice, DynamicUpdate
from pullback.ir.types import ArrayType, Shape
from pullback.location import caller
from pullback.tracer.creation import array, has_traced
from pullback.tracer.record import Recorder
from pullback.tracer.semantics.affine import affine, bounds, constant
from pullback.tracer.semantics.elementwise import cast
from pullback.tracer.semantics.indexing import expand, wrapped
from pullback.tracer.semantics.shapes import reshape
from pullback.tracer.traced import Traced, array_of
from pullback.tracer.undefined import NotAnArray

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Along:
    """What an index takes along one axis: `size` elements from `start` on, `step` apart.

    `checked` says that a computed start may lie outside and is tested in native code.
    """

    start: int | Value
    size: int
    step: int = 1
    checked: bool = False


@dataclass(frozen=True, eq=False)
class Place:
    """A part of an array of `kind`: per axis what is taken, and the shape that the index gives it."""

    kind: ArrayType
    axes: tuple[Along, ...]
    shape: Shape
    index: Any

    @property
    def is_computed(self) -> bool:
        """Whether a start is only known when the code runs."""
        return any(isinstance(axis.start, Value) for axis in self.axes)

    @property
    def sizes(self) -> Shape:
        return tuple(axis.size for axis in self.axes)

    @property
    def is_whole(self) -> bool:
        """Whether it takes every element in order."""
        pairs = zip(self.axes, self.kind.shape, strict=True)
        return not self.is_computed and all(axis.size == dim and (axis.step == 1 or dim <= 1) for axis, dim in pairs)

    def of(self, whole: Array) -> Array | None:
        return None if self.is_computed else whole[self.index]

    def sample(self, whole: Array) -> Array:
        """A part of the same shape and layout, wherever a computed one lies."""
        ends = [(0 if isinstance(axis.start, Value) else axis.start, axis) for axis in self.axes]
        index = tuple(slice(start, stop if (stop := start + axis.step * axis.size) >= 0 else None, axis.step)
                      for start, axis in ends)  # fmt: skip
        return whole[index].reshape(self.shape)

    def read(self, b: Builder, whole: Value) -> Value:
        """The part's elements: ``t[kind] -> t[shape]``."""
        if self.is_computed:
            whole = b.value(DynamicSlice(self._extents(), self._checked()), whole, *self._starts(b))
            if any(axis.step != 1 for axis in self.axes):
                inner = self._inside()
                whole = b.value(Slice(_starts(inner), inner_sizes(inner), _steps(inner)), whole)
        elif not self.is_whole:
            whole = b.value(Slice(_starts(self.axes), self.sizes, _steps(self.axes)), whole)
        return reshape(b, whole, self.shape)

    def write(self, b: Builder, whole: Value, part: Value) -> Value:
        """The whole with other elements in this part: ``(t[kind], t[shape]) -> t[kind]``."""
        part = reshape(b, part, self.sizes)
        if not all(self.sizes):
            return whole
        if self.is_whole:
            return part
        if not self.is_computed and any(axis.step != 1 for axis in self.axes):
            return strided_write(b, whole, part, _starts(self.axes), _steps(self.axes))
        starts = self._starts(b)
        if any(axis.step != 1 for axis in self.axes):
            inner = self._inside()
            held = b.value(DynamicSlice(self._extents(), self._checked()), whole, *starts)
            part = strided_write(b, held, part, _starts(inner), _steps(inner))
        return b.value(DynamicUpdate(self._checked()), whole, part, *starts)

    def add(self, b: Builder, whole: Value, part: Value) -> Value | None:
        """The whole with `part` added to this part; None where elements lie apart."""
        if self.is_whole or any(axis.step != 1 for axis in self.axes):
            return None
        if not all(self.sizes):
            return whole
        return b.value(DynamicAdd(self._checked()), whole, reshape(b, part, self.sizes), *self._starts(b))

    def same_as(self, other: Place) -> bool:
        """Whether both take the same elements, as far as can be told."""
        return self.kind == other.kind and self.shape == other.shape and self.axes == other.axes

    def _inside(self) -> tuple[Along, ...]:
        """The same elements, counted inside of the smallest window around them."""
        return tuple(Along(0, axis.size, axis.step) if axis.step > 0 else Along(-axis.step * (axis.size - 1), axis.size,
                     axis.step) for axis in self.axes)  # fmt: skip

    def _extents(self) -> Shape:
        return tuple(abs(axis.step) * (axis.size - 1) + 1 if axis.size else 0 for axis in self.axes)

    def _checked(self) -> bool:
        return any(axis.checked for axis in self.axes)

    def _starts(self, b: Builder) -> list[Value]:
        """The least index of the window, per axis."""
        found = []
        for axis in self.axes:
            start = axis.start
            if isinstance(start, int):
                first = start if axis.step > 0 or not axis.size else start + axis.step * (axis.size - 1)
                start = b.value(Full(first, dtypes.i64, ()))
            found.append(start)
        return found


def _starts(axes: Sequence[Along]) -> tuple[int, ...]:
    return tuple(axis.start if isinstance(axis.start, int) else 0 for axis in axes)


def inner_sizes(axes: Sequence[Along]) -> tuple[int, ...]:
    return tuple(axis.size for axis in axes)


def _steps(axes: Sequence[Along]) -> tuple[int, ...]:
    return tuple(axis.step for axis in axes)


def strided_write(b: Builder, whole: Value, part: Value, starts: Shape, steps: Shape) -> Value:
    """Elements that lie apart, replaced: a mask says which."""
    dims = whole.type.shape
    mask = np.zeros(dims, bool)
    ends = [start + step * size for start, step, size in zip(starts, steps, part.type.shape, strict=True)]
    mask[tuple(slice(start, end if end >= 0 else None, step)
               for start, end, step in zip(starts, ends, steps, strict=True))] = True  # fmt: skip
    if part.type.dtype.is_bool:
        # Elements are added up in an assembled array, which bools are not.
        spread = cast(b, b.value(Assemble(dims, (starts,), (steps,)), cast(b, part, dtypes.i8)), dtypes.boolean)
    else:
        spread = b.value(Assemble(dims, (starts,), (steps,)), part)
    assert isinstance(b, Recorder)
    mask.flags.writeable = False
    return b.value(Select(), b.capture(mask), spread, whole)


def place_of(recorder: Recorder, kind: ArrayType, index: Any) -> Place | None:
    """The place that an index names in an array of `kind`; None for an index with arrays in it.

    Raises: OutOfBoundsError for what is known to lie outside, LengthError for a slice whose length is not known.
    """
    index = plain(index)
    parts = expand(index, kind.rank)
    if any(is_array(part) for part in parts):
        return None
    axes: list[Along] = []
    shape: list[int] = []
    for part in parts:
        if part is None:
            shape.append(1)
            continue
        size = kind.shape[len(axes)]
        if isinstance(part, slice):
            axes.append(_slice(recorder, part, size))
            shape.append(axes[-1].size)
        elif isinstance(part, Traced):
            axes.append(_number(recorder, part, size))
        else:
            axes.append(Along(wrapped(part, size, len(axes)), 1))
    return Place(kind, tuple(axes), tuple(shape), index)


def plain(index: Any) -> Any:
    """The index with known traced arrays as arrays, known scalars as numbers, lists as arrays, also lists of traced ones."""
    if isinstance(index, tuple):
        return tuple(plain(part) for part in index)
    if isinstance(index, slice):
        return slice(*[plain(each) for each in (index.start, index.stop, index.step)])
    if isinstance(index, Traced) and (known := index.known) is not None:
        return known if known.ndim else known[()]
    if isinstance(index, list):
        if has_traced(index):
            return array(index)
        return np.asarray(index) if index else np.zeros(0, np.int64)
    return index


def is_array(part: Any) -> bool:
    """Whether a part of an index is an array, a mask or a list; scalars that are integers are not."""
    if isinstance(part, Traced):
        return bool(part.type.rank) or not part.type.dtype.is_integer
    return isinstance(part, np.ndarray | list | bool | np.bool_ | NotAnArray)


def _number(recorder: Recorder, index: Traced, size: int) -> Along:
    """A computed index: counted from the end where it is negative."""
    start = cast(recorder, array_of(recorder, index), dtypes.i64)
    low, high = bounds(start, recorder.bounds)
    if low == high and -size <= low < size:
        return Along(low % size, 1)
    checked = recorder.checks and not (-size <= low and high < size)
    if low < 0:
        negative = recorder.value(Less(), start, recorder.value(Full(0, dtypes.i64, ())))
        moved = recorder.value(Add(), start, recorder.value(Full(size, dtypes.i64, ())))
        start = moved if high < 0 else recorder.value(Select(), negative, moved, start)
    return Along(start, 1, checked=checked)


def _slice(recorder: Recorder, part: slice, size: int) -> Along:
    """A slice; one with computed bounds must have a length that is known."""
    if not any(isinstance(each, Traced) for each in (part.start, part.stop, part.step)):
        first, last, step = part.indices(size)
        count = len(range(first, last, step))
        return Along(first, count, step) if count else Along(0, 0)
    begins, length = _extent(recorder, part, size)
    if length is None:
        raise LengthError("the length of a slice is only known when the compiled code runs", location=caller(),
                          help="slice as x[i:i + 3], with a length that is a number, or take elements by a loop or a "
                          "mask")  # fmt: skip
    count = length
    if not 0 <= count <= size:
        raise ArgumentValueError(f"a slice of {count} elements with computed bounds, of an axis of size {size}",
                                 location=caller())  # fmt: skip
    if not isinstance(part.start, Traced):
        # The stop is computed, and the start is not: their difference was known only if both are constants.
        return Along(begins.constant, count)
    begin = cast(recorder, array_of(recorder, part.start), dtypes.i64)
    low, high = bounds(begin, recorder.bounds)
    return Along(begin, count, checked=recorder.checks and not (low >= 0 and high <= size - count))


def length_is_unknown(recorder: Recorder, part: slice, size: int) -> bool:
    """Whether the length of a slice is only known when the compiled code runs."""
    if not any(isinstance(each, Traced) for each in (part.start, part.stop, part.step)):
        return False
    return _extent(recorder, part, size)[1] is None


def _extent(recorder: Recorder, part: slice, size: int) -> tuple[Any, int | None]:
    """Where a slice begins, and its length if that is known."""
    begins = constant(0) if part.start is None else _sum(recorder, part.start, size)
    if isinstance(part.step, Traced) or part.step not in (None, 1):
        return begins, None
    ends = constant(size) if part.stop is None else _sum(recorder, part.stop, size)
    length = ends.plus(begins, -1)
    return begins, None if length.factors else length.constant


def _sum(recorder: Recorder, bound: Any, size: int) -> Any:
    if isinstance(bound, Traced):
        return affine(cast(recorder, array_of(recorder, bound), dtypes.i64))
    number = int(bound)
    return constant(number + size if number < 0 else number)
