"""A leaf of nested arguments, results or loop variables: what an array or a number is for traced code."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from pullback import dtypes
from pullback.dtypes import DType
from pullback.errors import ArgumentError
from pullback.ir.types import ArrayType, type_of
from pullback.location import caller
from pullback.tracer.chosen.elements import WAY_OUT, WHAT, Chosen
from pullback.tracer.traced import Traced


class LeafKind(Enum):
    """What an argument leaf was: Python numbers are weak, arrays and NumPy scalars are not."""

    ARRAY = "array"
    FLOAT = "float"
    INT = "int"
    BOOL = "bool"


@dataclass(frozen=True, slots=True)
class Leaf:
    """The type of an argument leaf, as far as traced code depends on it."""

    type: ArrayType
    kind: LeafKind

    @property
    def is_float(self) -> bool:
        return self.type.dtype.is_float


_PYTHON: Mapping[type, tuple[DType, LeafKind]] = {
    float: (dtypes.f64, LeafKind.FLOAT), int: (dtypes.i64, LeafKind.INT), bool: (dtypes.boolean, LeafKind.BOOL),
}  # fmt: skip


def leaf_of(value: Any, path: str) -> Leaf:
    """The leaf that a value is. Raises: ArgumentError naming the argument for what no array is made of."""
    if isinstance(value, Traced):
        kind = LeafKind.ARRAY
        if value.weak:
            dtype = value.type.dtype
            kind = LeafKind.FLOAT if dtype.is_float else LeafKind.BOOL if dtype.is_bool else LeafKind.INT
        return Leaf(value.type, kind)
    known = _PYTHON.get(type(value))
    if known is not None:
        return Leaf(ArrayType(known[0], ()), known[1])
    if isinstance(value, np.ndarray | np.generic):
        if isinstance(value, np.ma.MaskedArray):
            raise ArgumentError(f"{path} is a masked array, which is not supported", location=caller(),
                                help="pass value.filled(...) and the mask")  # fmt: skip
        if dtypes.from_numpy(value.dtype) is None:
            raise ArgumentError(f"{path} has dtype {value.dtype}, which is not supported", location=caller(),
                                help="pass arrays of bools, integers, float32 or float64")  # fmt: skip
        return Leaf(type_of(np.asarray(value)), LeafKind.ARRAY)
    if isinstance(value, Chosen):
        raise ArgumentError(f"{path} has {WHAT}", location=caller(), help=WAY_OUT)
    raise ArgumentError(f"{path} is a {type(value).__name__}: arguments are arrays, numbers, or nests of them",
                        location=caller(), help="name it in static_argnames if it is a setting")  # fmt: skip


def leaves_of(values: Sequence[Any], labels: Callable[[], Sequence[str]]) -> list[Leaf]:
    """The leaves of flattened arguments; `labels` are asked for where one of them is none."""
    try:
        return [leaf_of(value, "") for value in values]
    except ArgumentError:
        return [leaf_of(value, label) for value, label in zip(values, labels(), strict=True)]
