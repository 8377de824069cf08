"""What operations with regions read: an operation in, the values from around it that it or its regions use out."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pullback.ir.core import Operation, Region, Value, walk


def reads(region: Region) -> Iterator[Value]:
    """Every value that a region or one inside it reads or yields, in order, again and again."""
    for operation in walk(region):
        yield from operation.operands
        for inner in operation.regions:
            yield from inner.yields
    yield from region.yields


def defined(region: Region) -> Iterator[Value]:
    """Every value that a region or one inside it defines."""
    yield from region.arguments
    for operation in walk(region):
        yield from operation.results
        for inner in operation.regions:
            yield from inner.arguments


def own_values(region: Region) -> list[Value]:
    """The values that a region itself defines: its arguments and its operations' results."""
    return [*region.arguments, *(result for operation in region.operations for result in operation.results)]


def closed_over(regions: Iterable[Region]) -> list[Value]:
    """The values from around regions that they read, each once, in order of first use."""
    found: dict[Value, None] = {}
    for region in regions:
        inside = set(defined(region))
        found.update((value, None) for value in reads(region) if value not in inside)
    return list(found)


def operation_reads(operation: Operation) -> Sequence[Value]:
    """Everything from around an operation that it reads: its operands, and what its regions are closed over."""
    if not operation.regions:
        return operation.operands
    return list(dict.fromkeys([*operation.operands, *closed_over(operation.regions)]))


def substitute(region: Region, replaced: Mapping[Value, Value]) -> None:
    """Replace values read in a region and in those inside it."""
    pending = [region]
    while pending:
        current = pending.pop()
        current.yields = tuple([replaced.get(value, value) for value in current.yields])
        for operation in current.operations:
            operation.operands = tuple([replaced.get(operand, operand) for operand in operation.operands])
            pending.extend(operation.regions)


def last_uses(region: Region) -> list[list[Value]]:
    """Per operation, the region's own values that nothing reads after it. What a region inside reads counts too."""
    own = set(own_values(region))
    own.difference_update(region.yields)
    dead: list[list[Value]] = []
    for operation in reversed(region.operations):
        freed = [value for value in dict.fromkeys([*operation_reads(operation), *operation.results]) if value in own]
        own.difference_update(freed)
        dead.append(freed)
    return dead[::-1]
