"""Ops with regions: if, while, for, replay, call. Their regions yield values; nothing is ever written in place.

A region sees the values around it. Loops may keep tapes: with `saved` = (k, m) the last k + m values that the body
yields are no part of the loop's state but two records, of k and of m values, each pushed on a tape of its own once per
iteration; the tapes are the loop's last results. `replay` takes the records off again, last to first. It may keep tapes
itself, whose replay then runs first to last.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from pullback.dtypes import boolean, i64
from pullback.errors import ShapeError
from pullback.ir.core import Op, Region
from pullback.ir.ops.creation import Creation
from pullback.ir.registry import register
from pullback.ir.types import ArrayType, TapeType

T = TypeVar("T")


class Control(Op):
    """An op whose meaning is in its regions; the interpreter runs them."""

    regions: ClassVar[int] = 1

    def check(self, regions: tuple[Region, ...]) -> None:
        if len(regions) != self.regions:
            raise ShapeError(f"{self.name} has {self.regions} regions, not {len(regions)}")


class Loop(Control):
    """A loop that may keep tapes: `saved` is how many of its body's last yields the record of each tape holds."""

    saved: tuple[int, ...]

    def records(self, yields: Sequence[T]) -> tuple[Sequence[T], list[Sequence[T]]]:
        """The body's yields parted: the state, and the record of each tape."""
        place = len(yields) - sum(self.saved)
        state, found = yields[:place], []
        for size in self.saved:
            found.append(yields[place : place + size])
            place += size
        return state, found

    def results(self, state: tuple[ArrayType, ...], body: Region) -> tuple[ArrayType, ...]:
        """The state's types, and those of the tapes. Raises: ShapeError if the body yields other types."""
        given = yielded(body)
        if any(size < 1 for size in self.saved) or sum(self.saved) > len(given):
            raise ShapeError(f"{self.name}: {self.saved} of {len(given)} yields cannot be saved")
        kept, records = self.records(given)
        same(self.name, "operands and body results", state, tuple(kept))
        return (*state, *(TapeType(tuple(record)) for record in records))


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
class If(Control):
    """``(bool[], a...) {then} {else}``: runs one region on the operands after the condition."""

    name: ClassVar[str] = "if"
    least: ClassVar[int] = 1
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

    With `saved` = (k,): ``(a...) -> (a..., tape<r1, ..., rk>)``, the body yielding ``(a..., r1, ..., rk)``.
    """

    name: ClassVar[str] = "while"
    regions: ClassVar[int] = 2
    saved: tuple[int, ...] = ()

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
    least: ClassVar[int] = 3
    saved: tuple[int, ...] = ()

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        self.check(regions)
        (body,) = regions
        counter = ArrayType(i64, ())
        same(self.name, "start, stop and step", types[:3], (counter,) * 3)
        same(self.name, "operands and body arguments", (counter, *types[3:]), taken(body))
        return self.results(types[3:], body)


@register
@dataclass(frozen=True)
class Replay(Loop):
    """``(tape<r...>..., a...) {body} -> a...``: the body takes ``(r..., a...)`` and yields ``a...``, once per record.

    Records come last to first: the reverse of the loop that wrote them. Several `tapes` are taken off side by side and
    have equally many records. A tape may be replayed more than once. `saved` is that of `While`.
    """

    name: ClassVar[str] = "replay"
    least: ClassVar[int] = 1
    tapes: int = 1
    saved: tuple[int, ...] = ()

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        self.check(regions)
        (body,) = regions
        tapes, state = types[: self.tapes], types[self.tapes :]
        if self.tapes < 1 or len(tapes) < self.tapes:
            raise ShapeError(f"replay: {self.tapes} tapes among {len(types)} operands")
        record: list[ArrayType] = []
        for place, tape in enumerate(tapes):
            if not isinstance(tape, TapeType):
                raise ShapeError(f"replay: operand {place} is a tape, not {tape}")
            record += tape.record
        same(self.name, "record, operands and body arguments", (*record, *state), taken(body))
        return self.results(state, body)


@register
class Call(Control):
    """``(a...) {body}``: runs its region once; keeps a group of operations together."""

    name: ClassVar[str] = "call"

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        self.check(regions)
        same(self.name, "operands and region arguments", types, taken(regions[0]))
        return yielded(regions[0])


@register
class Checkpoint(Call):
    """``(a...) {body}``: a call of which the adjoint keeps nothing: it runs the body again from what the body reads."""

    name: ClassVar[str] = "checkpoint"


@register
@dataclass(frozen=True)
class EmptyTape(Creation, Control):
    """A tape without records: ``() -> tape<record>``. What a branch yields in which the loop was not run."""

    name: ClassVar[str] = "empty_tape"
    regions: ClassVar[int] = 0
    record: tuple[ArrayType, ...]

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        return (TapeType(self.record),)
