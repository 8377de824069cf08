"""Which functions of NumPy give views: results that share their elements with the array that they were made of."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.errors import TraceError
from pullback.ir.core import Builder, Value
from pullback.ir.types import ArrayType
from pullback.location import caller
from pullback.tracer.masked import Masked, Row
from pullback.tracer.memory import View, root_of, same_state
from pullback.tracer.semantics.shapes import reshape, transpose
from pullback.tracer.traced import Traced, active, array_of
from pullback.tracer.windows import Place

Array = np.ndarray[Any, Any]


def _newer(*names: str) -> set[Any]:
    return {getattr(np, name) for name in names if hasattr(np, name)}


RESHAPES = frozenset({np.reshape, np.ravel, np.squeeze, np.expand_dims, np.atleast_1d, np.atleast_2d, np.atleast_3d})
PERMUTATIONS = frozenset({np.transpose, np.swapaxes, np.moveaxis, np.rollaxis,
                          *_newer("matrix_transpose", "permute_dims")})  # fmt: skip
FLIPS = frozenset({np.flip, np.fliplr, np.flipud})
OTHERS = frozenset({np.diagonal, np.broadcast_to, np.split, np.array_split, np.hsplit, np.vsplit, np.dsplit, np.rot90,
                    np.broadcast_arrays, np.diag, np.lib.stride_tricks.sliding_window_view,
                    *_newer("unstack")})  # fmt: skip
"""Views that are read only here, and only as long as what they were made of stays the same."""


@dataclass(frozen=True)
class Reshaped:
    """All elements in order, in another shape."""

    shape: tuple[int, ...]

    def read(self, b: Builder, whole: Value) -> Value:
        return reshape(b, whole, self.shape)

    def write(self, b: Builder, whole: Value, part: Value) -> Value:
        return reshape(b, part, whole.type.shape)

    def of(self, whole: Array) -> Array | None:
        return whole.reshape(self.shape)


@dataclass(frozen=True)
class Permuted:
    """The axes in another order."""

    axes: tuple[int, ...]

    def read(self, b: Builder, whole: Value) -> Value:
        return transpose(b, whole, list(self.axes))

    def write(self, b: Builder, whole: Value, part: Value) -> Value:
        return transpose(b, part, [self.axes.index(axis) for axis in range(len(self.axes))])

    def of(self, whole: Array) -> Array | None:
        return whole.transpose(self.axes)


@dataclass(eq=False)
class Snapshot:
    """A view whose elements are what they were when it was made."""

    value: Value
    base: Traced
    state: Any
    name: str

    def type(self) -> ArrayType:
        return self.value.type

    def read(self, owner: Traced) -> Value:
        if not same_state(self.base.state, self.state):
            raise TraceError(f"the result of np.{self.name} is a view, and the array was changed since",
                             location=caller(), help=f"keep a copy, or call np.{self.name} again")  # fmt: skip
        return self.value

    def write(self, owner: Traced, value: Value) -> None:
        raise TraceError(f"assigning into the result of np.{self.name}, which is a view of another array",
                         location=caller(), help="assign into the array itself, or make a copy")  # fmt: skip

    def known(self) -> Array | None:
        return None


def viewed(function: Callable[..., Any], base: Any, result: Any, *args: Any, **named: Any) -> Any:
    """The result of ``function(base, *args)`` as a view of `base`, if that is what NumPy gives."""
    if isinstance(result, list | tuple):
        return type(result)([viewed(function, base, each) for each in result])
    b = active()
    if not isinstance(base, Traced) or not isinstance(result, Traced) or base.recorder is not b or result is base:
        return result
    kind = result.type
    if not kind.rank:
        return result
    part: Any = None
    if function in RESHAPES:
        part = Reshaped(kind.shape)
        if isinstance(base.memory, View) and not shares(base, part):
            return result
    elif function in PERMUTATIONS:
        sizes = tuple(range(2, base.ndim + 2))
        moved = function(np.empty(sizes, np.int8), *args, **named).shape
        part = Permuted(tuple(sizes.index(size) for size in moved))
    elif function in FLIPS:
        return base[flipped(base.ndim, function, *args, **named)]  # type: ignore[index]
    else:
        root = root_of(base)
        result.state = (None, Snapshot(array_of(b, result), root, root.state, function.__name__))
        return result
    whole, value = base.value, result.value
    result.state = (None, View(base, part, kind, whole, value, b.region))
    return result


def flipped(rank: int, function: Callable[..., Any], *args: Any, **named: Any) -> tuple[slice, ...]:
    """The index that a flip is."""
    axis = named.get("axis", args[0] if args else None) if function is np.flip else 1 if function is np.fliplr else 0
    axes = range(rank) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    turned = {each % rank for each in axes}
    return tuple(slice(None, None, -1) if each in turned else slice(None) for each in range(rank))


def shares(base: Traced, part: Reshaped) -> bool:
    """Whether reshaping a view needs no copy in NumPy, arrays being in C order to begin with."""
    whole = layout(base)
    return np.shares_memory(whole.reshape(part.shape), whole) if whole.size else False


def layout(array: Traced) -> Array:
    """An array that lies in memory as this one does in NumPy."""
    memory = array.memory
    if not isinstance(memory, View):
        return np.empty(array.shape, np.int8)
    whole = layout(memory.base)
    part = memory.part.sample(whole) if isinstance(memory.part, Place | Masked | Row) else memory.part.of(whole)
    assert part is not None
    return part
