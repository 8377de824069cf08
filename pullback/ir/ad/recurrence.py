"""Linear recurrences: the body of a loop's adjoint in, the same with a shorter way from iteration to iteration out.

The adjoint of an iteration is linear in the cotangents that it carries. Computed as it comes, each iteration waits for a
chain of operations on the cotangents of the one before. Computed as cotangents times slopes, where nothing in the slopes
depends on cotangents, it waits for one multiplication, and what is the same in all slopes is computed once.
"""
from __future__ import annotations

from collections.abc import Collection, Sequence

from pullback.ir.ad.build import DerivativeBuilder
from pullback.ir.analysis.uses import operation_reads, substitute
from pullback.ir.core import Operation, Region, Value
from pullback.ir.ops.arithmetic import Add, Div, Mul, Neg, Sub, ZeroMul
from pullback.ir.ops.creation import Full
from pullback.ir.ops.logic import Select

MOST = 3
"""Carried cotangents with slopes by each other."""

Slopes = dict[Value, Value]
"""By which cotangent a value has which slope."""


def factor(d: DerivativeBuilder, region: Region, bars: Sequence[Value], places: Sequence[int]) -> None:
    """Compute what is linear in the numbers `bars` as ``bar * slope``, if that is a shorter way to the yields `places`.

        %0 = mul %bar, %w : f64[]         // =>  %0 = mul %w, %x : f64[]
        %1 = mul %0, %x : f64[]                  %1 = mul %bar, %0 : f64[]
        yield %1                                 yield %1

    Any order of operations is right for a cotangent; those that compute values are not touched.
    """
    if not 1 <= len(bars) <= MOST or any(bar.type.dims for bar in bars) or not _is_better(region, bars, places):
        return
    operations, region.operations = region.operations, []
    inner = d.within(region, repeated=True)
    inner.location = operations[0].location
    slopes: dict[Value, Slopes] = {bar: {bar: inner.value(Full(1.0, bar.type.dtype, ()))} for bar in bars}
    products: dict[Value, Value] = {bar: bar for bar in bars}

    def product(value: Value) -> Value:
        """The value itself, for those that do more with it."""
        if value in slopes and value not in products:
            parts = [inner.scale(bar, slope) for bar, slope in slopes[value].items()]
            products[value] = parts[0] if len(parts) == 1 else inner.total(parts)
        return products.get(value, value)

    for operation in operations:
        inner.location = operation.location
        if _is_linear(operation, slopes):
            slopes[operation.result] = _slopes(inner, operation, slopes)
            continue
        found = {value: product(value) for value in operation_reads(operation) if value in slopes}
        operation.operands = tuple([found.get(operand, operand) for operand in operation.operands])
        for inside in operation.regions:
            substitute(inside, found)
        inner.insert(operation)
    region.yields = tuple([product(value) for value in region.yields])


def _slopes(b: DerivativeBuilder, operation: Operation, slopes: dict[Value, Slopes]) -> Slopes:
    """A linear operation's slopes: the same operation on its operands' slopes, by each cotangent in turn."""
    known = [slopes.get(operand) for operand in operation.operands]
    found: Slopes = {}
    for bar in dict.fromkeys(bar for each in known if each is not None for bar in each):
        operands = []
        for operand, each in zip(operation.operands, known, strict=True):
            if each is None:
                operands.append(operand)
            elif bar in each:
                operands.append(each[bar])
        if isinstance(operation.op, Add | Sub | Select) and len(operands) < len(known):
            found[bar] = _one_sided(b, operation, operands, bar, known)
        else:
            found[bar] = b.value(operation.op, *operands)
    return found


def _one_sided(
    b: DerivativeBuilder, operation: Operation, operands: Sequence[Value], bar: Value, known: Sequence[Slopes | None]
) -> Value:
    """The slope of a sum, a difference or a choice of which only one side depends on this cotangent."""
    slope = operands[-1]
    match operation.op:
        case Sub():
            left = known[0]
            return slope if left is not None and bar in left else b.value(Neg(), slope)
        case Select():
            zero = b.value(Full(0.0, slope.type.dtype, ()))
            left = known[1]
            sides = (slope, zero) if left is not None and bar in left else (zero, slope)
            return b.value(operation.op, operation.operands[0], *sides)
        case _:
            return slope


def _is_better(region: Region, bars: Sequence[Value], places: Sequence[int]) -> bool:
    """Whether the way between iterations gets shorter, without twice as many operations on the whole."""
    depths = dict.fromkeys(bars, 0)
    by: dict[Value, set[Value]] = {bar: {bar} for bar in bars}
    read: set[Value] = set(region.yields)
    for operation in region.operations:
        if _is_linear(operation, by):
            operands = [operand for operand in operation.operands if operand in by]
            depths[operation.result] = 1 + max(depths[each] for each in operands)
            by[operation.result] = set().union(*(by[each] for each in operands))
        else:
            read.update(operation_reads(operation))
    ways = [depths.get(region.yields[place], 0) for place in places]
    if max(ways) < 2 * len(bars) or any(depth == 0 and region.yields[place] not in bars
                                        for depth, place in zip(ways, places, strict=True)):  # fmt: skip
        return False
    linear = [value for value in by if value not in bars]
    after = sum(len(by[value]) for value in linear)
    after += sum(2 * len(by[value]) - 1 for value in linear if value in read)
    return len(bars) == 1 or after <= 2 * len(linear) + 4


def _is_linear(operation: Operation, known: Collection[Value]) -> bool:
    """Whether a result is a number, linear in some if the `known` values are and others do not depend on them."""
    linear = [operand in known for operand in operation.operands]
    if not any(linear):
        return False
    match operation.op:
        case Neg():
            return True
        case Add() | Sub():
            return all(linear)
        case Mul() | ZeroMul():
            return linear[0] != linear[1]
        case Div():
            return linear[0] and not linear[1]
        case Select():
            sides = zip(linear[1:], operation.operands[1:], strict=True)
            return all(is_linear or _is_zero(side) for is_linear, side in sides)
        case _:
            return False


def _is_zero(value: Value) -> bool:
    return value.owner is not None and isinstance(value.owner.op, Full) and value.owner.op.value == 0
