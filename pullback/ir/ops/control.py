"""Ops with regions: if, while, for, replay, call. Their regions yield values; nothing is ever written in place.

A region sees the values around it. Loops may keep a tape: with `saved` = k the last k values that the body yields are
no part of the loop's state but a record, pushed on a tape once per iteration; the tape is the loop's last result.
`replay` takes the records off again, last to first.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pullback.dtypes import boolean, i64
from pullback.errors import ShapeError
from pullback.ir.core import Op, Region
from pullback.ir.ops.creation import Creation
from pullback.ir.registry import register
from pullback.ir.types import ArrayType, TapeType


class Control(Op):
    """An op whose meaning is in its regions; the interpreter runs them."""

    regions: ClassVar[int] = 1

    def check(self, regions: tuple[Region, ...]) -> None:
        if len(regions) != self.regions:
            raise ShapeError(f"{self.name} has {self.regions} regions, not {len(regions)}")


class Loop(Control):
    """A loop that may keep a tape: `saved` is how many of its body's last yields each record holds."""

    saved: int

    def results(self, state: tuple[ArrayType, ...], body: Region) -> tuple[ArrayType, ...]:
        """The state's types, and the tape's if there is one. Raises: ShapeError if the body yields other types."""
        given = yielded(body)
        if self.saved < 0 or self.saved > len(given):
            raise ShapeError(f"{self.name}: {self.saved} of {len(given)} yields cannot be saved")
        kept = len(given) - self.saved
        same(self.name, "operands and body results", state, given[:kept])
        return (*state, TapeType(given[kept:])) if self.saved else state


def yielded(region: Region) -> tuple[ArrayType, ...]:
    """Types that a region yields."""
    return tuple(value.type for value in region.yields)


def taken(region: Region) -> tuple[ArrayType, ...]:
    """Types that a region takes."""
    return tuple(value.type for value in region.arguments)


def same(name: str, what: str, left: tuple[ArrayType, ...], right: tuple[ArrayType, ...]) -> None:
    """Raises: ShapeError unless the types agree."""
    if left != right:
        shown = [f"({', '.join(map(str, types))})" for types in (left, right)]
        raise ShapeError(f"{name}: {what}: {shown[0]} and {shown[1]} differ")


@register
@dataclass(frozen=True)
class If(Control):
    """``(bool[], a...) {then} {else}``: runs one region on the operands after the condition."""

    name: ClassVar[str] = "if"
    regions: ClassVar[int] = 2

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        self.check(regions)
        same(self.name, "condition", types[:1], (ArrayType(boolean, ()),))
        for region in regions:
            same(self.name, "operands and region arguments", types[1:], taken(region))
        same(self.name, "results of both branches", yielded(regions[0]), yielded(regions[1]))
        return yielded(regions[0])


@register
@dataclass(frozen=True)
class While(Loop):
    """``(a...) {condition} {body}``: while the first region yields True, the second replaces the values.

    With `saved` = k: ``(a...) -> (a..., tape<r1, ..., rk>)``, the body yielding ``(a..., r1, ..., rk)``.
    """

    name: ClassVar[str] = "while"
    regions: ClassVar[int] = 2
    saved: int = 0

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        self.check(regions)
        condition, body = regions
        same(self.name, "operands and condition arguments", types, taken(condition))
        same(self.name, "condition", yielded(condition), (ArrayType(boolean, ()),))
        same(self.name, "operands and body arguments", types, taken(body))
        return self.results(types, body)


@register
@dataclass(frozen=True)
class For(Loop):
    """``(i64[] start, i64[] stop, i64[] step, a...) {body}``: the body takes the counter and the values.

    It counts as Python's ``range`` does. `saved` is that of `While`. A step of 0 is an error when it runs.
    """

    name: ClassVar[str] = "for"
    saved: int = 0

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        self.check(regions)
        (body,) = regions
        counter = ArrayType(i64, ())
        same(self.name, "start, stop and step", types[:3], (counter,) * 3)
        same(self.name, "operands and body arguments", (counter, *types[3:]), taken(body))
        return self.results(types[3:], body)


@register
@dataclass(frozen=True)
class Replay(Control):
    """``(tape<r...>, a...) {body} -> a...``: the body takes ``(r..., a...)`` and yields ``a...``, once per record.

    Records come last to first: the reverse of the loop that wrote them. A tape may be replayed more than once.
    """

    name: ClassVar[str] = "replay"

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        self.check(regions)
        (body,) = regions
        if not types or not isinstance(types[0], TapeType):
            raise ShapeError(f"replay: the first operand is a tape, not {types[0] if types else 'nothing'}")
        same(self.name, "record, operands and body arguments", (*types[0].record, *types[1:]), taken(body))
        same(self.name, "operands and body results", types[1:], yielded(body))
        return types[1:]


@register
@dataclass(frozen=True)
class Call(Control):
    """``(a...) {body}``: runs its region once; keeps a group of operations together."""

    name: ClassVar[str] = "call"

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        self.check(regions)
        same(self.name, "operands and region arguments", types, taken(regions[0]))
        return yielded(regions[0])


@register
@dataclass(frozen=True)
class EmptyTape(Creation, Control):
    """A tape without records: ``() -> tape<record>``. What a branch yields in which the loop was not run."""

    name: ClassVar[str] = "empty_tape"
    regions: ClassVar[int] = 0
    record: tuple[ArrayType, ...]

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        return (TapeType(self.record),)
