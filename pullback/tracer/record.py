"""A recorder turns operations on traced values into a region; arrays it meets are captured, outer values lifted."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import CodeType
from typing import Any, Protocol

import numpy as np

from pullback.config import settings
from pullback.errors import EscapedError, TraceError
from pullback.ir.core import Function, Region, RegionBuilder, Value, walk
from pullback.ir.ops.creation import Full
from pullback.ir.types import TypeNumbers, type_of
from pullback.location import Location, caller

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class _Capture:
    """An array of the outside: itself, what it held when it was met, and the argument that stands for it."""

    array: Array
    snapshot: Array
    value: Value

    def is_unchanged(self) -> bool:
        return self.snapshot is self.array or self.snapshot.tobytes() == self.array.tobytes()


class Writable(Protocol):
    """A traced array as a frame sees it: something whose elements may be replaced, and put back."""

    depth: int
    state: Any


@dataclass
class Write:
    """An array that was written while a region was recorded: what it held before, and at the region's end."""

    target: Writable
    before: Any
    after: Any = None


@dataclass
class Hint:
    """What an attempt to record a loop has found out, for the next one: see `regions`."""

    carried: list[tuple[Any, Frame | None]] = field(default_factory=list)
    slots: dict[Any, Any] = field(default_factory=dict)
    unrolled: bool = False


@dataclass(frozen=True)
class Outside:
    """What Python code in a region can reach of what was there before: objects, and the variables that it carries."""

    objects: list[Any] = field(default_factory=list)
    cells: list[Any] = field(default_factory=list)


NOTHING = Outside()


@dataclass
class Frame:
    """A region inside the function that is being recorded.

    `path` tells the loop apart from others (by order of recording, outermost first), `written` are the arrays that
    were written in it, by identity; `values` is what arrays held at its end, where somebody asks for that later, and
    `unreadable` what stands for those of which that is not known.
    `outside` is what existed before and can be reached: see `effects`.
    """

    region: Region
    depth: int
    path: tuple[int, ...]
    outside: Outside
    written: dict[int, Write] = field(default_factory=dict)
    values: dict[int, Value] = field(default_factory=dict)
    unreadable: dict[int, Any] = field(default_factory=dict)
    loops: int = 0

    def outer_writes(self) -> list[Write]:
        """Writes to arrays that were made outside of this region."""
        return [write for write in self.written.values() if write.target.depth < self.depth]


class Recorder(RegionBuilder):
    """Appends to a region; `note` says once for each call of the user's from which line its operations come.

    Arrays of the outside are captured by identity, values of an enclosing trace are lifted. Both become arguments of
    the region when it is finished.
    """

    def __init__(self, wrap: Callable[[Value | None, Recorder, bool], Any], outer: Recorder | None = None) -> None:
        super().__init__(Region())
        self.top = self.region
        self.outer = outer
        self.array_of_value = wrap
        self.is_open = True
        self._known: dict[int, _Capture] = {}
        self._captures: list[_Capture] = []
        self._lifted: dict[Value, Value] = {}
        self.frames: list[Frame] = []
        self.loops = 0
        self.hints: dict[tuple[int, ...], Hint] = {}
        self.bounds: dict[Value, tuple[int, int]] = {}
        self.failures: dict[CodeType, tuple[int, str]] = {}
        self.has_regions = False
        self.message: list[Any] | None = None
        """What an exception's message shows, while the exception is made: see `exceptions`."""
        self.raised: Any = None
        """What the user's code has raised last."""
        self.remembered: dict[Any, Any] = {}
        """What pure recursive functions have given: see `recursion`."""
        self.plans: dict[Any, Any] = {}
        """What ufuncs have emitted, by the types of their operands: see `ufunc_plans`."""
        self.types = TypeNumbers()
        self.checks = settings().boundscheck

    def note(self) -> None:
        """Give the user's line to the operations that follow. Raises: TraceError when the trace is over."""
        if not self.is_open:
            raise escaped()
        self.location = caller()

    def wrap(self, value: Value, weak: bool = False) -> Any:
        """The traced array that stands for a value of this trace; with `weak` for what Python would have as a number."""
        return self.array_of_value(value, self, weak)

    def made(self) -> Any:
        """A traced array that is yet to be given its elements."""
        return self.array_of_value(None, self, False)

    # Regions inside

    @property
    def depth(self) -> int:
        """How many regions the place of recording is in."""
        return len(self.frames)

    def next_path(self) -> tuple[int, ...]:
        """The path of a loop that is met here."""
        if not self.frames:
            self.loops += 1
            return (self.loops,)
        frame = self.frames[-1]
        frame.loops += 1
        return (*frame.path, frame.loops)

    def hint(self, path: tuple[int, ...]) -> Hint:
        """What earlier recordings of the loop at `path` have found out."""
        return self.hints.setdefault(path, Hint())

    def is_constant(self, value: Value) -> bool:
        """Whether a value follows from constants and captured arrays alone."""
        captured = {known.value for known in self._captures}
        stack, seen = [value], set()
        while stack:
            each = stack.pop()
            if each in captured or each in seen:
                continue
            seen.add(each)
            if each.owner is None or each.owner.regions:
                return False
            stack += each.owner.operands
        return True

    def log(self, target: Writable) -> None:
        """Remember what `target` holds before it is written, once per region."""
        if self.frames:
            written = self.frames[-1].written
            if id(target) not in written:
                written[id(target)] = Write(target, target.state)

    @contextmanager
    def inside(
        self, arguments: list[Value], path: tuple[int, ...] = (), outside: Outside = NOTHING
    ) -> Iterator[Frame]:
        """Record a region of its own. At its end, outer arrays that were written hold again what they held before."""
        before = self.region
        frame = Frame(Region(arguments), len(self.frames) + 1, path, outside)
        self.frames.append(frame)
        self.region = frame.region
        self.has_regions = True
        try:
            yield frame
        finally:
            self.region = before
            self.frames.pop()
            for write in frame.written.values():
                write.after = write.target.state
                if write.target.depth < frame.depth:
                    write.target.state = write.before

    @contextmanager
    def again(self, frame: Frame) -> Iterator[None]:
        """Append to a region that was left."""
        before, self.region = self.region, frame.region
        self.frames.append(frame)
        try:
            yield
        finally:
            self.frames.pop()
            self.region = before

    def sees(self, region: Region) -> bool:
        """Whether values of `region` may be used at the place of recording."""
        return region is self.top or any(region is frame.region for frame in self.frames)

    def capture(self, array: Array) -> Value:
        """The value that stands for an outside array: a number in the code if it has no axes, else by pointer."""
        if array.ndim == 0:
            kind = type_of(array)
            return self.value(Full(array.item(), kind.dtype, ()))
        known = self._known.get(id(array))
        if known is None or not known.is_unchanged():
            # Python code may fill a buffer again and again: each content that was used is a constant of its own.
            snapshot = array.copy() if array.flags.writeable else array
            known = _Capture(array, snapshot, Value(type_of(array), name=f"c{len(self._captures)}"))
            self._known[id(array)] = known
            self._captures.append(known)
        return known.value

    def lift(self, value: Value) -> Value:
        """The value that stands here for a value of an enclosing trace."""
        inner = self._lifted.get(value)
        if inner is None:
            inner = self._lifted[value] = Value(value.type, name=f"outer{len(self._lifted)}")
        return inner

    def _check_reach(self, yields: list[Value]) -> None:
        """Raises: TraceError for a value of a loop or branch that is used outside of it."""
        inner = _inner_values(self.region)
        stack: list[tuple[Region, set[Value]]] = [(self.region, set())]
        while stack:
            region, visible = stack.pop()
            own = {*region.arguments, *(result for operation in region.operations for result in operation.results)}
            seen = visible | (own & inner)
            for operation in region.operations:
                if any(operand in inner and operand not in seen for operand in operation.operands):
                    raise leaked(operation.location)
                stack += [(each, seen) for each in operation.regions]
            results = yields if region is self.region else region.yields
            if any(value in inner and value not in seen for value in results):
                raise leaked(self.location)

    def finish(self, name: str, parameters: list[Value], yields: list[Value]) -> tuple[Function, list[Value]]:
        """The recorded function, and the outer values that its arguments after `parameters` stand for."""
        self.is_open = False
        if self.has_regions:
            self._check_reach(yields)
        self.region.arguments = [*parameters, *self._lifted.values(), *(known.value for known in self._captures)]
        self.region.yields = tuple(yields)
        arrays = [known.array if known.is_unchanged() else known.snapshot for known in self._captures]
        return Function(name, self.region, arrays), list(self._lifted)


def _inner_values(region: Region) -> set[Value]:
    """Values of the regions inside of a region."""
    found: set[Value] = set()
    for operation in walk(region):
        for inner in operation.regions:
            found.update(inner.arguments)
            for each in inner.operations:
                found.update(each.results)
    return found


_current: ContextVar[Recorder | None] = ContextVar("pullback_recorder", default=None)


current_recorder = _current.get
"""Gives the recorder of the function that is being traced here, the innermost one, or None."""


@contextmanager
def recording(recorder: Recorder) -> Iterator[Recorder]:
    """Make `recorder` the current one, and close it for good at the end."""
    token = _current.set(recorder)
    try:
        yield recorder
    finally:
        recorder.is_open = False
        _current.reset(token)


def escaped() -> EscapedError:
    """The error for a traced value that is used where its trace is not under way."""
    return EscapedError(
        "a traced value is used outside of the function that made it", location=caller(),
        help="return it from the function instead of storing it outside",
    )  # fmt: skip


def leaked(location: Location) -> TraceError:
    """The error for a value of a loop or branch that is used outside of it."""
    return TraceError(
        "a value that was computed inside of a loop or branch is used outside of it", location=location,
        help="keep it in a variable of the function, or return it from the loop's or branch's function",
    )  # fmt: skip
