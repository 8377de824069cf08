"""What a `for` goes over, if it can stay one loop: ranges, arrays, and enumerate, zip and reversed of them."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import numpy as np

from pullback import dtypes
from pullback.errors import ArgumentError, ArgumentValueError, ConcreteError
from pullback.location import caller
from pullback.tracer.traced import Traced, active, outside


class Sequence(Protocol):
    """A number of items, of which each can be had by its place, even a computed one."""

    @property
    def length(self) -> Any:
        """An int, or a traced integer."""

    def item(self, place: Any) -> Any: ...


@dataclass(frozen=True)
class Counting:
    """``range(start, stop, step)``, some of them traced."""

    start: Any
    stop: Any
    step: Any

    @property
    def length(self) -> Any:
        if isinstance(self.step, Traced):
            raise ConcreteError("a range with a computed step can only be looped over without break, return and zip",
                                location=caller(), help="count with a while loop")  # fmt: skip
        gap = self.stop - self.start if self.step > 0 else self.start - self.stop
        size = abs(self.step)
        return np.maximum(gap if size == 1 else (gap + (size - 1)) // size, 0)

    def item(self, place: Any) -> Any:
        return self.start + (place if type(self.step) is int and self.step == 1 else place * self.step)

    def __iter__(self) -> NoReturn:
        raise ConcreteError("a range of a length that is only known when the compiled code runs can only be looped over",
                            location=caller(), help="write a for statement; a comprehension needs a length")  # fmt: skip

    __len__ = __iter__


@dataclass(frozen=True)
class Rows:
    """The rows of an array, traced or of the outside."""

    array: Any

    @property
    def length(self) -> int:
        return len(self.array)

    def item(self, place: Any) -> Any:
        if isinstance(place, Traced) and not isinstance(self.array, Traced):
            b = active()
            return b.wrap(b.capture(outside(self.array)))[place]
        return self.array[place]


@dataclass(frozen=True)
class Plain:
    """A range of known numbers, or another sequence's items in reverse."""

    inner: Any
    backward: bool = False

    @property
    def length(self) -> Any:
        return len(self.inner) if isinstance(self.inner, range) else self.inner.length

    def item(self, place: Any) -> Any:
        if self.backward:
            place = self.length - 1 - place
        start: Any
        step: Any
        if not isinstance(self.inner, range):
            return self.inner.item(place)
        if not isinstance(place, Traced):
            return self.inner[place]
        start, step = self.inner.start, self.inner.step
        scaled = place if step == 1 else place * step
        return scaled if start == 0 else scaled + start


@dataclass(frozen=True)
class Enumerate:
    """``enumerate(inner, start)``. Looped over by Python, it is that."""

    whole: Any
    start: Any = 0

    @property
    def length(self) -> Any:
        return sequence(self.whole).length

    def item(self, place: Any) -> Any:
        number = place if type(self.start) is int and self.start == 0 else place + self.start
        return number, sequence(self.whole).item(place)

    def __iter__(self) -> Iterator[Any]:
        return iter(enumerate(self.whole, self.start))


@dataclass(frozen=True)
class Zip:
    """``zip(*wholes)`` of sequences of equal or known lengths."""

    wholes: tuple[Any, ...]

    @property
    def length(self) -> Any:
        lengths = [sequence(whole).length for whole in self.wholes]
        if any(isinstance(length, Traced) for length in lengths):
            if len(lengths) == 1:
                return lengths[0]
            shortest = lengths[0]
            for length in lengths[1:]:
                shortest = np.minimum(shortest, length)
            return shortest
        return min(lengths)

    def item(self, place: Any) -> Any:
        return tuple(sequence(whole).item(place) for whole in self.wholes)

    def __iter__(self) -> Iterator[Any]:
        return iter(zip(*self.wholes, strict=False))


@dataclass(frozen=True)
class Reversed:
    """``reversed(whole)``."""

    whole: Any

    @property
    def length(self) -> Any:
        return sequence(self.whole).length

    def item(self, place: Any) -> Any:
        return sequence(self.whole).item(self.length - 1 - place)

    def __iter__(self) -> Iterator[Any]:
        return iter(reversed(self.whole))


def sequence(iterable: Any) -> Any:
    """The iterable as a sequence; None for what only Python can go through."""
    if isinstance(iterable, Counting | Rows | Plain):
        return iterable
    if isinstance(iterable, Enumerate | Reversed):
        return None if sequence(iterable.whole) is None else iterable
    if isinstance(iterable, Zip):
        return iterable if iterable.wholes and all(sequence(each) is not None for each in iterable.wholes) else None
    if isinstance(iterable, range):
        return Plain(iterable)
    if isinstance(iterable, Traced):
        return Rows(iterable) if iterable.type.rank else None
    if type(iterable) is np.ndarray and iterable.ndim and dtypes.from_numpy(iterable.dtype) is not None:
        return Rows(iterable)
    return None


def counting(*bounds: Any) -> Any:
    """``range(...)`` of which a bound is traced. Raises: ArgumentError for what is no integer."""
    if not 1 <= len(bounds) <= 3:
        raise ArgumentError(f"range expected 1 to 3 arguments, got {len(bounds)}", location=caller())
    for bound in bounds:
        if isinstance(bound, Traced) and (bound.type.rank or not bound.type.dtype.is_integer):
            raise ArgumentError(f"a range counts with integers, not {bound.type}", location=caller(),
                                help="use n.astype(np.int64), or int(x)")  # fmt: skip
    start, stop, step = (0, bounds[0], 1) if len(bounds) == 1 else (*bounds, 1)[:3]
    if not isinstance(step, Traced) and step == 0:
        raise ArgumentValueError("range() arg 3 must not be zero", location=caller())
    return Counting(start, stop, step)
