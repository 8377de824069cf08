"""What the dependence analysis knows of a value, in one lane or many: facts, how lanes of them are taken and joined."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pullback.ir.analysis.index_sets import EMPTY, IndexSets
from pullback.ir.core import Value
from pullback.ir.types import ArrayType, TapeType

Array = np.ndarray[Any, Any]
MOST_ELEMENTS = 50_000_000
"""Elements of a value over all lanes, beyond which its lanes are joined."""


@dataclass(eq=False)
class Store:
    """An array that a loop writes piece by piece: per element everything it may depend on at any time in the loop.

    Loops inside write into the same store. Whoever made it runs its loop again until nothing is added.
    """

    sets: Array
    changed: bool = False

    def add(self, table: IndexSets, sets: Array) -> None:
        """Join sets, one per element, to those that are there."""
        merged = table.merge(self.sets, sets)
        if not table.equal(merged, self.sets):
            self.sets, self.changed = merged, True


@dataclass(eq=False)
class Fact:
    """What each element of a value depends on, ``sets: i32[lanes or 1, size]`` (None: nothing), and its elements.

    ``known: [lanes or 1, *shape]`` holds them where they are known, which rests on the parameters numbered `roots`.
    """

    sets: Array | None = None
    known: Array | None = None
    roots: frozenset[int] = frozenset()
    store: Store | None = None

    def current(self) -> Array | None:
        """The sets as they are now."""
        return self.sets if self.store is None else self.store.sets


@dataclass(eq=False)
class TapeFact:
    """What is known of a tape: of the values in its records, a lane per record.

    ``parent: i64[records]`` says, rising, from which lane around the loop each record is. It is None where nobody knows
    how many there are: then the values have the lanes that are around the loop, each of which covers all its records.
    """

    records: list[AnyFact]
    parent: Array | None


AnyFact = Fact | TapeFact
NOTHING = Fact()


def ragged(starts: Array, counts: Array) -> Array:
    """The numbers from each start on, as many as counted, one row after the other."""
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(int(counts.sum()))


def take(table: IndexSets, fact: AnyFact, lanes: Array) -> AnyFact:
    """The fact in other lanes: the new lane k is the old one numbered ``lanes[k]``."""
    if isinstance(fact, TapeFact):
        if fact.parent is None:
            return TapeFact([take(table, each, lanes) for each in fact.records], None)
        starts = np.searchsorted(fact.parent, lanes, "left")
        counts = np.searchsorted(fact.parent, lanes, "right") - starts
        records = ragged(starts, counts)
        return TapeFact([take(table, each, records) for each in fact.records], np.repeat(np.arange(lanes.size), counts))
    if fact.store is not None:
        return fact
    sets, known = fact.sets, fact.known
    if sets is not None and len(sets) > 1:
        sets = sets[lanes] if lanes.size * sets.shape[1] <= MOST_ELEMENTS else collapsed(table, sets)
    if known is not None and len(known) > 1:
        known = known[lanes] if lanes.size * known[0].size <= MOST_ELEMENTS else None
    return fact if sets is fact.sets and known is fact.known else Fact(sets, known, fact.roots)


def collapsed(table: IndexSets, sets: Array | None, parent: Array | None = None, count: int = 1) -> Array | None:
    """The union over all lanes, in one; or over the lanes of each `parent`, of which there are `count`."""
    if sets is None or (len(sets) == 1 and (parent is None or count == 1)):
        return sets
    if len(sets) == 1:
        return sets
    if not sets.any():
        return None
    size = sets.shape[1]
    if parent is None:
        parent = np.zeros(len(sets), np.int64)
    owner = parent[:, None] * size + np.arange(size)
    return table.union(owner.reshape(-1), sets.reshape(-1), count * size).reshape(count, size)


def empty(kind: ArrayType) -> AnyFact:
    """What is known of a value in no lane at all."""
    if isinstance(kind, TapeType):
        return TapeFact([empty(each) for each in kind.record], np.zeros(0, np.int64))
    return Fact(np.zeros((0, kind.size), np.int32))


def stacked(table: IndexSets, facts: Sequence[AnyFact], lanes: Sequence[int], order: Array) -> AnyFact:
    """Facts of one value in so many lanes each: their lanes one after the other, then taken in `order`."""
    first = facts[0]
    tapes = [fact for fact in facts if isinstance(fact, TapeFact)]
    if tapes:
        parents = [tape.parent for tape in tapes if tape.parent is not None]
        if len(parents) < len(tapes):
            loose = [per_lane(table, tape, count).records for tape, count in zip(tapes, lanes, strict=True)]
            return TapeFact([stacked(table, column, lanes, order) for column in zip(*loose, strict=True)], None)
        starts = np.cumsum([0, *lanes[:-1]])
        parent = np.concatenate([each + start for each, start in zip(parents, starts, strict=True)])
        sizes, columns = [each.size for each in parents], zip(*(tape.records for tape in tapes), strict=True)
        whole = [stacked(table, column, sizes, np.arange(parent.size)) for column in columns]
        return take(table, TapeFact(whole, parent), order)
    plain = [fact for fact in facts if isinstance(fact, Fact)]
    if isinstance(first, Fact) and first.store is not None and all(fact.store is first.store for fact in plain):
        return first
    parts, known = [fact.current() for fact in plain], None
    sets: Array | None = None
    if any(part is not None for part in parts):
        size = next(part.shape[1] for part in parts if part is not None)
        nothing = np.zeros((1, size), np.int32)
        sets = np.concatenate([np.broadcast_to(nothing if part is None else part, (count, size))
                               for part, count in zip(parts, lanes, strict=True)])[order]  # fmt: skip
    values = [fact.known for fact in plain if fact.known is not None]
    if len(values) == len(plain):
        known = np.concatenate([np.broadcast_to(value, (count, *value.shape[1:]))
                                for value, count in zip(values, lanes, strict=True)])[order]  # fmt: skip
    return Fact(sets, known, frozenset[int]().union(*(fact.roots for fact in plain)))


def per_lane(table: IndexSets, tape: TapeFact, lanes: int) -> TapeFact:
    """A tape of which, in each lane, nobody knows how many records there are."""
    if tape.parent is None:
        return tape
    return TapeFact([_covering(table, record, tape.parent, lanes) for record in tape.records], None)


def _covering(table: IndexSets, fact: AnyFact, parent: Array, lanes: int) -> AnyFact:
    """What holds in each of the lanes around of all lanes inside, whose `parent` they are."""
    if isinstance(fact, TapeFact):
        loose = per_lane(table, fact, parent.size)
        return TapeFact([_covering(table, record, parent, lanes) for record in loose.records], None)
    return Fact(collapsed(table, fact.current(), parent, lanes))


def joined(table: IndexSets, facts: Sequence[AnyFact], lanes: int) -> AnyFact:
    """What holds whichever of the facts does, in each lane."""
    first = facts[0]
    if all(each is first for each in facts[1:]):
        return first
    if isinstance(first, TapeFact):
        tapes = [per_lane(table, each, lanes) for each in facts if isinstance(each, TapeFact)]
        columns = zip(*(each.records for each in tapes), strict=True)
        return TapeFact([joined(table, column, lanes) for column in columns], None)
    plain = [each for each in facts if isinstance(each, Fact)]
    if first.store is not None and all(each.store is first.store for each in plain):
        return first
    sets: Array | None = None
    for each in plain:
        other = each.current()
        sets = other if sets is None else sets if other is None else table.merge(sets, other)
    return Fact(sets)


def all_of(table: IndexSets, fact: AnyFact) -> int:
    """The union of everything that a value's elements depend on."""
    if isinstance(fact, TapeFact):
        members = np.array([all_of(table, each) for each in fact.records], np.int32)
        return table.union_of_all(members) if members.size else EMPTY
    sets = fact.current()
    return EMPTY if sets is None or not sets.size else table.union_of_all(sets)


@dataclass(eq=False)
class Scope:
    """The facts of a region's values in its lanes; ``parent`` names for each the lane of the scope around.

    Without `parent` the lanes are those of the scope around.
    """

    table: IndexSets
    outer: Scope | None = None
    lanes: int = 1
    parent: Array | None = None
    facts: dict[Value, AnyFact] = field(default_factory=dict)

    def fact(self, value: Value) -> AnyFact:
        """What is known of a value of this region or one around, in the lanes of this."""
        known = self.find(value)
        assert known is not None, value
        return known

    def find(self, value: Value) -> AnyFact | None:
        """The same, None for a value that is not defined there."""
        known = self.facts.get(value)
        if known is None and self.outer is not None and (outer := self.outer.find(value)) is not None:
            known = self.facts[value] = self.taken(outer)
        return known

    def taken(self, fact: AnyFact) -> AnyFact:
        """A fact of the scope around in the lanes of this."""
        return fact if self.parent is None else take(self.table, fact, self.parent)
