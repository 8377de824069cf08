"""The reference interpreter: a function and NumPy arrays in, NumPy arrays out, one operation at a time."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pullback.errors import UnboundError
from pullback.ir.core import Array, Function, Operation, Region, Value
from pullback.ir.ops.control import Call, Control, For, If, While


def interpret(function: Function, arguments: Sequence[Array]) -> list[Array]:
    """What the function's text means. Raises: UnboundError for captured arrays without data, and what ops raise."""
    captured = []
    for array, value in zip(function.captured, function.captured_arguments, strict=True):
        if array is None:
            raise UnboundError(f"captured array {value.name or '?'}: {value.type} has no data")
        captured.append(array)
    with np.errstate(all="ignore"):
        return _run(function.body, [*(np.asarray(argument) for argument in arguments), *captured], {})


def _run(region: Region, arguments: Sequence[Array], outer: dict[Value, Array]) -> list[Array]:
    """Run one region; it sees its own values and, in `outer`, those around it."""
    values = dict(outer)
    values.update(zip(region.arguments, arguments, strict=True))
    # Inner regions may read any value around them, so only a region without them frees values early.
    frees = not any(operation.regions for operation in region.operations)
    last_use = {operand: operation for operation in region.operations for operand in operation.operands}
    kept = set(region.yields)
    for operation in region.operations:
        operands = [values[operand] for operand in operation.operands]
        op = operation.op
        results = _control(operation, operands, values) if isinstance(op, Control) else op.evaluate(*operands)
        values.update(zip(operation.results, results, strict=True))
        if frees:
            for operand in operation.operands:
                if last_use[operand] is operation and operand not in kept:
                    values.pop(operand, None)
    return [values[value] for value in region.yields]


def _control(operation: Operation, operands: list[Array], values: dict[Value, Array]) -> list[Array]:
    regions = operation.regions
    match operation.op:
        case If():
            chosen = regions[0] if bool(operands[0]) else regions[1]
            return _run(chosen, operands[1:], values)
        case While():
            state = operands
            while bool(_run(regions[0], state, values)[0]):
                state = _run(regions[1], state, values)
            return state
        case For():
            start, stop, step = (int(operand) for operand in operands[:3])
            state = operands[3:]
            for index in range(start, stop, step):
                state = _run(regions[0], [np.asarray(index, np.int64), *state], values)
            return state
        case Call():
            return _run(regions[0], operands, values)
    raise TypeError(f"{operation.op.name} has no meaning here")
