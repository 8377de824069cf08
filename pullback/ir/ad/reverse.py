"""Reverse mode: operations and their results' cotangents in, cotangents of chosen inputs out; and whole adjoints."""
from __future__ import annotations

from collections.abc import Iterable, Sequence

from pullback.errors import DerivativeError
from pullback.ir.ad.build import DerivativeBuilder
from pullback.ir.clone import copy_region
from pullback.ir.core import Builder, Function, Operation, RegionBuilder, Value
from pullback.ir.ops.creation import Full
from pullback.ir.types import ArrayType


def active_values(operations: Iterable[Operation], inputs: Iterable[Value]) -> set[Value]:
    """Float values that depend on one of the inputs."""
    active = set(inputs)
    for operation in operations:
        if any(operand in active for operand in operation.operands):
            active.update(result for result in operation.results if result.type.dtype.is_float)
    return active


def pull_back(
    b: Builder,
    operations: Sequence[Operation],
    outputs: Sequence[Value],
    cotangents: Sequence[Value | None],
    inputs: Sequence[Value],
) -> list[Value | None]:
    """Emit the cotangents of `inputs`; None where no output depends on one.

    `operations` lead from the inputs to the outputs, in order. Work and emitted operations are linear in their number.
    """
    d = b if isinstance(b, DerivativeBuilder) else DerivativeBuilder(b)
    active = active_values(operations, inputs)
    parts: dict[Value, list[Value]] = {}
    for output, cotangent in zip(outputs, cotangents, strict=True):
        if cotangent is not None and output in active:
            parts.setdefault(output, []).append(cotangent)
    wanted = set(inputs)
    found: dict[Value, Value] = {}
    for operation in reversed(operations):
        if not any(result in parts for result in operation.results):
            continue
        if not any(operand in active for operand in operation.operands):
            continue
        d.location = operation.location
        bars = tuple(_settle(d, result, parts, wanted, found) for result in operation.results)
        try:
            results = operation.op.pullback(d, operation.operands, operation.results, bars)
        except DerivativeError as error:
            raise DerivativeError(error.message, location=operation.location, help=error.help) from None
        masked = all(bar is None or d.is_masked(bar) for bar in bars)
        for operand, part in zip(operation.operands, results, strict=True):
            if part is not None and operand in active:
                if masked:
                    d.masked(part)
                parts.setdefault(operand, []).append(part)
    return [found[value] if value in found else _settle(d, value, parts, wanted, found) for value in inputs]


def _settle(
    d: DerivativeBuilder,
    value: Value,
    parts: dict[Value, list[Value]],
    wanted: set[Value],
    found: dict[Value, Value],
) -> Value | None:
    """The complete cotangent of a value: all its uses lie behind, so every contribution is known."""
    contributions = parts.pop(value, None)
    if contributions is None:
        return None
    result = contributions[0] if len(contributions) == 1 else d.total(contributions)
    if value in wanted:
        found[value] = result
    return result


def zeros(b: Builder, kind: ArrayType) -> Value:
    """A constant 0 of a type."""
    return b.value(Full(0.0, kind.dtype, kind.dims))


def ones(b: Builder, kind: ArrayType) -> Value:
    """A constant 1 of a type."""
    return b.value(Full(1.0, kind.dtype, kind.dims))


def adjoint(
    function: Function, wanted: Sequence[int], *, seeded: Sequence[int] | None = None, keep_values: bool = True
) -> Function:
    """The function whose results are `function`'s (if `keep_values`) and then the cotangents of `wanted` parameters.

    With `seeded` None, it takes one more argument per float result: that result's cotangent. Otherwise the results
    numbered in `seeded` get the cotangent 1 and all others none, and the arguments are `function`'s.
    Raises: DerivativeError with the user's line for an operation without a derivative.
    """
    replaced: dict[Value, Value] = {}
    region = copy_region(function.body, replaced)
    b = RegionBuilder(region)
    outputs = list(region.yields)
    primal = list(region.operations)
    cotangents: list[Value | None] = [None] * len(outputs)
    parameters = region.arguments[: len(region.arguments) - len(function.captured)]
    if seeded is None:
        extra = []
        for index, output in enumerate(outputs):
            if output.type.dtype.is_float:
                cotangents[index] = Value(output.type, name=f"bar{index}")
                extra.append(cotangents[index])
        place = len(parameters)
        region.arguments[place:place] = [value for value in extra if value is not None]
    else:
        for index in seeded:
            cotangents[index] = ones(b, outputs[index].type)
    inputs = [parameters[index] for index in wanted]
    bars = pull_back(b, primal, outputs, cotangents, inputs)
    complete = [zeros(b, value.type) if bar is None else bar for bar, value in zip(bars, inputs, strict=True)]
    region.yields = (*(outputs if keep_values else ()), *complete)
    return Function(f"{function.name}_adjoint", region, function.captured)
