"""Parts of an array that a computed mask says, as views: elements along an axis, or one place there that is computed."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.ir.core import Builder, Value
from pullback.ir.ops.contraction import Gather
from pullback.ir.types import Shape
from pullback.tracer.memory import Part, View
from pullback.tracer.record import Recorder
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics.reductions import without
from pullback.tracer.semantics.shapes import reshape, transpose
from pullback.tracer.traced import Traced, array_of

Array = np.ndarray[Any, Any]


def spread(b: Builder, mask: Value, shape: Shape, at: int) -> Value:
    """The mask along axis `at` of a shape: ``bool[n] -> bool[shape]``."""
    sizes = [1] * len(shape)
    sizes[at] = mask.type.shape[0]
    return s.broadcast_to(b, reshape(b, mask, tuple(sizes)), shape)


@dataclass(eq=False)
class Masked:
    """The elements that ``bool[n]`` chooses along an axis, in an array of all of them: the others are not written."""

    mask: Value
    at: int

    def read(self, b: Builder, whole: Value) -> Value:
        return whole

    def write(self, b: Builder, whole: Value, part: Value) -> Value:
        return s.where(b, spread(b, self.mask, whole.type.shape, self.at), part, whole)

    def of(self, whole: Array) -> Array | None:
        return None

    def sample(self, whole: Array) -> Array:
        """An array that lies in memory as the part does."""
        return whole


@dataclass(eq=False)
class Row:
    """What an array holds at one place of an axis: ``i64[]``, and ``bool[n]`` with that place alone."""

    place: Value
    hit: Value
    at: int

    def read(self, b: Builder, whole: Value) -> Value:
        order = [self.at, *(axis for axis in range(whole.type.rank) if axis != self.at)]
        return b.value(Gather(), transpose(b, whole, order), self.place)

    def write(self, b: Builder, whole: Value, part: Value) -> Value:
        shape = whole.type.shape
        row = reshape(b, part, (*shape[: self.at], 1, *shape[self.at + 1 :]))
        return s.where(b, spread(b, self.hit, shape, self.at), s.broadcast_to(b, row, shape), whole)

    def of(self, whole: Array) -> Array | None:
        return None

    def sample(self, whole: Array) -> Array:
        """An array that lies in memory as the part does."""
        shape = without(whole.shape, (self.at,))
        return whole[(slice(None),) * self.at + (0,)] if whole.shape[self.at] else np.zeros(shape, whole.dtype)


def seen(b: Recorder, base: Traced, part: Part) -> Any:
    """A part of an array that has no value of its own."""
    if base.recorder is not b:
        return b.wrap(part.read(b, array_of(b, base)))
    whole = base.value
    value = part.read(b, whole)
    made = b.wrap(value)
    made.state = (None, View(base, part, value.type, whole, value, b.region))
    return made
