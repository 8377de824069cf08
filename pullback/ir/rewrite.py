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


Number = Callable[[Operation], object]
"""What operations that compute the same things have in common."""


def rewrite(
    function: Function, rules: Rules, sources: Sources | None = None, number: Number | None = None
) -> bool:
    """Apply rules until none matches; whether any did.

    Each sweep walks the operations once, resolving operands and offering every operation, also those that rules
    emitted, to the rules of its op. Rules look at an operation, its regions and what it is computed from; so one sweep
    does for a function without regions. Of such a function, operations to which `number` gives the same key are computed
    once. Raises: VerifyError when rules do not come to an end.
    """
    changed = False
    fuel = [FUEL_PER_OPERATION * sum(1 for _ in walk(function.body)) + 10_000]
    for _ in range(MAX_SWEEPS):
        if not _sweep_region(function.body, rules, sources or {}, {}, fuel, number):
            return changed
        changed = True
        if not any(operation.regions for operation in function.body.operations):
            break
    return changed


def _sweep_region(
    region: Region, rules: Rules, sources: Sources, replaced: dict[Value, Value], fuel: list[int],
    number: Number | None = None,
) -> bool:  # fmt: skip
    changed = False
    kept: list[Operation] = []
    known: dict[object, tuple[Value, ...]] = {}
    rewriter = Rewriter()
    # A stack of what is still to be visited: emitted operations come before the rest.
    for original in region.operations:
        if not replaced and number is None and not original.regions and type(original.op) not in rules:
            kept.append(original)
            continue
        pending = [original]
        while pending:
            operation = pending.pop()
            for operand in operation.operands if replaced else ():
                if operand in replaced:
                    operation.operands = tuple([_final(each, replaced) for each in operation.operands])
                    break
            for inner in operation.regions:
                changed |= _sweep_region(inner, rules, sources, replaced, fuel)
            kind = type(operation.op)
            offered = rules.get(kind)
            if offered is not None and (kind not in sources or _comes_from(operation, sources[kind])):
                found = _offer(operation, offered, rewriter, fuel)
                if found is not None:
                    changed = True
                    values, emitted = found
                    for old, new in zip(operation.results, values, strict=True):
                        replaced[old] = new
                    pending.extend(reversed(emitted))
                    continue
            if number is not None and not operation.regions:
                first = known.setdefault(number(operation), operation.results)
                if first is not operation.results:
                    changed = True
                    replaced.update(zip(operation.results, first, strict=True))
                    continue
            kept.append(operation)
    region.operations = kept
    region.yields = tuple([_final(value, replaced) for value in region.yields])
    return changed


def _offer(
    operation: Operation, rules: Sequence[Rule], rewriter: Rewriter, fuel: list[int]
) -> tuple[Sequence[Value], list[Operation]] | None:
    """What the first rule that matches gives for an operation's results, and what it emitted for that."""
    rewriter.location = operation.location
    for rule in rules:
        result = rule(operation, rewriter)
        emitted = rewriter.emitted
        if emitted:
            rewriter.emitted = []
        if result is None:
            continue
        fuel[0] -= 1 + len(emitted)
        if fuel[0] < 0:
            raise VerifyError(f"rewriting does not end: the last rule was {getattr(rule, '__name__', rule)}")
        return (result,) if isinstance(result, Value) else result, emitted
    return None


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
