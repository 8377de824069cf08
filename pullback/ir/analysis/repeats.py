"""Where a region repeats itself: its operations in, stretches out in which one looks like that a period before it."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from pullback.ir.analysis.uses import closed_over
from pullback.ir.core import Op, Operation, Region, Value
from pullback.ir.ops.creation import Creation
from pullback.ir.ops.shape import Slice
from pullback.ir.types import TypeNumbers

NEAR = 32
"""Operands that were computed so many operations ago tell, by their distance, one step from another."""
SEEN_TRIPS = 3
"""Equal distances have to show for so many periods before a stretch is looked at."""

OUTSIDE = -1
"""The place of arguments and of what other regions compute, where a number is needed."""
CONSTANT = -2
"""The place of what is made out of nothing."""

Ints = np.ndarray[Any, np.dtype[np.int64]]


@dataclass
class Scan:
    """A region's operations but for those without operands, which may stand anywhere, numbered in order.

    `reads` is what each reads, its regions included; `place` has the number of the operation that computes a value, of
    those without operands `CONSTANT`;
    `kinds` are equal where operations may be the same step of a loop: op, types and regions are, but for the starts of
    slices. `shapes` are equal where, besides, operands that are near are the same result of what lies equally far back.
    """

    region: Region
    operations: list[Operation] = field(default_factory=list)
    reads: list[tuple[Value, ...]] = field(default_factory=list)
    place: dict[Value, int] = field(default_factory=dict)
    kinds: list[int] = field(default_factory=list)
    shapes: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Stretch:
    """Operations `start` to `stop` of a scan, each like the one `period` before it; the first period is included."""

    start: int
    stop: int
    period: int

    @property
    def gain(self) -> int:
        """Operations that are repeated."""
        return self.stop - self.start - self.period


def is_constant(value: Value) -> bool:
    """Whether a value is made out of nothing, wherever that is done."""
    return value.owner is not None and isinstance(value.owner.op, Creation)


def scan(region: Region) -> Scan:
    """Number what may repeat. Linear in the operations of a region and of those inside it."""
    found = Scan(region)
    operations, all_reads, place = found.operations, found.reads, found.place
    all_kinds, shapes = found.kinds, found.shapes
    plain: dict[type[Op], bool | None] = {}
    types = TypeNumbers()
    known, learn = types.get, types.learn
    numbers: dict[Any, int] = {}
    count = 0
    for operation in region.operations:
        op = operation.op
        name: Any = op.__class__
        is_plain = plain.get(name, False)
        if not is_plain:
            if name not in plain:
                is_plain = plain[name] = None if isinstance(op, Creation) else not fields(op)
            if is_plain is None:
                place.update(dict.fromkeys(operation.results, CONSTANT))
                continue
            if not is_plain:
                name = (Slice, op.sizes, op.steps) if isinstance(op, Slice) else op
        reads, results = operation.operands, operation.results
        key: tuple[Any, ...]
        shape: tuple[int, ...]
        if is_plain and 0 < len(reads) <= 2 and len(results) == 1 and not operation.regions:
            # What most operations are, without the lists of the general case: the only operand as if it were two.
            result, x, y = results[0], reads[0], reads[-1]
            key = (name, known(id(x.type)) or learn(x.type), known(id(y.type)) or learn(y.type),
                   known(id(result.type)) or learn(result.type), len(reads))  # fmt: skip
            here, there = place.get(x, OUTSIDE), place.get(y, OUTSIDE)
            kind = numbers.get(key)
            if kind is None:
                kind = numbers[key] = len(numbers)
            shape = (
                kind,
                here - OUTSIDE if here < 0 else 0 if count - here >= NEAR else count - here + NEAR * x.index,
                there - OUTSIDE if there < 0 else 0 if count - there >= NEAR else count - there + NEAR * y.index,
            )
            place[result] = count
        else:
            inside: Any = None
            if operation.regions:
                outer = closed_over(operation.regions)
                reads = (*reads, *outer)
                inside = _text(operation.regions, {value: number for number, value in enumerate(outer)})
            key = (name, inside, len(reads), *[known(id(each.type)) or learn(each.type) for each in reads],
                   *[known(id(each.type)) or learn(each.type) for each in results])  # fmt: skip
            places = [(each, place.get(each, OUTSIDE)) for each in reads]
            kind = numbers.setdefault(key, len(numbers))
            shape = (kind, *[
                where - OUTSIDE if where < 0 else 0 if count - where >= NEAR else count - where + NEAR * each.index
                for each, where in places
            ])  # fmt: skip
            place.update(dict.fromkeys(results, count))
        shaped = numbers.get(shape)
        if shaped is None:
            shaped = numbers[shape] = len(numbers)
        operations.append(operation)
        all_reads.append(reads)
        all_kinds.append(kind)
        shapes.append(shaped)
        count += 1
    return found


def _text(regions: Sequence[Region], numbers: dict[Value, int]) -> tuple[Any, ...]:
    """Regions as something to compare: values by their order, those from around them first."""
    parts: list[Any] = []

    def define(values: Sequence[Value]) -> None:
        for value in values:
            numbers[value] = len(numbers)
            parts.append(value.type)

    def visit(region: Region) -> None:
        parts.append("(")
        define(region.arguments)
        for operation in region.operations:
            parts.append(operation.op)
            parts.extend([numbers[operand] for operand in operation.operands])
            for inner in operation.regions:
                visit(inner)
            define(operation.results)
        parts.append(")")
        parts.extend([numbers[value] for value in region.yields])

    for region in regions:
        visit(region)
    return tuple(parts)


def repeats(tokens: Sequence[int]) -> list[Stretch]:
    """Stretches of a sequence that repeat themselves, those that save most first. O(n log n).

    For words of 1, 2, 4, … tokens: how far back is the last equal one? In a stretch of period p that distance is p for
    all words of p tokens or more. Words are compared by hash: whoever takes a stretch checks it.
    """
    found: dict[tuple[int, int], Stretch] = {}
    with np.errstate(over="ignore"):
        words: Any = np.asarray(tokens, np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1)
        width = 1
        while len(words) > SEEN_TRIPS * width // 2 + 1:
            for stretch in _equally_far(words, width):
                known = found.get((stretch.period, stretch.start))
                if known is None or known.stop < stretch.stop:
                    found[stretch.period, stretch.start] = stretch
            if len(words) <= width:
                break
            left, right = words[:-width], words[width:]
            words = (left ^ (left >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9) + (
                right ^ (right >> np.uint64(32))) * np.uint64(0x94D049BB133111EB)  # fmt: skip
            width *= 2
    return sorted(found.values(), key=lambda each: (-each.gain, each.start))


def _equally_far(words: Any, width: int) -> list[Stretch]:
    """Stretches in which the last equal word always lies equally far back, by more than half a word, at most one."""
    order = np.argsort(words, kind="stable")
    in_order = words[order]
    same = in_order[1:] == in_order[:-1]
    back = np.zeros(len(words), np.int64)
    back[order[1:][same]] = (order[1:] - order[:-1])[same]
    back[(back > width) | (back <= width // 2)] = 0
    ends = np.flatnonzero(np.diff(back)) + 1
    starts = np.concatenate(([0], ends))
    stops = np.concatenate((ends, [len(words)]))
    periods = back[starts]
    good = (periods > 0) & (stops - starts + width - 1 >= (SEEN_TRIPS - 1) * periods)
    return [Stretch(int(start - period), int(stop + width - 1), int(period))
            for start, stop, period in zip(starts[good], stops[good], periods[good], strict=True)]  # fmt: skip
