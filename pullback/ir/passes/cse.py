"""Common subexpression elimination."""
from __future__ import annotations

from pullback.ir.core import Function, Op, Region, Value
from pullback.ir.ops.arithmetic import Add, Mul

COMMUTATIVE = (Add, Mul)
"""Ops that give the same bits with their operands exchanged."""


def cse(function: Function) -> bool:
    """Compute equal things once: same op, same operands, same or enclosing region.

        %0 = sin %x : f64[]            // =>  %0 = sin %x : f64[]
        %1 = sin %x : f64[]                   %1 = add %0, %0 : f64[]
        %2 = add %0, %1 : f64[]
    """
    return _sweep(function.body, {}, {})


def _sweep(
    region: Region, known: dict[tuple[Op, tuple[Value, ...]], tuple[Value, ...]], replaced: dict[Value, Value]
) -> bool:
    """One region; what it adds to `known` is taken out again, because regions beside it do not see its values."""
    changed = False
    kept = []
    added = []
    for operation in region.operations:
        operands = tuple([replaced.get(operand, operand) for operand in operation.operands])
        operation.operands = operands
        if operation.regions:
            for inner in operation.regions:
                changed |= _sweep(inner, known, replaced)
            kept.append(operation)
            continue
        if isinstance(operation.op, COMMUTATIVE):
            operands = tuple(sorted(operands, key=id))
        key = (operation.op, operands)
        first = known.get(key)
        if first is None:
            known[key] = operation.results
            added.append(key)
            kept.append(operation)
        else:
            replaced.update(zip(operation.results, first, strict=True))
            changed = True
    for key in added:
        del known[key]
    region.operations = kept
    region.yields = tuple([replaced.get(value, value) for value in region.yields])
    return changed
