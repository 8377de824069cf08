"""The sparsity of loops: their iterations are lanes that go through the body together, or one after the other.

What a loop carries is found by repetition, from nothing up, until nothing is added:

- what an iteration hands to the next, lane by lane, where that settles (``previous = x[i]``),
- one set per element for all iterations where it does not (``total += x[i]``),
- a store for an array that iterations write piece by piece (``out[i] = ...``).

A loop of few iterations, or one that settles in no other way, is walked iteration by iteration, which is exact. Of a
``while``, whose iterations nobody can count, one lane stands for all. What settles in no way depends on all that is read.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from pullback.ir.analysis.facts import (
    MOST_ELEMENTS,
    NOTHING,
    AnyFact,
    Fact,
    Scope,
    Store,
    TapeFact,
    collapsed,
    empty,
    per_lane,
    ragged,
    stacked,
    take,
)
from pullback.ir.analysis.index_sets import EMPTY, IndexSets
from pullback.ir.analysis.uses import reads
from pullback.ir.core import Operation, Region, Value, walk
from pullback.ir.loop_parts import LoopParts, take_apart
from pullback.ir.ops.arithmetic import Add, Sub
from pullback.ir.ops.control import For, Loop, Replay
from pullback.ir.ops.window import Write
from pullback.ir.types import TapeType

Array = np.ndarray[Any, Any]
FEW = 3_000
"""Operations over all iterations up to which a loop is walked iteration by iteration at once."""
MANY = 60_000
"""The same for a loop that settles in no other way."""
ROUNDS = 8
LANE_BY_LANE_ROUNDS = 3


class Walk(Protocol):
    """What walks a loop's body."""

    table: IndexSets

    def consult(self, fact: AnyFact, size: int = 1) -> Array | None: ...
    def run(self, region: Region, arguments: Sequence[AnyFact], scope: Scope) -> list[AnyFact]: ...


@dataclass
class Trips:
    """The iterations of a loop, a lane each, in the order they run: which lane around it each is in, and what it is given."""

    parent: Array
    given: list[AnyFact]
    around: int

    @property
    def counts(self) -> Array:
        """Iterations per lane around."""
        return np.bincount(self.parent, minlength=self.around)

    @property
    def is_first(self) -> Array:
        """Which lanes begin a loop."""
        return np.concatenate([np.ones(min(1, self.parent.size), bool), self.parent[1:] != self.parent[:-1]])


def walk_loop(walk: Walk, operation: Operation, facts: Sequence[AnyFact], scope: Scope) -> list[AnyFact] | None:
    """What is known of a loop's results; None if that does not settle."""
    parts = take_apart(operation)
    drivers, initial = facts[: len(parts.drivers)], list(facts[len(parts.drivers) :])
    if any(isinstance(value.type, TapeType) for value in parts.arguments):
        return None
    op = operation.op
    trips = None
    if isinstance(op, For):
        trips = _counted(walk, drivers, scope.lanes)
    elif isinstance(op, Replay):
        trips = _replayed(walk.table, drivers, scope.lanes)
    if trips is None:
        given = _of_any_trip(walk.table, op, drivers, len(parts.given), scope.lanes)
        return _Settling(walk, parts, initial, scope, None, given).results()
    if not trips.parent.size:
        return [*initial, *(empty(tape.type) for tape in parts.tapes)]
    counts = trips.counts
    work = int(counts.max()) * sum(1 for _ in _operations(parts.body))
    alike = bool((counts == counts[0]).all())
    if alike and work <= FEW:
        return _one_by_one(walk, parts, initial, scope, trips)
    found = _Settling(walk, parts, initial, scope, trips, trips.given).results()
    if found is None and alike and work <= MANY:
        found = _one_by_one(walk, parts, initial, scope, trips)
    return found


def _operations(region: Region) -> Sequence[Operation]:
    return list(walk(region))


def _counted(walk: Walk, drivers: Sequence[AnyFact], around: int) -> Trips | None:
    """The iterations of a counting loop, if its bounds are known."""
    bounds = [walk.consult(driver) for driver in drivers]
    if any(bound is None for bound in bounds):
        return None
    start, stop, step = (np.broadcast_to(bound.reshape(-1), (around,)) for bound in bounds if bound is not None)
    if (step == 0).any():
        return None
    counts = np.maximum(0, -((start - stop) // step))
    parent = np.repeat(np.arange(around), counts)
    if parent.size > MOST_ELEMENTS:
        return None
    place = ragged(np.zeros(around, np.int64), counts)
    counter = start[parent] + place * step[parent]
    roots = frozenset[int]().union(*(driver.roots for driver in drivers if isinstance(driver, Fact)))
    return Trips(parent, [Fact(known=counter, roots=roots)], around)


def _replayed(table: IndexSets, drivers: Sequence[AnyFact], around: int) -> Trips | None:
    """The records of tapes, last to first, if their number is known."""
    tapes = [driver for driver in drivers if isinstance(driver, TapeFact)]
    first = tapes[0].parent
    if first is None or any(tape.parent is None for tape in tapes):
        return None
    counts = np.bincount(first, minlength=around)
    # The last record of each lane comes first.
    backward = np.repeat(2 * np.cumsum(counts) - counts - 1, counts) - np.arange(first.size)
    return Trips(first, [take(table, record, backward) for tape in tapes for record in tape.records], around)


def _of_any_trip(
    table: IndexSets, op: object, drivers: Sequence[AnyFact], count: int, lanes: int
) -> list[AnyFact]:
    """What an iteration is given, whichever it is."""
    if not isinstance(op, Replay):
        return [NOTHING] * count
    tapes = [per_lane(table, driver, lanes) for driver in drivers if isinstance(driver, TapeFact)]
    return [record for tape in tapes for record in tape.records]


def _frozen(fact: AnyFact) -> AnyFact:
    """The fact as it is now, where it is of a store."""
    return Fact(fact.current()) if isinstance(fact, Fact) and fact.store is not None else fact


def _one_by_one(walk: Walk, parts: LoopParts, initial: list[AnyFact], scope: Scope, trips: Trips) -> list[AnyFact]:
    """Every iteration after the one before; all lanes around run equally many."""
    count, around = int(trips.counts[0]), trips.around
    state = initial
    records: list[list[list[AnyFact]]] = [[] for _ in parts.records]
    op = parts.operation.op
    assert isinstance(op, Loop)
    for number in range(count):
        lanes = np.arange(around) * count + number
        given = [take(walk.table, fact, lanes) for fact in trips.given]
        found = walk.run(parts.body, [*given, *state], Scope(walk.table, scope, scope.lanes))
        kept, saved = op.records(found)
        state = list(kept)
        for tape, record in zip(records, saved, strict=True):
            tape.append([_frozen(fact) for fact in record])
    tapes: list[AnyFact] = []
    # The records of one lane around stand together.
    order = (np.arange(count) * around + np.arange(around)[:, None]).reshape(-1)
    for written in records:
        columns = [stacked(walk.table, column, [around] * count, order) for column in zip(*written, strict=True)]
        tapes.append(TapeFact(columns, trips.parent))
    return [*state, *tapes]


@dataclass
class _Carried:
    """One value that a loop carries: what it starts from and what is known so far of it, at the start of iterations.

    `fact` is in the lanes of the loop if `by_lane`, else in those around it. An `is_settled` one does not change.
    """

    initial: AnyFact
    fact: AnyFact
    is_settled: bool = False
    by_lane: bool = False
    store: Store | None = None
    """The store that this loop has made for it."""


@dataclass
class _Settling:
    """A loop walked again and again until what it carries settles. Without `trips` one lane stands for all iterations."""

    walk: Walk
    parts: LoopParts
    initial: list[AnyFact]
    scope: Scope
    trips: Trips | None
    given: list[AnyFact]
    carried: list[_Carried] = field(default_factory=list)
    yields: list[AnyFact] = field(default_factory=list)

    def results(self) -> list[AnyFact] | None:
        """What is known of the loop's results, or None if it does not settle."""
        written = _written_values(self.parts.body)
        self.carried = [self._start(number, argument in written) for number, argument in enumerate(self.parts.arguments)]
        op = self.parts.operation.op
        assert isinstance(op, Loop)
        for number in range(ROUNDS):
            lanes = self.scope.lanes if self.trips is None else self.trips.parent.size
            inner = Scope(self.walk.table, self.scope, lanes, None if self.trips is None else self.trips.parent)
            arguments = [each.fact if each.by_lane else inner.taken(each.fact) for each in self.carried]
            found = self.walk.run(self.parts.body, [*self.given, *arguments], inner)
            kept, records = op.records(found)
            self.yields = list(kept)
            # No short cut: every value learns what this round has found.
            changed = [self._learn(each, fact, number) for each, fact in zip(self.carried, self.yields, strict=True)]
            if not any(changed):
                return [*(self._result(*each) for each in zip(self.carried, self.yields, strict=True)),
                        *(self._tape(record) for record in records)]  # fmt: skip
        return None

    def _start(self, number: int, is_written: bool) -> _Carried:
        initial, argument = self.initial[number], self.parts.arguments[number]
        assert isinstance(initial, Fact)
        if self.parts.yields[number] is argument:
            return _Carried(initial, initial, is_settled=True)
        if initial.store is not None:
            return _Carried(initial, initial)
        if not argument.type.dtype.is_float:
            return _Carried(initial, self._induction(number), is_settled=True, by_lane=self.trips is not None)
        sets = initial.sets
        if is_written and argument.type.size > 1 and (sets is None or len(sets) == 1):
            store = Store(np.zeros((1, argument.type.size), np.int32) if sets is None else sets)
            return _Carried(initial, Fact(store=store), store=store)
        by_lane = self.trips is not None and self.trips.parent.size * argument.type.size <= MOST_ELEMENTS // 10
        if by_lane:
            return _Carried(initial, self._handed_on(initial, NOTHING), by_lane=True)
        return _Carried(initial, Fact(sets))

    def _induction(self, number: int) -> Fact:
        """The elements of an integer to which every iteration adds the same; of others nothing is known."""
        argument, yielded, initial = self.parts.arguments[number], self.parts.yields[number], self.initial[number]
        owner = yielded.owner
        if self.trips is None or owner is None or not isinstance(owner.op, Add | Sub) or argument.type.dims:
            return NOTHING
        left, right = owner.operands
        if isinstance(owner.op, Add) and right is argument:
            left, right = right, left
        if left is not argument or right.type.dtype != argument.type.dtype:
            return NOTHING
        change = self.scope.find(right)
        if not isinstance(change, Fact) or not isinstance(initial, Fact):
            return NOTHING
        start, step = self.walk.consult(initial), self.walk.consult(change)
        if start is None or step is None:
            return NOTHING
        parent = self.trips.parent
        first = np.flatnonzero(self.trips.is_first)
        trip = np.arange(parent.size) - np.repeat(first, np.diff(np.append(first, parent.size)))
        start, step = (np.broadcast_to(each.reshape(-1), (self.trips.around,))[parent] for each in (start, step))
        known = start + trip * step if isinstance(owner.op, Add) else start - trip * step
        return Fact(known=known.astype(argument.type.dtype.numpy), roots=initial.roots | change.roots)

    def _handed_on(self, initial: AnyFact, yielded: AnyFact) -> Fact:
        """What iterations start from, lane by lane: the first of each loop from `initial`, others from the one before."""
        assert self.trips is not None and isinstance(initial, Fact) and isinstance(yielded, Fact)
        before, after = initial.sets, yielded.current()
        if before is None and after is None:
            return NOTHING
        lanes = self.trips.parent
        size = next(each.shape[1] for each in (before, after) if each is not None)
        made = np.zeros((lanes.size, size), np.int32)
        if after is not None:
            made[1:] = np.broadcast_to(after, made.shape)[:-1]
        first = self.trips.is_first
        made[first] = EMPTY if before is None else np.broadcast_to(before, (self.trips.around, size))[lanes[first]]
        return Fact(made)

    def _learn(self, carried: _Carried, yielded: AnyFact, number: int) -> bool:
        """Take in what an iteration yields; whether that adds anything."""
        if carried.is_settled:
            return False
        assert isinstance(yielded, Fact) and isinstance(carried.fact, Fact)
        table, store = self.walk.table, carried.fact.store
        if store is not None:
            if yielded.store is not store and (joined_sets := collapsed(table, yielded.current())) is not None:
                store.add(table, joined_sets)
            if carried.store is None:
                return False  # whoever made it sees to it that it settles
            changed, store.changed = store.changed, False
            return changed
        if carried.by_lane and number < LANE_BY_LANE_ROUNDS:
            new = self._handed_on(carried.initial, yielded)
            same = _same(table, carried.fact.sets, new.sets)
            carried.fact = new
            return not same
        return self._summarize(carried, yielded)

    def _summarize(self, carried: _Carried, yielded: Fact) -> bool:
        """One set per element for all iterations of a loop: what it starts from and all that iterations yield."""
        table, trips = self.walk.table, self.trips
        before = carried.initial if carried.by_lane else carried.fact
        assert isinstance(before, Fact)
        known, sets = before.current(), yielded.current()
        if trips is not None:
            sets = collapsed(table, sets, trips.parent, trips.around)
        merged = sets if known is None else known if sets is None else table.merge(known, sets)
        same = not carried.by_lane and _same(table, known, merged)
        carried.fact, carried.by_lane = Fact(merged), False
        return not same

    def _result(self, carried: _Carried, yielded: AnyFact) -> AnyFact:
        """A carried value at the end of the loop."""
        if carried.store is not None:
            return Fact(carried.store.sets)
        if isinstance(carried.fact, Fact) and carried.fact.store is not None:
            return carried.fact
        if carried.is_settled and carried.fact is carried.initial:
            return carried.initial
        if not isinstance(yielded, Fact) or not isinstance(carried.initial, Fact):
            return NOTHING
        if self.trips is None:
            return Fact(carried.fact.current() if isinstance(carried.fact, Fact) else None)
        return self._last(carried.initial, yielded)

    def _last(self, initial: Fact, yielded: Fact) -> Fact:
        """What the last iteration yields; where there is none, what the loop starts from."""
        assert self.trips is not None
        counts = self.trips.counts
        last = np.where(counts > 0, np.cumsum(counts) - 1, 0)
        found, start = yielded.current(), initial.sets
        if found is not None:
            found = found if len(found) == 1 else found[last]
        if (counts > 0).all() or (found is None and start is None):
            return Fact(found)
        size = next(each.shape[1] for each in (found, start) if each is not None)
        empty = np.zeros((1, size), np.int32)
        ran = (counts > 0)[:, None]
        return Fact(np.where(ran, empty if found is None else found, empty if start is None else start))

    def _tape(self, record: Sequence[AnyFact]) -> TapeFact:
        kept = [_frozen(fact) for fact in record]
        if self.trips is None:
            return TapeFact(kept, None)
        return TapeFact(kept, self.trips.parent)


def _same(table: IndexSets, left: Array | None, right: Array | None) -> bool:
    """Whether sets, None being all empty, are alike."""
    if left is None or right is None:
        other = right if left is None else left
        return other is None or not other.any()
    return table.equal(left, right)


def _written_values(body: Region) -> set[Value]:
    """Values in a loop's body that something is written into there, or in a region inside."""
    found: set[Value] = set()
    for operation in walk(body):
        if isinstance(operation.op, Write):
            found.add(operation.operands[0])
        elif operation.regions:
            found.update(operation.operands)
            for region in operation.regions:
                found.update(reads(region))
    return found
