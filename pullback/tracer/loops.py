"""Loops in IR: a Python function from variables to variables in, one `for` or `while` operation out.

The body is recorded once. What it carries from one iteration to the next is found out by recording: variables whose
type after the body is wider than before (an int that becomes a float), and arrays that the body writes to. Then it is
recorded again with that known, until nothing new turns up.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from pullback.dtypes import i64
from pullback.errors import CarryError, TraceError
from pullback.ir.core import Region, Value, walk
from pullback.ir.ops.control import For, While
from pullback.ir.types import ArrayType
from pullback.location import caller
from pullback.tracer.memory import outside_array, replace, same_state
from pullback.tracer.record import NOTHING, Frame, Outside, Recorder
from pullback.tracer.sharing import (
    Key,
    Lost,
    Pair,
    link,
    lose,
    outer_roots,
    own_roots,
    related_leaves,
    set_apart,
    unreadable,
)
from pullback.tracer.slots import Slot, as_value, described, is_same, join, slot_of, widen, wrapped, zeros
from pullback.tracer.traced import Traced
from pullback.tracer.tree import Structure, flatten, paths, unflatten
from pullback.tracer.undefined import UNDEFINED, Unusable, is_defined

MAX_ROUNDS = 16
COUNTER = ArrayType(i64, ())
KEEP_TYPE = "a variable of a traced loop keeps its type and shape: give it before the loop what it has at the end"

Body = Callable[..., Sequence[Any]]
T = TypeVar("T")


class Variable:
    """A variable of a loop: its leaves before the loop, and the slot of each that is carried (None: it stays).

    `bases` are arrays that a leaf may be the same as, at the start of an iteration or after the loop.
    """

    def __init__(self, name: str, tree: Any, fixed: bool, numbers_stay: bool) -> None:
        self.name = name
        self.given_up: TraceError | None = None
        self.start = tree
        self.leaves: list[Any] = []
        self.structure: Structure | None = None
        if is_defined(tree):
            self.leaves, self.structure = flatten(tree)
        self.labels = paths(self.structure, name) if self.structure is not None else []
        self.slots = [None if fixed and own_roots(leaf) else slot_of(leaf) for leaf in self.leaves]
        if numbers_stay:
            self.slots = [None if type(leaf) in (int, float, bool) else slot
                          for leaf, slot in zip(self.leaves, self.slots, strict=True)]  # fmt: skip
        self.bases: list[list[Traced]] = [own_roots(leaf) for leaf in self.leaves]
        self.ends: list[list[Traced]] = [[] for _ in self.leaves]

    def give_up(self, error: TraceError) -> None:
        """Carry it no more: an iteration starts without it, and after the loop nobody can tell what it holds."""
        self.given_up = error
        self.start = UNDEFINED
        self.leaves, self.structure, self.labels = [], None, []
        self.slots, self.bases, self.ends = [], [], []

    def may_be_given_up(self, tree: Any) -> bool:
        """Whether reading it raises where it has no value: asking whether it is None does not."""
        return not (self.start is None or tree is None)

    def carried(self) -> list[tuple[int, Slot]]:
        """Places and slots of the carried leaves."""
        return [(place, slot) for place, slot in enumerate(self.slots) if slot is not None]

    def settle(self, tree: Any) -> bool:
        """Compare with what the variable holds after an iteration; whether a slot changed.

        Raises: CarryError for what cannot be carried.
        """
        if not is_defined(tree):
            reason = f"{self.name} has no value at the end of an iteration"
            raise CarryError(tree.reason if isinstance(tree, Unusable) else reason, location=caller(), help=KEEP_TYPE)
        leaves, structure = flatten(tree)
        if structure != self.structure:
            raise _changes(self.name, _shown(self.start), _shown(tree))
        changed = False
        for place, (before, leaf) in enumerate(zip(self.leaves, leaves, strict=True)):
            slot = self.slots[place]
            if slot is None and is_same(before, leaf):
                continue
            old, new = slot or slot_of(before), slot_of(leaf)
            wider = None if old is None or new is None else widen(old, new)
            if wider is None:
                raise _changes(self.labels[place], str(slot or described(before)), described(leaf))
            changed |= wider != slot
            self.slots[place] = wider
        return changed


def _changes(name: str, before: str, after: str) -> CarryError:
    return CarryError(f"{name} is {before} before the loop and {after} after an iteration", location=caller(),
                      help=KEEP_TYPE)  # fmt: skip


def _shown(tree: Any) -> str:
    if isinstance(tree, list | tuple | dict):
        return f"a {type(tree).__name__} of {len(tree)}"
    return described(tree)


@dataclass
class Fresh:
    """A variable that first gets a value in the loop: how it nests, and its slots; nobody reads it before."""

    variable: Variable
    structure: Structure
    slots: list[Slot]
    ends: list[list[Traced]]


class LoopRecorder:
    """Records one loop. `names` and `trees` are its variables and what they hold before it (UNDEFINED if nothing).

    Those in `fixed` are only changed in place. With `numbers_stay`, Python numbers are carried only if an iteration
    changes them. With `scratch`, what cannot be carried is given up if each iteration binds it before reading it.
    """

    def __init__(
        self, recorder: Recorder, path: tuple[int, ...], names: Sequence[str], trees: Sequence[Any], *,
        fixed: Sequence[str] = (), numbers_stay: bool = False, scratch: bool = False, outside: Outside = NOTHING,
    ) -> None:  # fmt: skip
        self.scratch = scratch
        self.recorder = recorder
        self.path = path
        self.outside = outside
        self.variables = [Variable(name, tree, name in fixed, numbers_stay)
                          for name, tree in zip(names, trees, strict=True)]  # fmt: skip
        self.fresh: list[Fresh] = []
        self.lost: list[Traced] = []
        self.held: dict[tuple[str, int], Any] = {}
        leaves = {(variable.name, place): leaf for variable in self.variables for place, leaf in enumerate(variable.leaves)}
        self.first_pairs = related_leaves(leaves)
        self.last_pairs: set[Pair] = set()
        self.hint = recorder.hint(path)
        # An array of a region around is another object each time that region is recorded.
        self.written: list[Traced] = [array for array, home in self.hint.carried if home is self.home(array)]
        for variable in self.variables:
            if scratch:
                for reason in filter(None, map(unreadable, variable.leaves)):
                    variable.give_up(CarryError(reason.reason, location=reason.location, help=reason.help))
                    break
            for place, slot in variable.carried():
                known = self.hint.slots.get((variable.name, place))
                variable.slots[place] = slot if known is None else join(slot, known) or slot

    def home(self, array: Traced) -> Frame | None:
        """The region, as it is recorded now, in which an array was made; None for the function itself."""
        frames = self.recorder.frames
        return frames[array.depth - 1] if 0 < array.depth <= len(frames) else None

    def record(self, body: Body, counter: Value | None = None) -> Region:
        """Record ``body([counter,] *trees) -> trees``. Raises: CarryError for what does not settle."""
        for _ in range(MAX_ROUNDS):
            frame = self._attempt(body, counter)
            self.hint.carried = [(array, self.home(array)) for array in self.written]
            for variable in self.variables:
                self.hint.slots |= {(variable.name, place): slot for place, slot in variable.carried()}
            if frame is not None:
                return frame.region
        raise CarryError("the types of a loop's variables do not settle", location=caller(), help=KEEP_TYPE)

    def enter(self, arguments: Sequence[Value]) -> list[Any]:
        """What the variables hold at the start of an iteration; call it where `arguments` are those of the region."""
        values = iter(arguments)
        for array in self.lost:
            lose(array, "it may be the array that another variable of a loop has changed")
        trees = []
        for variable in self.variables:
            if variable.structure is None:
                trees.append(variable.start)
                continue
            leaves = list(variable.leaves)
            for place, slot in variable.carried():
                leaf = wrapped(self.recorder, next(values), slot, variable.bases[place])
                if isinstance(leaves[place], np.ndarray) and slot.type.rank:
                    leaf.state = (None, outside_array(leaf.value))
                leaves[place] = self.held[variable.name, place] = leaf
            trees.append(unflatten(variable.structure, leaves))
        set_apart(self.held, self.first_pairs | self.last_pairs)
        for array in self.written:
            replace(array, next(values))
        return trees

    def arguments(self) -> list[Value]:
        """Region arguments: for variables defined before the loop, for written arrays, for fresh variables."""
        made = [Value(slot.type, name=_name(variable.labels[place]))
                for variable in self.variables for place, slot in variable.carried()]  # fmt: skip
        made += [Value(array.type, name="array") for array in self.written]
        new = [Value(slot.type, name=_name(fresh.variable.name)) for fresh in self.fresh for slot in fresh.slots]
        return made + new

    def _attempt(self, body: Body, counter: Value | None) -> Frame | None:
        """One recording; None if it found out something that has to be known at its start."""
        recorder = self.recorder
        self.fresh = []
        leading = [] if counter is None else [counter]
        arguments = self.arguments()
        with recorder.inside([*leading, *arguments], self.path, self.outside) as frame:
            trees = self.enter(arguments)
            numbers = [wrapped(recorder, each, Slot(COUNTER, True)) for each in leading]
            after = self.run(lambda: list(body(*numbers, *trees)))
            changed = False
            for variable, tree in zip(self.variables, after, strict=True):
                if variable.given_up is not None:
                    continue
                if variable.structure is None:
                    self._settle_fresh(frame, variable, tree)
                else:
                    changed |= self._settle(variable, tree)
            if changed:
                return None
            values = [as_value(recorder, flatten(tree)[0][place], slot)
                      for variable, tree in zip(self.variables, after, strict=True)
                      for place, slot in variable.carried()]  # fmt: skip
            first = [as_value(recorder, leaf, slot) for fresh in self.fresh
                     for leaf, slot in zip(flatten(after[self.variables.index(fresh.variable)])[0], fresh.slots,
                                           strict=True)]  # fmt: skip
        if self._new_writes(frame) or self._new_bases(frame, after):
            return None
        with recorder.again(frame):
            values += [written_value(frame, array) for array in self.written]
        frame.region.arguments += self.arguments()[len(arguments) :]
        frame.region.yields = (*values, *first)
        return frame

    def run(self, code: Callable[[], T]) -> T:
        """Run code of the loop. Raises: the reason why a variable was given up, if something goes wrong without it."""
        try:
            return code()
        except Exception:
            for variable in self.variables:
                if variable.given_up is not None:
                    raise variable.given_up from None
            raise

    def _settle(self, variable: Variable, tree: Any) -> bool:
        """Compare a variable with what it was before; whether that makes another attempt necessary."""
        if not self.scratch or not variable.may_be_given_up(tree):
            return variable.settle(tree)
        try:
            changed = variable.settle(tree)
        except CarryError as error:
            variable.give_up(error)
            return True
        for reason in filter(None, map(unreadable, flatten(tree)[0])):
            variable.give_up(CarryError(reason.reason, location=reason.location, help=reason.help))
            return True
        return changed

    def _settle_fresh(self, frame: Frame, variable: Variable, tree: Any) -> None:
        """A variable that has no value before the loop: carried out of it if it is made of arrays and numbers."""
        if not is_defined(tree):
            variable.start = tree
            return
        leaves, structure = flatten(tree)
        slots = [slot_of(leaf) for leaf in leaves]
        known = [slot for slot in slots if slot is not None]
        if len(known) < len(slots):
            variable.start = Unusable(f"{variable.name} holds another object after each iteration of a loop",
                                      help="make it before the loop")  # fmt: skip
            return
        ends = [outer_roots(leaf, frame.depth) for leaf in leaves]
        self.fresh.append(Fresh(variable, structure, known, ends))

    def _new_writes(self, frame: Frame) -> bool:
        """Whether the body wrote to, or lost, an array of the outside of which that was not known."""
        found = False
        for write in frame.outer_writes():
            target = write.target
            assert isinstance(target, Traced)
            if isinstance(write.after[1], Lost):
                if not any(target is each for each in self.lost):
                    self.lost.append(target)
                    found = True
            elif not any(target is each for each in self.written):
                self.written.append(target)
                found = True
        self.written = [each for each in self.written if not any(each is lost for lost in self.lost)]
        return found

    def _new_bases(self, frame: Frame, after: Sequence[Any]) -> bool:
        """Find which arrays the variables' leaves may be the same as at the end of an iteration; whether to start anew.

        Raises: CarryError where two variables end up as one array and one of them was written.
        """
        again = False
        found: dict[Key, Any] = {}
        for variable, tree in zip(self.variables, after, strict=True):
            if not is_defined(tree):
                continue
            for place, leaf in enumerate(flatten(tree)[0]):
                found[variable.name, place] = leaf
                if variable.structure is None or variable.slots[place] is None:
                    continue
                variable.ends[place] = outer_roots(leaf, frame.depth)
                new = [root for root in variable.ends[place] if not any(root is each for each in variable.bases[place])]
                variable.bases[place] += new
                again |= bool(new)
        pairs = related_leaves(found)
        for pair in sorted(pairs):
            held = [self.held[key] for key in pair if key in self.held]
            if len(held) > 1 and any(id(array) in frame.written for array in held):
                names = " and ".join(dict.fromkeys(name for name, _ in pair))
                raise CarryError(f"{names} are one array at the end of an iteration of a loop that assigns into them",
                                 location=caller(), help="make a copy: y = x.copy()")  # fmt: skip
        again |= not pairs <= self.first_pairs | self.last_pairs
        self.last_pairs |= pairs
        return again

    def initial(self) -> list[Value]:
        """What goes into the loop, in the order of `arguments`."""
        recorder = self.recorder
        values = [as_value(recorder, variable.leaves[place], slot)
                  for variable in self.variables for place, slot in variable.carried()]  # fmt: skip
        values += [array.value for array in self.written]
        return values + [zeros(recorder, slot) for fresh in self.fresh for slot in fresh.slots]

    def results(self, values: Sequence[Value], may_be_skipped: bool) -> list[Any]:
        """What the variables hold after the loop; arrays that it wrote get their values."""
        recorder, found = self.recorder, iter(values)
        made: dict[tuple[str, int], Any] = {}
        # Arrays first: what the variables hold may be the same, as it is now.
        carried = sum(len(variable.carried()) for variable in self.variables)
        for array in self.lost:
            lose(array, "it may be the array that another variable of a loop has changed")
        for array, value in zip(self.written, values[carried:], strict=False):
            replace(array, value)
        for variable in self.variables:
            for place, slot in variable.carried():
                bases = [*variable.ends[place], *(own_roots(variable.leaves[place]) if may_be_skipped else [])]
                made[variable.name, place] = wrapped(recorder, next(found), slot, bases)
        found = iter(values[carried + len(self.written) :])
        fresh_trees = {}
        for fresh in self.fresh:
            leaves = [wrapped(recorder, next(found), slot, bases)
                      for slot, bases in zip(fresh.slots, fresh.ends, strict=True)]  # fmt: skip
            made |= {(fresh.variable.name, place): leaf for place, leaf in enumerate(leaves)}
            fresh_trees[fresh.variable.name] = unflatten(fresh.structure, leaves)
        pairs = self.last_pairs | (self.first_pairs if may_be_skipped else set())
        for one, two in sorted(pairs):
            if one in made and two in made:
                link(made[one], made[two])
        set_apart(made, pairs)
        trees = []
        for variable in self.variables:
            if variable.given_up is not None:
                trees.append(Unusable(variable.given_up.message, variable.given_up.help, variable.given_up.location))
                continue
            if variable.structure is None:
                trees.append(fresh_trees.get(variable.name, variable.start))
                continue
            leaves = [made.get((variable.name, place), leaf) for place, leaf in enumerate(variable.leaves)]
            trees.append(unflatten(variable.structure, leaves) if variable.carried() else variable.start)
        return trees


def _name(label: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in label).strip("_")


def written_value(frame: Frame, array: Traced) -> Value:
    """The value of an array at the end of a region."""
    write = frame.written.get(id(array))
    if write is None:
        return array.value
    own, memory = write.after
    if memory is None:
        assert isinstance(own, Value)
        return own
    value = memory.read(array)
    assert isinstance(value, Value)
    return value


@dataclass
class ForLoop:
    """A `for` whose body is recorded, and which is not part of the function yet."""

    loop: LoopRecorder
    region: Region
    counts: range | None

    def emit(self, bounds: tuple[Value, Value, Value]) -> list[Any]:
        """Make the operation; gives the trees after the loop."""
        recorder, values = self.loop.recorder, self.loop.initial()
        kept = prune([self.region], 1, values)
        recorder.location = caller()
        operation = recorder.emit(For(), *bounds, *(values[place] for place in kept), regions=(self.region,))
        for place, result in zip(kept, operation.results, strict=True):
            values[place] = result
        return self.loop.results(values, not self.counts)

    def starts(self) -> list[Any]:
        """What the carried variables hold before the loop."""
        return [variable.leaves[place] for variable in self.loop.variables for place, _ in variable.carried()]


def begin_for(
    recorder: Recorder, names: Sequence[str], trees: Sequence[Any], body: Body, *, counts: range | None = None,
    limits: tuple[int, int] | None = None, fixed: Sequence[str] = (), numbers_stay: bool = False, scratch: bool = False,
    outside: Outside = NOTHING, path: tuple[int, ...] = (),
) -> ForLoop:  # fmt: skip
    """Record the body of ``for counter in range(...): trees = body(counter, *trees)``.

    `counts` is the range, if it is known; `limits` are the least and largest number that the counter can be.
    Raises: CarryError for variables that cannot be carried.
    """
    counter = Value(COUNTER, name="i")
    if counts:
        recorder.bounds[counter] = (min(counts[0], counts[-1]), max(counts[0], counts[-1]))
    elif limits is not None:
        recorder.bounds[counter] = limits
    loop = LoopRecorder(recorder, path or recorder.next_path(), names, trees, fixed=fixed, numbers_stay=numbers_stay,
                        scratch=scratch, outside=outside)  # fmt: skip
    return ForLoop(loop, loop.record(body, counter), counts)


def record_for(
    recorder: Recorder, bounds: tuple[Value, Value, Value], names: Sequence[str], trees: Sequence[Any], body: Body, *,
    counts: range | None = None,
) -> list[Any]:  # fmt: skip
    """``for counter in range(*bounds): trees = body(counter, *trees)``; gives the trees after the loop.

    Raises: CarryError for variables that cannot be carried.
    """
    return begin_for(recorder, names, trees, body, counts=counts).emit(bounds)


@dataclass
class WhileLoop:
    """A `while` whose condition and body are recorded, and which is not part of the function yet."""

    loop: LoopRecorder
    condition: Region
    region: Region
    may_be_skipped: bool

    def emit(self) -> list[Any]:
        """Make the operation; gives the trees after the loop."""
        recorder, values = self.loop.recorder, self.loop.initial()
        kept = prune([self.region, self.condition], 0, values)
        recorder.location = caller()
        regions = (self.condition, self.region)
        operation = recorder.emit(While(), *(values[place] for place in kept), regions=regions)
        for place, result in zip(kept, operation.results, strict=True):
            values[place] = result
        return self.loop.results(values, self.may_be_skipped)


def begin_while(
    recorder: Recorder, names: Sequence[str], trees: Sequence[Any], condition: Callable[..., Value], body: Body, *,
    fixed: Sequence[str] = (), numbers_stay: bool = False, may_be_skipped: bool = True, scratch: bool = False,
    outside: Outside = NOTHING, path: tuple[int, ...] = (),
) -> WhileLoop:  # fmt: skip
    """Record ``while condition(*trees): trees = body(*trees)``.

    Raises: CarryError for variables that cannot be carried, TraceError for a condition that writes to arrays.
    """
    loop = LoopRecorder(recorder, path or recorder.next_path(), names, trees, fixed=fixed, numbers_stay=numbers_stay,
                        scratch=scratch, outside=outside)  # fmt: skip
    region = loop.record(body)
    arguments = loop.arguments()
    known = len(arguments) - sum(len(fresh.slots) for fresh in loop.fresh)
    with recorder.inside(arguments, (*loop.path, 0), outside) as frame:
        held = loop.enter(arguments[:known])
        before = {id(write.target): write.target.state for write in frame.outer_writes()}
        frame.region.yields = (loop.run(lambda: condition(*held)),)
        for write in frame.outer_writes():
            target = write.target
            if id(target) not in before or not same_state(before[id(target)], target.state):
                raise TraceError("the condition of a loop assigns into an array", location=caller(),
                                 help="do that in the loop's body")  # fmt: skip
    return WhileLoop(loop, frame.region, region, may_be_skipped)


def prune(regions: Sequence[Region], leading: int, values: Sequence[Value]) -> list[int]:
    """Take out of what a loop carries what its body (the first region) hands on unchanged; gives the places left."""
    body = regions[0]
    count = len(values)
    still = {place for place in range(count) if body.yields[place] is body.arguments[leading + place]}
    kept = [place for place in range(count) if place not in still]
    if not still:
        return kept
    body.yields = tuple([body.yields[place] for place in kept])
    for number, region in enumerate(regions):
        lead = leading if number == 0 else 0
        outer = {region.arguments[lead + place]: values[place] for place in still}
        region.arguments = [*region.arguments[:lead], *(region.arguments[lead + place] for place in kept)]
        substitute(region, outer)
    return kept


def substitute(region: Region, values: dict[Value, Value]) -> None:
    """Use other values in a region, in place."""
    region.yields = tuple([values.get(value, value) for value in region.yields])
    for operation in walk(region):
        operation.operands = tuple([values.get(operand, operand) for operand in operation.operands])
        for inner in operation.regions:
            inner.yields = tuple([values.get(value, value) for value in inner.yields])
