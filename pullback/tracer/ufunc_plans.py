"""What ufuncs have emitted, by the types of their operands: learned from the first call in a trace, done again after.

Promotion, broadcasting and the rules of `ufuncs` look at types alone, but for this: numbers of Python have values, a
constant without axes may be the exponent 0.5, and NumPy compares integers with numbers that their dtype cannot hold.
What might depend on these is not learned: see `learn`. A plan is of one trace, and holds no value of it.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.ir.core import Op, Operation, Value
from pullback.ir.ops.creation import Full
from pullback.ir.types import ArrayType
from pullback.location import caller
from pullback.tracer.record import Recorder, current_recorder
from pullback.tracer.semantics.elementwise import Operand, number, value_of
from pullback.tracer.traced import Traced

Step = tuple[Op, tuple[int, ...], tuple[ArrayType, ...]]
"""An operation: operands are places in a list of the ufunc's operands and then of what the steps before have given."""


class Plan:
    """Operations to emit for a ufunc, the place of its result in that list, and whether that stays a Python number.

    `only` is the one op of a plan that applies it to the operands as they are, `full` the type that a Python number
    among these becomes a constant of; constants of numbers that were seen are kept.
    """

    __slots__ = ("constants", "full", "only", "place", "steps", "types", "weak")

    def __init__(self, steps: Sequence[Step], place: int, weak: bool, full: ArrayType | None, count: int) -> None:
        self.steps = steps
        self.place = place
        self.weak = weak
        self.full = full
        self.constants: dict[float | int, Op] = {}
        op, places, types = steps[0] if len(steps) == 1 else (None, (), ())
        self.only = op if places == tuple(range(count)) and place == count else None
        self.types = types

    def emit(self, b: Recorder, values: tuple[Value, ...]) -> Any:
        """Do again what was learned, on other operands. What is the same for all of its uses is not tested again."""
        if self.only is not None:
            operation = Operation(self.only, values, self.types, (), b.location)
            b.region.operations.append(operation)
            return b.array_of_value(operation.results[0], b, self.weak)
        known = list(values)
        for op, places, types in self.steps:
            operation = Operation(op, tuple([known[place] for place in places]), types, (), b.location)
            b.region.operations.append(operation)
            known += operation.results
        return b.wrap(known[self.place], self.weak)

    def constant(self, b: Recorder, value: float | int) -> Value:
        """A Python number as an operand. Raises: ArgumentValueError for an integer beyond all floats."""
        assert self.full is not None
        op = self.constants.get(value)
        # 0.0 equals -0.0; other numbers of one Python type that are equal are the same.
        if op is None or not value:
            made = number(b, value, self.full.dtype, self.full.shape)
            assert made.owner is not None
            self.constants[value] = made.owner.op
            return made
        operation = Operation(op, (), (self.full,), (), b.location)
        b.region.operations.append(operation)
        return operation.results[0]


def of_one(ufunc: np.ufunc, operand: Any, by_operator: bool) -> Any:
    """A ufunc's result as planned; None where there is no plan. Called by what the user's code calls."""
    b = current_recorder()
    if b is None or not b.is_open or not isinstance(operand, Traced) or operand.recorder is not b:
        return None
    memory = operand.memory
    if memory is not None and memory.known() is not None:
        return None
    kind = operand.own.type if memory is None else memory.type()  # type: ignore[union-attr]
    types = b.types
    plan = b.plans.get((ufunc, by_operator, types.get(id(kind)) or types.learn(kind), operand.weak))
    if plan is None:
        return None
    b.location = caller(3)
    return plan.emit(b, (operand.own if memory is None else memory.read(operand),))


def of_two(ufunc: np.ufunc, left: Any, right: Any, by_operator: bool) -> Any:
    """The same for two operands, of which one may be a Python number."""
    b = current_recorder()
    if b is None or not b.is_open:
        return None
    types = b.types
    # Written out for both: by a function of one operand, called twice, tracing takes an eighth longer.
    first: Any = left.__class__
    left_weak = right_weak = True
    left_number = first is float or first is int
    if not left_number:
        if not isinstance(left, Traced) or left.recorder is not b:
            return None
        memory = left.memory
        if memory is not None and memory.known() is not None:
            return None
        first, left_weak = left.own.type if memory is None else memory.type(), left.weak  # type: ignore[union-attr]
        first = types.get(id(first)) or types.learn(first)
    second: Any = right.__class__
    right_number = second is float or second is int
    if not right_number:
        if not isinstance(right, Traced) or right.recorder is not b:
            return None
        memory = right.memory
        if memory is not None and memory.known() is not None:
            return None
        second, right_weak = right.own.type if memory is None else memory.type(), right.weak  # type: ignore[union-attr]
        second = types.get(id(second)) or types.learn(second)
    plan: Plan | None = b.plans.get((ufunc, by_operator, first, left_weak, second, right_weak))
    if plan is None:
        return None
    b.location = caller(3)
    # Both are read before a number is made a constant, as `lower` does: reading a view emits operations.
    x: Any = None if left_number else left.own if left.memory is None else left.value
    y: Any = None if right_number else right.own if right.memory is None else right.value
    if left_number:
        x = plan.constant(b, left)
    elif right_number:
        y = plan.constant(b, right)
    return plan.emit(b, (x, y))


def learn(
    b: Recorder, ufunc: np.ufunc, by_operator: bool, operands: Sequence[Any], lowered: Sequence[Operand],
    emitted: Sequence[Operation], result: Any, weak: bool,
) -> None:  # fmt: skip
    """Remember what was emitted for a ufunc's operands once these were `lowered`, if it follows from their types."""
    if not isinstance(result, Value) or len(operands) > 2:
        return
    key: list[Any] = [ufunc, by_operator]
    known: list[Value | None] = []
    for operand, value in zip(operands, lowered, strict=True):
        if isinstance(operand, Traced):
            assert not isinstance(value, float | int)
            known.append(value_of(value))
            key += [b.types.learn(value_of(value).type), operand.weak]
        elif type(operand) in (float, int):
            known.append(None)
            key += [type(operand), True]
        else:
            return
    if len(known) == 2 and (known[0] is known[1] or (ufunc is np.power and not _plain_power(known))):
        return
    full = None
    if None in known:
        # A number is the first thing made where the other operand is taken as it is; of integers its size counts.
        op = emitted[0].op if emitted else None
        if not isinstance(op, Full) or not op.dtype.is_float:
            return
        full = emitted[0].results[0].type
        known[known.index(None)] = emitted[0].results[0]
        emitted = emitted[1:]
    places = {value: place for place, value in enumerate(known)}
    steps: list[Step] = []
    for operation in emitted:
        if operation.regions or any(operand not in places for operand in operation.operands):
            return
        steps.append((operation.op, tuple([places[operand] for operand in operation.operands]),
                      tuple([each.type for each in operation.results])))  # fmt: skip
        for each in operation.results:
            places[each] = len(places)
    if steps and result in places:
        b.plans[tuple(key)] = Plan(tuple(steps), places[result], weak, full, len(known))


def _plain_power(operands: Sequence[Value | None]) -> bool:
    """Whether no exponent could be the number 0.5, which makes a square root of the power of an array."""
    base, exponent = operands
    return exponent is not None and base is not None and (exponent.type.rank > 0 or base.type.rank == 0)
