"""Element types: the eleven dtypes of the IR and their NumPy counterparts."""
from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

import numpy as np


class Kind(Enum):
    """What an element type counts with; ordered as NumPy promotes."""

    BOOL = "bool"
    UNSIGNED = "unsigned"
    SIGNED = "signed"
    FLOAT = "float"
    OPAQUE = "opaque"


@dataclass(frozen=True, eq=False)
class DType:
    """An element type: `name` as printed in the IR, its kind, and its size in bytes. There is one object of each."""

    name: str
    kind: Kind
    itemsize: int

    def __str__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Any, ...]:
        return by_name, (self.name,)

    @cached_property
    def numpy(self) -> np.dtype[Any]:
        """The NumPy dtype with the same meaning."""
        return np.dtype(_NUMPY_NAMES[self.name])

    @property
    def bits(self) -> int:
        """Width in bits; a bool is one byte in memory."""
        return 8 * self.itemsize

    @property
    def is_float(self) -> bool:
        return self.kind is Kind.FLOAT

    @property
    def is_bool(self) -> bool:
        return self.kind is Kind.BOOL

    @property
    def is_integer(self) -> bool:
        return self.kind in (Kind.SIGNED, Kind.UNSIGNED)

    @property
    def is_signed(self) -> bool:
        return self.kind is Kind.SIGNED

    @property
    def short_name(self) -> str:
        """NumPy's own name, for messages to users: ``float64``."""
        return _NUMPY_NAMES[self.name]


_NUMPY_NAMES = {
    "bool": "bool",
    "i8": "int8", "i16": "int16", "i32": "int32", "i64": "int64",
    "u8": "uint8", "u16": "uint16", "u32": "uint32", "u64": "uint64",
    "f32": "float32", "f64": "float64",
}  # fmt: skip

boolean = DType("bool", Kind.BOOL, 1)
i8 = DType("i8", Kind.SIGNED, 1)
i16 = DType("i16", Kind.SIGNED, 2)
i32 = DType("i32", Kind.SIGNED, 4)
i64 = DType("i64", Kind.SIGNED, 8)
u8 = DType("u8", Kind.UNSIGNED, 1)
u16 = DType("u16", Kind.UNSIGNED, 2)
u32 = DType("u32", Kind.UNSIGNED, 4)
u64 = DType("u64", Kind.UNSIGNED, 8)
f32 = DType("f32", Kind.FLOAT, 4)
f64 = DType("f64", Kind.FLOAT, 8)

tape = DType("tape", Kind.OPAQUE, 16)
"""What `TapeType` carries in place of an element type: no array has it."""

ALL: tuple[DType, ...] = (boolean, i8, i16, i32, i64, u8, u16, u32, u64, f32, f64)
BY_NAME: dict[str, DType] = {dtype.name: dtype for dtype in ALL}
_BY_NUMPY: dict[np.dtype[Any], DType] = {dtype.numpy: dtype for dtype in ALL}


def by_name(name: str) -> DType:
    """The element type of a name, as copies and pickles find it again."""
    return BY_NAME[name]


def from_numpy(dtype: Any) -> DType | None:
    """The element type of a NumPy dtype-like, or None where there is none (complex, object, float16 …)."""
    known = _BY_NUMPY.get(dtype) if isinstance(dtype, np.dtype) else None
    return _BY_NUMPY.get(np.dtype(dtype).newbyteorder("=")) if known is None else known


def promote(*dtypes: DType) -> DType:
    """NumPy's promotion of two or more strong dtypes."""
    result = np.result_type(*(dtype.numpy for dtype in dtypes))
    return _BY_NUMPY[result]


def signed_of_width(itemsize: int) -> DType:
    """The signed integer type of `itemsize` bytes: what the bits of a float are read as."""
    return {1: i8, 2: i16, 4: i32, 8: i64}[itemsize]
