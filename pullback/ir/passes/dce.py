"""Dead code elimination."""
from __future__ import annotations

from pullback.ir.core import Function, Operation, Region, Value, walk


def dce(function: Function) -> bool:
    """Drop operations nobody reads, and captured arrays nobody reads. Parameters stay.

        %0 = sin %x : f64[]            // =>  %0 = cos %x : f64[]
        %1 = cos %x : f64[]                   return %0
        return %1
    """
    used: set[Value] = set()
    changed = sweep(function.body, used)
    count = len(function.body.arguments) - len(function.captured)
    kept = [place for place, value in enumerate(function.captured_arguments) if value in used]
    if len(kept) < len(function.captured):
        arguments = function.body.arguments
        function.body.arguments = arguments[:count] + [arguments[count + place] for place in kept]
        function.captured = [function.captured[place] for place in kept]
        changed = True
    return changed


def sweep(region: Region, used: set[Value]) -> bool:
    """Backward over one region: an operation lives if a result is used; what a living one reads is used."""
    used.update(region.yields)
    kept: list[Operation] = []
    changed = False
    for operation in reversed(region.operations):
        if not any(result in used for result in operation.results):
            changed = True
            continue
        used.update(operation.operands)
        for inner in operation.regions:
            changed |= sweep(inner, used)
        kept.append(operation)
    region.operations = kept[::-1]
    return changed


def count(function: Function) -> int:
    """Operations of a function, regions included."""
    return sum(1 for _ in walk(function.body))
