"""Loops that run the other way: the adjoint of a loop's body in, the loop that runs it last to first out.

The primal loop is made to save what its adjoint reads and cannot have otherwise.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pullback.dtypes import boolean
from pullback.ir.ad.build import DerivativeBuilder
from pullback.ir.ad.recurrence import factor
from pullback.ir.ad.residuals import Residuals, choose, supply
from pullback.ir.analysis.uses import own_values
from pullback.ir.core import Builder, Operation, Region, RegionBuilder, Value
from pullback.ir.loop_parts import LoopParts
from pullback.ir.ops.arithmetic import Add, FloorDivide, Mul, Sub
from pullback.ir.ops.control import For, Replay
from pullback.ir.ops.creation import Full
from pullback.ir.passes.dce import prune


@dataclass
class Adjoint:
    """The body of a loop's adjoint, before it is known which primal values it reads from where.

    `arguments` and `bars` are the cotangents that it takes and carries on, per carried value of the primal by number;
    `sums`, per value from around the loop, the sum so far and the sum after; `written` the cotangents of tapes that the
    primal wrote, with what comes off them; `read` the tapes that the primal read, with what goes onto their cotangents.
    """

    parts: LoopParts
    region: Region = field(default_factory=Region)
    arguments: dict[int, Value] = field(default_factory=dict)
    bars: dict[int, Value] = field(default_factory=dict)
    sums: dict[Value, tuple[Value, Value]] = field(default_factory=dict)
    written: list[tuple[Value, list[Value]]] = field(default_factory=list)
    read: list[tuple[Value, list[Value]]] = field(default_factory=list)


@dataclass(frozen=True)
class Counter:
    """An integer that a loop counts by a step: its values need no saving, because counting back gives them again.

    `value` is its value in an iteration, `step` what it grows by (negated if `down`), `end` its value after the loop.
    """

    value: Value
    step: Value
    down: bool
    end: Value | None


class _Source:
    """Where the adjoint of a body has primal values from: `stand_ins`, which come off tapes or are carried back.

    `drivers` are tapes with what comes off them; `back` are values carried from iteration to iteration, last to first:
    what each starts with, is, and is next; `front` holds operations at the body's start.
    """

    def __init__(self) -> None:
        self.stand_ins: dict[Value, Value] = {}
        self.drivers: list[tuple[Value, list[Value]]] = []
        self.back: list[tuple[Value, Value, Value]] = []
        self.front = Region()

    def take_off(self, tape: Value, record: Sequence[Value]) -> None:
        """Have the values of a record off a tape."""
        given = [Value(value.type, name=value.name) for value in record]
        self.drivers.append((tape, given))
        for value, stand_in in zip(record, given, strict=True):
            self.stand_ins.setdefault(value, stand_in)

    def count_back(self, counter: Counter, end: Value) -> None:
        """Have a counter from its value in the iteration after."""
        after = Value(counter.value.type)
        b = RegionBuilder(self.front)
        self.stand_ins[counter.value] = b.value(Add() if counter.down else Sub(), after, _step(b, counter))
        self.back.append((end, after, self.stand_ins[counter.value]))

    def carry_back(self, parts: LoopParts, number: int) -> None:
        """Have what an iteration carries on from the iteration after, which has it as what was carried there."""
        after = self.stand_ins[parts.yields[number]]
        self.back.append((parts.results[number], after, self.stand_ins[parts.arguments[number]]))


def reverse_loop(d: DerivativeBuilder, adjoint: Adjoint, initial: Sequence[Value]) -> Operation:
    """Emit the loop that runs the adjoint of a body once per iteration of its primal, last to first.

    `initial` are what its cotangents and then its sums start with; its results are those, others, and the tapes of
    `read`. The primal is put together, with one tape more if there is anything to save.
    """
    parts, region = adjoint.parts, adjoint.region
    sums = adjoint.sums.values()
    bars = (*adjoint.bars.values(), *(after for _, after in sums))
    region.yields = (*bars, *(value for _, record in adjoint.read for value in record))
    prune(region)
    factor(d, region, list(adjoint.arguments.values()), range(len(adjoint.arguments)))
    counters = {counter.value: counter for counter in _counters(parts)}
    written = [(tape, list(record)) for tape, record in zip(parts.tapes, parts.records, strict=True)]
    plan = choose(parts.body, region, [*counters, *(value for _, record in written for value in record)])
    source = _Source()
    for tape, record in written:
        if any(value in plan.free and value not in counters for value in record):
            source.take_off(tape, record)
    later = _carried_on(parts, plan)
    source.stand_ins.update((parts.yields[number], Value(parts.yields[number].type)) for number in later)
    saved = [value for value in plan.saved if value not in source.stand_ins]
    if saved:
        source.take_off(parts.save(saved), saved)
    source.drivers += adjoint.written
    if not source.drivers and not isinstance(parts.operation.op, For):
        source.take_off(*_any_tape(parts))
    records = tuple([len(record) for _, record in adjoint.read])
    if source.drivers:
        op: For | Replay = Replay(len(source.drivers), records)
        leading = [tape for tape, _ in source.drivers]
        given = [value for _, record in source.drivers for value in record]
    else:
        op = For(records)
        leading, given = _backward(d, parts), [Value(parts.given[0].type)]
        counters.pop(parts.given[0])
        source.stand_ins[parts.given[0]] = given[0]
    for value, counter in counters.items():
        if value in plan.free:
            source.count_back(counter, _end(d, parts, counter))
    for number in later:
        source.carry_back(parts, number)
    befores = [*adjoint.arguments.values(), *(before for before, _ in sums)]
    region.arguments = [*given, *befores, *(argument for _, argument, _ in source.back)]
    place = len(initial)
    region.yields = (*region.yields[:place], *(after for _, _, after in source.back), *region.yields[place:])
    supply(region, plan, source.stand_ins)
    region.operations[:0] = source.front.operations
    parts.put_together()
    return d.emit(op, *leading, *initial, *(start for start, _, _ in source.back), regions=(region,))


def _carried_on(parts: LoopParts, plan: Residuals) -> list[int]:
    """Carried values whose next value need not be saved beside themselves: it is there in the iteration after."""
    saved = set(plan.saved)
    found: dict[Value, int] = {}
    for number, (argument, after) in enumerate(zip(parts.arguments, parts.yields, strict=True)):
        if after in saved and after is not argument and (argument in saved or argument in plan.free):
            found.setdefault(after, number)
    return list(found.values())


def _counters(parts: LoopParts) -> list[Counter]:
    """The counter of a ``for``, and carried integers that each iteration adds the same to, or subtracts it."""
    found = []
    if isinstance(parts.operation.op, For):
        found.append(Counter(parts.given[0], parts.drivers[2], False, None))
    own = set(own_values(parts.body))
    for argument, after, result in zip(parts.arguments, parts.yields, parts.results, strict=True):
        owner = after.owner
        if owner is None or not argument.type.dtype.is_integer or not isinstance(owner.op, Add | Sub):
            continue
        left, right = owner.operands
        if isinstance(owner.op, Add) and right is argument:
            left, right = right, left
        constant = right.owner is not None and isinstance(right.owner.op, Full)
        if left is argument and (right not in own or constant):
            found.append(Counter(argument, right, isinstance(owner.op, Sub), result))
    return found


def _step(b: Builder, counter: Counter) -> Value:
    """The step where the adjoint can see it: a constant is made anew."""
    owner = counter.step.owner
    return b.value(owner.op) if owner is not None and isinstance(owner.op, Full) else counter.step


def _end(b: Builder, parts: LoopParts, counter: Counter) -> Value:
    """A counter's value after the last iteration."""
    return _stop(b, parts) if counter.end is None else counter.end


def _stop(b: Builder, parts: LoopParts) -> Value:
    """One step beyond the last value of a ``for``'s counter; anything if there is no iteration."""
    start, stop, step = parts.drivers
    if step.owner is not None and isinstance(step.owner.op, Full) and abs(step.owner.op.value) == 1:
        return stop
    # start - floor((start - stop) / step) * step: the division's sign makes it round up.
    behind = b.value(FloorDivide(), b.value(Sub(), start, stop), step)
    return b.value(Sub(), start, b.value(Mul(), behind, step))


def _backward(b: Builder, parts: LoopParts) -> list[Value]:
    """Start, stop and step of a ``for`` that counts what another counts, last to first."""
    start, _, step = parts.drivers
    zero = b.value(Full(0, step.type.dtype, ()))
    return [b.value(Sub(), _stop(b, parts), step), b.value(Sub(), start, step), b.value(Sub(), zero, step)]


def _any_tape(parts: LoopParts) -> tuple[Value, list[Value]]:
    """A tape with a record per iteration, whatever it holds, for an adjoint that reads nothing and runs as often."""
    if parts.tapes:
        return parts.tapes[0], parts.records[0]
    for tape, record in parts.taken_off():
        return tape, record
    mark = RegionBuilder(parts.body).value(Full(True, boolean, ()))
    return parts.save([mark]), [mark]
