"""Loop-invariant code motion."""
from __future__ import annotations

from pullback.ir.analysis.cost import is_view
from pullback.ir.analysis.uses import operation_reads
from pullback.ir.core import Function, Operation, Region, Value, walk
from pullback.ir.ops.check import Check
from pullback.ir.ops.contraction import Gather, ScatterAdd
from pullback.ir.ops.control import For, Loop, While
from pullback.ir.ops.creation import Full
from pullback.ir.ops.custom import CustomCall
from pullback.ir.ops.decomposition import Decomposition
from pullback.ir.ops.host import HostCall
from pullback.ir.ops.linear_system import Solve
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
    """Take the operations out of a loop's region that depend on nothing in it and may move.

    What only moves elements of arrays is fused with its readers; it stays with them, unless they move.
    """
    varying: set[Value] = set(region.arguments)
    movable: list[Operation] = []
    for operation in region.operations:
        if not may_move(operation) or any(value in varying for value in operation_reads(operation)):
            varying.update(operation.results)
        else:
            movable.append(operation)
    read: set[Value] = set()
    moved: dict[Operation, None] = {}
    for operation in reversed(movable):
        if not is_view(operation) or any(result in read for result in operation.results):
            moved[operation] = None
            read.update(operation_reads(operation))
    region.operations = [operation for operation in region.operations if operation not in moved]
    return list(moved)[::-1]


def may_move(operation: Operation) -> bool:
    """Whether an operation, and all inside it, ends and never raises: whether it may run where it did not."""
    inside = [operation, *(inner for region in operation.regions for inner in walk(region))]
    return not any(_may_fail(each) for each in inside)


def _may_fail(operation: Operation) -> bool:
    """Indices may be out of bounds, a matrix singular, a step 0, a while may have no end; what
    a call of the user's does is not looked into."""
    match operation.op:
        case DynamicSlice() | DynamicUpdate() | DynamicAdd() as op:
            return op.checked
        case For():
            step = operation.operands[2].owner
            return step is None or not isinstance(step.op, Full) or step.op.value == 0
        case Check() | CustomCall() | Decomposition() | HostCall() | Gather() | ScatterAdd() | Solve() | While():
            return True
        case _:
            return False
