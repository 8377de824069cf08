"""Loops in segments: a loop and lengths in, loops of checkpoints around the same iterations out.

An iteration runs on the same values in the same order, so all results keep their bits. The adjoint keeps what is carried at
the start of each segment, and records of the iterations of one segment at a time, which it runs again.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pullback.dtypes import boolean, i64
from pullback.ir.clone import copy_operation
from pullback.ir.core import Builder, Operation, Region, RegionBuilder, Value
from pullback.ir.loop_parts import LoopParts, take_apart
from pullback.ir.ops.arithmetic import Add, FloorDivide, Maximum, Minimum, Mul, Neg, Sub
from pullback.ir.ops.control import Checkpoint, For, If, While
from pullback.ir.ops.creation import Full
from pullback.ir.ops.logic import Less, LessEqual, Select
from pullback.ir.types import ArrayType

COUNT = ArrayType(i64, ())


@dataclass(frozen=True)
class Segments:
    """`length` iterations in the innermost segments, `fan` segments in each of those around, of which there are `levels`.

    With `levels` 1 there are segments of `length`, as many as it takes; with 2, segments of ``fan * length`` iterations
    around them, and so on. A ``for`` of no more than `whole` iterations runs as it is.
    """

    length: int
    fan: int
    levels: int
    whole: int

    def size(self, level: int) -> int:
        """Iterations in a segment with `level` - 1 levels inside."""
        size: int = self.length * self.fan ** (level - 1)
        return size


def split(b: Builder, operation: Operation, segments: Segments) -> list[Value]:
    """Emit what computes the same as a ``for`` or ``while`` without tapes, in segments; gives its results.

    So many iterations as make one innermost segment are left as they are, the last of a ``for`` and the first of a
    ``while``: one that has no more runs nothing again.
    """
    parts = take_apart(operation)
    assert not parts.tapes
    if isinstance(operation.op, For):
        return _split_for(b, parts, segments)
    return _split_while(b, parts, segments)


def _number(b: Builder, value: int) -> Value:
    return b.value(Full(value, i64, ()))


def _copied(region: Region, arguments: Sequence[Value], into: Region) -> list[Value]:
    """Append a copy of a region's operations, run on `arguments`, to another; gives what it yields."""
    replaced = dict(zip(region.arguments, arguments, strict=True))
    into.operations += [copy_operation(operation, replaced) for operation in region.operations]
    return [replaced.get(value, value) for value in region.yields]


def _arguments(parts: LoopParts) -> list[Value]:
    return [Value(argument.type, name=argument.name) for argument in parts.arguments]


def _split_for(b: Builder, parts: LoopParts, segments: Segments) -> list[Value]:
    """Counts iterations from 0 to ``n``; the last innermost segment comes after the others, without a checkpoint.

        for start, stop, step, a... {body}
        // =>
        cut = 0 if n <= whole else max(0, n - length)
        for 0, cut, size, a... { ^(k, …)   checkpoint { for k, min(k + size, cut), 1 {body of start + j * step} } }
        for cut, n, 1 {body of start + j * step}
    """
    start, stop, step = parts.drivers
    zero = _number(b, 0)
    # ceil((stop - start) / step) is -floor((start - stop) / step).
    trips = b.value(Neg(), b.value(FloorDivide(), b.value(Sub(), start, stop), step))
    trips = b.value(Maximum(), trips, zero)
    cut = b.value(Maximum(), b.value(Sub(), trips, _number(b, segments.length)), zero)
    cut = b.value(Select(), b.value(LessEqual(), trips, _number(b, segments.whole)), zero, cut)
    state = _counted(b, parts, segments, segments.levels, zero, cut, parts.initial)
    return _counted(b, parts, segments, 0, cut, trips, state)


def _counted(
    b: Builder, parts: LoopParts, segments: Segments, level: int, low: Value, high: Value, state: Sequence[Value]
) -> list[Value]:
    """Iterations `low` to `high`, in segments of `level` levels."""
    number, arguments = Value(COUNT, name="k"), _arguments(parts)
    region = Region([number, *arguments])
    inner = RegionBuilder(region)
    inner.location = b.location
    if level == 0:
        stride = _number(b, 1)
        start, _, step = parts.drivers
        counter = inner.value(Add(), start, inner.value(Mul(), number, step))
        region.yields = tuple(_copied(parts.body, [counter, *arguments], region))
    else:
        stride = _number(b, segments.size(level))
        end = inner.value(Minimum(), inner.value(Add(), number, stride), high)
        again = Region()
        inside = RegionBuilder(again)
        inside.location = b.location
        again.yields = tuple(_counted(inside, parts, segments, level - 1, number, end, arguments))
        region.yields = inner.emit(Checkpoint(), regions=(again,)).results
    return list(b.emit(For(), low, high, stride, *state, regions=(region,)).results)


def _split_while(b: Builder, parts: LoopParts, segments: Segments) -> list[Value]:
    """The first innermost segment runs as it is; then segments run for as long as the condition holds.

        while a... {condition} {body}
        // =>
        while a..., 0 {count < length and condition} {body, count + 1}
        while a... {condition} { checkpoint { while a..., 0 {count < length and condition} {body, count + 1} } }
    """
    state = _limited(b, parts, segments, 1, segments.length, parts.initial)
    return _limited(b, parts, segments, segments.levels + 1, None, state)


def _limited(
    b: Builder, parts: LoopParts, segments: Segments, level: int, limit: int | None, state: Sequence[Value]
) -> list[Value]:
    """At most `limit` times, and only while the condition holds, an iteration (level 1) or a segment of them."""
    assert parts.condition is not None
    counts = [] if limit is None else [_number(b, 0)]
    tested = [*_arguments(parts), *(Value(COUNT, name="k") for _ in counts)]
    condition = Region(tested)
    if limit is None:
        condition.yields = tuple(_copied(parts.condition, tested, condition))
    else:
        test = RegionBuilder(condition)
        room = test.value(Less(), tested[-1], _number(test, limit))
        # The condition may fail on values it has not yet refused; it is asked once per iteration, as before.
        asked, full = Region(), Region()
        asked.yields = tuple(_copied(parts.condition, tested[:-1], asked))
        full.yields = (RegionBuilder(full).value(Full(False, boolean, ())),)
        condition.yields = test.emit(If(), room, regions=(asked, full)).results
    arguments = [Value(value.type, name=value.name) for value in tested]
    region = Region(arguments)
    inner = RegionBuilder(region)
    inner.location = b.location
    if level == 1:
        after = _copied(parts.body, arguments[: len(state)], region)
    else:
        again = Region()
        inside = RegionBuilder(again)
        inside.location = b.location
        size = segments.length if level == 2 else segments.fan
        again.yields = tuple(_limited(inside, parts, segments, level - 1, size, arguments[: len(state)]))
        after = list(inner.emit(Checkpoint(), regions=(again,)).results)
    counted = [inner.value(Add(), arguments[-1], _number(inner, 1)) for _ in counts]
    region.yields = (*after, *counted)
    return list(b.emit(While(), *state, *counts, regions=(condition, region)).results[: len(state)])
