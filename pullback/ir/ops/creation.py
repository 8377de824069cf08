"""Ops without operands: constants and counting."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pullback.dtypes import DType, boolean, f32, f64, i32, i64
from pullback.errors import DTypeError, ShapeError
from pullback.ir.core import Array, Region, Sample
from pullback.ir.ops.base import Flat
from pullback.ir.registry import register
from pullback.ir.types import ArrayType, Dim


class Creation(Flat):
    """No operands, so every derivative is zero."""

    arity: ClassVar[int | None] = 0


@register
@dataclass(frozen=True, eq=False)
class Full(Creation):
    """Every element is `value`: ``() -> t[dims]``. A scalar constant has no dims."""

    name: ClassVar[str] = "full"
    value: float | int | bool
    dtype: DType
    dims: tuple[Dim, ...]

    # Compared by text, because 0.0 == -0.0 and nan != nan.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Full) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[str, DType, tuple[Dim, ...]]:
        return repr(self.value), self.dtype, self.dims

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        if not self._fits():
            raise DTypeError(f"full: {self.value!r} is no value of {self.dtype}")
        return (ArrayType(self.dtype, self.dims),)

    def _fits(self) -> bool:
        """Whether the value is one of the dtype's."""
        if self.dtype.is_float:
            return not isinstance(self.value, bool)
        if self.dtype.is_bool or isinstance(self.value, bool | float):
            return self.dtype.is_bool and isinstance(self.value, bool)
        bits = self.dtype.bits - 1 if self.dtype.is_signed else self.dtype.bits
        return (-(1 << bits) if self.dtype.is_signed else 0) <= self.value < 1 << bits

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.full(ArrayType(self.dtype, self.dims).shape, self.value, self.dtype.numpy),)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        yield Sample(cls(2.5, f64, (3, 2)), ())
        yield Sample(cls(-0.0, f32, ()), ())
        yield Sample(cls(float("nan"), f32, (37,)), ())
        yield Sample(cls(-7, i64, (5,)), ())
        yield Sample(cls(True, boolean, (0, 2)), ())


@register
@dataclass(frozen=True)
class Iota(Creation):
    """Counts from 0 along `axis`: ``() -> t[dims]``."""

    name: ClassVar[str] = "iota"
    axis: int
    dtype: DType
    dims: tuple[Dim, ...]

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        if not 0 <= self.axis < len(self.dims) or self.dtype.is_bool:
            raise ShapeError(f"iota: no counting in {self.dtype} along axis {self.axis} of {list(self.dims)}")
        return (ArrayType(self.dtype, self.dims),)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        shape = ArrayType(self.dtype, self.dims).shape
        counts = np.arange(shape[self.axis], dtype=self.dtype.numpy)
        trailing = (1,) * (len(shape) - 1 - self.axis)
        return (np.broadcast_to(counts.reshape(-1, *trailing), shape).copy(),)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for dtype in (f64, f32, i64, i32):
            yield Sample(cls(0, dtype, (37,)), ())
            yield Sample(cls(1, dtype, (3, 5)), ())
            yield Sample(cls(0, dtype, (3, 5)), ())
