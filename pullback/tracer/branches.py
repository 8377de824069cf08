"""Branches in IR: two Python functions that compute variables in, one `if` operation out, or selects for a trifle."""
from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any

from pullback.errors import ArgumentValueError
from pullback.ir.core import Operation, Value
from pullback.ir.ops.control import If
from pullback.ir.ops.creation import Full
from pullback.ir.ops.logic import Bitwise, Comparison, Select
from pullback.location import caller
from pullback.tracer.loops import written_value
from pullback.tracer.memory import replace, root_of
from pullback.tracer.record import NOTHING, Frame, Outside, Recorder
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics.shapes import reshape
from pullback.tracer.sharing import Lost, link, lose, lost_through, outer_roots, related_leaves, set_apart, unreadable
from pullback.tracer.slots import Slot, as_value, described, is_same, join, slot_of, wrapped, zeros
from pullback.tracer.traced import Traced, lower
from pullback.tracer.tree import flatten, unflatten
from pullback.tracer.undefined import UNDEFINED, Unusable, is_defined

Branch = Callable[[], Sequence[Any]]


def condition_of(recorder: Recorder, value: Any) -> Value:
    """What Python would ask with ``if value:``, as ``bool[]``. Raises: ArgumentValueError for an array of several."""
    truth = s.truth(recorder, lower(recorder, value))
    if truth.type.size != 1:
        raise ArgumentValueError(
            "The truth value of an array with more than one element is ambiguous. Use a.any() or a.all()",
            location=caller(),
        )  # fmt: skip
    return reshape(recorder, truth, ())


class _Join:
    """What both branches give: values to yield, and how the variables are made of the results."""

    def __init__(self, recorder: Recorder, frames: tuple[Frame, Frame], fill: Container[str]) -> None:
        self.recorder = recorder
        self.frames = frames
        self.fill = fill
        self.pairs: list[tuple[Any, Any, Slot]] = []
        self.bases: list[list[Traced]] = []

    def variable(self, name: str, first: Any, second: Any) -> Callable[[Sequence[Any]], Any]:
        """How a variable follows from the operation's results."""
        if first is second:
            return lambda results: first
        if not is_defined(first) or not is_defined(second):
            return self.half_defined(name, first, second)
        left, structure = flatten(first)
        right, other = flatten(second)
        if structure != other:
            return self.unusable(name, first, second)
        places: list[int | None] = []
        for one, two in zip(left, right, strict=True):
            if is_same(one, two):
                places.append(None)
                continue
            if (reason := self.reason(one, two)) is not None:
                return lambda results: reason
            slots = slot_of(one), slot_of(two)
            joined = None if slots[0] is None or slots[1] is None else join(slots[0], slots[1])
            if joined is None:
                return self.unusable(name, one, two)
            places.append(self.pair(one, two, joined))
        return lambda results: unflatten(
            structure, [one if place is None else results[place] for one, place in zip(left, places, strict=True)]
        )

    def reason(self, one: Any, two: Any) -> Unusable | None:
        """Why the leaves of the two branches cannot be read, if they cannot."""
        return self.frames[0].unreadable.get(id(one)) or self.frames[1].unreadable.get(id(two))

    def pair(self, one: Any, two: Any, slot: Slot) -> int:
        """The place of a leaf among the results."""
        self.pairs.append((one, two, slot))
        depth = self.frames[0].depth
        self.bases.append([root for leaf in (one, two) for root in outer_roots(leaf, depth)])
        return len(self.pairs) - 1

    def half_defined(self, name: str, first: Any, second: Any) -> Callable[[Sequence[Any]], Any]:
        """A variable that has a value after one branch only: unusable, or filled where the rest of the code knows."""
        known = first if is_defined(first) else second
        other = second if known is first else first
        if is_defined(known) and name in self.fill and other is UNDEFINED:
            leaves, structure = flatten(known)
            for leaf in leaves:
                if (reason := self.reason(*((leaf, UNDEFINED) if known is first else (UNDEFINED, leaf)))) is not None:
                    return lambda results: reason
            slots = [slot_of(leaf) for leaf in leaves]
            found = [slot for slot in slots if slot is not None]
            if len(found) == len(leaves):
                places = [self.pair(*((leaf, UNDEFINED) if known is first else (UNDEFINED, leaf)), slot)
                          for leaf, slot in zip(leaves, found, strict=True)]  # fmt: skip
                return lambda results: unflatten(structure, [results[place] for place in places])
            return lambda results: known
        if isinstance(other, Unusable) or isinstance(known, Unusable):
            marker = other if isinstance(other, Unusable) else known
            return lambda results: marker
        marker = Unusable(f"{name} has no value after one of the branches on a traced condition",
                          f"give {name} a value before the branch, or in both")  # fmt: skip
        return lambda results: marker

    def unusable(self, name: str, one: Any, two: Any) -> Callable[[Sequence[Any]], Any]:
        marker = Unusable(f"{name} is {_shown(one)} after one branch on a traced condition and {_shown(two)} after "
                          "the other", f"give {name} the same type and shape in both branches")  # fmt: skip
        return lambda results: marker

    def yields(self, side: int) -> list[Value]:
        """Values for the results, recorded at the end of one branch."""
        recorder, kept = self.recorder, self.frames[side].values
        found = []
        for pair in self.pairs:
            leaf, slot = pair[side], pair[2]
            if leaf is UNDEFINED:
                found.append(zeros(recorder, slot))
            elif id(leaf) in kept:
                found.append(s.cast(recorder, kept[id(leaf)], slot.type.dtype))
            else:
                found.append(as_value(recorder, leaf, slot))
        return found


def _shown(tree: Any) -> str:
    return f"a {type(tree).__name__} of {len(tree)}" if isinstance(tree, list | tuple | dict) else described(tree)


def record_if(
    recorder: Recorder, condition: Value, names: Sequence[str], then: Branch, otherwise: Branch, *,
    fill: Container[str] = (),
    outside: Outside = NOTHING,
) -> list[Any]:  # fmt: skip
    """``then() if condition else otherwise()``, each giving the trees of the named variables; gives the joined trees.

    A variable in `fill` that has no value after one branch is zero there: for code that reads it after the other only.
    A variable that is not the same kind of thing after both comes back as `Unusable`.
    """
    path = recorder.next_path()
    with recorder.inside([], (*path, 1), outside) as first:
        left = then()
        _keep(first, left)
    with recorder.inside([], (*path, 2), outside) as second:
        right = otherwise()
        _keep(second, right)
    made = _Join(recorder, (first, second), fill)
    makers = [made.variable(name, one, two) for name, one, two in zip(names, left, right, strict=True)]
    written, lost = _writes((first, second))
    for side, frame in enumerate((first, second)):
        with recorder.again(frame):
            values = made.yields(side) + [written_value(frame, array) for array in written]
        frame.region.yields = tuple(values)
    recorder.location = caller()
    results = _emit(recorder, condition, first, second)
    count = len(made.pairs)
    for array, through in lost:
        lose(array, "it may be the array that another variable of a branch has changed", through)
    for array, value in zip(written, results[count:], strict=True):
        replace(array, value)
    shown = [wrapped(recorder, value, slot, bases)
             for value, (_, _, slot), bases in zip(results[:count], made.pairs, made.bases, strict=True)]  # fmt: skip
    _link(made, shown)
    return [maker(shown) for maker in makers]


def _keep(frame: Frame, trees: Sequence[Any]) -> None:
    """Note what arrays hold at the end of a branch, where that is not what they hold outside of it."""
    for tree in trees:
        if is_defined(tree):
            for leaf in flatten(tree)[0]:
                if (reason := unreadable(leaf)) is not None:
                    # Nobody may come to read it.
                    frame.unreadable[id(leaf)] = reason
                elif isinstance(leaf, Traced) and (leaf.depth >= frame.depth or id(root_of(leaf)) in frame.written):
                    frame.values[id(leaf)] = leaf.value


def _writes(frames: tuple[Frame, Frame]) -> tuple[list[Traced], list[tuple[Traced, list[Traced]]]]:
    """Arrays of the outside that a branch writes to, and those whose elements are lost in one, with those through which."""
    written: dict[int, Traced] = {}
    lost: dict[int, tuple[Traced, list[list[Traced]]]] = {}
    for frame in frames:
        for write in frame.outer_writes():
            target = write.target
            assert isinstance(target, Traced)
            if isinstance(write.after[1], Lost):
                lost.setdefault(id(target), (target, []))[1].append(lost_through(write.before, write.after))
            else:
                written[id(target)] = target
    for key, (_, ways) in lost.items():
        if key in written:
            # In the other branch it was written itself.
            ways.append([])
    gone = [(array, [each for way in ways for each in way] if all(ways) else []) for array, ways in lost.values()]
    return [array for key, array in written.items() if key not in lost], gone


def _link(made: _Join, shown: Sequence[Any]) -> None:
    """Results that may be one array in a branch concern each other; others that share what they may be do not."""
    arrays = {("", place): array for place, array in enumerate(shown) if array.type.rank}
    same = {pair for side in (0, 1) for pair in related_leaves({key: made.pairs[key[1]][side] for key in arrays})}
    for one, two in sorted(same):
        link(arrays[one], arrays[two])
    set_apart(arrays, same)


def is_trifle(operation: Operation) -> bool:
    """Whether an operation may as well be done in both cases."""
    if isinstance(operation.op, Select):
        return operation.result.type.dtype.is_bool
    return isinstance(operation.op, Full | Comparison | Bitwise)


def _emit(recorder: Recorder, condition: Value, first: Frame, second: Frame) -> list[Value]:
    """An `if`, or selects between what both branches compute at no cost and without a chance to fail."""
    if not first.region.yields and not any(frame.region.operations for frame in (first, second)):
        return []
    if all(is_trifle(operation) for frame in (first, second) for operation in frame.region.operations):
        for frame in (first, second):
            for operation in frame.region.operations:
                recorder.insert(operation)
        pairs = zip(first.region.yields, second.region.yields, strict=True)
        return [one if one is two else s.where(recorder, condition, one, two) for one, two in pairs]
    operation = recorder.emit(If(), condition, regions=(first.region, second.region))
    return list(operation.results)
