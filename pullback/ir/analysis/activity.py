"""Which values derivatives flow through: those that depend on the inputs, and those that the outputs depend on."""
from __future__ import annotations

from collections.abc import Iterable, Sequence

from pullback.ir.core import Operation, Value
from pullback.ir.loop_parts import take_apart
from pullback.ir.ops.control import If, Loop
from pullback.ir.ops.elementary import StopGradient
from pullback.ir.types import ArrayType, TapeType


def carries_derivative(kind: ArrayType) -> bool:
    """Whether values of a type have tangents: floats, and tapes that hold some."""
    if isinstance(kind, TapeType):
        return any(carries_derivative(each) for each in kind.record)
    return kind.dtype.is_float


def active_values(operations: Iterable[Operation], inputs: Iterable[Value]) -> set[Value]:
    """Values with derivatives that depend on one of the inputs, those inside regions included."""
    active = set(inputs)
    _spread(operations, active)
    return active


def _spread(operations: Iterable[Operation], active: set[Value]) -> None:
    """Add to `active` what depends on it."""
    for operation in operations:
        if not operation.regions:
            for operand in operation.operands:
                if operand in active:
                    if not isinstance(operation.op, StopGradient):
                        active.update([result for result in operation.results if carries_derivative(result.type)])
                    break
        elif isinstance(operation.op, Loop):
            _spread_loop(operation, active)
        else:
            operands = operation.operands[1:] if isinstance(operation.op, If) else operation.operands
            for region in operation.regions:
                _mark(operands, region.arguments, active)
                _spread(region.operations, active)
                _mark(region.yields, operation.results, active)


def _mark(sources: Sequence[Value], targets: Sequence[Value], active: set[Value]) -> bool:
    """A target is active where its source is; whether any became so."""
    before = len(active)
    active.update(target for source, target in zip(sources, targets, strict=True) if source in active)
    return len(active) > before


def _spread_loop(operation: Operation, active: set[Value]) -> None:
    """A carried value is active if it starts so or an iteration makes it so: the least fixpoint."""
    parts = take_apart(operation)
    _mark(parts.initial, parts.arguments, active)
    for tape, record in parts.taken_off():
        if tape in active:
            active.update(value for value in record if carries_derivative(value.type))
    _spread(parts.body.operations, active)
    while _mark(parts.yields, parts.arguments, active):
        _spread(parts.body.operations, active)
    _mark(parts.arguments, parts.results, active)
    for record, tape in zip(parts.records, parts.tapes, strict=True):
        if any(value in active for value in record):
            active.add(tape)


def useful_values(operations: Sequence[Operation], outputs: Iterable[Value]) -> set[Value]:
    """Values with derivatives on which one of the outputs depends, those inside and around regions included."""
    useful = set(outputs)
    _collect(operations, useful)
    return useful


def _collect(operations: Sequence[Operation], useful: set[Value]) -> None:
    """Add to `useful` what it depends on."""
    for operation in reversed(operations):
        if isinstance(operation.op, Loop):
            _collect_loop(operation, useful)
        elif operation.regions:
            operands = operation.operands[1:] if isinstance(operation.op, If) else operation.operands
            for region in operation.regions:
                _mark(operation.results, region.yields, useful)
                _collect(region.operations, useful)
                _mark(region.arguments, operands, useful)
        elif any(result in useful for result in operation.results):
            useful.update(operand for operand in operation.operands if carries_derivative(operand.type))


def _collect_loop(operation: Operation, useful: set[Value]) -> None:
    """What a carried value's last result or next iteration makes useful: the least fixpoint."""
    parts = take_apart(operation)
    _mark(parts.results, parts.arguments, useful)
    for record, tape in zip(parts.records, parts.tapes, strict=True):
        if tape in useful:
            useful.update(value for value in record if carries_derivative(value.type))
    _mark(parts.arguments, parts.yields, useful)
    _collect(parts.body.operations, useful)
    while _mark(parts.arguments, parts.yields, useful):
        _collect(parts.body.operations, useful)
    _mark(parts.arguments, parts.initial, useful)
    for tape, record in parts.taken_off():
        if any(value in useful for value in record):
            useful.add(tape)
