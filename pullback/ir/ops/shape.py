"""Ops that move elements without computing: reshape, transpose, slice, assemble, concatenate."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from pullback.dtypes import boolean, f32, i64
from pullback.errors import ShapeError
from pullback.ir.core import Array, Builder, Region, Sample, Value
from pullback.ir.ops.base import Movement, alike, arrays
from pullback.ir.reads import Dependence, Known, Reads
from pullback.ir.registry import register
from pullback.ir.types import ArrayType, Dim


@register
@dataclass(frozen=True)
class Reshape(Movement):
    """The same elements in C order under another shape: ``t[a...] -> t[dims]``."""

    name: ClassVar[str] = "reshape"
    arity: ClassVar[int | None] = 1
    dims: tuple[Dim, ...]

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        (operand,) = types
        numbers = all(isinstance(dim, int) for dim in (*operand.dims, *self.dims))
        if numbers and operand.size != operand.with_shape(self.dims).size:
            raise ShapeError(f"reshape: {operand} has {operand.size} elements and cannot become {list(self.dims)}")
        return (operand.with_shape(self.dims),)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.reshape(operands[0], self.dims),)

    def batch(
        self, b: Builder, operands: tuple[Value, ...], batched: tuple[bool, ...], size: int
    ) -> tuple[Value, ...] | None:
        return (b.value(Reshape((size, *self.dims)), *operands),)

    def transpose(self, b: Builder, operands: tuple[Value, ...], cotangent: Value) -> tuple[Value | None, ...]:
        return (b.value(Reshape(operands[0].type.dims), cotangent),)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        yield Sample(cls((5, 6)), arrays((3, 10)))
        yield Sample(cls((30,)), arrays((3, 2, 5), dtype=f32))
        yield Sample(cls((1, 1)), arrays(()))
        yield Sample(cls((0, 7)), arrays((3, 0)))
        yield Sample(cls((2, 3)), arrays((6,), dtype=i64), False)


@register
@dataclass(frozen=True)
class Transpose(Movement):
    """Axis i of the result is axis `axes[i]` of the operand: ``t[a, b] -> t[b, a]`` for axes (1, 0)."""

    name: ClassVar[str] = "transpose"
    arity: ClassVar[int | None] = 1
    axes: tuple[int, ...]

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        (operand,) = types
        if sorted(self.axes) != list(range(operand.rank)):
            raise ShapeError(f"transpose: axes {self.axes} do not permute those of {operand}")
        return (operand.with_shape([operand.dims[axis] for axis in self.axes]),)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.ascontiguousarray(np.transpose(operands[0], self.axes)).reshape(
            [operands[0].shape[axis] for axis in self.axes]),)  # fmt: skip

    def inverse(self) -> Transpose:
        """The transpose that undoes this one."""
        return Transpose(tuple(self.axes.index(axis) for axis in range(len(self.axes))))

    def batch(
        self, b: Builder, operands: tuple[Value, ...], batched: tuple[bool, ...], size: int
    ) -> tuple[Value, ...] | None:
        return (b.value(Transpose((0, *(axis + 1 for axis in self.axes))), *operands),)

    def transpose(self, b: Builder, operands: tuple[Value, ...], cotangent: Value) -> tuple[Value | None, ...]:
        return (b.value(self.inverse(), cotangent),)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        yield Sample(cls((1, 0)), arrays((3, 20)))
        yield Sample(cls((1, 0)), arrays((37, 9), dtype=f32))
        yield Sample(cls((2, 0, 1)), arrays((2, 3, 4)))
        yield Sample(cls((0, 2, 1)), arrays((2, 0, 4)))
        yield Sample(cls((1, 0)), arrays((3, 4), dtype=boolean), False)


@register
@dataclass(frozen=True)
class Slice(Movement):
    """Per axis, `sizes` elements from `starts` on, `steps` apart (negative: backward): ``t[a...] -> t[sizes]``."""

    name: ClassVar[str] = "slice"
    arity: ClassVar[int | None] = 1
    starts: tuple[int, ...]
    sizes: tuple[int, ...]
    steps: tuple[int, ...]

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        (operand,) = types
        check_window("slice", operand, operand.with_shape(self.sizes), self.starts, self.steps)
        return (operand.with_shape(self.sizes),)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (operands[0][window(self.starts, self.sizes, self.steps)].copy(),)

    def batch(
        self, b: Builder, operands: tuple[Value, ...], batched: tuple[bool, ...], size: int
    ) -> tuple[Value, ...] | None:
        return (b.value(Slice((0, *self.starts), (size, *self.sizes), (1, *self.steps)), *operands),)

    def transpose(self, b: Builder, operands: tuple[Value, ...], cotangent: Value) -> tuple[Value | None, ...]:
        return (b.masked(b.value(Assemble(operands[0].type.shape, (self.starts,), (self.steps,)), cotangent)),)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        yield Sample(cls((1,), (12,), (3,)), arrays((37,)))
        yield Sample(cls((36,), (19,), (-2,)), arrays((37,), dtype=f32))
        yield Sample(cls((1, 0), (2, 20), (1, 1)), arrays((3, 20)))
        yield Sample(cls((0, 19), (3, 20), (1, -1)), arrays((3, 20), dtype=i64), False)
        yield Sample(cls((2, 1), (0, 1), (1, 1)), arrays((3, 2)))


@register
@dataclass(frozen=True)
class Assemble(Movement):
    """Zeros of `dims` with each operand added in at its own starts and steps; the transpose of slicing.

    Operand k lies at ``starts[k] + steps[k] * index``. Windows may overlap: their elements add up, in operand order.
    """

    name: ClassVar[str] = "assemble"
    least: ClassVar[int] = 1
    fills: ClassVar[bool] = True
    dims: tuple[int, ...]
    starts: tuple[tuple[int, ...], ...]
    steps: tuple[tuple[int, ...], ...]

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        result = types[0].with_shape(self.dims)
        if not len(types) == len(self.starts) == len(self.steps):
            raise ShapeError(f"assemble: {len(types)} operands, {len(self.starts)} starts, {len(self.steps)} steps")
        for operand, starts, steps in zip(types, self.starts, self.steps, strict=True):
            check_window("assemble", result, operand, starts, steps)
        return (result,)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        result = np.zeros(self.dims, operands[0].dtype)
        for operand, starts, steps in zip(operands, self.starts, self.steps, strict=True):
            place = window(starts, operand.shape, steps)
            # A first element replaces the zero (so -0.0 stays), a later one is added.
            result[place] = np.where(result[place] == 0, operand, result[place] + operand)
        return (result,)

    def batch(
        self, b: Builder, operands: tuple[Value, ...], batched: tuple[bool, ...], size: int
    ) -> tuple[Value, ...] | None:
        starts, steps = tuple((0, *each) for each in self.starts), tuple((1, *each) for each in self.steps)
        return (b.value(Assemble((size, *self.dims), starts, steps), *alike(b, operands, batched, size)),)

    def transpose(self, b: Builder, operands: tuple[Value, ...], cotangent: Value) -> tuple[Value | None, ...]:
        return tuple(
            b.value(Slice(starts, operand.type.shape, steps), cotangent)
            for operand, starts, steps in zip(operands, self.starts, self.steps, strict=True)
        )

    def dependence(self, types: tuple[ArrayType, ...], result: ArrayType, known: Known) -> Dependence:
        numbers = np.arange(result.size).reshape(result.shape)
        places = [
            numbers[window(starts, kind.shape, steps)].reshape(-1)
            for kind, starts, steps in zip(types, self.starts, self.steps, strict=True)
        ]
        place = np.concatenate(places)
        return Reads(groups=(result.size, place[None], np.arange(place.size)))

    def overlapping(self, shapes: list[tuple[int, ...]]) -> bool:
        """Whether two windows' bounding boxes (operands having these shapes) may share an element."""
        boxes = []
        for shape, starts, steps in zip(shapes, self.starts, self.steps, strict=True):
            if prod(shape) == 0:
                continue
            ends = [start + step * (size - 1) for start, step, size in zip(starts, steps, shape, strict=True)]
            boxes.append([(min(pair), max(pair)) for pair in zip(starts, ends, strict=True)])
        # Sorted along the first axis only neighbours can meet early; an exact sweep is not worth it for few operands.
        boxes.sort()
        for index, box in enumerate(boxes):
            for other in boxes[index + 1 :]:
                if box and other[0][0] > box[0][1]:
                    break
                if all(low <= high_ and low_ <= high for (low, high), (low_, high_) in zip(box, other, strict=True)):
                    return True
        return False

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        yield Sample(cls((37,), ((1,),), ((3,),)), arrays((12,)))
        yield Sample(cls((37,), ((36,), (0,)), ((-2,), (1,))), arrays((19,), (20,), dtype=f32))
        yield Sample(cls((3, 9), ((0, 0), (1, 3)), ((1, 1), (1, 2))), arrays((1, 9), (2, 3)))
        yield Sample(cls((3, 2), ((2, 1),), ((1, 1),)), arrays((0, 1)))
        yield Sample(cls((4,), ((1,), (2,)), ((1,), (1,))), arrays((2,), (2,), dtype=i64), False)


@register
@dataclass(frozen=True)
class Concatenate(Movement):
    """Operands one after the other along `axis`: ``(t[a, n], t[b, n]) -> t[a + b, n]`` for axis 0."""

    name: ClassVar[str] = "concatenate"
    least: ClassVar[int] = 1
    axis: int

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        first = types[0]
        if not 0 <= self.axis < first.rank:
            raise ShapeError(f"concatenate: {first} has no axis {self.axis}")
        for other in types:
            trimmed = [(*each.dims[: self.axis], *each.dims[self.axis + 1 :]) for each in (first, other)]
            if other.dtype != first.dtype or other.rank != first.rank or trimmed[0] != trimmed[1]:
                raise ShapeError(f"concatenate along axis {self.axis}: {', '.join(map(str, types))} do not fit")
        total = sum(each.shape[self.axis] for each in types)
        return (first.with_shape((*first.dims[: self.axis], total, *first.dims[self.axis + 1 :])),)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.concatenate(operands, self.axis),)

    def batch(
        self, b: Builder, operands: tuple[Value, ...], batched: tuple[bool, ...], size: int
    ) -> tuple[Value, ...] | None:
        return (b.value(Concatenate(self.axis + 1), *alike(b, operands, batched, size)),)

    def starts(self, types: list[ArrayType]) -> list[tuple[int, ...]]:
        """Where each operand begins in the result."""
        found, offset = [], 0
        for kind in types:
            found.append(tuple(offset if axis == self.axis else 0 for axis in range(kind.rank)))
            offset += kind.shape[self.axis]
        return found

    def transpose(self, b: Builder, operands: tuple[Value, ...], cotangent: Value) -> tuple[Value | None, ...]:
        types = [operand.type for operand in operands]
        return tuple(
            b.value(Slice(start, kind.shape, (1,) * kind.rank), cotangent)
            for start, kind in zip(self.starts(types), types, strict=True)
        )

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        yield Sample(cls(0), arrays((5,), (37,), (0,)))
        yield Sample(cls(1), arrays((3, 2), (3, 11), dtype=f32))
        yield Sample(cls(0), arrays((3, 2), (1, 2), dtype=boolean), False)


def window(starts: tuple[int, ...], sizes: tuple[int, ...], steps: tuple[int, ...]) -> tuple[slice, ...]:
    """NumPy slices for a window; a backward one that reaches element 0 ends at None."""
    places = []
    for start, size, step in zip(starts, sizes, steps, strict=True):
        end = start + step * size
        places.append(slice(start, end if end >= 0 else None, step) if size else slice(0, 0))
    return tuple(places)


def check_window(
    name: str, whole: ArrayType, part: ArrayType, starts: tuple[int, ...], steps: tuple[int, ...]
) -> None:
    """Raises: ShapeError if `part` at these starts and steps does not lie inside `whole`."""
    if not whole.rank == part.rank == len(starts) == len(steps) or whole.dtype != part.dtype:
        raise ShapeError(f"{name}: {part} with starts {starts} and steps {steps} does not fit {whole}")
    for dim, size, start, step in zip(whole.dims, part.shape, starts, steps, strict=True):
        last = start + step * (size - 1)
        if size and step != 0 and isinstance(dim, int) and not (0 <= start < dim and 0 <= last < dim):
            raise ShapeError(f"{name}: elements {start} to {last} do not lie in an axis of {dim}")
        if step == 0:
            raise ShapeError(f"{name}: a step is 0")
