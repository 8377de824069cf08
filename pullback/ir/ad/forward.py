"""Forward mode: a function in, the function that also computes its results' tangents out."""
from __future__ import annotations

from collections.abc import Sequence

from pullback.errors import DerivativeError
from pullback.ir.ad.build import DerivativeBuilder
from pullback.ir.ad.reverse import zeros
from pullback.ir.clone import copy_region
from pullback.ir.core import Builder, Function, Operation, RegionBuilder, Value


def push_forward(
    b: Builder, operations: Sequence[Operation], outputs: Sequence[Value], tangents: dict[Value, Value]
) -> list[Value | None]:
    """Emit the outputs' tangents from those of the inputs (`tangents`, which learns those of all values between)."""
    d = b if isinstance(b, DerivativeBuilder) else DerivativeBuilder(b)
    for operation in operations:
        dots = tuple([tangents.get(operand) for operand in operation.operands])
        if all(dot is None for dot in dots):
            continue
        d.location = operation.location
        try:
            results = operation.op.jvp(d, operation.operands, operation.results, dots)
        except DerivativeError as error:
            raise DerivativeError(error.message, location=operation.location, help=error.help) from None
        masked = all(dot is None or d.is_masked(dot) for dot in dots)
        for result, dot in zip(operation.results, results, strict=True):
            if dot is not None:
                tangents[result] = d.masked(dot) if masked else dot
    return [tangents.get(output) for output in outputs]


def pushforward(function: Function, active: Sequence[int], *, keep_values: bool = True) -> Function:
    """The function that takes `function`'s arguments and a tangent per `active` parameter.

    Its results are `function`'s (if `keep_values`) and then a tangent for each float result.
    """
    region = copy_region(function.body, {})
    b = RegionBuilder(region)
    place = len(region.arguments) - len(function.captured)
    parameters = region.arguments[:place]
    inputs = [Value(parameters[index].type, name=f"dot{index}") for index in active]
    region.arguments[place:place] = inputs
    tangents = {parameters[index]: dot for index, dot in zip(active, inputs, strict=True)}
    outputs = list(region.yields)
    dots = push_forward(b, list(region.operations), outputs, tangents)
    complete = [
        zeros(b, output.type) if dot is None else dot
        for output, dot in zip(outputs, dots, strict=True)
        if output.type.dtype.is_float
    ]
    region.yields = (*(outputs if keep_values else ()), *complete)
    return Function(f"{function.name}_jvp", region, function.captured)
