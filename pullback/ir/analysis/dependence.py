"""A function's sparsity pattern: IR in, for each element of the results the elements of the inputs it may depend on.

Sets of input elements are propagated, operation by operation, as arrays of row numbers of one table (`IndexSets`):
moving elements moves numbers, and only what adds elements up makes new sets. Each op states what it reads
(`Op.dependence`); integers are computed along where they are known, so that indices, bounds and conditions are exact.
The iterations of a loop are lanes, which go through its body together: see `dependence_loops`.

Dependence is structural, by values of the inputs that are arbitrary: what cancels by chance stays in the pattern.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.errors import DerivativeError, PullbackError
from pullback.ir.analysis.dependence_loops import walk_loop
from pullback.ir.analysis.facts import (
    MOST_ELEMENTS,
    NOTHING,
    AnyFact,
    Fact,
    Scope,
    TapeFact,
    all_of,
    collapsed,
    empty,
    joined,
    stacked,
)
from pullback.ir.analysis.index_sets import EMPTY, IndexSets
from pullback.ir.analysis.pattern import Pattern
from pullback.ir.analysis.uses import last_uses, operation_reads
from pullback.ir.core import Function, Operation, Region, Value
from pullback.ir.ops.arithmetic import Cast
from pullback.ir.ops.base import Elementwise, Movement
from pullback.ir.ops.contraction import Gather
from pullback.ir.ops.control import Call, EmptyTape, If
from pullback.ir.ops.creation import Creation, Full
from pullback.ir.ops.logic import Select
from pullback.ir.ops.window import DynamicSlice, DynamicUpdate, Write
from pullback.ir.reads import EVERY, SAME, Known, Reads
from pullback.ir.types import ArrayType, TapeType

Array = np.ndarray[Any, Any]
MOVES = (Movement, Gather, DynamicSlice, DynamicUpdate)
"""Ops whose results hold elements of the operands: what is known of those is known of these, floats included."""
MOST_ENTRIES = 100_000_000


def dependence(function: Function, inputs: Sequence[int], arguments: Sequence[Array | None]) -> Pattern:
    """The pattern of a function's float results, end to end, by the parameters numbered `inputs`, end to end.

    `arguments` holds, per argument of the body, what is known of it.

    Raises: DerivativeError for a matrix that is too full to be written down.
    """
    parameters = function.body.arguments
    count = sum(parameters[place].type.size for place in inputs)
    walk = DependenceWalk(IndexSets(count))
    facts: list[AnyFact] = []
    for place, array in enumerate(arguments):
        facts.append(NOTHING if array is None else Fact(known=np.asarray(array)[None], roots=frozenset([place])))
    first = 1
    for place in inputs:
        size = parameters[place].type.size
        facts[place] = Fact(np.arange(first, first + size, dtype=np.int32)[None])
        first += size
    found = []
    for fact, value in zip(walk.run(function.body, facts, Scope(walk.table)), function.body.yields, strict=True):
        if value.type.dtype.is_float:
            sets = fact.current() if isinstance(fact, Fact) else None
            found.append(np.zeros(value.type.size, np.int32) if sets is None else sets.reshape(-1))
    sets = np.concatenate([np.zeros(0, np.int32), *found])
    entries = int(walk.table.lengths(sets).sum())
    if entries > MOST_ENTRIES:
        raise DerivativeError(
            f"the derivative is not sparse: {entries} of {sets.size} x {count} entries may be other than zero",
            help="use products with it (jvp, vjp, hvp)",
        )
    bounds, columns = walk.table.members(sets)
    return Pattern((sets.size, count), bounds, columns, frozenset(walk.consulted))


class DependenceWalk:
    """Goes through regions, in all lanes of a scope at once; `consulted` are the parameters that it has looked at."""

    def __init__(self, table: IndexSets) -> None:
        self.table = table
        self.consulted: set[int] = set()
        self._last: dict[Region, list[list[Value]]] = {}

    def consult(self, fact: AnyFact, size: int = 1) -> Array | None:
        """A value's elements ``[lanes or 1, ...]`` where they are known; what is found now rests on them.

        `size` is how many elements per lane are made from each: too many in all are not worth knowing.
        """
        if isinstance(fact, TapeFact) or fact.known is None:
            return None
        if len(fact.known) > 1 and len(fact.known) * size > MOST_ELEMENTS:
            return None
        self.consulted |= fact.roots
        return fact.known

    def run(self, region: Region, arguments: Sequence[AnyFact], scope: Scope) -> list[AnyFact]:
        """What is known of the values that a region yields."""
        last = self._last.get(region)
        if last is None:
            last = self._last[region] = last_uses(region)
        scope.facts.update(zip(region.arguments, arguments, strict=True))
        for operation, dead in zip(region.operations, last, strict=True):
            results = self.operation(operation, scope)
            scope.facts.update(zip(operation.results, results, strict=True))
            for value in dead:
                scope.facts.pop(value, None)
        return [scope.fact(value) for value in region.yields]

    def operation(self, operation: Operation, scope: Scope) -> Sequence[AnyFact]:
        facts = [scope.fact(operand) for operand in operation.operands]
        match operation.op:
            case If():
                return self._branch(operation, facts, scope)
            case Call():
                return self.run(operation.regions[0], facts, scope)
            case EmptyTape() as op:
                return [empty(TapeType(op.record))]
        if operation.regions:
            found = walk_loop(self, operation, facts, scope)
            return self.anything(operation, scope) if found is None else found
        if len(operation.results) != 1:
            return self.anything(operation, scope)
        plain = [fact for fact in facts if isinstance(fact, Fact)]
        return [self._result(operation, plain)]

    def anything(self, operation: Operation, scope: Scope) -> list[AnyFact]:
        """What holds of the results of an operation, whatever it does: they depend on no more than it reads."""
        read = [all_of(self.table, scope.fact(value)) for value in operation_reads(operation)]
        everything = self.table.union_of_all(np.array(read, np.int32)) if read else EMPTY

        def fact(kind: ArrayType) -> AnyFact:
            if isinstance(kind, TapeType):
                return TapeFact([fact(each) for each in kind.record], None)
            return Fact(np.full((1, kind.size), everything, np.int32)) if kind.dtype.is_float else NOTHING

        return [fact(result.type) for result in operation.results]

    def _branch(self, operation: Operation, facts: list[AnyFact], scope: Scope) -> list[AnyFact]:
        """Both branches where the condition is not known; else each in the lanes that take it."""
        condition = self.consult(facts[0])
        if condition is None:
            both = [self.run(region, facts[1:], Scope(self.table, scope, scope.lanes)) for region in operation.regions]
            return [joined(self.table, pair, scope.lanes) for pair in zip(*both, strict=True)]
        taken = condition.reshape(-1)
        if taken.all() or not taken.any():
            return self.run(operation.regions[0 if taken.all() else 1], facts[1:], Scope(self.table, scope, scope.lanes))
        sides, lanes = [], [np.flatnonzero(taken), np.flatnonzero(~taken)]
        for region, chosen in zip(operation.regions, lanes, strict=True):
            inner = Scope(self.table, scope, chosen.size, chosen)
            sides.append(self.run(region, [inner.taken(fact) for fact in facts[1:]], inner))
        order = np.argsort(np.concatenate(lanes))
        return [stacked(self.table, pair, [each.size for each in lanes], order) for pair in zip(*sides, strict=True)]

    # One operation

    def _result(self, operation: Operation, facts: list[Fact]) -> Fact:
        op, kind = operation.op, operation.results[0].type
        if isinstance(op, Write) and facts[0].store is not None:
            return self._written(op, operation, facts)
        sets = None
        if kind.dtype.is_float and any(fact.current() is not None for fact in facts):
            sets = self._sets(operation, facts)
        known = self._known(operation, facts)
        roots = frozenset[int]().union(*(fact.roots for fact in facts)) if known is not None else frozenset[int]()
        return Fact(sets, known, roots)

    def _written(self, op: Write, operation: Operation, facts: list[Fact]) -> Fact:
        """A store with a window joined to it, at one place per lane."""
        store, window = facts[0].store, facts[1].current()
        assert store is not None
        if window is None or not window.size or not window.any():
            return facts[0]
        types, size = tuple([operand.type for operand in operation.operands]), operation.operands[1].type.size
        places = op.places(types, lambda k: self.consult(facts[k], size))
        if places is None:
            store.add(self.table, np.full_like(store.sets, self.table.union_of_all(window)))
            return facts[0]
        places, window = np.broadcast_arrays(places, window)
        touched, owner = np.unique(places, return_inverse=True)
        joined_sets = self.table.union(owner.reshape(-1), window.reshape(-1), touched.size)
        added = np.zeros_like(store.sets)
        added[0, touched[touched >= 0]] = joined_sets[touched >= 0]
        store.add(self.table, added)
        return facts[0]

    def _sets(self, operation: Operation, facts: list[Fact]) -> Array | None:
        """What each element of the only result depends on."""
        kind = operation.results[0].type
        types = tuple([operand.type for operand in operation.operands])
        stated = operation.op.dependence(types, kind, lambda k: self.consult(facts[k], kind.size))
        parts = [fact.current() for fact in facts]
        if isinstance(stated, Reads):
            return self._applied(stated, _end_to_end(parts, types), kind.size)
        total: Array | None = None
        for reads, part in zip(stated, parts, strict=True):
            if reads is None or part is None:
                continue
            found = self._applied(reads, part, kind.size)
            total = found if total is None else self.table.merge(total, found)
        return total

    def _applied(self, reads: Reads, sets: Array, size: int) -> Array:
        """The sets ``[lanes or 1, size]`` of a result's elements by what they read of an operand's ``sets``."""
        if reads is SAME:
            return sets
        if len(sets) > 1 and len(sets) * size > MOST_ELEMENTS:
            one_lane = collapsed(self.table, sets)
            sets = np.zeros((1, sets.shape[1]), np.int32) if one_lane is None else one_lane
        if reads is EVERY:
            lanes = len(sets)
            owner = np.repeat(np.arange(lanes), sets.shape[1])
            return np.repeat(self.table.union(owner, sets.reshape(-1), lanes)[:, None], size, axis=1)
        if reads.groups is not None:
            count, group, element = reads.groups
            lanes = max(len(sets), len(group))
            owner = np.where(group >= 0, group + count * np.arange(lanes)[:, None], -1)
            members = np.broadcast_to(sets[:, element], owner.shape)
            sets = self.table.union(owner.reshape(-1), members.reshape(-1), lanes * count).reshape(lanes, count)
        if reads.picks is None:
            return sets
        picks = reads.picks
        if not sets.shape[1]:
            return np.zeros((max(len(sets), len(picks)), size), np.int32)
        if len(picks) == 1:
            found = sets[:, picks[0]]
        elif len(sets) == 1:
            found = sets[0][picks]
        else:
            found = np.take_along_axis(sets, np.maximum(picks, 0), 1)
        return np.where(picks >= 0, found, EMPTY) if picks.size and picks.min() < 0 else found

    def _known(self, operation: Operation, facts: list[Fact]) -> Array | None:
        """The elements of the only result, where they are known and sure to be the same in native code."""
        op, kind = operation.op, operation.results[0].type
        if any(fact.known is None for fact in facts):
            return None
        if kind.dtype.is_float and not isinstance(op, (*MOVES, Creation, Cast, Select)):
            return None
        if isinstance(op, Full):
            return np.broadcast_to(np.asarray(op.value, kind.dtype.numpy), (1, *kind.shape))
        values = [fact.known for fact in facts if fact.known is not None]
        lanes = max((len(value) for value in values), default=1)
        if lanes > 1 and lanes * kind.size > MOST_ELEMENTS:
            return None
        try:
            with np.errstate(all="ignore"):
                if isinstance(op, Elementwise):
                    found = np.asarray(op.evaluate(*np.broadcast_arrays(*values))[0])
                    return found.reshape(lanes, *kind.shape)
                if lanes == 1:
                    return np.asarray(op.evaluate(*(value[0] for value in values))[0])[None]
                return self._moved(operation, values, lanes) if isinstance(op, MOVES) else None
        except PullbackError:
            return None  # what raises here raises again when it is run

    @staticmethod
    def _moved(operation: Operation, values: list[Array], lanes: int) -> Array | None:
        """The elements, lane by lane, of the result of an op that moves them."""
        kind, types = operation.results[0].type, tuple([operand.type for operand in operation.operands])
        known: Known = values.__getitem__
        stated = operation.op.dependence(types, kind, known)
        flat = [np.broadcast_to(value.reshape(len(value), -1), (lanes, value[0].size)) for value in values]
        sources = [(stated, np.concatenate(flat, 1))] if isinstance(stated, Reads) else list(zip(stated, flat, strict=True))
        result = np.zeros((lanes, kind.size), kind.dtype.numpy)
        for reads, source in sources:
            if reads is None:
                continue
            if reads.groups is not None:
                return None
            picks = np.arange(kind.size)[None] if reads.picks is None else reads.picks
            if source.shape[1]:
                picks = np.broadcast_to(picks, result.shape)
                np.copyto(result, np.take_along_axis(source, np.maximum(picks, 0), 1), where=picks >= 0)
        return result.reshape(lanes, *kind.shape)


def _end_to_end(parts: Sequence[Array | None], types: Sequence[ArrayType]) -> Array:
    """The sets of all operands in one row per lane."""
    if len(parts) == 1 and parts[0] is not None:
        return parts[0]
    lanes = max(len(part) for part in parts if part is not None)
    return np.concatenate([
        np.broadcast_to(np.zeros((1, 1), np.int32) if part is None else part, (lanes, kind.size))
        for part, kind in zip(parts, types, strict=True)
    ], 1)  # fmt: skip

