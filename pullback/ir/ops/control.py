"""Ops with regions: if, while, for, call. Their regions yield values; nothing is ever written in place."""
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pullback.dtypes import boolean, i64
from pullback.errors import ShapeError
from pullback.ir.core import Op, Region
from pullback.ir.registry import register
from pullback.ir.types import ArrayType


class Control(Op):
    """An op whose meaning is in its regions; the interpreter runs them."""

    regions: ClassVar[int] = 1

    def check(self, regions: tuple[Region, ...]) -> None:
        if len(regions) != self.regions:
            raise ShapeError(f"{self.name} has {self.regions} regions, not {len(regions)}")


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
class While(Control):
    """``(a...) {condition} {body}``: while the first region yields True, the second replaces the values."""

    name: ClassVar[str] = "while"
    regions: ClassVar[int] = 2

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        self.check(regions)
        condition, body = regions
        same(self.name, "operands and condition arguments", types, taken(condition))
        same(self.name, "condition", yielded(condition), (ArrayType(boolean, ()),))
        same(self.name, "operands and body arguments", types, taken(body))
        same(self.name, "operands and body results", types, yielded(body))
        return types


@register
@dataclass(frozen=True)
class For(Control):
    """``(i64[] start, i64[] stop, i64[] step, a...) {body}``: the body takes the counter and the values."""

    name: ClassVar[str] = "for"

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        self.check(regions)
        (body,) = regions
        counter = ArrayType(i64, ())
        same(self.name, "start, stop and step", types[:3], (counter,) * 3)
        same(self.name, "operands and body arguments", (counter, *types[3:]), taken(body))
        same(self.name, "operands and body results", types[3:], yielded(body))
        return types[3:]


@register
@dataclass(frozen=True)
class Call(Control):
    """``(a...) {body}``: runs its region once; keeps a group of operations together."""

    name: ClassVar[str] = "call"

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        self.check(regions)
        same(self.name, "operands and region arguments", types, taken(regions[0]))
        return yielded(regions[0])
