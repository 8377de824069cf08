"""Matrix products and integer-array indexing: gather, and scatter_add, its transpose."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from pullback.dtypes import f32, f64, i64
from pullback.errors import DTypeError, OutOfBoundsError, ShapeError
from pullback.ir.core import Array, Builder, Op, Region, Sample, Value
from pullback.ir.ops.arithmetic import NUMBERS, Add
from pullback.ir.ops.base import Linear, Term, alike, arrays
from pullback.ir.ops.logic import Masked
from pullback.ir.ops.reduction import Broadcast, ReduceAny
from pullback.ir.ops.shape import Reshape, Transpose
from pullback.ir.reads import Dependence, Known, Reads
from pullback.ir.registry import register
from pullback.ir.types import ArrayType


@register
@dataclass(frozen=True)
class Matmul(Op):
    """``(t[..., m, k], t[..., k, n]) -> t[..., m, n]``: leading dims alike, last two swapped first where flagged."""

    name: ClassVar[str] = "matmul"
    arity: ClassVar[int | None] = 2
    transpose_x: bool = False
    transpose_y: bool = False

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        x, y = types
        if x.dtype != y.dtype or x.dtype not in NUMBERS:
            raise DTypeError(f"matmul takes two of one number dtype, not {x} and {y}")
        if x.rank < 2 or x.rank != y.rank or x.dims[:-2] != y.dims[:-2]:
            raise ShapeError(f"matmul: {x} and {y} do not fit")
        m, k = reversed(x.dims[-2:]) if self.transpose_x else x.dims[-2:]
        inner, n = reversed(y.dims[-2:]) if self.transpose_y else y.dims[-2:]
        if k != inner:
            raise ShapeError(f"matmul: inner sizes differ: {k} of {x} and {inner} of {y}")
        return (x.with_shape((*x.dims[:-2], m, n)),)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        x, y = operands
        # Copied where swapped, so that a flag and a transpose give the same bits.
        left = np.ascontiguousarray(np.swapaxes(x, -1, -2)) if self.transpose_x else x
        right = np.ascontiguousarray(np.swapaxes(y, -1, -2)) if self.transpose_y else y
        return (np.matmul(left, right),)

    def batch(
        self, b: Builder, operands: tuple[Value, ...], batched: tuple[bool, ...], size: int
    ) -> tuple[Value, ...] | None:
        x, y = operands
        if all(batched) or max(x.type.rank - batched[0], y.type.rank - batched[1]) > 2:
            return (b.value(self, *alike(b, operands, batched, size)),)
        # One matrix meets all of the other side's: their rows make one tall matrix.
        if batched[0]:
            return (self._tall(b, x, self.transpose_x, y, self.transpose_y),)
        turned = self._tall(b, y, not self.transpose_y, x, not self.transpose_x)
        return (b.value(Transpose((0, 2, 1)), turned),)

    @staticmethod
    def _tall(b: Builder, many: Value, turned: bool, one: Value, one_turned: bool) -> Value:
        """``(t[size, m, k], t[k, n]) -> t[size, m, n]``, last axes exchanged first where `turned`."""
        if turned:
            many = b.value(Transpose((0, 2, 1)), many)
        size, m, k = many.type.shape
        product = b.value(Matmul(False, one_turned), b.value(Reshape((size * m, k)), many), one)
        return b.value(Reshape((size, m, product.type.shape[1])), product)

    def dependence(self, types: tuple[ArrayType, ...], result: ArrayType, known: Known) -> Dependence:
        """Row i of the result reads row i of X, column j column j of Y; of a known other side zeros count."""
        *_, m, n = result.shape
        first, last = np.arange(result.size) // n if n else np.zeros(0, np.int64), np.arange(result.size)
        by_column = first // max(m, 1) * n + last % max(n, 1)
        return (
            self._side(types[0], self.transpose_x, 1, known(1), self.transpose_y, first, result),
            self._side(types[1], not self.transpose_y, 0, known(0), not self.transpose_x, by_column, result),
        )

    @staticmethod
    def _side(mine: ArrayType, turned: bool, other_place: int, other: Array | None, other_turned: bool, line: Array,
              result: ArrayType) -> Reads:  # fmt: skip
        """What is read of an operand; as X it is ``[..., line, k]`` unless `turned`, the other ``[..., k, line]``."""
        batch = prod(mine.shape[:-2])
        numbers = np.arange(mine.size).reshape(batch, *mine.shape[-2:])
        lines = np.swapaxes(numbers, 1, 2) if turned else numbers
        count = lines.shape[1]
        if other is None or len(other) != 1:
            group = np.broadcast_to(np.arange(batch * count).reshape(batch, count, 1), lines.shape)
            return Reads(line[None], (batch * count, group.reshape(1, -1), lines.reshape(-1)))
        whole = other.reshape(batch, *other.shape[-2:])
        factors = np.swapaxes(whole, 1, 2) if other_turned else whole
        case, inner, across = np.nonzero(factors)
        # Element (case, l, across) of the result reads lines[case, l, inner], for every l.
        order = np.arange(result.size).reshape(batch, *result.shape[-2:])
        places = order if other_place else np.swapaxes(order, 1, 2)
        group = places[case, :, across].reshape(1, -1)
        return Reads(groups=(result.size, group, lines[case, :, inner].reshape(-1)))

    def jvp(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], tangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        x, y = operands
        x_dot, y_dot = tangents
        parts = []
        if x_dot is not None:
            parts.append(b.value(self, self._where_live(b, x_dot, y, self.transpose_x, self.transpose_y), y))
        if y_dot is not None:
            parts.append(b.value(self, x, self._where_live(b, y_dot, x, not self.transpose_y, not self.transpose_x)))
        return (None if not parts else parts[0] if len(parts) == 1 else b.value(Add(), *parts),)

    def pullback(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], cotangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        (bar,) = cotangents
        if bar is None or not bar.type.dtype.is_float:
            return None, None
        x, y = operands
        bar = b.keep_zeros(bar)
        # With X = op(x), Y = op(y): X_bar = bar Yᵀ and Y_bar = Xᵀ bar, transposed again where the flag says so.
        if self.transpose_x:
            x_bar = b.value(Matmul(self.transpose_y, True), y, bar)
        else:
            x_bar = b.value(Matmul(False, not self.transpose_y), bar, y)
        if self.transpose_y:
            y_bar = b.value(Matmul(True, self.transpose_x), bar, x)
        else:
            y_bar = b.value(Matmul(not self.transpose_x, False), x, bar)
        # A factor's zeros on purpose are zeros of the other's cotangent.
        return b.masked(x_bar) if _is_masked(y) else x_bar, b.masked(y_bar) if _is_masked(x) else y_bar

    def _where_live(self, b: Builder, dot: Value, other: Value, turned: bool, other_turned: bool) -> Value:
        """A tangent for a product with `other`; what is not finite is 0 where it meets only zeros on purpose.

        ``dot[..., m, k]`` and ``other[..., k, n]``, each with its last axes exchanged if `turned`.
        """
        if not _is_masked(other):
            return dot
        rank = other.type.rank
        summed = rank - 2 if other_turned else rank - 1
        place = rank - 2 if turned else rank - 1
        used = b.value(ReduceAny((summed,)), Term(b, other).apply("not_equal", 0.0).value)
        live = Term(b, b.value(Broadcast(dot.type.dims, (*range(rank - 2), place)), used))
        return live.apply("logical_or", Term(b, dot).apply("is_finite")).select(Term(b, dot), 0.0).value

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for dtype in (f64, f32):
            yield Sample(cls(), arrays((3, 4), (4, 5), dtype=dtype))
            yield Sample(cls(True, False), arrays((4, 3), (4, 5), dtype=dtype))
            yield Sample(cls(False, True), arrays((3, 4), (5, 4), dtype=dtype))
            yield Sample(cls(True, True), arrays((2, 4, 3), (2, 5, 4), dtype=dtype))
            yield Sample(cls(), arrays((1, 40), (40, 1), dtype=dtype))
            yield Sample(cls(), arrays((37, 4), (4, 1), dtype=dtype))
            yield Sample(cls(), arrays((1, 4), (4, 37), dtype=dtype))
            yield Sample(cls(), arrays((3, 0), (0, 2), dtype=dtype))
            yield Sample(cls(), arrays((0, 3), (3, 2), dtype=dtype))
        yield Sample(cls(), arrays((3, 4), (4, 5), dtype=i64), False)


@register
class Gather(Linear):
    """Rows of x by index: ``(t[n, ...], i64[k...]) -> t[k..., ...]``; indices count from 0 and are checked."""

    name: ClassVar[str] = "gather"
    arity: ClassVar[int | None] = 2

    def linear_operands(self, count: int) -> tuple[int, ...]:
        return (0,)

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        x, index = types
        if index.dtype != i64 or x.rank < 1:
            raise DTypeError(f"gather takes rows and i64 indices, not {x} and {index}")
        return (x.with_shape((*index.dims, *x.dims[1:])),)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        x, index = operands
        check_indices(index, x.shape[0])
        return (x[index],)

    def batch(
        self, b: Builder, operands: tuple[Value, ...], batched: tuple[bool, ...], size: int
    ) -> tuple[Value, ...] | None:
        x, index = operands
        if all(batched):
            return None
        if batched[1]:
            return (b.value(self, x, index),)
        count = index.type.rank
        rows = b.value(self, b.value(Transpose((1, 0, *range(2, x.type.rank))), x), index)
        return (b.value(Transpose((count, *range(count), *range(count + 1, rows.type.rank))), rows),)

    def dependence(self, types: tuple[ArrayType, ...], result: ArrayType, known: Known) -> Dependence:
        rows, index = types[0].shape[0], known(1)
        width = types[0].size // rows if rows else 0
        if index is None:
            # Any row: the elements at one place of all rows.
            group = np.arange(types[0].size) % max(width, 1)
            return Reads((np.arange(result.size) % max(width, 1))[None], (width, group[None], np.arange(types[0].size))), None
        return Reads(element_places(index, rows, width)), None

    def transpose(self, b: Builder, operands: tuple[Value, ...], cotangent: Value) -> tuple[Value | None, ...]:
        x, index = operands
        return b.masked(b.value(ScatterAdd(x.type.shape[0]), index, cotangent)), None

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        index = np.array([3, 0, 3, 2, 1, 1, 3])
        yield Sample(cls(), (*arrays((4,)), index))
        yield Sample(cls(), (*arrays((4, 20), dtype=f32), index.reshape(7, 1)))
        yield Sample(cls(), (*arrays((4, 2, 3)), np.array(2)))
        yield Sample(cls(), (*arrays((4, 3)), index[:0]))
        yield Sample(cls(), (*arrays((4, 3), dtype=i64), index), False)


@register
@dataclass(frozen=True)
class ScatterAdd(Linear):
    """Zeros of `size` rows with each update added to its row: ``(i64[k...], t[k..., ...]) -> t[size, ...]``."""

    name: ClassVar[str] = "scatter_add"
    arity: ClassVar[int | None] = 2
    fills: ClassVar[bool] = True
    size: int

    def linear_operands(self, count: int) -> tuple[int, ...]:
        return (1,)

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        index, updates = types
        if index.dtype != i64:
            raise DTypeError(f"scatter_add takes i64 indices, not {index}")
        if updates.dims[: index.rank] != index.dims:
            raise ShapeError(f"scatter_add: {updates} has no row for each of {index}")
        return (updates.with_shape((self.size, *updates.dims[index.rank :])),)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        index, updates = operands
        check_indices(index, self.size)
        rows = updates.shape[index.ndim :]
        result = np.zeros((self.size, *rows), updates.dtype)
        np.add.at(result, index.reshape(-1), updates.reshape(index.size, *rows))
        return (result,)

    def batch(
        self, b: Builder, operands: tuple[Value, ...], batched: tuple[bool, ...], size: int
    ) -> tuple[Value, ...] | None:
        index, updates = operands
        if batched[0]:
            return None
        count = index.type.rank
        inner = b.value(Transpose((*range(1, count + 1), 0, *range(count + 1, updates.type.rank))), updates)
        rows = b.value(self, index, inner)
        return (b.value(Transpose((1, 0, *range(2, rows.type.rank))), rows),)

    def dependence(self, types: tuple[ArrayType, ...], result: ArrayType, known: Known) -> Dependence:
        width, index, elements = result.size // self.size if self.size else 0, known(0), np.arange(types[1].size)
        if index is None:
            group = elements % max(width, 1)
            return None, Reads((np.arange(result.size) % max(width, 1))[None], (width, group[None], elements))
        return None, Reads(groups=(result.size, element_places(index, self.size, width), elements))

    def transpose(self, b: Builder, operands: tuple[Value, ...], cotangent: Value) -> tuple[Value | None, ...]:
        return None, b.value(Gather(), cotangent, operands[0])

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        index = np.array([3, 0, 3, 2, 1, 1, 3])
        yield Sample(cls(4), (index, *arrays((7,))))
        yield Sample(cls(5), (index.reshape(7, 1), *arrays((7, 1, 20), dtype=f32)))
        yield Sample(cls(3), (np.array(2), *arrays((2, 3))))
        yield Sample(cls(3), (index[:0], *arrays((0, 3))))
        yield Sample(cls(4), (index, *arrays((7, 2), dtype=i64)), False)


def _is_masked(value: Value) -> bool:
    """Whether the zeros of a value are known to be there on purpose."""
    return value.owner is not None and isinstance(value.owner.op, Masked)


def element_places(index: Array, rows: int, width: int) -> Array:
    """Numbers of the elements of rows by index, per lane; -1 for an index that is out of bounds."""
    flat = index.reshape(len(index), -1, 1)
    inside = (flat >= 0) & (flat < rows)
    return np.where(inside, flat * width + np.arange(width), -1).reshape(len(index), -1)


def check_indices(index: Array, size: int) -> None:
    """Raises: OutOfBoundsError for an index that is not in 0..size-1."""
    outside = (index < 0) | (index >= size)
    if outside.any():
        bad = int(index[outside].ravel()[0])
        raise OutOfBoundsError(f"index {bad} is out of bounds for an axis of size {size}")
