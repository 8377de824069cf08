"""``x[...]`` with integer arrays in the index: the elements as rows of a matrix, and how rows are written."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from pullback import dtypes
from pullback.errors import OutOfBoundsError
from pullback.ir.core import Value
from pullback.ir.ops.contraction import Gather, ScatterAdd
from pullback.ir.ops.creation import Full
from pullback.ir.ops.logic import Select
from pullback.ir.ops.window import DynamicSlice
from pullback.ir.types import ArrayType, Shape
from pullback.location import caller
from pullback.tracer.loops import record_for
from pullback.tracer.record import Recorder
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics.indexing import ArrayIndex, constant_index, flat_index
from pullback.tracer.semantics.shapes import reshape, transpose
from pullback.tracer.traced import Traced, array_of
from pullback.tracer.windows import Along, Place, place_of

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Rows:
    """The elements that an index with arrays names: rows of `matrix`, which has the indexed axes joined in front.

    `flat` are the rows' numbers, `known` too where they are known; `shape` is what ``x[index]`` has.
    """

    place: Place
    order: tuple[int, ...]
    matrix: Shape
    flat: Value
    known: Array | None
    shape: Shape
    back: tuple[int, ...] | None

    def read(self, b: Recorder, whole: Value) -> Value:
        """``t[kind] -> t[matrix]``."""
        return reshape(b, transpose(b, self.place.read(b, whole), list(self.order)), self.matrix)

    def write(self, b: Recorder, whole: Value, rows: Value) -> Value:
        """``(t[kind], t[matrix]) -> t[kind]``."""
        moved = reshape(b, rows, tuple(self.place.shape[axis] for axis in self.order))
        inverse = [self.order.index(axis) for axis in range(len(self.order))]
        return self.place.write(b, whole, transpose(b, moved, inverse))

    def taken(self, b: Recorder, rows: Value) -> Value:
        """The rows that are named, in the order of `flat`: ``t[matrix] -> t[k..., rest]``."""
        return b.value(Gather(), rows, self.flat)

    def by_rows(self, b: Recorder, elements: Value) -> Value:
        """Elements as ``x[index]`` has them, the index arrays' axes moved to the front."""
        return elements if self.back is None else transpose(b, elements, list(self.back))

    def replaced(self, b: Recorder, rows: Value, news: Value) -> Value:
        """`rows` with the named ones replaced; of those that are named twice, the last counts."""
        count = self.flat.type.size
        rest = self.matrix[1:]
        lines = reshape(b, news, (count, *rest))
        if self.known is None:
            return self.updated(b, rows, news, lambda old, new: array_of(b, new))
        numbers = self.known.reshape(-1)
        last = {int(number): place for place, number in enumerate(numbers)}
        if len(last) < count:
            kept = np.array(sorted(last.values()), np.int64)
            lines = b.value(Gather(), lines, constant_index(b, kept))
            numbers = numbers[kept]
        mask = np.zeros(self.matrix[0], bool)
        mask[numbers] = True
        mask.flags.writeable = False
        chosen = s.broadcast_to(b, reshape(b, b.capture(mask), (-1, *(1,) * len(rest))), self.matrix)
        if lines.type.dtype.is_bool:
            spread = s.cast(b, _scatter(b, self.matrix[0], numbers, s.cast(b, lines, dtypes.i8)), dtypes.boolean)
        else:
            spread = _scatter(b, self.matrix[0], numbers, lines)
        return b.value(Select(), chosen, spread, rows)

    def added(self, b: Recorder, rows: Value, news: Value) -> Value:
        """`rows` with something added to the named ones, as often as they are named."""
        return s.add(b, rows, b.value(ScatterAdd(self.matrix[0]), self.flat, news))


    def updated(self, b: Recorder, rows: Value, news: Value | None, update: Callable[..., Value]) -> Value:
        """A loop that replaces row after row by ``update(row)`` or ``update(row, new)``."""
        count = self.flat.type.size
        rest = self.matrix[1:]
        flat = reshape(b, self.flat, (count,))
        lines = None if news is None else reshape(b, news, (count, *rest))
        whole = [Along(0, size) for size in rest]

        def step(counter: Traced, held: Traced) -> list[Any]:
            number = reshape(b, b.value(DynamicSlice((1,), False), flat, counter.value), ())
            place = Place(rows.type, (Along(number, 1, checked=b.checks), *whole), rest, None)
            found = [b.wrap(place.read(b, held.value))]
            if lines is not None:
                found.append(b.wrap(Place(lines.type, (Along(counter.value, 1), *whole), rest, None).read(b, lines)))
            return [b.wrap(place.write(b, held.value, update(*found)))]

        zero, one, stop = (b.value(Full(number, dtypes.i64, ())) for number in (0, 1, count))
        (result,) = record_for(b, (zero, stop, one), ["rows"], [b.wrap(rows)], step, counts=range(count))
        return array_of(b, result)


def _scatter(b: Recorder, size: int, numbers: Array, lines: Value) -> Value:
    return b.value(ScatterAdd(size), constant_index(b, np.ascontiguousarray(numbers)), lines)


def rows_of(b: Recorder, kind: ArrayType, parts: Sequence[Any]) -> Rows:
    """The rows that an index names; `parts` is one part per axis and newaxis, arrays among them.

    Raises: OutOfBoundsError for what is known to lie outside.
    """
    spread: list[Any] = []
    for part in parts:
        spread += [*part.nonzero()] if isinstance(part, np.ndarray) and part.dtype == bool else [part]
    indexed = [place for place, part in enumerate(spread) if not (part is None or isinstance(part, slice))]
    basic = tuple(slice(None) if place in indexed else part for place, part in enumerate(spread))
    place = place_of(b, kind, basic)
    assert place is not None
    sizes = [place.shape[axis] for axis in indexed]
    rest = [axis for axis in range(len(place.shape)) if axis not in indexed]
    named = [spread[axis] for axis in indexed]
    known = None if any(isinstance(part, Traced) for part in named) else _known_flat(named, sizes)
    flat = constant_index(b, known) if known is not None else _computed_flat(b, named, sizes)
    rest_shape = tuple(place.shape[axis] for axis in rest)
    count, before = flat.type.rank, 0
    if indexed == list(range(indexed[0], indexed[-1] + 1)):
        before = sum(axis < indexed[0] for axis in rest)
    shape = (*rest_shape[:before], *flat.type.shape, *rest_shape[before:])
    back = None
    if before:
        back = (*range(before, before + count), *range(before), *range(before + count, len(shape)))
    return Rows(place, (*indexed, *rest), (prod(sizes), *rest_shape), flat, known, shape, back)


def _known_flat(parts: Sequence[Any], sizes: Sequence[int]) -> Array:
    arrays = np.broadcast_arrays(*[np.asarray(part) for part in parts])
    flat = np.zeros(arrays[0].shape, np.int64)
    for axis, (array, size) in enumerate(zip(arrays, sizes, strict=True)):
        outside = (array < -size) | (array >= size)
        if outside.any():
            bad = int(array[outside].ravel()[0])
            raise OutOfBoundsError(f"index {bad} is out of bounds for axis {axis} with size {size}", location=caller())
        flat = flat * size + np.where(array < 0, array + size, array)
    return flat


def _computed_flat(b: Recorder, parts: Sequence[Any], sizes: Sequence[int]) -> Value:
    arrays = [ArrayIndex(array_of(b, part), None) if isinstance(part, Traced) else ArrayIndex(None, np.asarray(part))
              for part in parts]  # fmt: skip
    return flat_index(b, arrays, sizes)
