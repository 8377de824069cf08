"""Loops and branches that are decided go, and what they hand through unchanged goes around them."""
from __future__ import annotations

from pullback.dtypes import boolean
from pullback.ir.analysis.uses import reads, substitute
from pullback.ir.core import Function, Operation, RegionBuilder, Value
from pullback.ir.loop_parts import take_apart
from pullback.ir.ops.check import Check
from pullback.ir.ops.control import Call, Checkpoint, EmptyTape, For, If, Replay, While
from pullback.ir.ops.creation import Full
from pullback.ir.ops.logic import LogicalNot
from pullback.ir.rewrite import Rewriter, Rules, rewrite
from pullback.ir.types import TapeType

Replacement = tuple[Value, ...]


def control(function: Function) -> bool:
    """Remove what has no effect of loops and branches; regions read the values around them where they are.

        %1, %2 = for %a, %b, %c, %x, %w { ^(%i, %y, %v)      // =>  %1 = for %a, %b, %c, %x { ^(%i, %y)
          %0 = mul %y, %v : f64[]                                     %0 = mul %y, %w : f64[]
          yield %0, %v                                                yield %0
        } : f64[], f64[]                                            } : f64[]
    """
    if not any(operation.regions for operation in function.body.operations):
        return False
    return rewrite(function, RULES)


def decided_if(operation: Operation, rewriter: Rewriter) -> Replacement | None:
    """if of a constant is the branch taken."""
    condition = _constant(operation.operands[0])
    if condition is None:
        return None
    region = operation.regions[0 if condition.value else 1]
    substitute(region, dict(zip(region.arguments, operation.operands[1:], strict=True)))
    for inner in region.operations:
        rewriter.insert(inner)
    return region.yields


def known_condition(operation: Operation, rewriter: Rewriter) -> Replacement | None:
    """Inside the branches of an if its condition is known."""
    condition, *operands = operation.operands
    if not any(condition in reads(region) for region in operation.regions):
        return None
    for region, known in zip(operation.regions, (True, False), strict=True):
        body, region.operations = region.operations, []
        constant = RegionBuilder(region).value(Full(known, boolean, ()))
        region.operations += body
        substitute(region, {condition: constant})
    return rewriter.emit(operation.op, condition, *operands, regions=operation.regions).results


def closed_over_operands(operation: Operation, rewriter: Rewriter) -> Replacement | None:
    """The regions of if and call read values around them as they are, instead of taking them as arguments."""
    first = 1 if isinstance(operation.op, If) else 0
    operands = operation.operands[first:]
    if not operands:
        return None
    for region in operation.regions:
        substitute(region, dict(zip(region.arguments, operands, strict=True)))
        region.arguments = []
    return rewriter.emit(operation.op, *operation.operands[:first], regions=operation.regions).results


def same_in_both_branches(operation: Operation, rewriter: Rewriter) -> Replacement | None:
    """A result of an if that is the same value from around it in both branches is that value."""
    then, other = operation.regions
    handed = then.yields
    same = [left is right for left, right in zip(then.yields, other.yields, strict=True)]
    if not any(same):
        return None
    for region in operation.regions:
        region.yields = tuple([value for value, is_same in zip(region.yields, same, strict=True) if not is_same])
    results = iter(rewriter.emit(operation.op, *operation.operands, regions=operation.regions).results)
    return tuple([value if is_same else next(results) for value, is_same in zip(handed, same, strict=True)])


def empty_call(operation: Operation, rewriter: Rewriter) -> Replacement | None:
    """A call that computes nothing gives what it hands through."""
    (region,) = operation.regions
    return None if operation.operands or region.operations else region.yields


def unchanged_in_loop(operation: Operation, rewriter: Rewriter) -> Replacement | None:
    """A carried value that no iteration changes is what it starts as, inside the loop and after it."""
    old = take_apart(operation)
    fixed = {
        number
        for number, (argument, after) in enumerate(zip(old.arguments, old.yields, strict=True))
        if after is argument or after is old.initial[number]
    }
    if not fixed:
        return None
    substitute(old.body, {old.arguments[number]: old.initial[number] for number in fixed})
    if old.condition is not None:
        substitute(old.condition, {old.condition.arguments[number]: old.initial[number] for number in fixed})
    types = [result.type for result in operation.results]
    made = Operation(operation.op, operation.operands, types, operation.regions, operation.location)
    results = list(made.results)
    parts = take_apart(made)
    parts.drop(fixed)
    rewriter.insert(parts.put_together())
    return tuple([old.initial[number] if number in fixed else result for number, result in enumerate(results)])


def loop_of_no_trips(operation: Operation, rewriter: Rewriter) -> Replacement | None:
    """A for over an empty range, a while whose condition is never true and a replay of an empty tape do nothing."""
    parts = take_apart(operation)
    if isinstance(operation.op, For):
        bounds = [_constant(bound) for bound in parts.drivers]
        start, stop, step = [None if bound is None else int(bound.value) for bound in bounds]
        if start is None or stop is None or step is None or step == 0 or range(start, stop, step):
            return None
    elif parts.condition is not None:
        condition = _constant(parts.condition.yields[0])
        if condition is None or condition.value:
            return None
    elif not any(driver.owner is not None and isinstance(driver.owner.op, EmptyTape) for driver in parts.drivers):
        return None
    empty = []
    for tape in parts.tapes:
        assert isinstance(tape.type, TapeType)
        empty.append(rewriter.value(EmptyTape(tape.type.record)))
    return (*parts.initial, *empty)


def side_that_only_checks(operation: Operation, rewriter: Rewriter) -> Replacement | None:
    """An if of which one side does nothing but fail, and the other one nothing, is a check of its condition."""
    if operation.results or len(operation.operands) > 1:
        return None
    busy = [place for place, region in enumerate(operation.regions) if region.operations]
    if len(busy) != 1:
        return None
    *constants, check = operation.regions[busy[0]].operations
    if not isinstance(check.op, Check) or not all(isinstance(each.op, Full) for each in constants):
        return None
    never = _constant(check.operands[0])
    made = {result for each in constants for result in each.results}
    if never is None or never.value or any(operand in made for operand in check.operands[1:]):
        return None
    (condition,) = operation.operands
    holds = condition if busy[0] else rewriter.value(LogicalNot(), condition)
    rewriter.emit(check.op, holds, *check.operands[1:])
    return ()


def check_that_holds(operation: Operation, rewriter: Rewriter) -> Replacement | None:
    """A check of a constant that is true does nothing."""
    condition = _constant(operation.operands[0])
    return () if condition is not None and condition.value else None


def _constant(value: Value) -> Full | None:
    owner = value.owner
    return owner.op if owner is not None and isinstance(owner.op, Full) else None


RULES: Rules = {
    Check: (check_that_holds,),
    If: (decided_if, closed_over_operands, same_in_both_branches, known_condition, side_that_only_checks),
    Call: (closed_over_operands, empty_call),
    Checkpoint: (closed_over_operands, empty_call),
    For: (loop_of_no_trips, unchanged_in_loop),
    While: (loop_of_no_trips, unchanged_in_loop),
    Replay: (loop_of_no_trips, unchanged_in_loop),
}
