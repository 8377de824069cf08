"""Linear recurrences: the body of a loop's adjoint in, the same with a shorter way from iteration to iteration out.

The adjoint of an iteration is linear in the cotangent that it carries. Computed as it comes, each iteration waits for a
chain of operations on the cotangent of the one before. Computed as cotangent times slope, where nothing in the slope
depends on the cotangent, it waits for one multiplication, and what is the same in all slopes is computed once.
"""
from __future__ import annotations

from pullback.ir.ad.build import DerivativeBuilder
from pullback.ir.analysis.uses import operation_reads, substitute
from pullback.ir.core import Operation, Region, Value
from pullback.ir.ops.arithmetic import Add, Div, Mul, Neg, Sub, ZeroMul
from pullback.ir.ops.creation import Full
from pullback.ir.ops.logic import Select

SHORT = 2
"""Operations between iterations that are left as they are."""


def factor(d: DerivativeBuilder, region: Region, bar: Value, place: int) -> None:
    """Compute all that is linear in the number `bar` as ``bar * slope``, if that is a shorter way to yield `place`.

        %0 = mul %bar, %w : f64[]         // =>  %0 = mul %w, %x : f64[]
        %1 = mul %0, %x : f64[]                  %1 = mul %bar, %0 : f64[]
        yield %1                                 yield %1

    Any order of operations is right for a cotangent; those that compute values are not touched.
    """
    if bar.type.dims or _depths(region, bar).get(region.yields[place], 0) < SHORT:
        return
    operations, region.operations = region.operations, []
    inner = d.within(region, repeated=True)
    inner.location = operations[0].location
    slopes: dict[Value, Value] = {bar: inner.value(Full(1.0, bar.type.dtype, ()))}
    whole: dict[Value, Value] = {bar: bar}

    def product(value: Value) -> Value:
        """The value itself, for those that do more with it."""
        if value in slopes and value not in whole:
            whole[value] = inner.scale(bar, slopes[value])
        return whole.get(value, value)

    for operation in operations:
        inner.location = operation.location
        if _is_linear(operation, slopes):
            operands = [slopes.get(operand, operand) for operand in operation.operands]
            slopes[operation.result] = inner.value(operation.op, *operands)
            continue
        products = {value: product(value) for value in operation_reads(operation) if value in slopes}
        operation.operands = tuple([products.get(operand, operand) for operand in operation.operands])
        for inside in operation.regions:
            substitute(inside, products)
        inner.insert(operation)
    region.yields = tuple([product(value) for value in region.yields])


def _depths(region: Region, bar: Value) -> dict[Value, int]:
    """What is linear in a number, each with the longest way there in operations."""
    depths = {bar: 0}
    for operation in region.operations:
        if _is_linear(operation, depths):
            depths[operation.result] = 1 + max(depths[each] for each in operation.operands if each in depths)
    return depths


def _is_linear(operation: Operation, known: dict[Value, Value] | dict[Value, int]) -> bool:
    """Whether a result is linear in a number if the `known` values are and others do not depend on it."""
    linear = [operand in known for operand in operation.operands]
    match operation.op:
        case Neg():
            return linear[0] and not operation.result.type.dims
        case Add() | Sub():
            return all(linear)
        case Mul() | ZeroMul():
            return linear[0] != linear[1]
        case Div():
            return linear[0] and not linear[1]
        case Select():
            return any(linear) and all(is_linear or _is_zero(side) for is_linear, side in
                                       zip(linear[1:], operation.operands[1:], strict=True))  # fmt: skip
        case _:
            return False


def _is_zero(value: Value) -> bool:
    return value.owner is not None and isinstance(value.owner.op, Full) and value.owner.op.value == 0
