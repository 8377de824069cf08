"""A loop operation taken apart into what plays which role, and put together again after changes."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pullback.ir.clone import copy_region
from pullback.ir.core import Operation, Region, Value
from pullback.ir.ops.control import For, Loop, Replay, While
from pullback.ir.types import TapeType


@dataclass
class LoopParts:
    """The parts of a ``for``, ``while`` or ``replay``; carried values have one entry in each of the first four lists.

    `drivers` are the operands that are not carried (start, stop and step; or tapes), `given` the body's arguments that
    are not (the counter; or the records' values), `records` what is saved per tape. `condition` is that of a while.
    """

    operation: Operation
    initial: list[Value]
    arguments: list[Value]
    yields: list[Value]
    results: list[Value]
    drivers: list[Value]
    given: list[Value]
    records: list[list[Value]]
    tapes: list[Value]
    body: Region
    condition: Region | None

    def taken_off(self) -> list[tuple[Value, list[Value]]]:
        """The tapes that a replay takes off, each with the values of its record among the body's arguments."""
        found, place = [], 0
        for driver in self.drivers:
            if isinstance(driver.type, TapeType):
                found.append((driver, self.given[place : place + len(driver.type.record)]))
                place += len(driver.type.record)
        return found

    def carry(self, initial: Value, argument: Value, yielded: Value) -> Value:
        """Add a carried value; gives the loop's new result."""
        self.initial.append(initial)
        self.arguments.append(argument)
        self.yields.append(yielded)
        self.results.append(Value(initial.type))
        if self.condition is not None:
            self.condition.arguments.append(Value(initial.type, name=argument.name))
        return self.results[-1]

    def save(self, record: Sequence[Value]) -> Value:
        """Add a tape on which the body's values `record` are saved; gives the tape."""
        self.records.append(list(record))
        self.tapes.append(Value(TapeType(tuple([value.type for value in record]))))
        return self.tapes[-1]

    def drop(self, dead: set[int]) -> None:
        """Remove carried values by number; nothing may use their results or arguments any more."""
        alive = [number for number in range(len(self.arguments)) if number not in dead]
        if self.condition is not None:
            self.condition.arguments = [self.condition.arguments[number] for number in alive]
        for part in (self.initial, self.arguments, self.yields, self.results):
            part[:] = [part[number] for number in alive]

    def put_together(self) -> Operation:
        """Write the parts back into the operation, in place."""
        operation, op = self.operation, self.operation.op
        assert isinstance(op, Loop)
        saved = tuple([len(record) for record in self.records])
        match op:
            case Replay():
                operation.op = Replay(len(self.drivers), saved)
            case While():
                operation.op = While(saved)
            case _:
                operation.op = For(saved)
        operation.operands = (*self.drivers, *self.initial)
        self.body.arguments = [*self.given, *self.arguments]
        self.body.yields = (*self.yields, *(value for record in self.records for value in record))
        operation.regions = (self.body,) if self.condition is None else (self.condition, self.body)
        set_results(operation, [*self.results, *self.tapes])
        return operation


def take_apart(operation: Operation, *, copied: bool = False) -> LoopParts:
    """The parts of a loop; with `copied` the regions are copies, and the operation keeps its own until put together."""
    op, regions = operation.op, operation.regions
    assert isinstance(op, Loop)
    if copied:
        regions = tuple([copy_region(region, {}) for region in regions])
    body = regions[-1]
    drivers = op.tapes if isinstance(op, Replay) else 0 if isinstance(op, While) else 3
    carried = len(operation.operands) - drivers
    given = len(body.arguments) - carried
    state, records = op.records(body.yields)
    return LoopParts(
        operation=operation,
        initial=list(operation.operands[drivers:]),
        arguments=body.arguments[given:],
        yields=list(state),
        results=list(operation.results[:carried]),
        drivers=list(operation.operands[:drivers]),
        given=body.arguments[:given],
        records=[list(record) for record in records],
        tapes=list(operation.results[carried:]),
        body=body,
        condition=regions[0] if isinstance(op, While) else None,
    )


def set_results(operation: Operation, results: Sequence[Value]) -> None:
    """Make these values the operation's results, in this order."""
    for index, value in enumerate(results):
        value.owner, value.index = operation, index
    operation.results = tuple(results)
