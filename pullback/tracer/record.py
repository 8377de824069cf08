"""A recorder turns operations on traced values into a region; arrays it meets are captured, outer values lifted."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.errors import TraceError
from pullback.ir.core import Function, Op, Operation, Region, RegionBuilder, Value
from pullback.ir.ops.creation import Full
from pullback.ir.types import type_of
from pullback.location import caller


class Recorder(RegionBuilder):
    """Appends to a region, each operation with the user's line.

    `captured` are arrays of the outside, by identity; `lifted` are values of an enclosing trace. Both become
    arguments of the region when it is finished.
    """

    def __init__(self, wrap: Callable[[Value, Recorder], Any], outer: Recorder | None = None) -> None:
        super().__init__(Region())
        self.outer = outer
        self._wrap = wrap
        self.is_open = True
        self._captured: dict[int, tuple[np.ndarray[Any, Any], Value]] = {}
        self._lifted: dict[Value, Value] = {}

    def emit(self, op: Op, *operands: Value, regions: tuple[Region, ...] = ()) -> Operation:
        if not self.is_open:
            raise TraceError(
                "a traced value is used after its function has been traced", location=caller(),
                help="return it from the function instead of storing it outside",
            )  # fmt: skip
        self.location = caller()
        return super().emit(op, *operands, regions=regions)

    def wrap(self, value: Value) -> Any:
        """The traced array that stands for a value of this trace."""
        return self._wrap(value, self)

    def capture(self, array: np.ndarray[Any, Any]) -> Value:
        """The value that stands for an outside array: a number in the code if it has no axes, else by pointer."""
        if array.ndim == 0:
            kind = type_of(array)
            return self.value(Full(array.item(), kind.dtype, ()))
        known = self._captured.get(id(array))
        if known is None:
            known = self._captured[id(array)] = (array, Value(type_of(array), name=f"c{len(self._captured)}"))
        return known[1]

    def lift(self, value: Value) -> Value:
        """The value that stands here for a value of an enclosing trace."""
        inner = self._lifted.get(value)
        if inner is None:
            inner = self._lifted[value] = Value(value.type, name=f"outer{len(self._lifted)}")
        return inner

    def encloses(self, other: Recorder) -> bool:
        """Whether this recorder is `other` or around it."""
        recorder: Recorder | None = other
        while recorder is not None:
            if recorder is self:
                return True
            recorder = recorder.outer
        return False

    def finish(self, name: str, parameters: list[Value], yields: list[Value]) -> tuple[Function, list[Value]]:
        """The recorded function, and the outer values that its arguments after `parameters` stand for."""
        self.is_open = False
        self.region.arguments = [*parameters, *self._lifted.values(), *(value for _, value in self._captured.values())]
        self.region.yields = tuple(yields)
        return Function(name, self.region, [array for array, _ in self._captured.values()]), list(self._lifted)
