"""Types of values: an element type and dims, a dim being a number or a named symbol: ``f64[n, 3]``."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from pullback import dtypes
from pullback.dtypes import DType
from pullback.errors import DTypeError, ShapeError

Dim = int | str
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ArrayType:
    """The type of a value."""

    dtype: DType
    dims: tuple[Dim, ...]

    def __str__(self) -> str:
        return f"{self.dtype.name}[{', '.join(map(str, self.dims))}]"

    @property
    def shape(self) -> Shape:
        """The dims when all are numbers. Raises: ShapeError while one is a symbol."""
        for dim in self.dims:
            if not isinstance(dim, int):
                raise ShapeError(f"the size of dim {dim} in {self} is not known")
        return self.dims  # type: ignore[return-value]

    @property
    def rank(self) -> int:
        return len(self.dims)

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    def with_shape(self, dims: Sequence[Dim]) -> ArrayType:
        return ArrayType(self.dtype, tuple(dims))

    def with_dtype(self, dtype: DType) -> ArrayType:
        return ArrayType(dtype, self.dims)


@dataclass(frozen=True, slots=True)
class TapeType(ArrayType):
    """The type of a tape: a pile of records, each a value of every type in `record`: ``tape<f64[], f64[3]>``.

    A record may hold tapes. A tape has no elements, no derivative, and is no argument or result of a function.
    """

    dtype: DType = field(default=dtypes.tape, init=False)
    dims: tuple[Dim, ...] = field(default=(), init=False)
    record: tuple[ArrayType, ...]

    def __str__(self) -> str:
        return f"tape<{', '.join(map(str, self.record))}>"


class TypeNumbers(dict[int, int]):
    """Numbers of types by their identity, from 1 on, the same for equal ones: ``numbers.get(id(t)) or numbers.learn(t)``.

    Many values share few type objects, and to hash one of these takes several times as long.
    """

    def __init__(self) -> None:
        self._known: dict[ArrayType, int] = {}
        self._kept: list[ArrayType] = []

    def learn(self, kind: ArrayType) -> int:
        """The number of a type, which is kept so that no other object gets its identity."""
        self._kept.append(kind)
        number = self[id(kind)] = self._known.setdefault(kind, len(self._known) + 1)
        return number


def type_of(array: np.ndarray[Any, Any]) -> ArrayType:
    """The type of a NumPy array. Raises: DTypeError for element types that the IR has not."""
    dtype = dtypes.from_numpy(array.dtype)
    if dtype is None:
        known = ", ".join(each.short_name for each in dtypes.ALL)
        raise DTypeError(f"arrays of dtype {array.dtype} are not supported", help=f"use astype with one of {known}")
    return _kind(dtype, array.shape)


@lru_cache(maxsize=1 << 12)
def _kind(dtype: DType, shape: Shape) -> ArrayType:
    return ArrayType(dtype, shape)
