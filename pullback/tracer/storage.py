"""The memory behind tensors: one storage for a base and all its views, as a value that waits or as an array in the open.

A storage is *functional* as long as nobody outside has its memory: writing gives it another value, and whoever read
the old one keeps that. Once its memory is handed out (`numpy()`, `from_numpy`, DLPack) it is *exposed*: the array is
the truth, reads take a copy and writes go through at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from pullback import dtypes
from pullback.ir.core import Builder, Value
from pullback.ir.ops.creation import Full
from pullback.ir.ops.logic import Select
from pullback.ir.ops.reduction import Broadcast
from pullback.ir.ops.shape import Assemble, Reshape, Slice, Transpose, window
from pullback.ir.types import Shape
from pullback.tracer.contents import known
from pullback.tracer.deferred import array_of

Array: TypeAlias = "np.ndarray[Any, Any]"
ViewOp: TypeAlias = Reshape | Slice | Transpose | Broadcast


class Chain(tuple[ViewOp, ...]):
    """View ops, one after the other. The hash is kept: making it asks every op for all of its numbers."""

    _hash: int

    def __hash__(self) -> int:
        try:
            return self._hash
        except AttributeError:
            self._hash = super().__hash__()
            return self._hash


class Version:
    """Counts the writes to a storage; tensors that share it see each other's."""

    # Most are never written to: they say so by their class.
    count: int = 0
    writer: str = ""
    """The step that wrote last, for messages."""


class Storage:
    """Elements of a base tensor, in C order. `writes` counts changes, so that views know when to read again."""

    __slots__ = ("__weakref__", "_value", "array", "shape", "writes")

    def __init__(self, value: Value | None, array: Array | None = None) -> None:
        self._value = value
        self.array = array
        self.writes = 0
        if value is not None:
            value.contents.holders += 1

    def __del__(self) -> None:
        if self._value is not None:
            self._value.contents.holders -= 1

    def read(self) -> Value:
        """The elements as they are now, as a value that never changes."""
        if self._value is not None:
            return self._value
        assert self.array is not None
        return known(np.array(self.array, order="C"))

    def write(self, value: Value) -> None:
        """Replace all elements."""
        self.writes += 1
        if self._value is None:
            assert self.array is not None
            np.copyto(self.array, array_of(value))
            return
        value.contents.holders += 1
        self._value.contents.holders -= 1
        self._value = value

    def expose(self) -> Array:
        """The memory itself, for others to read and write."""
        if self._value is not None:
            self.array = np.array(array_of(self._value), order="C")
            self._value.contents.holders -= 1
            self._value = None
        assert self.array is not None
        return self.array


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a tensor's elements lie in its storage, as PyTorch tells it: sizes, strides and offset in elements."""

    shape: Shape
    strides: tuple[int, ...]
    offset: int = 0

    @staticmethod
    @lru_cache(maxsize=1 << 10)
    def contiguous(shape: Shape) -> Layout:
        strides, step = [], 1
        for size in reversed(shape):
            strides.append(step)
            step *= max(size, 1)
        return Layout(shape, tuple(reversed(strides)))

    @property
    def is_contiguous(self) -> bool:
        expected = Layout.contiguous(self.shape).strides
        return 0 in self.shape or all(
            size == 1 or stride == wanted for size, stride, wanted in zip(self.shape, self.strides, expected, strict=True)
        )

    @property
    def is_dense(self) -> bool:
        """Whether the elements fill their range of memory, in whatever order of axes."""
        step = 1
        for stride, size in sorted((stride, size) for stride, size in zip(self.strides, self.shape, strict=True) if size != 1):
            if stride != step:
                return False
            step *= size
        return True

    def through(self, op: ViewOp) -> Layout | None:
        """The layout of a view; None where no strides can say it (a reshape that would have to copy)."""
        match op:
            case Transpose(axes):
                return Layout(tuple(self.shape[a] for a in axes), tuple(self.strides[a] for a in axes), self.offset)
            case Slice(starts, sizes, steps):
                offset = self.offset + sum(a * b for a, b in zip(starts, self.strides, strict=True))
                return Layout(sizes, tuple(a * b for a, b in zip(steps, self.strides, strict=True)), offset)
            case Broadcast(dims, axes):
                strides = dict(zip(axes, self.strides, strict=True))
                shape = tuple(int(dim) for dim in dims)
                return Layout(shape, tuple(strides.get(axis, 0) for axis in range(len(shape))), self.offset)
            case Reshape(dims):
                return self._reshaped(tuple(int(dim) for dim in dims))

    def _reshaped(self, shape: Shape) -> Layout | None:
        """Runs of axes that lie evenly behind each other may be cut anew; nothing else may."""
        if 0 in shape:
            return Layout(shape, Layout.contiguous(shape).strides, self.offset)
        runs: list[tuple[int, int]] = []
        for size, stride in zip(self.shape, self.strides, strict=True):
            if size == 1:
                continue
            if runs and runs[-1][1] == size * stride:
                runs[-1] = (runs[-1][0] * size, stride)
            else:
                runs.append((size, stride))
        strides: list[int] = []
        remaining = list(reversed(runs))
        size, stride = remaining.pop(0) if remaining else (1, 1)
        left = size
        for wanted in reversed(shape):
            if wanted == 1:
                strides.append(stride)
                continue
            if left == 1 and remaining:
                size, stride = remaining.pop(0)
                left = size
            if left % wanted:
                return None
            strides.append(stride)
            stride *= wanted
            left //= wanted
        return Layout(shape, tuple(reversed(strides)), self.offset)


def view_array(array: Array, chain: tuple[ViewOp, ...]) -> Array:
    """A chain of views of an array in the open, sharing its memory."""
    for op in chain:
        match op:
            case Transpose(axes):
                array = array.transpose(axes)
            case Slice(starts, sizes, steps):
                array = array[window(starts, sizes, steps)]
            case Broadcast(dims, axes):
                spread = [1] * len(dims)
                for axis, size in zip(axes, array.shape, strict=True):
                    spread[axis] = size
                array = np.broadcast_to(array.reshape(spread), tuple(int(dim) for dim in dims))
            case Reshape(dims):
                array = array.reshape(tuple(int(dim) for dim in dims))
    return array


def view_value(b: Builder, value: Value, chain: tuple[ViewOp, ...]) -> Value:
    """A chain of views of a value."""
    for op in chain:
        value = b.value(op, value)
    return value


def written(b: Builder, base: Value, chain: tuple[ViewOp, ...], new: Value) -> Value:
    """`base` with the elements that a chain of views shows replaced by `new`."""
    shown = [base]
    for op in chain[:-1]:
        shown.append(b.value(op, shown[-1]))
    for op, below in zip(reversed(chain), reversed(shown), strict=True):
        match op:
            case Transpose():
                new = b.value(op.inverse(), new)
            case Reshape():
                new = b.value(Reshape(below.type.dims), new)
            case Slice(starts, sizes, steps):
                new = _replaced(b, below, starts, sizes, steps, new)
            case Broadcast():
                raise AssertionError("a view that shows elements twice is not written to")
    return new


def _replaced(
    b: Builder, below: Value, starts: tuple[int, ...], sizes: tuple[int, ...], steps: tuple[int, ...], new: Value
) -> Value:
    """`below` with a window replaced."""
    kind = below.type
    if sizes == kind.shape and all(step == 1 for step in steps):
        return new
    yes = b.value(Full(True, dtypes.boolean, sizes))
    inside = b.value(Assemble(kind.shape, (starts,), (steps,)), yes)
    placed = b.value(Assemble(kind.shape, (starts,), (steps,)), new)
    return b.value(Select(), inside, placed, below)
