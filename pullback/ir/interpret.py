"""The reference interpreter: a function and NumPy arrays in, NumPy arrays out, one operation at a time."""
from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from pullback.errors import ArgumentValueError, PullbackError, UnboundError
from pullback.ir.analysis.uses import last_uses
from pullback.ir.core import Array, Function, Operation, Region, Value
from pullback.ir.ops.check import Check
from pullback.ir.ops.control import Call, Control, EmptyTape, For, If, Loop, Replay, While
from pullback.ir.ops.custom import CustomCall
from pullback.location import UNKNOWN

Tape = list[Sequence[Any]]
"""Records of values, first to last; a record may hold tapes."""


def interpret(function: Function, arguments: Sequence[Array]) -> list[Array]:
    """What the function's text means. Raises: UnboundError for captured arrays without data, and what ops raise."""
    captured = []
    for array, value in zip(function.captured, function.captured_arguments, strict=True):
        if array is None:
            raise UnboundError(f"captured array {value.name or '?'}: {value.type} has no data")
        captured.append(array)
    with np.errstate(all="ignore"):
        return _Interpreter().run(function.body, [*(np.asarray(argument) for argument in arguments), *captured])


class _Interpreter:
    """Holds the value of everything that is defined and may still be read: an array, or a tape."""

    def __init__(self) -> None:
        self.values: dict[Value, Any] = {}
        self.dead: dict[Region, list[list[Value]]] = {}

    def run(self, region: Region, arguments: Sequence[Any]) -> list[Any]:
        """Run one region; it sees its own values and those around it. Values are freed after their last use."""
        values = self.values
        dead = self.dead.get(region)
        if dead is None:
            dead = self.dead[region] = last_uses(region)
        values.update(zip(region.arguments, arguments, strict=True))
        for operation, freed in zip(region.operations, dead, strict=True):
            operands = [values[operand] for operand in operation.operands]
            values.update(zip(operation.results, self.results(operation, operands), strict=True))
            for value in freed:
                del values[value]
        return [values[value] for value in region.yields]

    def results(self, operation: Operation, operands: list[Any]) -> Sequence[Any]:
        """An operation's results. Raises: what its op raises, with the user's line."""
        if isinstance(operation.op, Control):
            return self.control(operation, operands)
        if isinstance(operation.op, Check):
            operation.op.run(operands, operation.location)
            return ()
        try:
            return operation.op.evaluate(*operands)
        except PullbackError as error:
            if error.location is not UNKNOWN:
                raise
            raise type(error)(error.message, location=operation.location, help=error.help) from None

    def control(self, operation: Operation, operands: list[Any]) -> list[Any]:
        regions = operation.regions
        match operation.op:
            case If():
                return self.run(regions[0] if bool(operands[0]) else regions[1], operands[1:])
            case While() as op:
                tapes: list[Tape] = [[] for _ in op.saved]
                state = operands
                while bool(self.run(regions[0], state)[0]):
                    state = self.step(op, regions[1], state, tapes)
                return [*state, *tapes]
            case For() as op:
                start, stop, step = (int(operand) for operand in operands[:3])
                if step == 0:
                    raise ArgumentValueError("the step of a range must not be zero", location=operation.location)
                tapes = [[] for _ in op.saved]
                state = operands[3:]
                for index in range(start, stop, step):
                    state = self.step(op, regions[0], [np.asarray(index, np.int64), *state], tapes)
                return [*state, *tapes]
            case Replay() as op:
                tapes = [[] for _ in op.saved]
                state = operands[op.tapes :]
                for records in zip(*map(reversed, operands[: op.tapes]), strict=True):
                    state = self.step(op, regions[0], [*chain.from_iterable(records), *state], tapes)
                return [*state, *tapes]
            case Call():
                return self.run(regions[0], operands)
            case CustomCall() as op:
                return self.run(op.bound().primal.body, operands)
            case EmptyTape():
                return [[]]
        raise TypeError(f"{operation.op.name} has no meaning here")

    def step(self, op: Loop, body: Region, arguments: Sequence[Any], tapes: list[Tape]) -> list[Any]:
        """One iteration of a loop: the next state; the records go on the tapes."""
        state, records = op.records(self.run(body, arguments))
        for tape, record in zip(tapes, records, strict=True):
            tape.append(record)
        return list(state)
