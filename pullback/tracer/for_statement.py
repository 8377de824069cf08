"""The `for` statements of rewritten functions: a loop in IR where its items and its variables allow that, else Python's.

A loop of a known number of iterations is tried as a loop first. If Python needs its counter as a number, or if its
variables change their types, it is written out instead: that is slower to compile and means the same.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from pullback import dtypes
from pullback.config import log
from pullback.errors import CarryError, TraceError
from pullback.ir.core import Region, Value, walk
from pullback.ir.ops.creation import Creation
from pullback.location import caller
from pullback.tracer.branches import condition_of
from pullback.tracer.control import Variables, and_, attempts, branch, choose, is_traced, none_of, not_guarded
from pullback.tracer.iterables import Counting, Plain, sequence
from pullback.tracer.loops import ForLoop, begin_for, begin_while
from pullback.tracer.record import Recorder, current_recorder
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics.affine import BEYOND, bounds
from pullback.tracer.slots import slot_of
from pullback.tracer.traced import Traced, active, array_of
from pullback.tracer.tree import flatten
from pullback.tracer.undefined import UNDEFINED, is_defined

FEW_TRIPS = 2
"""Loops of up to so many iterations are written out."""
SMALL_TRIPS, SMALL_OPERATIONS = 8, 64
"""Loops of up to so many iterations are, if that takes no more operations."""
MAX_UNROLLED = 100_000
"""Iterations of a loop that may be written out."""
MAX_FAILURES = 2
"""How often a loop is tried as one."""
MAX_PEELED = 2
"""Iterations that may be written out before a loop whose variables find their types in them."""


@dataclass(frozen=True)
class Later:
    """A sequence without its first items."""

    whole: Any
    skipped: int

    @property
    def length(self) -> Any:
        return self.whole.length - self.skipped

    def item(self, place: Any) -> Any:
        return self.whole.item(place + self.skipped)


def for_(
    iterable: Any, body: FunctionType, names: Sequence[str], fixed: Sequence[str], stops: Sequence[str], guarded: bool,
    target: str,
) -> None:  # fmt: skip
    """``for item in iterable: body(item)``; the loop ends when a flag of `stops` is set.

    `target` is the loop variable, if nothing else binds it in the loop.
    """
    recorder = current_recorder()
    items = None if recorder is None else sequence(iterable)
    statement = Statement(body, names, fixed, stops, target)
    if items is None:
        statement.written_out(iterable)
        return
    recorder = active()
    length = None if isinstance(items, Counting) else items.length
    if length is None or is_traced(length):
        not_guarded(guarded)
        statement.computed(recorder, items)
        return
    if guarded or not statement.known(recorder, items, length):
        rest = (items.item(place) for place in range(statement.peeled, length))
        statement.written_out(rest if statement.peeled else iterable)


class Statement:
    """One `for`: the function that its body was moved into, and the variables that it binds."""

    def __init__(
        self, body: FunctionType, names: Sequence[str], fixed: Sequence[str], stops: Sequence[str], target: str
    ) -> None:
        self.body = body
        self.names = names
        self.fixed = fixed
        self.stops = stops
        self.target = target
        self.variables = Variables(names, body)
        self.flags = Variables(stops, body)
        self.peeled = 0

    # Python's loop

    def written_out(self, iterable: Iterable[Any]) -> None:
        """Python's own loop. After an exit on a traced condition, what follows is guarded by it.

        Raises: TraceError for a loop that is too long for that.
        """
        for rounds, item in enumerate(iterable):
            if not self.iteration(item):
                return
            if rounds > MAX_UNROLLED:
                raise TraceError(f"a loop that cannot be kept as one has more than {MAX_UNROLLED} iterations to be "
                                 "written out", location=caller(), help=self.reason())  # fmt: skip

    def iteration(self, item: Any) -> bool:
        """Run the body once; False if the loop was left before."""
        going = none_of(self.flags.read())
        if is_traced(going):
            branch(going, self.variables, lambda: self.body(item), None, self.names)
        elif not going:
            return False
        else:
            self.body(item)
        return True

    def reason(self) -> str:
        recorder = current_recorder()
        found = recorder.failures.get(self.body.__code__) if recorder is not None else None
        return f"it is written out because: {found[1]}" if found else "go over a range or an array"

    # A loop of a known number of iterations

    def known(self, recorder: Recorder, items: Any, length: int) -> bool:
        """Record it as a loop; whether that was done. Iterations that had to be written out before are `peeled`."""
        code = self.body.__code__
        while length - self.peeled > FEW_TRIPS and recorder.failures.get(code, (0, ""))[0] < MAX_FAILURES:
            rest = items
            if self.peeled:
                plain = isinstance(items, Plain) and isinstance(items.inner, range) and not items.backward
                rest = Plain(items.inner[self.peeled :]) if plain else Later(items, self.peeled)
            before = self.variables.read()
            try:
                if self.stops:
                    done = self.with_exit(recorder, rest, True, False)
                else:
                    done = self.try_known(recorder, rest, length - self.peeled)
                if not done:
                    self.variables.write(before)
                return done
            except CarryError as error:
                self.variables.write(before)
                self.failed(recorder, error)
                if self.peeled >= MAX_PEELED:
                    return False
                if not self.iteration(items.item(self.peeled)):
                    return True
                self.peeled += 1
                recorder.failures.pop(code, None)
            except Exception as error:
                # If it is the user's mistake, it comes up again when the loop is written out.
                self.variables.write(before)
                self.failed(recorder, error)
                return False
        return False

    def failed(self, recorder: Recorder, error: Exception) -> None:
        code = self.body.__code__
        message = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
        recorder.failures[code] = (recorder.failures.get(code, (0, ""))[0] + 1, message)
        log("trace", "a loop is written out (%s:%s): %s", code.co_filename, code.co_firstlineno, message)

    def try_known(self, recorder: Recorder, items: Any, length: int) -> bool:
        loop = self.record(recorder, items, range(length))
        if is_python_only(recorder, loop):
            return False
        size = sum(1 for operation in walk(loop.region) if not isinstance(operation.op, Creation))
        if length <= SMALL_TRIPS and size * length <= SMALL_OPERATIONS:
            return False
        self.emit(recorder, loop, items)
        if self.target and is_counted(items):
            self.set_target(items.item(length - 1))
        return True

    def record(
        self, recorder: Recorder, items: Any, counts: range | None, numbers_stay: bool = False, scratch: bool = False
    ) -> ForLoop:
        """Record the body for an item by its place."""
        shown = self.carried(items)
        ranged = items.inner if isinstance(items, Plain) and not items.backward else None
        limits = None
        if isinstance(items, Counting):
            limits = counting_limits(recorder, items)

        def step(place: Any, *trees: Any) -> list[Any]:
            shown.write(trees)
            self.body(place if ranged is not None or isinstance(items, Counting) else items.item(place))
            return shown.read()

        before = shown.read()
        return begin_for(
            recorder, shown.shown(), before, step, counts=ranged if isinstance(ranged, range) else counts,
            limits=limits, fixed=self.fixed, numbers_stay=numbers_stay, scratch=scratch, outside=shown.outside(),
        )  # fmt: skip

    def carried(self, items: Any) -> Variables:
        """The variables without a loop variable that follows from the number of iterations."""
        left_out = self.target if self.target and is_counted(items) else ""
        return Variables([name for name in self.names if name != left_out], self.body)

    def emit(self, recorder: Recorder, loop: ForLoop, items: Any) -> None:
        """Make the operation."""
        if isinstance(items, Counting):
            ends = items.start, items.stop, items.step
        elif isinstance(items, Plain) and isinstance(items.inner, range) and not items.backward:
            ends = items.inner.start, items.inner.stop, items.inner.step
        else:
            ends = 0, items.length, 1
        first, last, step = (s.cast(recorder, array_of(recorder, end), dtypes.i64) for end in ends)
        self.carried(items).write(loop.emit((first, last, step)))

    def set_target(self, value: Any) -> None:
        Variables([self.target], self.body).write([value])

    # A loop of a computed number of iterations

    def computed(self, recorder: Recorder, items: Any) -> None:
        """A loop that is one whatever it takes. Raises: CarryError, ConcreteError for a body that does not allow it."""
        before = self.variables.read()

        def record(numbers_stay: bool, scratch: bool) -> None:
            self.variables.write(before)
            self.record_computed(recorder, items, numbers_stay, scratch)

        try:
            attempts(record)
        except BaseException:
            self.variables.write(before)
            raise

    def record_computed(self, recorder: Recorder, items: Any, numbers_stay: bool, scratch: bool) -> None:
        if self.stops:
            self.with_exit(recorder, items, False, numbers_stay, scratch)
            return
        before = Variables([self.target], self.body).read()[0] if self.target and is_counted(items) else UNDEFINED
        self.emit(recorder, self.record(recorder, items, None, numbers_stay, scratch), items)
        if self.target and is_counted(items):
            length = items.length
            last = items.item(length - 1)
            slot = slot_of(before) if is_defined(before) else None
            kept = slot is not None and not slot.type.rank
            made = choose(length > 0, lambda: last, lambda: before) if kept else last
            self.set_target(made)

    # Loops that may be left

    def with_exit(
        self, recorder: Recorder, items: Any, is_known: bool, numbers_stay: bool, scratch: bool = False
    ) -> bool:
        """A loop that counts its places and ends at the last, or when a flag is set.

        If their number is known and nothing else is traced, it is left to Python: False.
        """
        names = ["place", *self.variables.shown()]
        places = [self.names.index(stop) for stop in self.stops]
        count = items.length
        most = bounds(s.cast(recorder, array_of(recorder, count), dtypes.i64), recorder.bounds)[1] - 1

        def enter(trees: Sequence[Any]) -> None:
            self.variables.write(False if place in places else tree for place, tree in enumerate(trees))

        def step(place: Any, *trees: Any) -> list[Any]:
            if isinstance(place, Traced):
                recorder.bounds[place.value] = (0, most)
            enter(trees)
            self.body(items.item(place))
            return [place + 1, *self.variables.read()]

        def condition(place: Any, *trees: Any) -> Value:
            going = none_of([trees[stop] for stop in places])
            return condition_of(recorder, and_(lambda: going, lambda: place < count))

        before = self.variables.read()
        loop = begin_while(recorder, names, [0, *before], condition, step, fixed=self.fixed,
                           numbers_stay=numbers_stay, scratch=scratch, outside=self.variables.outside())  # fmt: skip
        if is_known and reads_only_constants(recorder, [loop.region], [0, *before], loop.loop.written):
            return False
        self.variables.write(loop.emit()[1:])
        return True


def is_counted(items: Any) -> bool:
    """Whether items follow from their places alone."""
    if isinstance(items, Counting):
        return not isinstance(items.step, Traced)
    return isinstance(items, Plain) and isinstance(items.inner, range)


def counting_limits(recorder: Recorder, items: Counting) -> tuple[int, int] | None:
    """Between which numbers a counter lies, by what is known of its bounds."""
    if isinstance(items.step, Traced):
        return None
    start, stop = (bounds(s.cast(recorder, array_of(recorder, end), dtypes.i64), recorder.bounds)
                   for end in (items.start, items.stop))  # fmt: skip
    if items.step > 0:
        return start[0], max(start[0], stop[1] - 1 if stop[1] < BEYOND else BEYOND)
    return min(start[1], stop[0] + 1 if stop[0] > -BEYOND else -BEYOND), start[1]


def is_python_only(recorder: Recorder, loop: ForLoop) -> bool:
    """Whether a loop computes with Python numbers only, so that Python may as well go through it."""
    return reads_only_constants(recorder, [loop.region], loop.starts(), loop.loop.written)


def reads_only_constants(
    recorder: Recorder, regions: Sequence[Region], starts: Sequence[Any], written: Sequence[Traced]
) -> bool:
    """Whether regions and what they start from depend on nothing that is only known when the code runs."""
    if written or any(is_traced(leaf) for tree in starts if is_defined(tree) for leaf in flatten(tree)[0]):
        return False
    for region in regions:
        own: set[Value] = {*region.arguments}
        for operation in walk(region):
            own.update(operation.results)
            for inner in operation.regions:
                own.update(inner.arguments)
        reads = [operand for operation in walk(region) for operand in operation.operands] + list(region.yields)
        if any(value not in own and not recorder.is_constant(value) for value in reads):
            return False
    return True

