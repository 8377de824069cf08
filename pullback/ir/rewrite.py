"""The rewriting driver: rules in, a changed function out. Rules only emit; the driver replaces uses and keeps lines."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pullback.errors import VerifyError
from pullback.ir.core import Builder, Function, Op, Operation, Region, Value, walk

FUEL_PER_OPERATION = 64
MAX_SWEEPS = 16


class Rewriter(Builder):
    """What a rule emits through; its operations get the line of the one that is being replaced."""

    def __init__(self) -> None:
        self.emitted: list[Operation] = []

    def insert(self, operation: Operation) -> None:
        self.emitted.append(operation)


Rule = Callable[[Operation, Rewriter], "Value | tuple[Value, ...] | None"]
"""What an operation's results are replaced by; None where the rule does not match."""

Rules = Mapping[type[Op], Sequence[Rule]]

Sources = Mapping[type[Op], frozenset[type[Op]]]
"""Ops none of whose rules matches unless an operand is computed by one of these; others are always offered."""


def rewrite(function: Function, rules: Rules, sources: Sources | None = None) -> bool:
    """Apply rules until none matches; whether any did.

    Each sweep walks the operations once, resolving operands and offering every operation, also those that rules
    emitted, to the rules of its op. Rules look at an operation, its regions and what it is computed from; so one sweep
    does for a function without regions. Raises: VerifyError when rules do not come to an end.
    """
    changed = False
    fuel = [FUEL_PER_OPERATION * sum(1 for _ in walk(function.body)) + 10_000]
    for _ in range(MAX_SWEEPS):
        if not _sweep_region(function.body, rules, sources or {}, {}, fuel):
            return changed
        changed = True
        if not any(operation.regions for operation in function.body.operations):
            break
    return changed


def _sweep_region(
    region: Region, rules: Rules, sources: Sources, replaced: dict[Value, Value], fuel: list[int]
) -> bool:
    changed = False
    kept: list[Operation] = []
    rewriter = Rewriter()
    # A stack of what is still to be visited: emitted operations come before the rest.
    for original in region.operations:
        if not replaced and not original.regions and type(original.op) not in rules:
            kept.append(original)
            continue
        pending = [original]
        while pending:
            operation = pending.pop()
            if replaced:
                operation.operands = tuple([_final(operand, replaced) for operand in operation.operands])
            for inner in operation.regions:
                changed |= _sweep_region(inner, rules, sources, replaced, fuel)
            kind = type(operation.op)
            for rule in rules.get(kind, ()) if kind not in sources or _comes_from(operation, sources[kind]) else ():
                rewriter.location = operation.location
                rewriter.emitted = []
                result = rule(operation, rewriter)
                if result is None:
                    continue
                fuel[0] -= 1 + len(rewriter.emitted)
                if fuel[0] < 0:
                    raise VerifyError(f"rewriting does not end: the last rule was {getattr(rule, '__name__', rule)}")
                changed = True
                values = (result,) if isinstance(result, Value) else result
                for old, new in zip(operation.results, values, strict=True):
                    replaced[old] = new
                pending.extend(reversed(rewriter.emitted))
                break
            else:
                kept.append(operation)
    region.operations = kept
    region.yields = tuple([_final(value, replaced) for value in region.yields])
    return changed


def _comes_from(operation: Operation, kinds: frozenset[type[Op]]) -> bool:
    """Whether an operand is computed by one of some ops."""
    for operand in operation.operands:
        owner = operand.owner
        if owner is not None and type(owner.op) in kinds:
            return True
    return False


def _final(value: Value, replaced: dict[Value, Value]) -> Value:
    """What stands for a value now: a replacement may have been replaced in turn."""
    while value in replaced:
        value = replaced[value]
    return value
