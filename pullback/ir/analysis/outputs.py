"""What of a run of steps is used outside of it: a run in, and by what means each value comes out."""
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from pullback.ir.analysis.repeats import Scan
from pullback.ir.analysis.steps import Result, Run, Same
from pullback.ir.core import Value
from pullback.ir.ops.shape import Concatenate, Reshape
from pullback.ir.types import Shape, TapeType

MOST_LATE = 4
"""Results of so many last steps are carried out of a loop by themselves."""
MOST_TOGETHER = 8
"""Different results that are joined by turns."""
COLLECTED = 64
"""Elements of each of the results that are taken one by one out of an array of all."""
MOST_LARGE = 4
"""Steps of which results of more elements are taken out so all the same."""

Source = tuple[int, int]
"""A result of a step: the position of its operation, and which of the operation's results it is."""


@dataclass(frozen=True)
class Part:
    """Operands `place` and after of a concatenation: `rounds` times one result of each of `sources`.

    The first round has those of the steps `steps`, each next one those `strides` on. Each has the shape `shape` there.
    """

    place: int
    sources: tuple[Source, ...]
    steps: tuple[int, ...]
    strides: tuple[int, ...]
    rounds: int
    shape: Shape

    @property
    def count(self) -> int:
        """How many operands it is."""
        return len(self.sources) * self.rounds


@dataclass
class Outputs:
    """How results leave a run.

    `late`: results of the last steps, by how many steps before the end. `collected`: results of which an array holds
    those of all steps. `joins`: which operands of which concatenations are parts of that array. `singles`: other results
    that are read, by step. `windows`: results that are windows of what was there before, to be taken again. `added`
    operations are needed for all that.
    """

    late: dict[Source, set[int]] = field(default_factory=dict)
    collected: dict[Source, None] = field(default_factory=dict)
    joins: dict[int, list[Part]] = field(default_factory=dict)
    singles: dict[tuple[Source, int], None] = field(default_factory=dict)
    windows: dict[tuple[Source, int], None] = field(default_factory=dict)
    touched: set[int] = field(default_factory=set)
    added: int = 0


class Users:
    """Which operations of a scan read a value, by number; the region's end counts as one.

    They are looked for from the end on, as far back as was asked for: what is read in a run alone is not of interest.
    """

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        self.since = len(scan.reads)
        self.found: dict[Value, list[int]] = {value: [self.since] for value in scan.region.yields}

    def reach(self, number: int) -> None:
        """Look at operations from `number` on."""
        for each in range(self.since - 1, number - 1, -1):
            for value in self.scan.reads[each]:
                self.found.setdefault(value, []).append(each)
        self.since = min(self.since, number)

    def of(self, value: Value) -> list[int]:
        """Readers of a value among those that were looked at, in order."""
        return self.found.get(value, [])[::-1]


Use = tuple[int, Value]
"""That an operation, by number, reads a value."""


def outputs_of(run: Run, users: Users, handed: Collection[Use] = ()) -> Outputs | None:
    """How the results of a run get out; None where they cannot.

    Uses that are `handed` are those of another run, which is going to be a loop that finds them in the array of all.
    """
    users.reach(run.last)
    outputs = Outputs()
    joins: dict[int, None] = {}
    collected: dict[Value, tuple[Source, int, Shape]] = {}
    windows: set[int] = set()
    alone = 0
    for position, operation in enumerate(run.step):
        if _is_window(run, position, windows):
            windows.add(position)
        for index, result in enumerate(operation.results):
            source = position, index
            values = [each.results[index] for each in run.scan.operations[run.first + position : run.last : run.period]]
            if users.found.keys().isdisjoint(values):
                continue
            outside = {step: found for step, value in enumerate(values) if (found := _outside(run, users, value))}
            if not outside:
                continue
            if isinstance(result.type, TapeType) or any(not isinstance(dim, int) for dim in result.type.dims):
                return None
            if position in windows:
                outputs.windows.update(dict.fromkeys([(source, step) for step in outside]))
                alone += sum(any((number, values[step]) not in handed for number in outside[step]) for step in outside)
                continue
            if min(outside) >= run.trips - MOST_LATE:
                outputs.late[source] = {run.trips - step for step in outside}
                continue
            outputs.collected[source] = None
            large: set[int] = set()
            for step, numbers in outside.items():
                for number in numbers:
                    joined = _joined(run, users, values[step], number)
                    if joined is not None:
                        outputs.touched.add(number)
                        for shaped, concatenates in joined:
                            collected[shaped] = source, step, shaped.type.shape
                            joins.update(dict.fromkeys(concatenates))
                    elif (number, values[step]) in handed:
                        outputs.singles[source, step] = None
                    elif step >= run.trips - MOST_LATE and prod(result.type.shape) <= COLLECTED:
                        outputs.late.setdefault(source, set()).add(run.trips - step)
                    else:
                        outputs.singles[source, step] = None
                        alone += 1
                        if prod(result.type.shape) > COLLECTED:
                            large.add(step)
            if len(large) > MOST_LARGE:
                return None
    outputs.touched.update(joins)
    for number in joins:
        outputs.joins[number] = _parts(run.scan.reads[number], collected)
    joined_sources = sum(len(part.sources) for parts in outputs.joins.values() for part in parts)
    outputs.added = 2 * alone + 2 * joined_sources
    return outputs


def _is_window(run: Run, position: int, windows: Collection[int]) -> bool:
    """Whether an operation of a step takes a window of what was there before, or gives such a window other dims."""
    if position in run.windows:
        return isinstance(run.roles[position][0], Same)
    if not isinstance(run.step[position].op, Reshape):
        return False
    (role,) = run.roles[position]
    return isinstance(role, Result) and not role.initial and role.position in windows


def _outside(run: Run, users: Users, value: Value) -> list[int]:
    return [number for number in users.of(value) if not run.first <= number < run.last]


def _joined(run: Run, users: Users, value: Value, number: int) -> list[tuple[Value, Sequence[int]]] | None:
    """If the user of a value is a concatenation, or a reshape for some: the value there, and the concatenations."""
    operations = run.scan.operations
    if number == len(operations):
        return None
    user = operations[number]
    if isinstance(user.op, Concatenate):
        return [(value, [number])]
    if isinstance(user.op, Reshape):
        after = users.of(user.result)
        if after and all(each < len(operations) and isinstance(operations[each].op, Concatenate) for each in after):
            return [(user.result, after)]
    return None


def _parts(operands: Sequence[Value], collected: Mapping[Value, tuple[Source, int, Shape]]) -> list[Part]:
    """The operands of a concatenation that come from a run, in few parts."""
    found = [collected.get(operand) for operand in operands]
    parts: list[Part] = []
    place = 0
    while place < len(found):
        if found[place] is None:
            place += 1
            continue
        best = _part(found, place, 1)
        for width in range(2, MOST_TOGETHER + 1):
            if best is None or best.rounds == 1:
                best = _part(found, place, width) or best
        assert best is not None
        parts.append(best)
        place += best.count
    return parts


def _part(found: Sequence[tuple[Source, int, Shape] | None], place: int, width: int) -> Part | None:
    """As many rounds of `width` operands as follow one pattern; None where one is not enough to say."""
    first = [each for each in found[place : place + width] if each is not None]
    second = [each for each in found[place + width : place + 2 * width] if each is not None]
    shape = first[0][2]
    if len(first) < width or any(each[2] != shape for each in first):
        return None
    sources, steps = tuple([each[0] for each in first]), tuple([each[1] for each in first])
    strides = tuple([after[1] - before[1] for before, after in zip(first, second, strict=False)])
    rounds = 1
    while len(strides) == width and all(strides):
        begin = place + width * rounds
        wanted = [(source, step + stride * rounds, shape)
                  for source, step, stride in zip(sources, steps, strides, strict=True)]  # fmt: skip
        if list(found[begin : begin + width]) != wanted:
            break
        rounds += 1
    if rounds == 1 and width > 1:
        return None
    return Part(place, sources, steps, strides if rounds > 1 else (1,) * width, rounds, shape)
