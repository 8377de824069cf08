"""Forward mode: a function in, the function that also computes its results' tangents out."""
from __future__ import annotations

from collections.abc import Sequence

from pullback.config import settings
from pullback.errors import DerivativeError
from pullback.ir.ad.build import DerivativeBuilder, WholeBuilder, zeros
from pullback.ir.ad.custom import push_custom
from pullback.ir.ad.regions_forward import push_control
from pullback.ir.clone import copy_function
from pullback.ir.core import Builder, Function, Operation, Value
from pullback.ir.ops.custom import CustomCall
from pullback.ir.passes.reroll import rolled_copy
from pullback.location import UNKNOWN


def push_forward(
    b: Builder, operations: Sequence[Operation], outputs: Sequence[Value], tangents: dict[Value, Value]
) -> list[Value | None]:
    """Insert the operations, each followed by the tangents of its results; gives those of the outputs.

    `tangents` holds those of the inputs and learns those of all values between. Operations with regions are changed:
    theirs compute values and tangents together.
    """
    d = b if isinstance(b, DerivativeBuilder) else DerivativeBuilder(b)
    for operation in operations:
        d.location = operation.location
        try:
            if operation.regions:
                push_control(d, operation, tangents, push_forward)
            else:
                d.insert(operation)
                _push(d, operation, tangents)
        except DerivativeError as error:
            where = operation.location if error.location is UNKNOWN else error.location
            raise DerivativeError(error.message, location=where, help=error.help) from None
    return [tangents.get(output) for output in outputs]


def _push(d: DerivativeBuilder, operation: Operation, tangents: dict[Value, Value]) -> None:
    """Emit the tangents of an operation's results by its op's rule."""
    dots = tuple([tangents.get(operand) for operand in operation.operands])
    if all(dot is None for dot in dots):
        return
    results: Sequence[Value | None]
    if isinstance(operation.op, CustomCall):
        results = push_custom(d, operation, dots)
    else:
        results = operation.op.jvp(d, operation.operands, operation.results, dots)
    masked = all(dot is None or d.is_masked(dot) for dot in dots)
    for result, dot in zip(operation.results, results, strict=True):
        if dot is not None:
            tangents[result] = d.masked(dot) if masked else dot


def pushforward(function: Function, active: Sequence[int], *, keep_values: bool = True) -> Function:
    """The function that takes `function`'s arguments and a tangent per `active` parameter.

    Its results are `function`'s (if `keep_values`) and then a tangent for each float result.
    """
    primal_function = rolled_copy(function) if settings().opt else copy_function(function)
    region, captured = primal_function.body, primal_function.captured
    operations, region.operations = region.operations, []
    b = WholeBuilder(region)
    place = len(region.arguments) - len(captured)
    parameters = region.arguments[:place]
    inputs = [Value(parameters[index].type, name=f"dot{index}") for index in active]
    region.arguments[place:place] = inputs
    tangents = {parameters[index]: dot for index, dot in zip(active, inputs, strict=True)}
    outputs = list(region.yields)
    dots = push_forward(b, operations, outputs, tangents)
    complete = [
        zeros(b, output.type) if dot is None else dot
        for output, dot in zip(outputs, dots, strict=True)
        if output.type.dtype.is_float
    ]
    region.yields = (*(outputs if keep_values else ()), *complete)
    return Function(f"{function.name}_jvp", region, b.complete(captured))
