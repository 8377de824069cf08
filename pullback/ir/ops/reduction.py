"""Reductions over axes, and broadcast, the transpose of the sum."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

import numpy as np

from pullback.dtypes import ALL, DType, boolean, f32, f64, i32, i64
from pullback.errors import DTypeError, ShapeError
from pullback.ir.core import Array, Builder, Op, Region, Sample, Value
from pullback.ir.ops.arithmetic import NUMBERS, Add, Cast, Div, Mul
from pullback.ir.ops.base import Flat, Linear, Movement, Term, arrays
from pullback.ir.ops.shape import Concatenate, Reshape, Slice, Transpose
from pullback.ir.reads import Dependence, Known, Reads, reduced
from pullback.ir.registry import register
from pullback.ir.types import ArrayType, Dim


@register
@dataclass(frozen=True)
class Broadcast(Movement):
    """Repeat along new axes: operand axis i becomes axis `axes[i]` of `dims`: ``t[n] -> t[m, n]`` for axes (1,)."""

    name: ClassVar[str] = "broadcast"
    arity: ClassVar[int | None] = 1
    dims: tuple[Dim, ...]
    axes: tuple[int, ...]

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        (operand,) = types
        fits = len(self.axes) == operand.rank and list(self.axes) == sorted(set(self.axes))
        fits = fits and all(0 <= axis < len(self.dims) for axis in self.axes)
        if not fits or any(self.dims[axis] != dim for axis, dim in zip(self.axes, operand.dims, strict=True)):
            raise ShapeError(f"broadcast: {operand} does not fit axes {self.axes} of {list(self.dims)}")
        return (operand.with_shape(self.dims),)

    def new_axes(self) -> tuple[int, ...]:
        """Axes of the result that the operand has not."""
        return tuple(axis for axis in range(len(self.dims)) if axis not in self.axes)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        (operand,) = operands
        shape = [1] * len(self.dims)
        for axis, size in zip(self.axes, operand.shape, strict=True):
            shape[axis] = size
        return (np.broadcast_to(operand.reshape(shape), self.dims).copy(),)  # type: ignore[arg-type]

    def batch(
        self, b: Builder, operands: tuple[Value, ...], batched: tuple[bool, ...], size: int
    ) -> tuple[Value, ...] | None:
        return (b.value(Broadcast((size, *self.dims), (0, *(axis + 1 for axis in self.axes))), *operands),)

    def transpose(self, b: Builder, operands: tuple[Value, ...], cotangent: Value) -> tuple[Value | None, ...]:
        new = self.new_axes()
        return (b.value(ReduceSum(new), cotangent) if new else cotangent,)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        yield Sample(cls((3, 37), (1,)), arrays((37,)))
        yield Sample(cls((37, 3), (0,)), arrays((37,), dtype=f32))
        yield Sample(cls((2, 20), ()), arrays(()))
        yield Sample(cls((4, 0, 2), (0, 2)), arrays((4, 2)))
        yield Sample(cls((3, 5), (0,)), arrays((3,), dtype=boolean), False)


class Reduction(Op):
    """Reduces `axes` away: ``t[a, b, c] -> t[a, c]`` for axes (1,)."""

    arity: ClassVar[int | None] = 1
    axes: tuple[int, ...]
    dtypes: ClassVar[tuple[DType, ...]] = NUMBERS

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        (operand,) = types
        if operand.dtype not in self.dtypes:
            raise DTypeError(f"{self.name} does not take {operand.dtype}")
        if list(self.axes) != sorted(set(self.axes)) or any(not 0 <= axis < operand.rank for axis in self.axes):
            raise ShapeError(f"{self.name}: axes {self.axes} are not among those of {operand}")
        return (operand.with_shape([dim for axis, dim in enumerate(operand.dims) if axis not in self.axes]),)

    def batch(
        self, b: Builder, operands: tuple[Value, ...], batched: tuple[bool, ...], size: int
    ) -> tuple[Value, ...] | None:
        moved = replace(self, axes=tuple(axis + 1 for axis in self.axes))  # type: ignore[call-arg]
        return (b.value(moved, *operands),)

    def dependence(self, types: tuple[ArrayType, ...], result: ArrayType, known: Known) -> Dependence:
        return (Reads(groups=reduced(types[0], self.axes)),)

    def spread(self, b: Builder, value: Value, operand: Value) -> Value:
        """A result (or a cotangent of one) repeated back to the operand's shape."""
        kept = tuple(axis for axis in range(operand.type.rank) if axis not in self.axes)
        return b.value(Broadcast(operand.type.dims, kept), value)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for dtype in (f64, f32, i64, i32):
            if dtype not in cls.dtypes:
                continue
            for shape, axes in (((37,), (0,)), ((3, 20), (1,)), ((20, 3), (0,)), ((3, 4, 5), (0, 2)), ((), ()),
                                ((2, 3, 4), (0, 1, 2)), ((3, 1), (1,)), ((4, 700), (0, 1)), ((3, 4), ())):  # fmt: skip
                yield Sample(cls(axes), arrays(shape, dtype=dtype), dtype.is_float)  # type: ignore[call-arg]


@register
@dataclass(frozen=True)
class ReduceSum(Reduction, Linear):
    """Sum; 0 over nothing. Floats are added lane by lane in one order that depends on the shape alone.

    Over no axes it is the operand.
    """

    name: ClassVar[str] = "reduce_sum"
    axes: tuple[int, ...]

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        if not self.axes:
            return (operands[0],)
        return (np.asarray(np.sum(operands[0], axis=self.axes, dtype=operands[0].dtype)),)

    def transpose(self, b: Builder, operands: tuple[Value, ...], cotangent: Value) -> tuple[Value | None, ...]:
        return (self.spread(b, cotangent, operands[0]),)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        yield from super().samples()
        yield Sample(cls((0,)), arrays((0, 3)))
        yield Sample(cls((1,)), arrays((3, 0)))


@register
@dataclass(frozen=True)
class ReduceProd(Reduction):
    """Product; 1 over nothing."""

    name: ClassVar[str] = "reduce_prod"
    axes: tuple[int, ...]

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.asarray(np.prod(operands[0], axis=self.axes, dtype=operands[0].dtype)),)

    def _levels(self, b: Builder, operand: Value) -> list[Value]:
        """Products by halves, from ``[kept, n]`` to ``[kept, 1]``: differentiable at zeros, at every order."""
        shape = operand.type.shape
        kept = tuple(axis for axis in range(len(shape)) if axis not in self.axes)
        rows = b.value(Transpose((*kept, *self.axes)), operand)
        size = prod(shape[axis] for axis in self.axes)
        levels = [b.value(Reshape((prod(shape[axis] for axis in kept), size)), rows)]
        while levels[-1].type.shape[1] > 1:
            left, right, rest = self._halves(b, levels[-1])
            product = b.value(Mul(), left, right)
            levels.append(product if rest is None else b.value(Concatenate(1), product, rest))
        return levels

    @staticmethod
    def _halves(b: Builder, level: Value) -> tuple[Value, Value, Value | None]:
        count, size = level.type.shape
        half = size // 2

        def columns(start: int, width: int) -> Value:
            return b.value(Slice((0, start), (count, width), (1, 1)), level)

        return columns(0, half), columns(half, half), columns(2 * half, 1) if size % 2 else None

    def _restore(self, b: Builder, rows: Value, operand: Value) -> Value:
        """``[kept, n]`` back to the operand's shape."""
        shape = operand.type.shape
        order = (*(axis for axis in range(len(shape)) if axis not in self.axes), *self.axes)
        permuted = b.value(Reshape(tuple(shape[axis] for axis in order)), rows)
        return b.value(Transpose(order).inverse(), permuted)

    def pullback(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], cotangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        (cotangent,) = cotangents
        if cotangent is None or operands[0].type.size == 0:
            return (None,)
        levels = self._levels(b, operands[0])
        bar = b.value(Reshape((levels[0].type.shape[0], 1)), cotangent)
        for level in reversed(levels[:-1]):
            left, right, rest = self._halves(b, level)
            count, half = left.type.shape
            inner = bar if rest is None else b.value(Slice((0, 0), (count, half), (1, 1)), bar)
            parts = [b.scale(inner, right), b.scale(inner, left)]
            if rest is not None:
                parts.append(b.value(Slice((0, half), (count, 1), (1, 1)), bar))
            bar = b.value(Concatenate(1), *parts)
        return (self._restore(b, bar, operands[0]),)

    def jvp(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], tangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        (tangent,) = tangents
        if tangent is None or operands[0].type.size == 0:
            return (None,)
        level, dot = self._levels(b, operands[0])[0], self._levels(b, tangent)[0]
        while level.type.shape[1] > 1:
            left, right, rest = self._halves(b, level)
            left_dot, right_dot, rest_dot = self._halves(b, dot)
            level = b.value(Mul(), left, right)
            dot = b.value(Add(), b.scale(left_dot, right), b.scale(right_dot, left))
            if rest is not None and rest_dot is not None:
                level, dot = b.value(Concatenate(1), level, rest), b.value(Concatenate(1), dot, rest_dot)
        return (b.value(Reshape(results[0].type.dims), dot),)


class ExtremeReduction(Reduction):
    """NaN if any element is; ties share the cotangent evenly. Over nothing: an error, as in NumPy."""

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        (result,) = super().infer(*types)
        if any(types[0].dims[axis] == 0 for axis in self.axes):
            raise ShapeError(f"{self.name} over an empty axis of {types[0]} has no value")
        return (result,)

    def _shares(self, b: Builder, operand: Value, result: Value) -> tuple[Term, Value]:
        """Where the extreme is attained, and how often."""
        hit = Term(b, operand).equals(Term(b, self.spread(b, result, operand)))
        ones = b.value(Cast(operand.type.dtype), hit.value)
        return hit, b.value(ReduceSum(self.axes), ones)

    def pullback(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], cotangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        (cotangent,) = cotangents
        if cotangent is None:
            return (None,)
        hit, count = self._shares(b, operands[0], results[0])
        share = self.spread(b, b.value(Div(), cotangent, count), operands[0])
        return (b.masked(hit.select(Term(b, share), 0.0).value),)

    def jvp(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], tangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        (tangent,) = tangents
        if tangent is None:
            return (None,)
        hit, count = self._shares(b, operands[0], results[0])
        routed = hit.select(Term(b, tangent), 0.0).value
        return (b.value(Div(), b.value(ReduceSum(self.axes), routed), count),)


@register
@dataclass(frozen=True)
class ReduceMax(ExtremeReduction):
    """Largest element."""

    name: ClassVar[str] = "reduce_max"
    axes: tuple[int, ...]

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.asarray(np.max(operands[0], axis=self.axes)),)


@register
@dataclass(frozen=True)
class ReduceMin(ExtremeReduction):
    """Smallest element."""

    name: ClassVar[str] = "reduce_min"
    axes: tuple[int, ...]

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.asarray(np.min(operands[0], axis=self.axes)),)


class Truth(Flat, Reduction):
    """Of bools; no derivative."""

    dtypes: ClassVar[tuple[DType, ...]] = (boolean,)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, axes in (((37,), (0,)), ((3, 20), (1,)), ((20, 3), (0,)), ((0, 3), (0,)), ((2, 3), (0, 1))):
            for threshold in (-1.0, 0.2, 2.0):
                yield Sample(cls(axes), (arrays(shape)[0] > threshold,), False)  # type: ignore[call-arg]


@register
@dataclass(frozen=True)
class ReduceAny(Truth):
    """Whether any holds; False over nothing."""

    name: ClassVar[str] = "reduce_any"
    axes: tuple[int, ...]

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.asarray(np.any(operands[0], axis=self.axes)),)


@register
@dataclass(frozen=True)
class ReduceAll(Truth):
    """Whether all hold; True over nothing."""

    name: ClassVar[str] = "reduce_all"
    axes: tuple[int, ...]

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.asarray(np.all(operands[0], axis=self.axes)),)


class ArgExtreme(Flat):
    """Index of the first extreme element along `axis`; a NaN counts as the extreme: ``t[a, n] -> i64[a]``."""

    arity: ClassVar[int | None] = 1
    axis: int

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        (operand,) = types
        if not 0 <= self.axis < operand.rank or operand.dims[self.axis] == 0:
            raise ShapeError(f"{self.name}: axis {self.axis} of {operand} is empty or absent")
        return (ArrayType(i64, (*operand.dims[: self.axis], *operand.dims[self.axis + 1 :])),)

    def batch(
        self, b: Builder, operands: tuple[Value, ...], batched: tuple[bool, ...], size: int
    ) -> tuple[Value, ...] | None:
        return (b.value(replace(self, axis=self.axis + 1), *operands),)  # type: ignore[call-arg]

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for dtype in ALL:
            for shape, axis in (((37,), 0), ((3, 20), 1), ((20, 3), 0), ((0, 2), 1)):
                yield Sample(cls(axis), arrays(shape, dtype=dtype), False)  # type: ignore[call-arg]
        yield Sample(cls(0), (np.array([1.0, np.nan, 3.0, np.nan]),), False)  # type: ignore[call-arg]


@register
@dataclass(frozen=True)
class ArgMax(ArgExtreme):
    """Of the largest."""

    name: ClassVar[str] = "argmax"
    axis: int

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.asarray(np.argmax(operands[0], axis=self.axis)),)


@register
@dataclass(frozen=True)
class ArgMin(ArgExtreme):
    """Of the smallest."""

    name: ClassVar[str] = "argmin"
    axis: int

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.asarray(np.argmin(operands[0], axis=self.axis)),)
