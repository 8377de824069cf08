"""Tangents and cotangents of tapes: tapes themselves, of the tangents of those values in a record that have any."""
from __future__ import annotations

from collections.abc import Sequence

from pullback.ir.ad.build import DerivativeBuilder, zeros
from pullback.ir.analysis.activity import carries_derivative
from pullback.ir.core import Region, Value
from pullback.ir.ops.control import Replay
from pullback.ir.types import ArrayType, TapeType


def tangent_type(kind: ArrayType) -> ArrayType:
    """The type of tangents and cotangents of values of a type."""
    if isinstance(kind, TapeType):
        return TapeType(tuple([tangent_type(each) for each in kind.record if carries_derivative(each)]))
    return kind


def moving(record: Sequence[Value]) -> list[Value]:
    """The values of a record that have tangents: those that a tape of tangents has an entry for, in its order."""
    return [value for value in record if carries_derivative(value.type)]


def zeros_like(d: DerivativeBuilder, value: Value) -> Value:
    """The zero tangent of a value; that of a tape has as many records."""
    if not isinstance(value.type, TapeType):
        return d.masked(zeros(d, value.type))
    body = Region([Value(kind) for kind in value.type.record])
    inner = d.within(body, repeated=True)
    body.yields = tuple([zeros_like(inner, each) for each in moving(body.arguments)])
    return d.emit(Replay(1, (len(body.yields),)), value, regions=(body,)).result


def total(d: DerivativeBuilder, parts: Sequence[Value], base: Value | None = None) -> Value:
    """The sum of cotangents; of tapes, record by record: once through all of them, and once more for their order."""
    if not isinstance(parts[0].type, TapeType):
        return d.total(parts, base)
    whole = [*parts] if base is None else [base, *parts]
    if len(whole) == 1:
        return whole[0]
    count = len(parts[0].type.record)
    body = Region([Value(kind) for part in whole for kind in _record(part)])
    inner = d.within(body, repeated=True)
    body.yields = tuple([total(inner, body.arguments[place::count]) for place in range(count)])
    backward = d.emit(Replay(len(whole), (count,)), *whole, regions=(body,)).result
    same = Region([Value(kind) for kind in _record(backward)])
    same.yields = tuple(same.arguments)
    return d.emit(Replay(1, (count,)), backward, regions=(same,)).result


def _record(tape: Value) -> tuple[ArrayType, ...]:
    assert isinstance(tape.type, TapeType)
    return tape.type.record
