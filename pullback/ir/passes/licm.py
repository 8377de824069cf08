"""Loop-invariant code motion."""
from __future__ import annotations

from pullback.ir.core import Function, Operation, Region, Value
from pullback.ir.ops.contraction import Gather, ScatterAdd
from pullback.ir.ops.control import Loop
from pullback.ir.ops.window import DynamicAdd, DynamicSlice, DynamicUpdate


def licm(function: Function) -> bool:
    """Compute before a loop, once, what is the same in each of its iterations.

    Only what cannot fail moves: a loop of no trips must not raise for an index that it never used.

        %1 = for %a, %b, %c, %x { ^(%i, %y)      // =>  %0 = sin %w : f64[]
          %0 = sin %w : f64[]                           %1 = for %a, %b, %c, %x { ^(%i, %y)
          %2 = mul %y, %0 : f64[]                         %2 = mul %y, %0 : f64[]
          yield %2                                        yield %2
        } : f64[]                                       } : f64[]
    """
    return _visit(function.body)


def _visit(region: Region) -> bool:
    """Move operations out of the loops of a region, inner loops first; it recurses as deep as regions nest."""
    changed = False
    kept: list[Operation] = []
    for operation in region.operations:
        for inner in operation.regions:
            changed |= _visit(inner)
        if isinstance(operation.op, Loop):
            for inner in operation.regions:
                moved = _invariant(inner)
                kept += moved
                changed |= bool(moved)
        kept.append(operation)
    region.operations = kept
    return changed


def _invariant(region: Region) -> list[Operation]:
    """Take the operations out of a loop's region that depend on nothing in it."""
    varying: set[Value] = set(region.arguments)
    moved: list[Operation] = []
    kept: list[Operation] = []
    for operation in region.operations:
        if operation.regions or may_fail(operation) or any(operand in varying for operand in operation.operands):
            varying.update(operation.results)
            kept.append(operation)
        else:
            moved.append(operation)
    region.operations = kept
    return moved


def may_fail(operation: Operation) -> bool:
    """Whether an operation raises for some operands: those that check indices."""
    op = operation.op
    return isinstance(op, Gather | ScatterAdd) or (
        isinstance(op, DynamicSlice | DynamicUpdate | DynamicAdd) and op.checked
    )
