"""Reverse mode: operations and their results' cotangents in, cotangents of chosen inputs out; and whole adjoints."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from pullback.config import settings
from pullback.errors import DerivativeError
from pullback.ir.ad.build import DerivativeBuilder, WholeBuilder, ones, zeros
from pullback.ir.ad.cotangents import Cotangents
from pullback.ir.ad.custom import pull_custom
from pullback.ir.ad.regions import pull_control
from pullback.ir.analysis.activity import active_values
from pullback.ir.analysis.uses import operation_reads
from pullback.ir.clone import copy_function
from pullback.ir.core import Builder, Function, Operation, Value
from pullback.ir.ops.custom import CustomCall
from pullback.ir.passes.pipeline import prepare
from pullback.ir.passes.reroll import rolled_copy
from pullback.location import UNKNOWN


def pull_back(
    b: Builder,
    operations: Sequence[Operation],
    outputs: Sequence[Value],
    cotangents: Sequence[Value | None],
    inputs: Sequence[Value],
    bases: Mapping[Value, Value] | None = None,
) -> list[Value | None]:
    """Emit the cotangents of `inputs`; None where no output depends on one.

    `operations` lead from the inputs to the outputs, in order. Work and emitted operations are linear in their number.
    What `bases` holds for an input is added to its cotangent. Operations with regions are changed: they compute the
    same, and more results that the emitted ones use.
    """
    d = b if isinstance(b, DerivativeBuilder) else DerivativeBuilder(b)
    active = active_values(operations, inputs)
    bars = Cotangents(d, bases or {})
    for output, cotangent in zip(outputs, cotangents, strict=True):
        if cotangent is not None and output in active:
            bars.add(output, cotangent)
    wanted = set(inputs)
    found: dict[Value, Value | None] = {}
    for operation in reversed(operations):
        if not bars.any_of(operation.results) or active.isdisjoint(operation_reads(operation)):
            continue
        d.location = operation.location
        complete = [bars.take(result) for result in operation.results]
        if not wanted.isdisjoint(operation.results):
            found.update(pair for pair in zip(operation.results, complete, strict=True) if pair[0] in wanted)
        try:
            if operation.regions:
                pull_control(d, operation, complete, bars, active, pull_back)
            else:
                _pull(d, operation, complete, bars, active)
        except DerivativeError as error:
            where = operation.location if error.location is UNKNOWN else error.location
            raise DerivativeError(error.message, location=where, help=error.help) from None
    return [found[value] if value in found else bars.take(value) for value in inputs]


def _pull(
    d: DerivativeBuilder, operation: Operation, complete: list[Value | None], bars: Cotangents, active: set[Value]
) -> None:
    """Add the contributions of one operation, by its op's rule."""
    parts: Sequence[Value | None]
    d.active = active
    if isinstance(operation.op, CustomCall):
        parts = pull_custom(d, operation, complete, active, pull_back)
    else:
        parts = operation.op.pullback(d, operation.operands, operation.results, tuple(complete))
    masked = d.all_masked(complete)
    for operand, part in zip(operation.operands, parts, strict=True):
        if part is not None and operand in active:
            bars.add(operand, d.masked(part) if masked else part)


def adjoint(
    function: Function, wanted: Sequence[int], *, seeded: Sequence[int] | None = None, keep_values: bool = True,
    extend: bool = False,
) -> Function:  # fmt: skip
    """The function whose results are `function`'s (if `keep_values`) and then the cotangents of `wanted` parameters.

    With `seeded` None, it takes one more argument per float result: that result's cotangent. Otherwise the results
    numbered in `seeded` get the cotangent 1 and all others none, and the arguments are `function`'s. With `extend`,
    `function` itself becomes the result: it is good for nothing else then.
    Raises: DerivativeError with the user's line for an operation without a derivative.
    """
    rolled = bool(settings().opt) and not extend
    primal_function = function if extend else rolled_copy(function) if rolled else copy_function(function)
    prepare(primal_function, rolled=rolled)
    region, captured = primal_function.body, primal_function.captured
    b = WholeBuilder(region)
    outputs = list(region.yields)
    primal = list(region.operations)
    cotangents: list[Value | None] = [None] * len(outputs)
    parameters = region.arguments[: len(region.arguments) - len(captured)]
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
    return Function(f"{function.name}_adjoint", region, b.complete(captured))
