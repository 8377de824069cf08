"""A whole recipe as one operation that waits: what a step puts down, taken apart only when its graph is compiled."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar
from weakref import ref

from pullback.ir.core import Op, Operation, Value
from pullback.ir.types import ArrayType
from pullback.location import Location
from pullback.tracer.contents import Contents


@dataclass(frozen=True, slots=True)
class Step:
    """One operation of a recipe: its operands by slot. An op with regions keeps the operation, and the slots that its
    regions read."""

    op: Op
    operands: tuple[int, ...]
    types: tuple[ArrayType, ...]
    original: Operation | None = None
    outer: tuple[tuple[Value, int], ...] = ()


@dataclass(frozen=True, eq=False)
class Several(Op):
    """Several ops in order, none with regions. `slots` are the types of operands and then of all results.

    There is one object for steps of one kind (see `several`), compared by identity.
    """

    name: ClassVar[str] = "several"

    steps: tuple[Step, ...]
    slots: tuple[ArrayType, ...]
    depth: int
    """How many of the steps follow on each other."""
    origins: tuple[int, ...] = ()
    """Per step which of a unit's `locations` it came from, where a unit has several."""

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


MAX_KINDS = 4096

_numbers = itertools.count()

_kinds: dict[tuple[tuple[Step, ...], tuple[ArrayType, ...]], Several] = {}


def several(steps: tuple[Step, ...], operands: tuple[ArrayType, ...]) -> Several | None:
    """The op that does these steps; None if one of them has regions."""
    if any(step.original is not None for step in steps):
        return None
    key = steps, operands
    found = _kinds.get(key)
    if found is None:
        if len(_kinds) >= MAX_KINDS:
            _kinds.clear()
        types = list(operands)
        depths = [0] * len(types)
        for step in steps:
            depth = 1 + max([depths[place] for place in step.operands], default=0)
            types += step.types
            depths += [depth] * len(step.types)
        found = _kinds[key] = Several(steps, tuple(types), max(depths, default=0))
    return found


class Unit(Operation):
    """A use of `Several` that waits. Its values are made when they are asked for, and it does not keep them.

    A value keeps its unit, that its operands: whatever nobody can reach any more is gone at once, without a cycle.
    """

    __slots__ = ("_given", "depth", "locations", "number")

    op: Several

    def __init__(self, op: Several, operands: tuple[Value, ...], location: Location) -> None:
        self.op = op
        self.operands = operands
        self.regions = ()
        self.location = location
        self.results = ()
        self.locations: tuple[Location, ...] = ()
        """The lines that parts of the steps came from, if not all from one."""
        self.number = next(_numbers)
        """Which unit it is, in order of making."""
        self._given: dict[int, ref[Value]] = {}
        depth = 0
        for operand in operands:
            below = operand.contents.depth
            if below > depth:
                depth = below
        self.depth = depth + op.depth

    def __getitem__(self, place: int) -> Value:
        """The value of a slot: an operand or a result."""
        if place < len(self.operands):
            return self.operands[place]
        found = self._given.get(place)
        value = None if found is None else found()
        return self.give(place) if value is None else value

    def give(self, place: int) -> Value:
        """As ``self[place]``, for a result that was not asked for before."""
        value = Value(self.op.slots[place], self, place)
        value.contents = Contents(None, self.depth)
        self._given[place] = ref(value)
        return value

    def given(self) -> list[Value]:
        """The results that somebody can reach."""
        given = self._given
        if len(given) == 1:
            (found,) = given.values()
            value = found()
            return [] if value is None else [value]
        return [value for found in given.values() if (value := found()) is not None]

    def forget(self) -> None:
        """The values given so far come from elsewhere now."""
        self._given.clear()

    def location_of(self, number: int) -> Location:
        """Where a step came from."""
        return self.locations[self.op.origins[number]] if self.locations else self.location

    def follow(self, operands: Iterable[Value]) -> tuple[list[Operation], list[Value]]:
        """The operations one by one on other values, and the values of all slots."""
        slots = list(operands)
        operations = []
        for number, step in enumerate(self.op.steps):
            inputs = tuple([slots[place] for place in step.operands])
            operation = Operation(step.op, inputs, step.types, (), self.location_of(number))
            operations.append(operation)
            slots += operation.results
        return operations, slots

    def op_of(self, place: int) -> Op:
        """The op that makes a result."""
        first = len(self.operands)
        for step in self.op.steps:
            first += len(step.types)
            if place < first:
                return step.op
        raise IndexError(place)
