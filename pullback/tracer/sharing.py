"""Arrays of which it depends on what ran whether they are the same: what writing to one of them does to the others.

    if c > 0:        q may be a. Writing to q makes the elements of a unknown, writing to a makes q's so.
        q = a        An array that may be q may be a, too. But p and q of `p, q = q, p` in a loop are `apart`, whichever
                     of two arrays they are: writing to one of them leaves the other what it was.
"""
from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, NoReturn

from pullback.errors import TraceError
from pullback.ir.core import Value
from pullback.ir.types import ArrayType
from pullback.location import UNKNOWN, Location, caller
from pullback.tracer.memory import ReadOnly, replace, root_of, same_state
from pullback.tracer.traced import Traced
from pullback.tracer.undefined import Unusable

State = Any
"""What an array holds: see `Traced.state`."""
Key = tuple[str, int]
"""A variable's leaf: its name and its place in it."""
Pair = tuple[Key, Key]


@dataclass(eq=False)
class Shared:
    """A value of its own that may be the same array as `bases`, depending on what ran, and is none of those `apart`.

    With each base stands what it held when the value was the same as its.
    """

    value: Value
    bases: Sequence[tuple[Traced, State]]
    apart: Sequence[Traced] = ()
    location: Location = field(default_factory=caller)

    def type(self) -> ArrayType:
        return self.value.type

    def read(self, owner: Traced) -> Value:
        self.require()
        return self.value

    def require(self, seen: set[int] | None = None) -> None:
        """Raises: TraceError if an array that may be the same has been changed."""
        seen = set() if seen is None else seen
        seen.add(id(self))
        for base, state in self.bases:
            if not unchanged(base, state, self.apart):
                raise TraceError(
                    f"this {self.value.type} may be the same array as another one that has been changed since, "
                    "depending on a branch or loop", location=caller(), help="keep a copy: y = x.copy()",
                )  # fmt: skip
            if isinstance(base.memory, Shared) and id(base.memory) not in seen:
                base.memory.require(seen)

    def write(self, owner: Traced, value: Value) -> None:
        self.require()
        for base, _ in self.bases:
            lose(base, "another array, which may be the same one (depending on a branch or loop), has been changed", (owner,))
        replace(owner, value)

    def known(self) -> None:
        return None


@dataclass(eq=False)
class Lost:
    """Elements that nobody can tell any more: arrays that may be this one, `through`, were changed.

    `before` is what there was, and `bases` what the array may be the same as.
    """

    kind: ArrayType
    reason: str
    before: State
    through: Sequence[Traced]
    bases: Sequence[Traced]
    location: Location = UNKNOWN

    def type(self) -> ArrayType:
        return self.kind

    def read(self, owner: Traced) -> Value:
        self.require()

    def require(self) -> NoReturn:
        """Raises: TraceError."""
        where = f" ({self.location.file}:{self.location.line})" if self.location is not UNKNOWN else ""
        raise TraceError(f"the elements of this {self.kind} are not known: {self.reason}{where}",
                         location=caller(), help="work on copies: y = x.copy()")  # fmt: skip

    def write(self, owner: Traced, value: Value) -> None:
        # What was changed may still be this array.
        self.require()

    def known(self) -> None:
        return None


def unchanged(array: Traced, state: State, apart: Sequence[Traced]) -> bool:
    """Whether an array is as it was, but for changes through arrays that are `apart`."""
    now = array.state
    while not same_state(now, state):
        memory = now[1]
        if not isinstance(memory, Lost) or not memory.through or not all(_among(each, apart) for each in memory.through):
            return False
        now = memory.before
    return True


def _among(array: Traced, others: Iterable[Traced]) -> bool:
    return any(array is each for each in others)


def lose(array: Traced, reason: str, through: Sequence[Traced] = (), seen: set[int] | None = None) -> None:
    """Forget the elements, and those of whatever the array may be, because it depends on what ran whether they changed.

    Raises: TraceError for an argument or an array of the outside.
    """
    root = root_of(array)
    seen = set() if seen is None else seen
    if id(root) in seen:
        return
    seen.add(id(root))
    memory = root.memory
    if isinstance(memory, ReadOnly):
        memory.refuse()
    bases: Sequence[Traced] = bases_of(root)
    root.recorder.log(root)
    root.state = (None, Lost(root.type, reason, root.state, through, bases, caller()))
    for base in bases:
        lose(base, reason, (root,), seen)


def lost_through(before: State, after: State) -> list[Traced]:
    """The arrays through which one was lost between two looks at its state; empty if nobody can tell."""
    found: list[Traced] = []
    while not same_state(before, after):
        memory = after[1]
        if not isinstance(memory, Lost) or not memory.through:
            return []
        found += memory.through
        after = memory.before
    return found


def unreadable(leaf: Any) -> Unusable | None:
    """What stands for an array whose elements nobody can tell any more; None for what can be read."""
    memory = root_of(leaf).memory if isinstance(leaf, Traced) and leaf.type.rank else None
    try:
        if isinstance(memory, Shared | Lost):
            memory.require()
    except TraceError as error:
        return Unusable(error.message, error.help, error.location)
    return None


def bases_of(array: Traced) -> list[Traced]:
    """What an array may be the same as, known at once."""
    memory = array.memory
    if isinstance(memory, Shared):
        return [base for base, _ in memory.bases]
    return list(memory.bases) if isinstance(memory, Lost) else []


def reached(root: Traced, depth: int | None = None) -> list[Traced]:
    """An array that owns its elements and all that it may be the same as; with `depth`, only up to arrays outside of it."""
    found = {id(root): root}
    waiting = [root]
    while waiting:
        array = waiting.pop()
        if depth is not None and array.depth < depth:
            continue
        for base in bases_of(array):
            owner = root_of(base)
            if id(owner) not in found:
                found[id(owner)] = owner
                waiting.append(owner)
    return list(found.values())


def outer_roots(leaf: Any, depth: int) -> list[Traced]:
    """The arrays made outside of a region that a leaf may be the same as."""
    return [root for root in roots(leaf, depth) if root.depth < depth]


def own_roots(leaf: Any) -> list[Traced]:
    """The array that owns a leaf's elements, if it is one that can be written."""
    return [root_of(leaf)] if isinstance(leaf, Traced) and leaf.type.rank else []


def roots(leaf: Any, depth: int | None = None) -> list[Traced]:
    """The array that owns a leaf's elements, if it is one that can be written, and what it may be the same as."""
    return reached(root_of(leaf), depth) if isinstance(leaf, Traced) and leaf.type.rank else []


def may_be_same(one: Any, two: Any) -> bool:
    """Whether two leaves may share elements."""
    if not (isinstance(one, Traced) and one.type.rank and isinstance(two, Traced) and two.type.rank):
        return False
    waiting, seen = [(root_of(one), root_of(two))], set()
    while waiting:
        left, right = waiting.pop()
        if left is right:
            return True
        if (id(left), id(right)) in seen or _apart(left, right):
            continue
        seen.add((id(left), id(right)))
        waiting += [(root_of(base), right) for base in bases_of(left)]
        waiting += [(left, root_of(base)) for base in bases_of(right)]
    return False


def _apart(one: Traced, two: Traced) -> bool:
    return any(isinstance(left.memory, Shared) and _among(right, left.memory.apart) for left, right in ((one, two), (two, one)))


def related_leaves(leaves: Mapping[Key, Any]) -> set[Pair]:
    """The pairs of leaves that may share elements, by their keys, in the order of the leaves."""
    owners: dict[int, list[Key]] = {}
    for key, leaf in leaves.items():
        for root in roots(leaf):
            owners.setdefault(id(root), []).append(key)
    pairs = {pair for keys in owners.values() for pair in combinations(keys, 2)}
    return {(one, two) for one, two in pairs if may_be_same(leaves[one], leaves[two])}


def set_apart(arrays: Mapping[Key, Any], same: Collection[Pair]) -> None:
    """State of arrays, each with a value of its own, that all but the pairs in `same` are different ones."""
    owners: dict[int, list[Key]] = {}
    for key, array in arrays.items():
        for root in roots(array)[1:]:
            owners.setdefault(id(root), []).append(key)
    others: dict[Key, dict[Key, None]] = {}
    for keys in owners.values():
        for one, two in combinations(keys, 2):
            if (one, two) not in same and (two, one) not in same:
                others.setdefault(one, {})[two] = None
                others.setdefault(two, {})[one] = None
    for key, different in others.items():
        memory = arrays[key].memory
        assert isinstance(memory, Shared)
        memory.apart = [arrays[each] for each in different]


def link(one: Traced, two: Traced) -> None:
    """Two arrays that may be one and the same, each standing for itself: writing to one of them concerns the other."""
    kept = []
    for array in (one, two):
        shared = array.memory if isinstance(array.memory, Shared) else Shared(array.value, [])
        array.state = (None, shared)
        kept.append(shared)
    kept[0].bases = [*kept[0].bases, (two, two.state)]
    kept[1].bases = [*kept[1].bases, (one, one.state)]
