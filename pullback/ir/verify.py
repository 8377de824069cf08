"""The IR's own rules, checked: every value defined once and before its use, every type what its op says."""
from __future__ import annotations

from collections.abc import Sequence

from pullback.errors import PullbackError, ShapeError, VerifyError
from pullback.ir.core import Function, Op, Operation, Region, Value
from pullback.ir.types import ArrayType, TapeType, type_of


def infer(op: Op, operands: Sequence[Value], regions: tuple[Region, ...]) -> tuple[ArrayType, ...]:
    """The types of an op's results, its operands and regions counted first. Raises: ShapeError, DTypeError."""
    if op.arity is not None and len(operands) != op.arity:
        raise ShapeError(f"{op.name} takes {op.arity} operands, not {len(operands)}")
    if len(operands) < op.least:
        raise ShapeError(f"{op.name} takes at least {op.least} operands, not {len(operands)}")
    if len(regions) != op.regions:
        raise ShapeError(f"{op.name} has {op.regions} regions, not {len(regions)}")
    types = op.infer(*[operand.type for operand in operands], regions=regions)
    for kind in types:
        if any(isinstance(dim, int) and dim < 0 for dim in kind.dims):
            raise ShapeError(f"{op.name} gives {kind}, with a negative size")
    return types


def verify(function: Function) -> None:
    """Raises: VerifyError naming the operation and the user's line."""
    if len(function.captured) > len(function.body.arguments):
        raise VerifyError(f"@{function.name}: more captured arrays than arguments")
    for value in (*function.body.arguments, *function.body.yields):
        if isinstance(value.type, TapeType):
            raise VerifyError(f"@{function.name}: a {value.type} cannot be passed in or out of a function")
    for array, value in zip(function.captured, function.captured_arguments, strict=True):
        if array is not None and type_of(array) != value.type:
            raise VerifyError(f"@{function.name}: captured array {type_of(array)} for an argument of {value.type}")
    _verify_region(function.body, set(), set(), None)


def _verify_region(region: Region, visible: set[Value], defined: set[Value], parent: Operation | None) -> None:
    """`visible` are the values of the regions around; `defined` is every value of the function so far."""
    own: list[Value] = []

    def define(value: Value, operation: Operation | None) -> None:
        if value in defined:
            raise _error("a value is defined twice", operation)
        defined.add(value)
        visible.add(value)
        own.append(value)

    for argument in region.arguments:
        if argument.owner is not None:
            raise _error("a region's argument belongs to an operation", parent)
        define(argument, parent)
    for operation in region.operations:
        for operand in operation.operands:
            if operand not in visible:
                raise _error(f"{operation.op.name} uses a value of {operand.type} that is not defined here", operation)
        for inner in operation.regions:
            _verify_region(inner, visible, defined, operation)
        try:
            types = infer(operation.op, operation.operands, operation.regions)
        except PullbackError as error:
            raise _error(error.message, operation) from None
        if types != tuple([result.type for result in operation.results]):
            shown = ", ".join(str(result.type) for result in operation.results)
            raise _error(f"{operation.op.name} gives {', '.join(map(str, types))}, not {shown}", operation)
        for index, result in enumerate(operation.results):
            if result.owner is not operation or result.index != index:
                raise _error(f"a result of {operation.op.name} belongs to another operation", operation)
            define(result, operation)
    for value in region.yields:
        if value not in visible:
            raise _error(f"a region yields a value of {value.type} that is not defined in it", parent)
    visible.difference_update(own)


def _error(message: str, operation: Operation | None) -> VerifyError:
    return VerifyError(message) if operation is None else VerifyError(message, location=operation.location)
