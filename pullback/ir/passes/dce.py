"""Dead code elimination."""
from __future__ import annotations

from pullback.ir.analysis.liveness import Liveness
from pullback.ir.core import Function, Operation, Region, Value, walk
from pullback.ir.loop_parts import set_results
from pullback.ir.ops.control import EmptyTape, If, Replay
from pullback.ir.types import TapeType


def dce(function: Function) -> bool:
    """Drop operations nobody reads, and captured arrays nobody reads. Parameters stay.

    Of loops and branches those parts go that nobody reads: results, values carried, and places in the records of tapes.

        %0 = sin %x : f64[]            // =>  %0 = cos %x : f64[]
        %1 = cos %x : f64[]                   return %0
        return %1
    """
    changed = prune(function.body)
    if not function.captured:
        return changed
    used = set(function.body.yields)
    for operation in walk(function.body):
        used.update(operation.operands)
        for inner in operation.regions:
            used.update(inner.yields)
    count = len(function.body.arguments) - len(function.captured)
    kept = [place for place, value in enumerate(function.captured_arguments) if value in used]
    if len(kept) < len(function.captured):
        arguments = function.body.arguments
        function.body.arguments = arguments[:count] + [arguments[count + place] for place in kept]
        function.captured = [function.captured[place] for place in kept]
        changed = True
    return changed


def prune(region: Region) -> bool:
    """Drop what a region does not need for what it yields; its arguments stay. Whether there was anything."""
    if not any(operation.regions for operation in region.operations):
        return _sweep_flat(region)
    liveness = Liveness(region)
    changed = False
    pending = [region]
    while pending:
        current = pending.pop()
        kept = [operation for operation in current.operations if _is_live(operation, liveness)]
        changed |= len(kept) < len(current.operations)
        current.operations = kept
        for operation in kept:
            if operation in liveness.parts:
                changed |= _trim_loop(operation, liveness)
            elif operation.regions:
                changed |= _trim_branches(operation, liveness)
            elif isinstance(operation.op, EmptyTape):
                changed |= _retype(operation.result, liveness)
                assert isinstance(operation.result.type, TapeType)
                operation.op = EmptyTape(operation.result.type.record)
            pending.extend(operation.regions)
    return changed


def _sweep_flat(region: Region) -> bool:
    """`prune` where there are no regions inside: an operation lives if a result is used, or for what it does."""
    used: set[Value] = set(region.yields)
    kept: list[Operation] = []
    for operation in reversed(region.operations):
        results = operation.results
        read = results[0] in used if len(results) == 1 else any(result in used for result in results)
        if read or operation.op.effect:
            used.update(operation.operands)
            kept.append(operation)
    changed = len(kept) < len(region.operations)
    region.operations = kept[::-1]
    return changed


def _is_live(operation: Operation, liveness: Liveness) -> bool:
    if operation in liveness.running or operation in liveness.effects:
        return True
    return any(result in liveness.live for result in operation.results)


def _trim_loop(operation: Operation, liveness: Liveness) -> bool:
    """Drop carried values, tapes and places in records that nobody needs."""
    parts, live = liveness.parts[operation], liveness.live
    before = len(parts.results), len(parts.drivers), len(parts.given), sum(map(len, parts.records))
    parts.drop({number for number, result in enumerate(parts.results) if result not in live})
    changed = False
    if isinstance(operation.op, Replay):
        given = []
        for (tape, record), kept in zip(liveness.taken_off[operation], liveness.drivers(operation), strict=True):
            if kept:
                given += [value for value, stays in zip(record, _stays(tape, liveness), strict=True) if stays]
        parts.drivers = [
            tape for tape, kept in zip(parts.drivers, liveness.drivers(operation), strict=True) if kept
        ]
        parts.given = given
        for value in given:
            changed |= _retype(value, liveness)
    parts.records = [
        [value for value, stays in zip(record, _stays(tape, liveness), strict=True) if stays]
        for tape, record in zip(parts.tapes, parts.records, strict=True)
        if tape in live
    ]
    parts.tapes = [tape for tape in parts.tapes if tape in live]
    for tape in parts.tapes:
        changed |= _retype(tape, liveness)
    after = len(parts.results), len(parts.drivers), len(parts.given), sum(map(len, parts.records))
    if changed or before != after:
        parts.put_together()
        return True
    return False


def _trim_branches(operation: Operation, liveness: Liveness) -> bool:
    """Drop results and operands that nobody reads."""
    live = liveness.live
    first = 1 if isinstance(operation.op, If) else 0
    results = [result for result in operation.results if result in live]
    taken = [
        any(region.arguments[place] in live for region in operation.regions)
        for place in range(len(operation.operands) - first)
    ]
    changed = len(results) < len(operation.results) or not all(taken)
    if changed:
        operands = [operand for operand, stays in zip(operation.operands[first:], taken, strict=True) if stays]
        operation.operands = (*operation.operands[:first], *operands)
        for region in operation.regions:
            region.yields = tuple([
                value for value, result in zip(region.yields, operation.results, strict=True) if result in live
            ])  # fmt: skip
            region.arguments = [value for value, stays in zip(region.arguments, taken, strict=True) if stays]
        set_results(operation, results)
    for value in (*results, *(argument for region in operation.regions for argument in region.arguments)):
        changed |= _retype(value, liveness)
    return changed


def _stays(tape: Value, liveness: Liveness) -> list[bool]:
    """Which places of a tape's records stay."""
    return [cell.needed for cell in liveness.shape(tape).cells]


def _retype(value: Value, liveness: Liveness) -> bool:
    """Give a tape the type without the places that went; whether that is another."""
    if not isinstance(value.type, TapeType):
        return False
    kind = liveness.shape(value).kind()
    changed = kind != value.type
    value.type = kind
    return changed


def count(function: Function) -> int:
    """Operations of a function, regions included."""
    return sum(1 for _ in walk(function.body))
