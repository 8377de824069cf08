"""Custom calls become what they compute: derivatives have been taken."""
from __future__ import annotations

from pullback.ir.clone import copy_operation
from pullback.ir.core import Function, Operation, Region, Value, walk
from pullback.ir.ops.custom import CustomCall


def inline_custom_calls(function: Function) -> bool:
    """Put the primal of each custom call in its place; not among the passes that simplify, which come before derivatives.

        %0 = custom_call %x {rule = double, types = (f64[],)} : f64[]     // =>  %0 = add %x, %x : f64[]

    Raises: UnboundError for a call whose function is known by its name only.
    """
    found = any(isinstance(operation.op, CustomCall) for operation in walk(function.body))
    return found and _sweep(function.body, {})


def _sweep(region: Region, replaced: dict[Value, Value]) -> bool:
    """One region and those inside, which see what was `replaced` around them; it recurses as deep as regions nest."""
    changed = False
    kept: list[Operation] = []
    pending = region.operations[::-1]
    while pending:
        operation = pending.pop()
        operation.operands = tuple([_final(operand, replaced) for operand in operation.operands])
        if isinstance(operation.op, CustomCall):
            primal = operation.op.bound().primal
            inner = dict(zip(primal.body.arguments, operation.operands, strict=True))
            copies = [copy_operation(each, inner) for each in primal.body.operations]
            for result, value in zip(operation.results, primal.body.yields, strict=True):
                replaced[result] = inner.get(value, value)
            pending += copies[::-1]
            changed = True
            continue
        for each in operation.regions:
            changed |= _sweep(each, replaced)
        kept.append(operation)
    region.operations = kept
    region.yields = tuple([_final(value, replaced) for value in region.yields])
    return changed


def _final(value: Value, replaced: dict[Value, Value]) -> Value:
    """What stands for a value: a call may hand through the result of a call inside it."""
    while value in replaced:
        value = replaced[value]
    return value
