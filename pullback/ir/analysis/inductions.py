"""Values that differ from step to step of a run: the values in, a way to find each by the number of its step out."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import copysign, prod
from typing import Any

import numpy as np

from pullback.ir.core import Op, Value
from pullback.ir.ops.creation import Full
from pullback.ir.ops.shape import Reshape, Slice
from pullback.ir.types import Dim, TapeType

STACKED = 64
"""Elements of each of the values that are copied into one array."""

Array = np.ndarray[Any, Any]
Starts = tuple[int, ...]


@dataclass(frozen=True)
class Line:
    """Whole numbers ``start + stride * step``, exactly."""

    start: int
    stride: int


@dataclass(frozen=True)
class Constants:
    """Constants that are filled with one number each, numbers that a line may hold. `added` operations are needed more."""

    numbers: Line | Array
    added: int = 0


@dataclass(frozen=True)
class Windows:
    """Windows of one array, which are given new dims, one after the other."""

    whole: Value
    starts: tuple[Starts, ...]
    sizes: tuple[int, ...]
    dims: tuple[tuple[Dim, ...], ...]
    added: int = 0


@dataclass(frozen=True)
class Stack:
    """Values of any origin, copied into one array."""

    values: tuple[Value, ...]
    added: int


Form = Constants | Windows | Stack


def form_of(values: Sequence[Value]) -> Form | None:
    """How to find values by step, with as few operations as that takes; None for values that are too large."""
    constants = [value.owner.op for value in values if value.owner is not None and isinstance(value.owner.op, Full)]
    if len(constants) == len(values):
        return Constants(line_of([each.value for each in constants])
                         or np.array([each.value for each in constants], values[0].type.dtype.numpy))  # fmt: skip
    windows = [_window_of(value) for value in values]
    known = [each for each in windows if each is not None]
    if len(known) == len(values) and all(_alike(each, known[0]) for each in known):
        return Windows(known[0].whole, tuple([each.starts[0] for each in known]), known[0].sizes, known[0].dims)
    kind = values[0].type
    if isinstance(kind, TapeType) or any(value.type != kind for value in values):
        return None
    if any(not isinstance(dim, int) for dim in kind.dims) or prod(kind.shape) > STACKED:
        return None
    return Stack(tuple(values), len(values) + 1)


def line_of(numbers: Sequence[int | float | bool]) -> Line | None:
    """The line that numbers lie on, None where there is none or where floating point might round."""
    whole = []
    for number in numbers:
        if isinstance(number, bool) or not abs(number) < 1 << 24 or number != int(number):
            return None
        if number == 0 and copysign(1.0, number) < 0:
            return None
        whole.append(int(number))
    stride = whole[1] - whole[0]
    if any(each != whole[0] + stride * step for step, each in enumerate(whole)):
        return None
    return Line(whole[0], stride)


def is_window(op: Op) -> bool:
    """Whether a slice is contiguous, so that its starts say where it is."""
    return isinstance(op, Slice) and all(size == 1 or step == 1 for size, step in zip(op.sizes, op.steps, strict=True))


def _window_of(value: Value) -> Windows | None:
    """What a reshaped window is of."""
    dims: list[tuple[Dim, ...]] = []
    owner = value.owner
    while owner is not None and isinstance(owner.op, Reshape):
        dims.append(owner.op.dims)
        owner = owner.operands[0].owner
    if owner is None or not isinstance(owner.op, Slice) or not is_window(owner.op):
        return None
    return Windows(owner.operands[0], (owner.op.starts,), owner.op.sizes, tuple(reversed(dims)))


def _alike(window: Windows, other: Windows) -> bool:
    return window.whole is other.whole and window.sizes == other.sizes and window.dims == other.dims
