"""What regions read from outside: a function in, per region the free values out, and which push on a tape or check."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pullback.ir.core import Region, Value
from pullback.ir.ops.control import Loop


@dataclass(frozen=True)
class Outside:
    """Per region: `free` values, defined around it and read in it, in order of first use; `pushes`: whether it, or
    one inside it, keeps a tape; `checks`: whether it, or one inside it, has checks."""

    free: Mapping[Region, tuple[Value, ...]] = field(default_factory=dict)
    pushes: Mapping[Region, bool] = field(default_factory=dict)
    checks: Mapping[Region, bool] = field(default_factory=dict)


def outside(region: Region) -> Outside:
    """The analysis of all regions inside a region, and of itself; recurses as deep as they nest."""
    free: dict[Region, tuple[Value, ...]] = {}
    pushes: dict[Region, bool] = {}
    checks: dict[Region, bool] = {}

    def visit(each: Region) -> None:
        own = set(each.arguments)
        found: dict[Value, None] = {}
        keeps = has_checks = False
        for operation in each.operations:
            for value in operation.operands:
                if value not in own:
                    found[value] = None
            op = operation.op
            has_checks |= op.effect
            if not operation.regions:
                own.update(operation.results)
                continue
            keeps |= isinstance(op, Loop) and bool(op.saved)
            for inner in operation.regions:
                visit(inner)
                keeps |= pushes[inner]
                has_checks |= checks[inner]
                for value in free[inner]:
                    if value not in own:
                        found[value] = None
            own.update(operation.results)
        for value in each.yields:
            if value not in own:
                found[value] = None
        free[each] = tuple(found)
        pushes[each] = keeps
        checks[each] = has_checks

    visit(region)
    return Outside(free, pushes, checks)
