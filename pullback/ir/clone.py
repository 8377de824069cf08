"""Copies of functions: inlined at a builder's place, or whole."""
from __future__ import annotations

from collections.abc import Sequence

from pullback.ir.core import Builder, Function, Operation, Region, Value, walk


def copy_operation(operation: Operation, replaced: dict[Value, Value]) -> Operation:
    """A copy with operands looked up in `replaced`, which also learns the copy's results."""
    operands = tuple([replaced.get(operand, operand) for operand in operation.operands])
    regions = tuple([copy_region(region, replaced) for region in operation.regions]) if operation.regions else ()
    results = operation.results
    copy = Operation(operation.op, operands, [value.type for value in results], regions, operation.location)
    if len(results) == 1:
        replaced[results[0]] = copy.results[0]
    else:
        replaced.update(zip(results, copy.results, strict=True))
    return copy


def copy_region(region: Region, replaced: dict[Value, Value]) -> Region:
    """A copy of a region, which recurses as deep as regions nest."""
    arguments = [Value(value.type, name=value.name) for value in region.arguments]
    replaced.update(zip(region.arguments, arguments, strict=True))
    operations = [copy_operation(operation, replaced) for operation in region.operations]
    return Region(arguments, operations, [replaced.get(value, value) for value in region.yields])


def copy_function(function: Function, name: str = "") -> Function:
    """An independent copy that shares the captured arrays."""
    return Function(name or function.name, copy_region(function.body, {}), function.captured)


def inline(b: Builder, function: Function, operands: Sequence[Value]) -> list[Value]:
    """Insert a copy of the function's operations; `operands` stand for all its arguments, the captured ones too."""
    replaced = dict(zip(function.body.arguments, operands, strict=True))
    for operation in function.body.operations:
        b.insert(copy_operation(operation, replaced))
    return [replaced.get(value, value) for value in function.body.yields]


def move_in(b: Builder, function: Function, operands: Sequence[Value]) -> list[Value]:
    """Insert the operations themselves of a function that is not needed any more; `operands` stand for its arguments."""
    replaced = dict(zip(function.body.arguments, operands, strict=True))
    for operation in walk(function.body):
        if not replaced.keys().isdisjoint(operation.operands):
            operation.operands = tuple([replaced.get(operand, operand) for operand in operation.operands])
        for region in operation.regions:
            region.yields = tuple([replaced.get(value, value) for value in region.yields])
    for operation in function.body.operations:
        b.insert(operation)
    return [replaced.get(value, value) for value in function.body.yields]


