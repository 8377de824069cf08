"""Ops on a window of an array whose place is computed: dynamic_slice, dynamic_update, dynamic_add.

A start counts from 0 and must lie in 0..dim - size, so that the window fits. `checked` makes native code test that;
without it, whoever made the operation knows that the window fits. Where the user's index was negative, the start is
what is left of it after the size was added; messages say the user's number.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pullback.dtypes import boolean, f32, i64
from pullback.errors import DTypeError, OutOfBoundsError, ShapeError
from pullback.ir.core import Array, Builder, Region, Sample, Value
from pullback.ir.ops.arithmetic import NUMBERS
from pullback.ir.ops.base import Linear, alike, arrays
from pullback.ir.ops.creation import Full
from pullback.ir.reads import SAME, Dependence, Known, Reads, reduced
from pullback.ir.registry import register
from pullback.ir.types import ArrayType


@register
@dataclass(frozen=True)
class DynamicSlice(Linear):
    """The window of `sizes` at computed starts: ``(t[dims], i64[]...) -> t[sizes]``, one start per axis."""

    name: ClassVar[str] = "dynamic_slice"
    least: ClassVar[int] = 1
    sizes: tuple[int, ...]
    checked: bool

    def linear_operands(self, count: int) -> tuple[int, ...]:
        return (0,)

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        whole = types[0]
        window = whole.with_shape(self.sizes)
        check_types(self.name, whole, window, types[1:])
        return (window,)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        whole = operands[0]
        return (whole[place(whole.shape, self.sizes, operands[1:])].copy(),)

    def batch(
        self, b: Builder, operands: tuple[Value, ...], batched: tuple[bool, ...], size: int
    ) -> tuple[Value, ...] | None:
        whole, *starts = operands
        if any(batched[1:]):
            return None
        return (b.value(DynamicSlice((size, *self.sizes), self.checked), whole, b.value(Full(0, i64, ())), *starts),)

    def dependence(self, types: tuple[ArrayType, ...], result: ArrayType, known: Known) -> Dependence:
        whole, none = types[0], (None,) * (len(types) - 1)
        starts = known_starts(whole.shape, self.sizes, known, 1)
        open_axes = tuple([axis for axis, start in enumerate(starts) if start is None])
        if not open_axes:
            return Reads(window_places(whole.shape, self.sizes, starts)), *none
        # Along an axis whose start is not known, any element may be read.
        dims, sizes = list(whole.shape), list(self.sizes)
        for axis in open_axes:
            dims[axis], sizes[axis] = 1, 1
        closed = [np.zeros(1, np.int64) if start is None else start for start in starts]
        places = window_places(tuple(dims), tuple(sizes), closed).reshape(-1, *sizes)
        picks = np.broadcast_to(places, (len(places), *self.sizes)).reshape(len(places), -1)
        return Reads(picks, reduced(whole, open_axes)), *none

    def transpose(self, b: Builder, operands: tuple[Value, ...], cotangent: Value) -> tuple[Value | None, ...]:
        whole, *starts = operands
        zeros = b.value(Full(0.0, whole.type.dtype, whole.type.dims))
        bar = b.masked(b.value(DynamicAdd(False), zeros, cotangent, *starts))
        return (bar, *(None,) * len(starts))

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        yield Sample(cls((1,), True), (*arrays((5,)), at(3)))
        yield Sample(cls((13,), True), (*arrays((37,), dtype=f32), at(24)))
        yield Sample(cls((2, 9), False), (*arrays((3, 20)), at(1), at(5)))
        yield Sample(cls((1, 20), True), (*arrays((3, 20)), at(2), at(0)))
        yield Sample(cls((), True), arrays(()))
        yield Sample(cls((2, 0), True), (*arrays((3, 2)), at(1), at(2)))
        yield Sample(cls((2,), True), (*arrays((4,), dtype=boolean), at(1)), False)


class Write(Linear):
    """The operand array with something done to one window: ``(t[dims], t[sizes], i64[]...) -> t[dims]``."""

    least: ClassVar[int] = 2
    replaces: ClassVar[bool] = False
    """Whether what the window held before is gone."""
    checked: bool

    def linear_operands(self, count: int) -> tuple[int, ...]:
        return (0, 1)

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        whole, window = types[:2]
        check_types(self.name, whole, window, types[2:])
        return (whole,)

    def places(self, types: tuple[ArrayType, ...], known: Known) -> Array | None:
        """Per lane, the numbers of the elements that are written (-1: out of bounds), or None if a start is unknown."""
        starts = known_starts(types[0].shape, types[1].shape, known, 2)
        if any(start is None for start in starts):
            return None
        return window_places(types[0].shape, types[1].shape, starts)

    def dependence(self, types: tuple[ArrayType, ...], result: ArrayType, known: Known) -> Dependence:
        whole, window, *rest = types
        none, places = (None,) * len(rest), self.places(types, known)
        if places is None:
            size = window.size
            anywhere = Reads(np.zeros((1, result.size), np.int64), (1, np.zeros((1, size), np.int64), np.arange(size)))
            return SAME, anywhere, *none
        lanes = len(places)
        picks = np.full((lanes, whole.size + 1), -1)  # the last column takes what is out of bounds
        picks[np.arange(lanes)[:, None], places] = np.arange(window.size)
        picks = picks[:, :-1]
        if not self.replaces:
            return SAME, Reads(picks), *none
        return Reads(np.where(picks >= 0, -1, np.arange(whole.size))), Reads(picks), *none

    def batch(
        self, b: Builder, operands: tuple[Value, ...], batched: tuple[bool, ...], size: int
    ) -> tuple[Value, ...] | None:
        if any(batched[2:]):
            return None
        whole, window = alike(b, operands[:2], batched[:2], size)
        return (b.value(self, whole, window, b.value(Full(0, i64, ())), *operands[2:]),)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for checked in (True, False):
            op = cls(checked)  # type: ignore[call-arg]
            yield Sample(op, (*arrays((5,), (1,)), at(3)))
            yield Sample(op, (*arrays((37,), (13,), dtype=f32), at(24)))
            yield Sample(op, (*arrays((3, 20), (2, 9)), at(1), at(5)))
        yield Sample(op, arrays((), ()))
        yield Sample(op, (*arrays((3, 2), (2, 0)), at(1), at(2)))
        yield Sample(op, (*arrays((4,), (2,), dtype=i64), at(1)), False)


@register
@dataclass(frozen=True)
class DynamicUpdate(Write):
    """The array with the window replaced: ``(t[dims], t[sizes], i64[]...) -> t[dims]``, one start per axis."""

    name: ClassVar[str] = "dynamic_update"
    replaces: ClassVar[bool] = True
    checked: bool

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        whole, window, *starts = operands
        result = whole.copy()
        result[place(whole.shape, window.shape, starts)] = window
        return (result,)

    def transpose(self, b: Builder, operands: tuple[Value, ...], cotangent: Value) -> tuple[Value | None, ...]:
        _, window, *starts = operands
        zeros = b.value(Full(0.0, window.type.dtype, window.type.dims))
        # Read before it is overwritten, so that both can be done in place.
        window_bar = b.value(DynamicSlice(window.type.shape, False), cotangent, *starts)
        # What was overwritten has no part in the result: its zeros stay zeros whatever they are scaled by.
        bar = b.masked(b.value(DynamicUpdate(False), cotangent, zeros, *starts))
        return (bar, window_bar, *(None,) * len(starts))


@register
@dataclass(frozen=True)
class DynamicAdd(Write):
    """The array with something added to the window: ``(t[dims], t[sizes], i64[]...) -> t[dims]``."""

    name: ClassVar[str] = "dynamic_add"
    checked: bool

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        if types[0].dtype not in NUMBERS:
            raise DTypeError(f"dynamic_add takes numbers, not {types[0]}")
        return super().infer(*types)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        whole, window, *starts = operands
        result = whole.copy()
        result[place(whole.shape, window.shape, starts)] += window
        return (result,)

    def transpose(self, b: Builder, operands: tuple[Value, ...], cotangent: Value) -> tuple[Value | None, ...]:
        _, window, *starts = operands
        return (cotangent, b.value(DynamicSlice(window.type.shape, False), cotangent, *starts), *(None,) * len(starts))


def known_starts(dims: tuple[int, ...], sizes: tuple[int, ...], known: Known, first: int) -> list[Array | None]:
    """Per axis the starts of a window, one a lane; operand `first` is that of axis 0. None where it is not known."""
    # A window as wide as the axis has one place.
    return [np.zeros(1, np.int64) if size == dim else known(first + axis)
            for axis, (dim, size) in enumerate(zip(dims, sizes, strict=True))]  # fmt: skip


def window_places(dims: tuple[int, ...], sizes: tuple[int, ...], starts: Sequence[Array | None]) -> Array:
    """Per lane the numbers of the window's elements, -1 for all of a window that does not fit."""
    places, fits = np.zeros((1, 1), np.int64), np.ones((1, 1), bool)
    for dim, size, start in zip(dims, sizes, starts, strict=True):
        assert start is not None
        column = start.reshape(-1, 1)
        along = column + np.arange(size)
        fits = fits & (column >= 0) & (column <= dim - size)
        places = (places[:, :, None] * dim + along[:, None, :]).reshape(max(len(places), len(along)), -1)
    return np.where(fits, places, -1)


def at(start: int) -> Array:
    """A start, as samples take it."""
    return np.array(start, np.int64)


def check_types(name: str, whole: ArrayType, window: ArrayType, starts: Sequence[ArrayType]) -> None:
    """Raises: ShapeError or DTypeError unless the window may lie in the array, with an i64 start per axis."""
    if whole.dtype != window.dtype:
        raise DTypeError(f"{name}: a window of {window} in {whole}")
    fits = whole.rank == window.rank and all(
        not isinstance(dim, int) or 0 <= size <= dim for dim, size in zip(whole.dims, window.shape, strict=True)
    )
    if not fits:
        raise ShapeError(f"{name}: a window of {window} does not fit {whole}")
    if tuple(starts) != (ArrayType(i64, ()),) * whole.rank:
        raise ShapeError(f"{name}: one i64[] start per axis of {whole}, not ({', '.join(map(str, starts))})")


def place(shape: tuple[int, ...], sizes: tuple[int, ...], starts: Sequence[Array]) -> tuple[slice, ...]:
    """The window as NumPy slices. Raises: OutOfBoundsError where it does not fit."""
    found = []
    for axis, (dim, size, each) in enumerate(zip(shape, sizes, starts, strict=True)):
        start = int(each)
        if not 0 <= start <= dim - size:
            raise out_of_bounds(start, dim, size, axis)
        found.append(slice(start, start + size))
    return tuple(found)


def out_of_bounds(start: int, dim: int, size: int, axis: int) -> OutOfBoundsError:
    """The error for a start that does not fit; a negative one is what adding `dim` left of the user's index."""
    index = start - dim if start < 0 else start
    if size == 1:
        return OutOfBoundsError(
            f"index {index} is out of bounds for axis {axis} with size {dim}",
            help=f"indices count from 0 to {dim - 1}, or from -{dim} to -1",
        )
    return OutOfBoundsError(f"a window of {size} elements from {index} on does not fit axis {axis} of size {dim}")
