"""Forward mode of branches and loops: an operation with regions in, the same computing tangents alongside out."""
from __future__ import annotations

from collections.abc import Callable, Sequence

from pullback.ir.ad.build import DerivativeBuilder
from pullback.ir.ad.tapes import moving, tangent_type, zeros_like
from pullback.ir.analysis.activity import active_values
from pullback.ir.analysis.uses import operation_reads
from pullback.ir.core import Operation, Value
from pullback.ir.loop_parts import LoopParts, set_results, take_apart
from pullback.ir.ops.control import If, Loop

Tangents = dict[Value, Value]
Push = Callable[[DerivativeBuilder, Sequence[Operation], Sequence[Value], Tangents], "list[Value | None]"]
"""`push_forward`, handed in: regions hold operations of all kinds."""


def push_control(d: DerivativeBuilder, operation: Operation, tangents: Tangents, push: Push) -> None:
    """Insert an operation with regions, changed to compute the tangents of its results too, which `tangents` learns.

    Regions see the tangents of the values around them as they see the values. Values computed keep their bits: the same
    operations compute them.
    """
    around = {value: tangents[value] for value in operation_reads(operation) if value in tangents}
    if not around:
        d.insert(operation)
    elif isinstance(operation.op, Loop):
        _push_loop(d, operation, around, tangents, push)
    else:
        _push_branches(d, operation, around, tangents, push)


def _push_branches(
    d: DerivativeBuilder, operation: Operation, around: Tangents, tangents: Tangents, push: Push
) -> None:
    """``if`` and ``call``: a result has a tangent if a region gives it one; a region that does not gives zeros.

        %1 = if %c, %x {then} {else}        // =>  %1, %1_dot = if %c, %x {then, yields %y, %y_dot} {else …}
    """
    operands = operation.operands[1:] if isinstance(operation.op, If) else operation.operands
    found: list[list[Value | None]] = []
    builders = []
    for region in operation.regions:
        inner = around | {
            argument: around[operand]
            for argument, operand in zip(region.arguments, operands, strict=True)
            if operand in around
        }
        operations, region.operations = region.operations, []
        builders.append(d.within(region))
        found.append(push(builders[-1], operations, region.yields, inner))
    results = list(operation.results)
    for place, result in enumerate(operation.results):
        dots = [each[place] for each in found]
        if all(dot is None for dot in dots):
            continue
        masked = False
        for region, builder, dot in zip(operation.regions, builders, dots, strict=True):
            masked |= dot is None or d.is_masked(dot)
            region.yields += (zeros_like(builder, region.yields[place]) if dot is None else dot,)
        results.append(Value(tangent_type(result.type)))
        tangents[result] = d.masked(results[-1]) if masked else results[-1]
    set_results(operation, results)
    d.insert(operation)


def _push_loop(d: DerivativeBuilder, operation: Operation, around: Tangents, tangents: Tangents, push: Push) -> None:
    """Loops carry the tangents of those carried values that ever have one, and save those of what is saved.

        %1 = for %a, %b, %c, %x { ^(%i, %y) …  yield %z }
        // =>
        %1, %1_dot = for %a, %b, %c, %x, %x_dot { ^(%i, %y, %y_dot) …  yield %z, %z_dot }
    """
    active = active_values([operation], around)
    carried = [number for number, value in enumerate(take_apart(operation).arguments) if value in active]
    starts = [around.get(initial) for initial in take_apart(operation).initial]
    # A tangent that starts as a zero on purpose may still be one in any iteration; so may one that a branch zeroed.
    masked = {number for number in carried if d.zero_on_purpose(starts[number])}
    while True:
        parts = take_apart(operation, copied=True)
        arguments = {number: Value(parts.arguments[number].type) for number in carried}
        for number in masked:
            d.masked(arguments[number])
        dots, tapes = _push_body(d, parts, around, arguments, push)
        new = {number for number, dot in dots.items() if d.zero_on_purpose(dot)} - masked
        if not new:
            break
        masked |= new
    for number, dot in dots.items():
        start = starts[number] or zeros_like(d, parts.initial[number])
        tangents[parts.results[number]] = parts.carry(start, arguments[number], dot)
        if number in masked:
            d.masked(parts.results[-1])
    tangents.update(tapes)
    d.insert(parts.put_together())


def _push_body(
    d: DerivativeBuilder, parts: LoopParts, around: Tangents, arguments: dict[int, Value], push: Push
) -> tuple[dict[int, Value], Tangents]:
    """Make a body compute tangents too: gives those to carry on by number, and the tangents of the tapes it writes."""
    builder = d.within(parts.body, repeated=True)
    inner = around | {parts.arguments[number]: argument for number, argument in arguments.items()}
    for tape, record in parts.taken_off():
        if tape in around:
            parts.drivers.append(around[tape])
            for value in moving(record):
                # What the tape's writer left zero on purpose is not known here, so all of it might be.
                inner[value] = d.masked(Value(tangent_type(value.type)))
                parts.given.append(inner[value])
    operations, parts.body.operations = parts.body.operations, []
    push(builder, operations, (), inner)

    def complete(value: Value) -> Value:
        return inner[value] if value in inner else zeros_like(builder, value)

    dots = {number: complete(parts.yields[number]) for number in arguments}
    tapes = {}
    for tape, record in list(zip(parts.tapes, parts.records, strict=True)):
        if any(value in inner for value in record):
            tapes[tape] = parts.save([complete(value) for value in moving(record)])
    return dots, tapes
