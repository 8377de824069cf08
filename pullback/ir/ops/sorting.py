"""Sorting: the order of elements. Sorted values are read by that order, which is how derivatives find their way."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pullback.dtypes import ALL, f32, i64
from pullback.errors import ShapeError
from pullback.ir.core import Array, Builder, Region, Sample, Value
from pullback.ir.ops.base import Flat, arrays
from pullback.ir.registry import register
from pullback.ir.types import ArrayType


@register
@dataclass(frozen=True)
class ArgSort(Flat):
    """Places of the elements along the last axis in rising order: ``t[..., n] -> i64[..., n]``.

    Stable: equal elements (0.0 and -0.0 are) keep their order. NaN counts as the largest.
    """

    name: ClassVar[str] = "argsort"

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        (operand,) = types
        if not operand.rank:
            raise ShapeError(f"{self.name}: {operand} has no axis to sort along")
        return (operand.with_dtype(i64),)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.argsort(operands[0], axis=-1, kind="stable").astype(np.int64),)

    def batch(
        self, b: Builder, operands: tuple[Value, ...], batched: tuple[bool, ...], size: int
    ) -> tuple[Value, ...] | None:
        return (b.value(self, *operands),)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for dtype in ALL:
            for shape in ((37,), (3, 20), (1,), (2, 0)):
                yield Sample(cls(), arrays(shape, dtype=dtype), False)
        random = np.random.default_rng(9)
        for size in (2, 15, 16, 17, 33, 700):
            # Few different values, so that there are ties to keep in order.
            yield Sample(cls(), (random.integers(-3, 4, (2, size)) * 0.5,), False)
        special = np.array([0.0, -np.inf, np.nan, -0.0, 1.0, np.inf, -np.nan, -1.0, 5e-324, -5e-324, 0.0])
        yield Sample(cls(), (special,), False)
        yield Sample(cls(), (special.astype(f32.numpy),), False)
        limits = np.iinfo(np.int64)
        yield Sample(cls(), (np.array([0, limits.max, limits.min, -1, 1]),), False)
        yield Sample(cls(), (np.array([0, 2**64 - 1, 2**63, 1, 2**63 - 1], np.uint64),), False)
