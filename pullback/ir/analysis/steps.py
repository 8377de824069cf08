"""Whether a stretch of operations is a loop written out: a stretch in, its steps and where their operands come from out."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import lcm
from operator import eq
from typing import Any

from pullback.ir.analysis.repeats import OUTSIDE, Scan, Stretch, is_constant
from pullback.ir.core import Operation, Value
from pullback.ir.ops.creation import Full
from pullback.ir.ops.shape import Slice

LEAST_TRIPS = 8
"""Fewer steps are left as they are."""
MOST_BACK = 8
"""How many steps back an operand may have been computed."""
MOST_ALTERNATING = 8
"""Numbers or places that come back after so many steps make one step of so many."""


@dataclass(frozen=True)
class Same:
    """An operand that is one value in all steps."""

    value: Value


@dataclass(frozen=True)
class Result:
    """An operand that operation `position` of a step computes: of the same step, or of the one ``len(initial)`` back.

    `initial` is what the first steps read instead, the first step's first.
    """

    position: int
    index: int
    initial: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Varying:
    """An operand that is another value in every step, each known before the first."""

    values: tuple[Value, ...]


Role = Same | Result | Varying


@dataclass
class Run:
    """`trips` steps of `period` operations from number `first` of a scan on.

    `roles` say by position in the step where the operands of its operation come from; `windows` has the starts, by
    step, of the slices that move.
    """

    scan: Scan
    first: int
    period: int
    trips: int
    roles: list[list[Role]] = field(default_factory=list)
    windows: dict[int, list[tuple[int, ...]]] = field(default_factory=dict)

    @property
    def last(self) -> int:
        """The number after its last operation."""
        return self.first + self.period * self.trips

    @property
    def step(self) -> Sequence[Operation]:
        """The operations of the first step."""
        return self.scan.operations[self.first : self.first + self.period]

    def series(self, position: int, operand: int) -> list[Value]:
        """What an operand is in each step."""
        return [reads[operand] for reads in self.scan.reads[self.first + position : self.last : self.period]]


def run_of(scan: Scan, stretch: Stretch) -> Run | None:
    """The longest run of whole steps in a stretch, whose ends are found anew; None if its operands fit no loop.

    Steps begin where fewest values are handed from one to the next. Work is linear in the stretch.
    """
    found = None
    while True:
        period = stretch.period
        start, stop = _widest(scan, stretch)
        if stop - start < LEAST_TRIPS * period:
            return found
        center = (stretch.start + stretch.stop) // 2
        start = _best_start(scan, start, stop, period, center)
        run = _Slots(scan, start, (stop - start) // period, period, (center - start) // period).run()
        if run is None:
            return found
        found, again = run, _alternating(run)
        if again == 1:
            return run
        stretch = Stretch(run.first, run.last, period * again)


def _widest(scan: Scan, stretch: Stretch) -> tuple[int, int]:
    """As far as operations are of the same kind as those a period before them; nothing where even a stretch is not."""
    kinds, period = scan.kinds, stretch.period
    start, stop = stretch.start, stretch.stop
    if kinds[start : stop - period] != kinds[start + period : stop]:
        return start, start
    while start > 0 and kinds[start - 1] == kinds[start - 1 + period]:
        start -= 1
    while stop < len(kinds) and kinds[stop] == kinds[stop - period]:
        stop += 1
    return start, stop


def _best_start(scan: Scan, start: int, stop: int, period: int, center: int) -> int:
    """Where to cut steps, at most a period after `start`: what crosses the cut has to be carried."""
    base = start + (center - start) // period * period
    first = max(start, base - 2 * period)
    last_use: dict[int, int] = {}
    for number in range(first, min(stop, base + 2 * period)):
        for value in scan.reads[number]:
            place = scan.place.get(value)
            if place is not None and place >= first:
                last_use[place] = number
    change = [0] * (period + 1)
    for place, last in last_use.items():
        low, high = max(place + 1, base) - base, min(last, base + period - 1) - base
        if low <= high:
            change[low] += 1
            change[high + 1] -= 1
    best = crossing = change[0]
    phase = 0
    for place in range(1, period):
        crossing += change[place]
        if crossing < best:
            best, phase = crossing, place
    return start + phase


class _Slots:
    """The operands of candidate steps, and between which steps all of them follow the pattern of a middle one."""

    def __init__(self, scan: Scan, start: int, trips: int, period: int, middle: int) -> None:
        self.scan = scan
        self.start = start
        self.period = period
        self.middle = middle
        self.first, self.end = 0, trips

    def run(self) -> Run | None:
        roles = []
        for position in range(self.period):
            for operand in range(len(self.scan.reads[self.start + position])):
                role = self.role(position, operand)
                if role is None or self.end - self.first < LEAST_TRIPS:
                    return None
                roles.append(role)
        if not self.settle(roles):
            return None
        begin = self.start + self.first * self.period
        run = Run(self.scan, begin, self.period, self.end - self.first)
        made = iter(roles)
        for position in range(self.period):
            reads = self.scan.reads[begin + position]
            run.roles.append([next(made)(run, position, operand) for operand in range(len(reads))])
        for position, operation in enumerate(run.step):
            if isinstance(operation.op, Slice):
                starts = [each.op.starts for each in self.scan.operations[begin + position : run.last : self.period]
                          if isinstance(each.op, Slice)]  # fmt: skip
                if any(each != starts[0] for each in starts):
                    run.windows[position] = starts
        return run

    def series(self, position: int, operand: int) -> list[Value]:
        stop = self.start + self.end * self.period
        return [reads[operand] for reads in self.scan.reads[self.start + position : stop : self.period]]

    def role(self, position: int, operand: int) -> _Maker | None:
        """How the middle step comes to an operand; narrows the steps down to those that do so too."""
        values = self.series(position, operand)
        place, middle = self.scan.place, self.middle
        if not self.first <= middle < self.end - 1:
            return None
        value, after = values[middle], values[middle + 1]
        here, there = place.get(value, OUTSIDE), place.get(after, OUTSIDE)
        if is_constant(value) and is_constant(after):
            return self.narrow(values, lambda part, _: [is_constant(each) for each in part], 0, _Varies(0))
        if value is after:
            return self.narrow(values, lambda part, _: [each is value for each in part], 0, _Stays(here))
        if here >= self.start and there == here + self.period and value.index == after.index:
            step, produced = divmod(here - self.start, self.period)
            back = middle - step
            if back > MOST_BACK:
                return None
            index, many = value.index, len(self.scan.operations[here].results) > 1

            def follow(part: Sequence[Value], first: int) -> list[bool]:
                begin = here + (first - middle) * self.period
                places = map(eq, map(place.get, part), range(begin, begin + len(part) * self.period, self.period))
                if many:
                    return [fits and each.index == index for fits, each in zip(places, part, strict=True)]
                return list(places)

            return self.narrow(values, follow, back, _Hands(produced, index, back))
        start = self.start
        return self.narrow(
            values, lambda part, _: [place.get(each, OUTSIDE) < start for each in part], 0, _Varies(start)
        )

    def narrow(
        self, values: list[Value], fit: Callable[[Sequence[Value], int], list[bool]], back: int, maker: _Maker
    ) -> _Maker:
        """Keep the steps around the middle that fit; what is handed on over `back` steps may be anything before.

        `fit` tests the values of some steps, given the first one's number: a few first, and all only if these do.
        """
        low = self.middle
        for begin in (max(0, low - LEAST_TRIPS), 0):
            part = fit(values[begin:low], begin)
            if False in part:
                low -= part[::-1].index(False)
                break
            low = begin
        high = self.middle + 1
        for end in (min(self.end, high + LEAST_TRIPS), self.end):
            part = fit(values[high:end], high)
            if False in part:
                high += part.index(False)
                break
            high = end
        self.first = max(self.first, low - back)
        self.end = min(self.end, high)
        return maker

    def settle(self, makers: Sequence[_Maker]) -> bool:
        """Begin late enough for everything that is read from before the run to be computed there."""
        place = self.scan.place
        while self.end - self.first >= LEAST_TRIPS:
            begin = self.start + self.first * self.period
            latest = -1
            slots = iter(makers)
            for position in range(self.period):
                for operand in range(len(self.scan.reads[begin + position])):
                    maker = next(slots)
                    for step in range(maker.from_before):
                        value = self.scan.reads[begin + position + step * self.period][operand]
                        latest = max(latest, place.get(value, OUTSIDE))
            if latest < begin:
                return True
            self.first = max(self.first + 1, (latest - self.start) // self.period + 1)
        return False


class _Maker:
    """Makes an operand's role when the steps are known. So many of the first steps read what was there before."""

    from_before = 0

    def __call__(self, run: Run, position: int, operand: int) -> Role:
        raise NotImplementedError


@dataclass
class _Stays(_Maker):
    place: int
    from_before: int = 1

    def __call__(self, run: Run, position: int, operand: int) -> Role:
        return Same(run.scan.reads[run.first + position][operand])


@dataclass
class _Hands(_Maker):
    position: int
    index: int
    from_before: int

    def __call__(self, run: Run, position: int, operand: int) -> Role:
        return Result(self.position, self.index, tuple(run.series(position, operand)[: self.from_before]))


@dataclass
class _Varies(_Maker):
    start: int
    from_before: int = 0

    def __call__(self, run: Run, position: int, operand: int) -> Role:
        values = run.series(position, operand)
        first = values[0]
        if all(value is first or _equal(value, first) for value in values):
            return Same(first)
        return Varying(tuple(values))


def _equal(value: Value, other: Value) -> bool:
    return is_constant(value) and is_constant(other) and value.owner.op == other.owner.op  # type: ignore[union-attr]


def _alternating(run: Run) -> int:
    """After how many steps constants, values and windows that do not go on regularly come back."""
    period = 1
    for roles in run.roles:
        for role in roles:
            if isinstance(role, Varying):
                period = lcm(period, _comes_back([_identity(value) for value in role.values]))
    for starts in run.windows.values():
        period = lcm(period, _comes_back(starts))
    return period if run.trips // period >= LEAST_TRIPS else 1


def _identity(value: Value) -> Any:
    owner = value.owner
    return owner.op if owner is not None and isinstance(owner.op, Full) else value


def _comes_back(items: Sequence[Any]) -> int:
    for period in range(2, MOST_ALTERNATING + 1):
        if all(left == right for left, right in zip(items, items[period:], strict=False)):
            return period
    return 1
