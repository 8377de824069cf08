"""Loops that were written out are rolled up again: compile time depends on a step, not on how often it is repeated.

What it is worth, as measured. Straight-line code of numbers, with its gradient, takes about 0.2 ms of compile time an
operation; as a loop a call takes as long, or up to a fifth longer: `WORTH` operations have to be saved. Cheap elementwise
steps on arrays are fused over many steps into one pass over memory, where a loop passes over it once a step: that is up to
five times as fast for 20 to 100 operations, and slower than the loop from about 400 on (`WORTH_FUSED`). The gradient of a
loop keeps values of each step besides, which one pass has in registers: where that would be much memory, only so many
operations are rolled (`WORTH_MEMORY`) that value and gradient do not fit into one pass any more (1,200 exponentials of
100,000 numbers: 0.96 s and 960 MB as a loop, 0.57 s and 1 MB in one pass; 2,500: 1.9 s as a loop, 4.0 s else). Steps with
products, reductions or functions such as sin take their time anyway, and count as those of numbers do.
"""
from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from math import prod

from pullback.ir.analysis.cost import cheap, is_move
from pullback.ir.analysis.inductions import Stack, Windows, form_of, is_window
from pullback.ir.analysis.outputs import Outputs, Use, Users, outputs_of
from pullback.ir.analysis.repeats import OUTSIDE, Scan, repeats, scan
from pullback.ir.analysis.steps import Run, Varying, run_of
from pullback.ir.clone import copy_function
from pullback.ir.core import Function, Region, Value
from pullback.ir.ops.base import Elementwise
from pullback.ir.ops.window import Write
from pullback.ir.passes.dce import prune
from pullback.ir.passes.rolling import Rolling

WORTH = 96
"""Operations that rolling has to save."""
WORTH_FUSED = 400
"""The same where many steps are one pass over arrays."""
WORTH_MEMORY = 3000
"""The same where these arrays are so large that one of each step takes more than `MUCH` bytes."""
LARGE = 64
"""Elements from which on passes over an array count."""
MUCH = 1 << 25
MOST_ADDED = 0.4
"""Of the operations of a run, how many others may take their place to get values in and out one by one."""
EFFORT = 24
"""How many operations may be looked at, for each there is, before the search is given up."""


def reroll(function: Function, *, worth: int = WORTH) -> bool:
    """Make a loop of steps that repeat: op for op, each operand the same value in all, or computed in this step or in
    one a fixed number of steps back, or a constant, window or value that was known before and depends on the step.

        %0 = mul %x, %a : f64[]        // =>  %0 = for %zero, %many, %one, %x { ^(%i, %y)
        %1 = sin %0 : f64[]                     %1 = mul %y, %a : f64[]
        %2 = mul %1, %a : f64[]                 %2 = sin %1 : f64[]
        %3 = sin %2 : f64[]                     yield %2
        …                                     } : f64[]

    Every element is computed by the same operations in the same order. What is used of other steps than the last few is
    collected in an array. Lines are those of the first step. At least `worth` operations have to be saved.
    """
    return _reroll_all(function, [function.body], worth)


def rolled_copy(function: Function, *, worth: int = WORTH, dead: bool = True) -> Function:
    """`copy_function`, then `reroll`, without copies of the steps that loops take the place of.

    Without `dead`, operations that nobody reads do not count and are not copied; then there may be no regions.
    """
    body = function.body
    source = Region(body.arguments, body.operations, body.yields)
    if not dead:
        prune(source)
    found, runs = _runs_of(source, worth)
    if not runs:
        copy = copy_function(Function(function.name, source, function.captured))
        pending = [inner for operation in copy.body.operations for inner in operation.regions]
    else:
        arguments = [Value(value.type, name=value.name) for value in body.arguments]
        copy = Function(function.name, Region(arguments), function.captured)
        Rolling(copy, found, runs, dict(zip(body.arguments, arguments, strict=True))).apply()
        prune(copy.body)
        pending = [copy.body]
    _reroll_all(copy, pending, worth)
    return copy


def _reroll_all(function: Function, pending: list[Region], worth: int) -> bool:
    """Roll up what repeats in some regions and those inside them; whether anything does."""
    changed = False
    while pending:
        region = pending.pop()
        while _reroll_region(function, region, worth):
            changed = True
        pending += [inner for operation in region.operations for inner in operation.regions]
    return changed


def _reroll_region(function: Function, region: Region, worth: int) -> bool:
    found, runs = _runs_of(region, worth)
    if not runs:
        return False
    Rolling(function, found, runs).apply()
    prune(region)
    return True


def _runs_of(region: Region, worth: int) -> tuple[Scan, list[tuple[Run, Outputs]]]:
    """What of a region is to be rolled up."""
    if len(region.operations) <= worth:
        return Scan(region), []
    found = scan(region)
    return found, _chosen(found, worth)


def _chosen(found: Scan, worth: int) -> list[tuple[Run, Outputs]]:
    """Runs that do not meet, the largest first, in order."""
    count = len(found.operations)
    if count <= worth:
        return []
    taken = [False] * count
    chosen: list[tuple[Run, Outputs]] = []
    left: list[Run] = []
    touched: set[int] = set()
    effort = EFFORT * count
    users = Users(found)

    def take(run: Run, outputs: Outputs) -> None:
        taken[run.first : run.last] = [True] * (run.last - run.first)
        touched.update(outputs.touched)
        chosen.append((run, outputs))

    for stretch in repeats(found.shapes):
        center = (stretch.start + stretch.stop) // 2
        if stretch.gain < worth // 2:
            break
        if taken[center]:
            continue
        effort -= stretch.stop - stretch.start
        if effort < 0:
            break
        run = run_of(found, stretch)
        if run is None or any(taken[run.first : run.last]):
            continue
        outputs = outputs_of(run, users)
        if outputs is None or not _pays(run, outputs, worth):
            left.append(run)
            continue
        if _meets(run, outputs, taken, touched):
            continue
        take(run, outputs)
    for run, outputs in _handing(left, users, worth):
        if not any(taken[run.first : run.last]) and not _meets(run, outputs, taken, touched):
            take(run, outputs)
    return sorted(chosen, key=lambda each: each[0].first)


def _handing(left: Sequence[Run], users: Users, worth: int) -> list[tuple[Run, Outputs]]:
    """Of runs that do not pay by themselves those that do together: what one gives step by step, another reads so.

    These are the former ones. Once they are loops, the others read rows of arrays, and pay when they are looked at again.
    """
    runs: list[Run] = []
    for run in left:
        if all(run.last <= other.first or other.last <= run.first for other in runs):
            runs.append(run)
    while len(runs) > 1:
        makers = {result: (run.first, (number - run.first) % run.period, result.index) for run in runs
                  for number in range(run.first, run.last) for result in run.scan.operations[number].results}  # fmt: skip
        rows = [_rows(run, makers) for run in runs]
        givers = {makers[role.values[0]][0] for each in rows for role in each}
        handed = {use for run, each in zip(runs, rows, strict=True) for use in _uses(run, each)}
        found = [(run, outputs, each) for run, each in zip(runs, rows, strict=True)
                 if (each or run.first in givers) and (outputs := outputs_of(run, users, handed)) is not None
                 and _pays(run, outputs, worth, each)]  # fmt: skip
        if len(found) == len(runs):
            return [(run, outputs) for run, outputs, each in found if not each]
        runs = [run for run, _, _ in found]
    return []


def _rows(run: Run, makers: Mapping[Value, tuple[int, int, int]]) -> set[Varying]:
    """Operands of a run that other runs compute, each one result in all steps, and that would have to be stacked else."""
    found = set()
    for roles in run.roles:
        for role in roles:
            if isinstance(role, Varying) and isinstance(form_of(role.values), Stack | None):
                sources = {makers.get(value) for value in role.values}
                if len(sources) == 1 and None not in sources:
                    found.add(role)
    return found


def _uses(run: Run, rows: Collection[Varying]) -> Iterable[Use]:
    """Where a run reads such operands, and windows."""
    for position, roles in enumerate(run.roles):
        for role in roles:
            if isinstance(role, Varying) and (role in rows or isinstance(form_of(role.values), Windows)):
                yield from [(run.first + position + step * run.period, value) for step, value in enumerate(role.values)]


def _meets(run: Run, outputs: Outputs, taken: Sequence[bool], touched: Collection[int]) -> bool:
    """Whether a run has to wait for others that are being rolled: it stacks their values, or joins what is theirs."""
    place = run.scan.place
    return (
        any(taken[number] for number in outputs.touched)
        or any(run.first <= number < run.last for number in touched)
        or any(taken[place[value]] for roles in run.roles for role in roles if isinstance(role, Varying)
               for value in role.values if place.get(value, OUTSIDE) >= 0)
    )  # fmt: skip


def _pays(run: Run, outputs: Outputs, worth: int, rows: Collection[Varying] = ()) -> bool:
    """Whether a run can be rolled, and is worth it; operands in `rows` are going to be those of an array."""
    added = outputs.added
    for position, roles in enumerate(run.roles):
        for role in roles:
            if isinstance(role, Varying) and role not in rows:
                form = form_of(role.values)
                if form is None:
                    return False
                added += form.added
        if position in run.windows and not is_window(run.step[position].op):
            return False
    saved = run.period * (run.trips - 1) - added
    return saved >= max(worth, _least(run)) and added <= MOST_ADDED * run.period * run.trips


def _least(run: Run) -> int:
    """How many operations at least must be saved by rolling a run, because of what fusing its steps would save."""
    largest, is_cheap = 0, True
    for operation in run.step:
        if isinstance(operation.op, Elementwise):
            is_cheap &= cheap(operation)
            largest = max(largest, _elements(operation.results))
        elif not is_move(operation) and not isinstance(operation.op, Write) and _elements(operation.operands) >= LARGE:
            return 0
    if largest < LARGE:
        return 0
    if 8 * largest * run.trips > MUCH:
        return WORTH_MEMORY
    return WORTH_FUSED if is_cheap else 0


def _elements(values: Iterable[Value]) -> int:
    """Elements of the largest of some values."""
    sizes = [prod(dim if isinstance(dim, int) else LARGE for dim in value.type.dims) for value in values]
    return max(sizes, default=0)
