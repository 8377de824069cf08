"""Indexing with what is computed: a mask in brackets, indices of which a mask chooses some, and items of what is chosen."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from pullback import dtypes
from pullback.errors import ConcreteError, OutOfBoundsError, TraceError
from pullback.ir.complaint import mark
from pullback.ir.core import Value
from pullback.ir.ops.creation import Iota
from pullback.location import caller
from pullback.tracer.chosen.elements import (
    WHAT,
    Chosen,
    check,
    filled,
    other_mask,
    same_mask,
    with_places,
)
from pullback.tracer.chosen.elementwise import laid_out, lead_of
from pullback.tracer.chosen.reductions import ranks
from pullback.tracer.masked import Masked, Row, seen
from pullback.tracer.numpy_functions.arguments import as_array
from pullback.tracer.record import Recorder
from pullback.tracer.semantics.affine import bounds
from pullback.tracer.semantics.indexing import expand
from pullback.tracer.semantics.shapes import reshape
from pullback.tracer.traced import Traced, active, array_of
from pullback.tracer.windows import is_array, length_is_unknown, plain

Make = Callable[..., Any]
"""The class of chosen elements that user code sees."""


def is_mask(part: Any) -> bool:
    """Whether a part of an index is a mask that is computed."""
    return isinstance(part, Traced) and part.type.dtype.is_bool and part.known is None


def has_mask(index: Any) -> bool:
    """Whether a computed mask is part of an index."""
    return any(is_mask(part) for part in (index if isinstance(index, tuple) else (index,)))


def has_range(index: Any) -> bool:
    """Whether a slice with computed ends is part of an index, and no array."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, slice) and any(isinstance(each, Traced) for each in (part.start, part.stop, part.step))
               for part in parts) and not any(is_array(part) for part in parts)  # fmt: skip


def has_chosen(index: Any) -> bool:
    """Whether chosen elements are part of an index."""
    return any(isinstance(part, Chosen) for part in (index if isinstance(index, tuple) else (index,)))


def is_basic(part: Any) -> bool:
    return part is None or isinstance(part, slice)


def _is_number(part: Any) -> bool:
    """Whether a part of an index is an integer, known or traced."""
    if isinstance(part, Traced):
        return part.type.rank == 0 and part.type.dtype.is_integer
    return isinstance(part, int | np.integer) and not isinstance(part, bool)


def axis_before(parts: Sequence[Any], place: int) -> int:
    """How many axes of ``x[parts]`` come before the one that arrays make, of which that at `place` is one.

    Raises: TraceError where NumPy moves that axis to the front.
    """
    arrays = [each for each, part in enumerate(parts) if not is_basic(part)]
    before = sum(is_basic(part) for part in parts[: arrays[0]])
    if arrays != list(range(arrays[0], arrays[-1] + 1)):
        if any(is_basic(part) for part in parts[:place]):
            raise TraceError("a computed mask apart from other indices, after a slice, is not traced", location=caller(),
                             help="take the other indices first: x[i][:, mask]")  # fmt: skip
        return 0
    return before


def part_of(x: Any, index: Any) -> tuple[Any, Any, int]:
    """What a computed mask chooses from: a view of x, the mask, and the first of its axes there.

    Raises: TraceError where there is more to the index than slices and numbers, OutOfBoundsError for a mask that does
    not fit.
    """
    index = plain(index)
    masks = [part for part in (index if isinstance(index, tuple) else (index,)) if is_mask(part)]
    if any(not mask.shape for mask in masks):
        raise TraceError("indexing by a single bool is not supported", location=caller(), help="use np.where(condition, x, 0)")
    parts = expand(index, x.ndim)
    place = next(place for place, part in enumerate(parts) if is_mask(part))
    mask = parts[place]
    if len(masks) > 1 or not all(part is mask or is_basic(part) or _is_number(part) for part in parts):
        raise TraceError("a computed mask together with other arrays as indices is not traced", location=caller(),
                         help="use them one after the other, or np.where(mask, x, 0)")  # fmt: skip
    at = axis_before(parts, place)
    basic = (*parts[:place], *(slice(None) for _ in mask.shape), *parts[place + 1 :])
    view = x if all(isinstance(part, slice) and part == slice(None) for part in basic) else x[basic]
    if isinstance(view, Chosen):
        view.refuse("choosing by a computed mask, and by another slice,", "choose one after the other")
    for axis, (size, wanted) in enumerate(zip(mask.shape, view.shape[at:], strict=False), at):
        if size != wanted:
            raise OutOfBoundsError(
                f"boolean index did not match indexed array along axis {axis}; size of axis is {wanted} but size of "
                f"corresponding boolean axis is {size}", location=caller(),
            )  # fmt: skip
    return view, mask, at


def ranged(make: Make, x: Any, index: Any) -> Any:
    """``x[index]`` with a slice whose length is only known when the compiled code runs: a view, as in NumPy.

    Raises: ConcreteError for two such slices in one index.
    """
    b = active()
    parts = expand(plain(index), x.ndim)
    unknown = [place for place, part in enumerate(parts)
               if isinstance(part, slice) and length_is_unknown(b, part, x.shape[axis_of(parts, place)])]  # fmt: skip
    if len(unknown) > 1:
        raise ConcreteError("two slices of lengths that are only known when the compiled code runs, in one index",
                            location=caller(), help="take rows by a loop: for i in range(k, n): x[i, k:]")  # fmt: skip
    (place,) = unknown
    rest = (*parts[:place], slice(None), *parts[place + 1 :])
    at = sum(is_basic(part) for part in rest[:place])
    view = x if all(isinstance(part, slice) and part == slice(None) for part in rest) else x[rest]
    inside = _between(b, parts[place], view.shape[at])
    return make(seen(b, view, Masked(inside, at)), b.wrap(inside), at)


def _between(b: Recorder, part: slice, size: int) -> Value:
    """Which places of an axis a slice has: ``bool[size]``. Raises: ConcreteError for one that goes backward."""
    step = 1 if part.step is None else part.step
    if isinstance(step, Traced) or step < 1:
        raise ConcreteError("a slice with computed bounds that goes backward is not traced", location=caller(),
                            help="slice forward, and count from the end")  # fmt: skip
    place: Any = b.wrap(b.value(Iota(0, dtypes.i64, (size,))))
    start = 0 if part.start is None else from_start(b, part.start, size)
    inside: Any = True
    if part.start is not None:
        inside = place >= start
    if part.stop is not None:
        inside = np.logical_and(inside, place < from_start(b, part.stop, size))
    if step != 1:
        inside = np.logical_and(inside, np.equal(np.remainder(place - np.maximum(start, 0), step), 0))
    return array_of(b, inside)


def from_start(b: Recorder, end: Any, size: int) -> Any:
    """An end of a slice that counts from the end of the axis where it is negative."""
    if not isinstance(end, Traced):
        return end + size if end < 0 else end
    number = end.astype(np.int64)  # type: ignore[attr-defined]
    low, _ = bounds(array_of(b, number), b.bounds)
    return number if low >= 0 else np.where(number < 0, number + size, number)


def line_of(b: Recorder, mask: Any) -> Value:
    """A mask of any axes as ``bool[n]``."""
    return reshape(b, array_of(b, mask), (-1,))


def choose(make: Make, x: Traced, index: Any) -> Any:
    """``x[index]`` with a computed mask in the index."""
    b = active()
    view, mask, at = part_of(x, index)
    line = line_of(b, mask)
    value, sizes = array_of(b, view), view.shape
    whole = reshape(b, value, (*sizes[:at], line.type.shape[0], *sizes[at + mask.ndim :]))
    return make(b.wrap(whole), b.wrap(line), at)


def nonzero(make: Make, a: Any) -> tuple[Any, ...]:
    """np.nonzero of a traced array: the places of its true elements, an array of them for each axis."""
    b = active()
    mask = as_array(a)
    if not mask.ndim:
        raise TraceError("np.nonzero of a value without axes is not traced", location=caller(), help="use x != 0")
    if not mask.type.dtype.is_bool:
        mask = np.not_equal(mask, 0)
    line, dims = b.wrap(line_of(b, mask)), mask.shape
    places = [b.wrap(reshape(b, b.value(Iota(axis, dtypes.i64, dims)), (-1,))) for axis in range(len(dims))]
    return tuple([make(each, line, 0, each.value if len(dims) == 1 else None) for each in places])


def gather(x: Any, index: Any) -> Any:
    """``x[index]`` with chosen integers in the index: what is not chosen reads the first element, and fails nowhere."""
    b = active()
    parts, lead = chosen_parts(b, x, index)
    place = next(place for place, part in enumerate(parts) if isinstance(part, Chosen))
    at = axis_before(parts, place)
    if lead.is_place and sum(not is_basic(part) for part in parts) == 1:
        axis = axis_of(parts, place)
        if x.shape[axis] == lead.values.shape[0]:
            return choose(type(lead), x, (*parts[:place], lead.mask, *parts[place + 1 :]))
    for number, part in enumerate(parts):
        if isinstance(part, Chosen) and x.shape[axis_of(parts, number)] == 0:
            x = _with_one(lead, x, axis_of(parts, number))
    read = x[tuple([filled(part, 0) if isinstance(part, Chosen) else part for part in parts])]
    return lead.like(read, at)


def chosen_parts(b: Recorder, x: Traced, index: Any) -> tuple[list[Any], Chosen]:
    """The parts of an index with chosen integers, and one of these. Raises: TraceError for other arrays beside them."""
    parts = expand(plain(index), x.ndim)
    chosen = [part for part in parts if isinstance(part, Chosen)]
    lead = lead_of(b, chosen)
    for part in chosen:
        if part.dtype.kind == "b":
            part.refuse("indexing an array that is not chosen by bools", "choose from the array by the mask too")
        if part.dtype.kind not in "iu":
            raise OutOfBoundsError(f"arrays used as indices must be of integer type, not {part.dtype}", location=caller())
        if part.ndim > 1:
            part.refuse("indexing by several axes", "index by one axis, and reshape")
    if not all(isinstance(part, Chosen) or is_basic(part) or _is_number(part) for part in parts):
        raise TraceError(f"{WHAT} together with other arrays as indices are not traced", location=caller(),
                         help="use one after the other")  # fmt: skip
    return parts, lead


def axis_of(parts: Sequence[Any], place: int) -> int:
    """The axis that a part of an index is for."""
    return sum(part is not None for part in parts[:place])


def _with_one(lead: Chosen, x: Traced, axis: int) -> Any:
    """An array with an empty axis, with one element there that nobody may choose."""
    none = np.logical_not(np.any(lead.mask))
    check(active(), none, IndexError(f"index is out of bounds for axis {axis} with size 0"))
    shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    b = active()
    return b.wrap(b.capture(np.zeros(shape, x.dtype)))


# Items of chosen elements


def item(c: Chosen, index: Any) -> Any:
    """``x[mask][index]``."""
    parts = list(index) if isinstance(index, tuple) else [index]
    if any(isinstance(part, Chosen) and part.dtype.kind == "b" for part in parts):
        if len(parts) > 1:
            c.refuse("a mask and other indices", "use one after the other")
        return _narrowed(c, parts[0])
    parts = expand(plain(tuple(parts)), c.ndim)
    if any(is_mask(part) or isinstance(part, np.ndarray | Chosen) or not (is_basic(part) or _is_number(part))
           for part in parts):  # fmt: skip
        c.refuse("indexing by arrays", "choose by a mask of the chosen elements, y = x[mask]; y[y > 2]")
    place = [axis for axis, part in enumerate(parts) if part is not None][c.at]
    along = parts[place]
    rest = (*parts[:place], slice(None), *parts[place + 1 :])
    at = sum(is_basic(part) for part in rest[:place])
    if not all(isinstance(part, slice) and part == slice(None) for part in rest):
        c = c.like(c.values[rest], at)
    if isinstance(along, slice):
        return c if along in (slice(None), slice(None, None, 1)) else _sliced(c, along)
    return _one(c, along)


def _narrowed(c: Chosen, condition: Any) -> Any:
    """``y[y > 2]``: those of the chosen elements that a condition on them chooses."""
    b = active()
    if condition.at or c.at:
        c.refuse("indexing by a condition on other axes than the first", "transpose first")
    if not same_mask(b, c, condition):
        raise other_mask()
    both = filled(condition, False)
    axes = both.ndim
    if both.shape != c.values.shape[:axes]:
        raise OutOfBoundsError(f"boolean index of shape {both.shape} did not match indexed array of shape "
                               f"{c.values.shape}", location=caller())  # fmt: skip
    sizes = c.values.shape
    values = np.reshape(c.values, (prod(sizes[:axes]), *sizes[axes:]))
    return c.like(b.wrap(array_of(b, values)), 0, b.wrap(line_of(b, both)))


def set_narrowed(c: Any, condition: Any, value: Any) -> None:
    """``y[y > 2] = value``, a number, a row for all, or elements that the same condition chooses."""
    b = active()
    narrowed = _narrowed(c, condition)
    if isinstance(value, Chosen):
        value = c.like(np.reshape(laid_out(b, value, array_of(b, narrowed.mask), narrowed.ndim), c.values.shape))
    elif np.ndim(value) >= narrowed.ndim:
        c.refuse("assigning an array of values to some", "choose from it by the same masks")
    both = np.reshape(narrowed.mask, (*c.values.shape[: condition.ndim], *(1,) * (c.ndim - condition.ndim)))
    c.store(np.where(c.like(np.broadcast_to(both, c.values.shape)), value, c).astype(c.dtype), "copyto")


def _one(c: Chosen, number: Any) -> Any:
    """The item of a number, counted from the end where it is negative."""
    b, c = active(), with_places(c)
    count = c.count
    place = _from_start(number, count)
    if b.checks:
        inside = np.logical_and(np.less_equal(0, place), np.less(place, count))
        text = f"index {mark(0)} is out of bounds for axis {c.at} with size {mark(1)}"
        check(b, inside, IndexError(text), number, count)
    hit = np.logical_and(c.mask, np.equal(ranks(c.mask), place))
    at = np.argmax(hit)
    return np.take(c.values, at) if c.ndim == 1 else seen(b, c.values, Row(array_of(b, at), array_of(b, hit), c.at))


def _from_start(number: Any, count: Any) -> Any:
    """A number that counts from the end where it is negative."""
    if isinstance(number, Traced):
        return np.where(number < 0, number + count, number)  # type: ignore[operator]
    return count + number if number < 0 else number


def _sliced(c: Chosen, along: slice) -> Any:
    """Items of a slice that goes forward."""
    step = 1 if along.step is None else along.step
    if isinstance(step, Traced) or step < 1:
        c.refuse("a slice that goes backward", "use np.where(mask, x, 0)")
    count, rank = c.count, ranks(c.mask)

    def bound(end: Any) -> Any:
        return np.maximum(_from_start(end, count), 0)

    kept = c.mask
    if along.start is not None:
        begin = bound(along.start)
        kept = np.logical_and(kept, np.greater_equal(rank, begin))
        rank = rank - begin
    if along.stop is not None:
        kept = np.logical_and(kept, np.less(ranks(c.mask), bound(along.stop)))
    if step != 1:
        kept = np.logical_and(kept, np.equal(np.remainder(rank, step), 0))
    b = active()
    return c.like(seen(b, c.values, Masked(array_of(b, kept), c.at)), c.at, kept)
