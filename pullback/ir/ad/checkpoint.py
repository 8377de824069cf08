"""Memory under a budget: a function and a number of bytes in, the same function with loops in segments out."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pullback.ir.ad.reverse import adjoint
from pullback.ir.ad.segments import Segments, split
from pullback.ir.analysis.cost import size_in_bytes
from pullback.ir.clone import copy_function
from pullback.ir.core import Function, Operation, Region, Value, walk
from pullback.ir.loop_parts import take_apart
from pullback.ir.ops.control import For, Loop, While
from pullback.ir.ops.creation import Full
from pullback.ir.passes.pipeline import simplify
from pullback.ir.rewrite import Rewriter, rewrite
from pullback.ir.types import TapeType

EXPECTED_TRIPS = 1_000_000
"""Trips that segments are made for where they are not known; more take more memory than the budget."""
MOST_LEVELS = 8


def under_budget(function: Function, budget: int, wanted: Sequence[int] | None = None) -> Function:
    """The same function, whose adjoint by the parameters `wanted` (all floats) takes about `budget` bytes for tapes.

    Loops of known trips whose records fit are left alone. Others run in segments: the adjoint keeps the values carried
    at their starts, and runs one segment again at a time. With segments inside segments, l levels deep, n iterations
    take in the order of the (l + 1)-th root of n times the memory of one, and run l times more; as few levels as fit the
    budget are made. Source: A. Griewank, Achieving logarithmic growth of temporal and spatial complexity in reverse
    automatic differentiation, 1992; equal segments come close to its binomial ones.
    """
    result = copy_function(function)
    simplify(result)
    if wanted is None:
        wanted = [place for place, value in enumerate(result.parameters) if value.type.dtype.is_float]
    loops = _measure(result, wanted)
    chosen: dict[Operation, Segments] = {}
    large = [loop for loop in loops if loop.total is None or loop.total > budget // (4 * len(loops))]
    small = sum(loop.total or 0 for loop in loops if loop not in large)
    for loop in large:
        _choose(loop, max(1, budget - small) // len(large), chosen)

    def in_segments(operation: Operation, rewriter: Rewriter) -> tuple[Value, ...] | None:
        segments = chosen.get(operation)
        return None if segments is None else tuple(split(rewriter, operation, segments))

    rewrite(result, {For: (in_segments,), While: (in_segments,)})
    return result


@dataclass
class _Loop:
    """A loop of the primal: bytes that its adjoint saves per iteration, bytes carried, trips if known, loops inside."""

    operation: Operation
    record: int
    state: int
    trips: int | None
    inside: list[_Loop] = field(default_factory=list)

    @property
    def total(self) -> int | None:
        """Bytes that all its iterations save, if that is known."""
        inner = [loop.total for loop in self.inside]
        known = [each for each in inner if each is not None]
        if len(known) < len(inner):
            return None
        each = self.record + sum(known)
        return 0 if each == 0 else None if self.trips is None else self.trips * each


def _measure(function: Function, wanted: Sequence[int]) -> list[_Loop]:
    """The outermost loops of a simplified function, measured on its adjoint."""
    derived = adjoint(function, wanted)
    # The adjoint begins with the primal's operations, in their order.
    given = [operation for operation in walk(function.body) if isinstance(operation.op, Loop)]
    made = [operation for operation in walk(derived.body) if isinstance(operation.op, Loop)]
    records = {}
    for before, after in zip(given, made, strict=False):
        tapes = [result.type for result in after.results if isinstance(result.type, TapeType)]
        kinds = [kind for tape in tapes for kind in tape.record]
        records[before] = sum(size_in_bytes(kind) for kind in kinds)
    return _outermost(function.body, records)


def _outermost(region: Region, records: dict[Operation, int]) -> list[_Loop]:
    """The loops of a region that are in no other loop of it; it recurses as deep as regions nest."""
    found: list[_Loop] = []
    for operation in region.operations:
        inside = [loop for inner in operation.regions for loop in _outermost(inner, records)]
        if isinstance(operation.op, For | While) and not operation.op.saved:
            state = sum(size_in_bytes(value.type) for value in take_apart(operation).initial)
            found.append(_Loop(operation, records[operation], state, _trips(operation), inside))
        else:
            found += inside
    return found


def _trips(operation: Operation) -> int | None:
    """How often a ``for`` of constant bounds runs."""
    if not isinstance(operation.op, For):
        return None
    bounds = [value.owner.op for value in operation.operands[:3] if value.owner is not None]
    numbers = [int(op.value) for op in bounds if isinstance(op, Full)]
    return len(range(*numbers)) if len(numbers) == 3 and numbers[2] else None


def _choose(loop: _Loop, budget: int, chosen: dict[Operation, Segments]) -> None:
    """Decide on the segments of a loop and of those inside it."""
    if loop.total is not None and loop.total <= budget:
        return
    each = loop.record
    for inner in loop.inside:
        share = budget // (4 * len(loop.inside))
        if inner.total is None or inner.total > share:
            _choose(inner, share, chosen)
            each += share
        else:
            each += inner.total
    if each:
        chosen[loop.operation] = _segments(loop.trips or EXPECTED_TRIPS, max(1, each), max(1, loop.state), budget)


def _segments(trips: int, each: int, state: int, budget: int) -> Segments:
    """Segments with the fewest levels that fit, of `each` bytes an iteration and `state` bytes a segment."""
    for levels in range(1, MOST_LEVELS + 1):
        # Shares: the records of two segments (one was never run again), and the states of each level.
        length = max(1, budget // ((levels + 2) * each))
        fan = max(2, budget // ((levels + 2) * state))
        segments = Segments(length, fan, levels, budget // each)
        if length * fan**levels >= trips:
            return segments
    return segments
