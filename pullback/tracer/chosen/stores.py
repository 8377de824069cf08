"""Assignment to what is computed: ``x[mask] = value``, and ``x[places] = value`` where a mask chooses the places."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.errors import TraceError
from pullback.ir.complaint import mark
from pullback.ir.core import Value
from pullback.ir.types import ArrayType
from pullback.location import caller
from pullback.tracer.chosen.elements import Chosen, check, filled
from pullback.tracer.chosen.elementwise import fits, laid_out
from pullback.tracer.chosen.places import (
    axis_before,
    axis_of,
    chosen_parts,
    is_basic,
    line_of,
    part_of,
)
from pullback.tracer.record import Recorder
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics.shapes import reshape
from pullback.tracer.traced import Traced, array_of, lower

UNFIT = ("to the elements that a computed mask chooses: how many they are is only known when the compiled code runs",
         "choose from that array by the mask too, x[mask] = values[mask], or assign a number")  # fmt: skip


def by_mask(b: Recorder, x: Traced, index: Any, value: Any) -> None:
    """``x[index] = value`` with a computed mask in the index.

    Raises: TraceError for an array of values of which it is not known whether there are as many as the mask chooses.
    """
    view, mask, at = part_of(x, index)
    sizes = (*(1,) * at, *mask.shape, *(1,) * (view.ndim - at - mask.ndim))
    chosen = s.broadcast_to(b, reshape(b, array_of(b, mask), sizes), view.shape)
    row = _at_every(b, view.type, mask, at, value)
    view.store(s.where(b, chosen, row, array_of(b, view)))


def _at_every(b: Recorder, kind: ArrayType, mask: Any, at: int, value: Any) -> Value:
    """The value at every element: what is chosen by the same mask, a number, or one row for all that are chosen."""
    from_right = len(kind.shape) - at - mask.ndim + 1
    middle: tuple[int, ...] = (1,) * mask.ndim
    if isinstance(value, Chosen):
        operand = lower(b, laid_out(b, value, line_of(b, mask), from_right))
        middle = mask.shape
    else:
        operand = lower(b, value)
    have = s.shape_of(operand)
    if len(have) >= from_right:
        if not isinstance(value, Chosen) and have[-from_right] != 1:
            shown = f"({', '.join(map(str, have))}{',' if len(have) == 1 else ''})"
            raise TraceError(f"assigning an array of shape {shown} {UNFIT[0]}", location=caller(), help=UNFIT[1])
        lead, rest = have[: len(have) - from_right], have[len(have) - from_right + 1 :]
        while len(lead) > at and lead[0] == 1:
            lead = lead[1:]
        operand = reshape(b, s.value_of(operand), (*lead, *middle, *rest))  # type: ignore[arg-type]
    return s.ready(b, operand, kind.dtype, kind.shape)


def by_places(b: Recorder, x: Any, index: Any, value: Any, store: Callable[[Any, Any, Any], None]) -> None:
    """``store(x, index, value)`` with chosen integers in the index: those that are not chosen name an element at the end
    of a longer copy of x.

    Raises: an IndexError when the compiled code runs, for a place outside of x.
    """
    parts, lead = chosen_parts(b, x, index)
    places = [place for place, part in enumerate(parts) if isinstance(part, Chosen)]
    at = axis_before(parts, places[0])
    axis = axis_of(parts, places[0])
    if b.checks:
        for place in places:
            _check_inside(b, parts[place], x.shape[axis_of(parts, place)], axis_of(parts, place))
    size = x.shape[axis]
    one = np.zeros((*x.shape[:axis], 1, *x.shape[axis + 1 :]), x.dtype)
    longer = np.concatenate([x, one], axis=axis)
    first = parts[places[0]]
    wrapped = np.where(first.values < 0, first.values + size, first.values)
    full: list[Any] = [filled(part, 0) if isinstance(part, Chosen) else part for part in parts]
    full[places[0]] = filled(first.like(wrapped), size)
    store(longer, tuple(full), _values(b, lead, sum(is_basic(part) for part in parts) + 1 - at, value))
    x.store(array_of(b, longer[(slice(None),) * axis + (slice(0, size),)]))


def _values(b: Recorder, lead: Chosen, from_right: int, value: Any) -> Any:
    """A value for each place, or one for all."""
    if isinstance(value, Chosen):
        return laid_out(b, value, array_of(b, lead.mask), from_right)
    if value is not None and not isinstance(value, int | float):
        fits(Chosen(lead.values, lead.mask, lead.ndim - from_right), np.shape(value))
    return value


def _check_inside(b: Recorder, c: Chosen, size: int, axis: int) -> None:
    """Raise an IndexError when the compiled code runs, for the first chosen index that is outside of an axis."""
    outside = np.logical_and(c.mask, np.logical_or(c.values < -size, c.values >= size))
    shown = np.take(c.values, np.argmax(outside)) if c.mask.shape[0] else 0
    message = f"index {mark(0)} is out of bounds for axis {axis} with size {size}"
    check(b, np.logical_not(np.any(outside)), IndexError(message), shown)
