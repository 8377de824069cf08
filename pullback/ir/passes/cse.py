"""Common subexpression elimination."""
from __future__ import annotations

from typing import Any

from pullback.ir.analysis.cost import is_view
from pullback.ir.core import Function, Op, Region, Value, has_attributes
from pullback.ir.ops.arithmetic import Add, Mul

COMMUTATIVE = (Add, Mul)
"""Ops that give the same bits with their operands exchanged."""


def cse(function: Function) -> bool:
    """Compute equal things once: same op, same operands, same or enclosing region.

    What only moves elements of arrays stays in each region that reads it, where it is fused with its readers.

        %0 = sin %x : f64[]            // =>  %0 = sin %x : f64[]
        %1 = sin %x : f64[]                   %1 = add %0, %0 : f64[]
        %2 = add %0, %1 : f64[]
    """
    return _Scopes().sweep(function.body, outermost=True)


Key = tuple[Op | type[Op], tuple[Value, ...]]


def key_of(op: Op, operands: tuple[Value, ...]) -> Key:
    """Equal for operations that compute the same."""
    kind: Any = type(op)
    if kind in COMMUTATIVE:
        x, y = operands
        return kind, (operands if id(x) < id(y) else (y, x))
    # Without attributes it is the class that tells an op; hashing and comparing that is cheaper.
    return op if has_attributes(kind) else kind, operands


class _Scopes:
    """What is computed so far, by op and operands, in the region at hand and those around it."""

    def __init__(self) -> None:
        self.known: dict[Key, tuple[tuple[Value, ...], Region]] = {}
        self.replaced: dict[Value, Value] = {}
        self.equal: dict[Value, Value] = {}
        """Results that stay, though they are equal to one in a region around."""

    def sweep(self, region: Region, *, outermost: bool = False) -> bool:
        """One region; what it adds to `known` is taken out again, because regions beside it do not see its values."""
        changed = False
        kept = []
        added = []
        replaced, known, equal = self.replaced, self.known, self.equal
        for operation in region.operations:
            operands = tuple([replaced.get(operand, operand) for operand in operation.operands])
            operation.operands = operands
            if operation.regions:
                for inner in operation.regions:
                    changed |= self.sweep(inner)
                kept.append(operation)
                continue
            if equal:
                operands = tuple([equal.get(operand, operand) for operand in operands])
            key = key_of(operation.op, operands)
            first = known.get(key)
            if first is None or (first[1] is not region and is_view(operation)):
                if first is not None:
                    equal.update((new, equal.get(old, old)) for new, old in zip(operation.results, first[0], strict=True))
                known[key] = operation.results, region
                added.append((key, first))
                kept.append(operation)
            else:
                replaced.update(zip(operation.results, first[0], strict=True))
                changed = True
        for key, before in () if outermost else reversed(added):
            if before is None:
                del known[key]
            else:
                known[key] = before
        region.operations = kept
        region.yields = tuple([replaced.get(value, value) for value in region.yields])
        return changed
