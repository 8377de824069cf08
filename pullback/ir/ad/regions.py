"""Reverse mode of branches: an ``if`` or ``call`` and its results' cotangents in, its adjoint on its condition out."""
from __future__ import annotations

from collections.abc import Sequence

from pullback.ir.ad.build import DerivativeBuilder
from pullback.ir.ad.cotangents import Cotangents
from pullback.ir.ad.regions_loop import PullBack, pull_loop
from pullback.ir.ad.residuals import choose, supply
from pullback.ir.ad.tapes import zeros_like
from pullback.ir.analysis.uses import closed_over, substitute
from pullback.ir.clone import copy_region
from pullback.ir.core import Builder, Operation, Region, RegionBuilder, Value
from pullback.ir.loop_parts import set_results
from pullback.ir.ops.control import Checkpoint, EmptyTape, If, Loop
from pullback.ir.ops.creation import Full
from pullback.ir.passes.dce import prune
from pullback.ir.types import ArrayType, TapeType


def pull_control(
    d: DerivativeBuilder,
    operation: Operation,
    complete: Sequence[Value | None],
    bars: Cotangents,
    active: set[Value],
    pull_back: PullBack,
) -> None:
    """Add the contributions of an operation with regions, given its results' cotangents.

    The operation is changed: it computes the same bits, and more results that the adjoint reads.
    """
    if isinstance(operation.op, Loop):
        pull_loop(d, operation, complete, bars, active, pull_back)
    else:
        _pull_branches(d, operation, complete, bars, active, pull_back)


def _pull_branches(
    d: DerivativeBuilder,
    operation: Operation,
    complete: Sequence[Value | None],
    bars: Cotangents,
    active: set[Value],
    pull_back: PullBack,
) -> None:
    """``if``, ``call`` and ``checkpoint``: the adjoint of each region runs where the region ran, and reads what it left.

        %1 = if %c { ^()              // =>  %1, %2 = if %c { ^()
          %0 = exp %x : f64[]                  %0 = exp %x : f64[]
          yield %0                             yield %0, %0
        } { ^()                              } { ^()
          yield %y                             yield %y, %zero
        } : f64[]                            } : f64[], f64[]
                                             %x_bar, %y_bar = if %c { yield %1_bar * %2, %zero } { yield %zero, %1_bar }

    What the sum of a cotangent is so far, branches add to themselves: in place, where they add a window. The adjoint of a
    checkpoint runs its operations again, for itself.
    """
    _close_over_operands(operation)
    sources = [value for value in closed_over(operation.regions) if value in active]
    sums = {source: bars.take(source) for source in sources if not isinstance(source.type, TapeType)}
    bases = {source: base for source, base in sums.items() if base is not None}
    adjoints = []
    found = []
    again = isinstance(operation.op, Checkpoint)
    for region in operation.regions:
        primal = copy_region(region, {}) if again else region
        adjoints.append(Region([], primal.operations if again else []))
        inner = d.within(adjoints[-1])
        found.append(pull_back(inner, list(primal.operations), primal.yields, complete, sources, bases))
    given: list[Value] = []
    masked = []
    for place, source in enumerate(sources):
        base = bases.get(source)
        branches = [each[place] for each in found]
        if all(branch is base for branch in branches):
            if base is not None:
                bars.restore(source, base)
            continue
        given.append(source)
        masked.append(any(d.zero_on_purpose(branch) for branch in branches))
        for adjoint, branch in zip(adjoints, branches, strict=True):
            adjoint.yields += (zeros_like(d.within(adjoint), source) if branch is None else branch,)
    if not given:
        return
    for adjoint in adjoints:
        prune(adjoint)
    if not again:
        _hand_over(operation, adjoints)
    condition = operation.operands[:1] if isinstance(operation.op, If) else ()
    results = d.emit(operation.op, *condition, regions=tuple(adjoints)).results
    for source, result, is_masked in zip(given, results, masked, strict=True):
        if is_masked:
            d.masked(result)
        if isinstance(source.type, TapeType):
            bars.add(source, result)
        else:
            bars.restore(source, result)


def _close_over_operands(operation: Operation) -> None:
    """Let the regions read the operands themselves instead of taking them as arguments."""
    first = 1 if isinstance(operation.op, If) else 0
    for region in operation.regions:
        substitute(region, dict(zip(region.arguments, operation.operands[first:], strict=True)))
        region.arguments = []
    operation.operands = operation.operands[:first]


def _hand_over(operation: Operation, adjoints: Sequence[Region]) -> None:
    """Make what the adjoints read of the regions results of the operation; regions share those of a type."""
    plans = [choose(region, adjoint) for region, adjoint in zip(operation.regions, adjoints, strict=True)]
    kinds: list[ArrayType] = []
    places: list[dict[Value, int]] = []
    for plan in plans:
        taken: dict[Value, int] = {}
        for value in plan.saved:
            used = set(taken.values())
            fitting = (place for place, kind in enumerate(kinds) if kind == value.type and place not in used)
            taken[value] = next(fitting, len(kinds))
            if taken[value] == len(kinds):
                kinds.append(value.type)
        places.append(taken)
    residuals = [Value(kind) for kind in kinds]
    for region, adjoint, plan, taken in zip(operation.regions, adjoints, plans, places, strict=True):
        supply(adjoint, plan, {value: residuals[place] for value, place in taken.items()})
        at = {place: value for value, place in taken.items()}
        b = RegionBuilder(region)
        region.yields += tuple(at[place] if place in at else _filler(b, kind) for place, kind in enumerate(kinds))
    set_results(operation, [*operation.results, *residuals])


def _filler(b: Builder, kind: ArrayType) -> Value:
    """What stands for a residual in the branch that has none; nobody reads it."""
    if isinstance(kind, TapeType):
        return b.value(EmptyTape(kind.record))
    return b.value(Full(0.0 if kind.dtype.is_float else False if kind.dtype.is_bool else 0, kind.dtype, kind.dims))
