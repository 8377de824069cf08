"""What stands behind a traced array without a value of its own: a view, known elements, an argument, a joined value.

As in NumPy, an array is an object whose elements change, and other objects may look at the same elements. IR values
never change: a write gives the object that owns the elements another value, and a view looks that up when it is read.
Where control flow makes it unknown which object a variable holds, a copy stands for it: see `sharing`; it is an error,
never a wrong number, to read one of them after the other was written.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import numpy as np

from pullback.errors import TraceError
from pullback.ir.core import Builder, Region, Value
from pullback.ir.ops.creation import Full
from pullback.ir.types import ArrayType, type_of
from pullback.location import caller
from pullback.tracer.traced import Traced

Array = np.ndarray[Any, Any]


class Part(Protocol):
    """Elements of an array as an array of their own: how they are read from the whole and written to it."""

    def read(self, b: Builder, whole: Value) -> Value: ...

    def write(self, b: Builder, whole: Value, part: Value) -> Value: ...

    def of(self, whole: Array) -> Array | None:
        """The part of a known array, as a NumPy view; None where that is not known."""


@dataclass(eq=False)
class View:
    """Some elements of `base`, which owns them. What was read is kept until `base` has another value."""

    base: Traced
    part: Part
    kind: ArrayType
    _seen: Value | None = None
    _value: Value | None = None
    _region: Region | None = None

    def type(self) -> ArrayType:
        return self.kind

    def read(self, owner: Traced) -> Value:
        b = self.base.recorder
        whole = self.base.value
        if self._value is None or whole is not self._seen or self._region is None or not b.sees(self._region):
            self._seen, self._value, self._region = whole, self.part.read(b, whole), b.region
        return self._value

    def write(self, owner: Traced, value: Value) -> None:
        self.base.store(self.part.write(self.base.recorder, self.base.value, value))

    def known(self) -> Array | None:
        whole = self.base.known
        return None if whole is None else self.part.of(whole)


@dataclass(eq=False)
class Known:
    """Elements that the trace did not compute: Python may still ask for them. Written by traced code, they are lost.

    `number` is what every element equals, where that is known without looking.
    """

    array: Array
    number: float | int | bool | None = None
    _captured: Value | None = None

    def type(self) -> ArrayType:
        return type_of(self.array)

    def read(self, owner: Traced) -> Value:
        if self.number is not None:
            kind = self.type()
            return owner.recorder.value(Full(self.number, kind.dtype, kind.dims))
        if self._captured is None:
            self.array.flags.writeable = False
            self._captured = owner.recorder.capture(self.array)
        return self._captured

    def write(self, owner: Traced, value: Value) -> None:
        replace(owner, value)

    def known(self) -> Array | None:
        return self.array

    def writable(self) -> Array:
        """The array, for Python to change in place: what code has captured stays as it is."""
        if not self.array.flags.writeable:
            self.array = self.array.copy()
        self._captured = self.number = None
        return self.array


@dataclass(eq=False)
class ReadOnly:
    """An array that belongs to someone else: an argument of the traced function, or an array captured from outside."""

    value: Value
    reason: str
    help: str

    def type(self) -> ArrayType:
        return self.value.type

    def read(self, owner: Traced) -> Value:
        return self.value

    def write(self, owner: Traced, value: Value) -> None:
        self.refuse()

    def refuse(self) -> NoReturn:
        """Raises: TraceError."""
        raise TraceError(self.reason, location=caller(), help=self.help)

    def known(self) -> Array | None:
        return None


def argument(value: Value, name: str) -> ReadOnly:
    """An argument of a function that is run for a result alone: its caller's array, which is not written."""
    return ReadOnly(value, f"assigning into {name} would change the caller's array: a compiled function may do so, and its "
                    "grad and value_and_grad, but nothing else that calls it",
                    f"make a copy of it first: {name} = {name}.copy()")  # fmt: skip


def outside_array(value: Value) -> ReadOnly:
    """An array that the function did not make."""
    return ReadOnly(value, f"assigning into an array of the outside ({value.type}): compiled code works on what it "
                    "held when it was traced", "make a copy of it in the function: x = x.copy()")  # fmt: skip


def known_arrays(operands: Sequence[Any]) -> list[Any] | None:
    """Operands with traced arrays as NumPy's, if all of these are known and one is there."""
    found, some = [], False
    for operand in operands:
        if isinstance(operand, Traced):
            known = operand.known
            if known is None:
                return None
            operand, some = known, True
        found.append(operand)
    return found if some else None


def same_state(left: Any, right: Any) -> bool:
    """Whether an array was not written between two looks at its `state`."""
    return left[0] is right[0] and left[1] is right[1]


def replace(target: Traced, value: Value) -> None:
    """Give an array that owns its elements another value."""
    target.recorder.log(target)
    target.state = (value, None)


def root_of(array: Traced) -> Traced:
    """The array that owns the elements."""
    while isinstance(array.memory, View):
        array = array.memory.base
    return array


def owned(array: Traced) -> bool:
    """Whether writing to this object is seen by other objects only through views of it."""
    return array.memory is None or isinstance(array.memory, Known)
