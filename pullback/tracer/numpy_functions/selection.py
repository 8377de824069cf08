"""NumPy's functions that choose elements: where, select, clip, take, searchsorted, interp, bincount and their kin."""
from __future__ import annotations

from functools import reduce
from types import MappingProxyType
from typing import Any

import numpy as np

from pullback import dtypes
from pullback.errors import ArgumentError, ArgumentValueError, TraceError
from pullback.ir.ops.contraction import ScatterAdd
from pullback.location import caller
from pullback.tracer.numpy_functions.arguments import Functions, NotGiven, as_array, given, known, refuse
from pullback.tracer.record import Recorder
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics import indexing
from pullback.tracer.semantics import reductions as r
from pullback.tracer.traced import Traced, active, array_of, lower
from pullback.tracer.ufuncs import clip as clipped


def where(condition: Any, x: Any = NotGiven, y: Any = NotGiven, /) -> Any:
    if x is NotGiven or y is NotGiven:
        raise TraceError("np.where(condition) gives a shape that depends on values", location=caller(),
                         help="use np.where(condition, x, y)")  # fmt: skip
    b = active()
    return b.wrap(s.where(b, lower(b, condition), lower(b, x), lower(b, y)))


def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """np.select: the first condition that holds chooses."""
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ArgumentValueError(
            f"np.select: {len(condlist)} conditions for {len(choicelist)} choices", location=caller()
        )
    for condition in condlist:
        if as_array(condition).dtype != bool:
            raise ArgumentError("np.select: conditions must be bools", location=caller(), help="use x != 0")
    b = active()
    operands = [lower(b, each) for each in (*choicelist, default)]
    dtype = s.promoted(operands)
    result = operands[-1]
    for condition, choice in zip(reversed(condlist), reversed(operands[:-1]), strict=True):
        result = s.where(b, lower(b, condition), choice, result)
    return b.wrap(s.ready(b, result, dtype, s.shape_of(result)))


def choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Any:
    """np.choose; an index out of bounds raises when the compiled code runs."""
    refuse("choose", out=out)
    index = as_array(a)
    broadcast = np.broadcast_arrays(index, *[as_array(choice) for choice in choices])
    stacked = np.stack(broadcast[1:])
    places = _within(broadcast[0], len(broadcast) - 1, mode)
    if mode == "raise":
        # Unlike an index, a choice does not count from the end.
        places = np.where(places < 0, len(broadcast) - 1, places)
    return np.take_along_axis(stacked, places[None], axis=0)[0]


def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    """np.piecewise of elementwise functions: each is applied to all of x, the conditions choose."""
    x = as_array(x)
    first = condlist[0] if isinstance(condlist, list | tuple) or np.ndim(condlist) else None
    if first is None or (x.ndim and (isinstance(first, bool) or np.ndim(first) == 0)):
        condlist = [condlist]
    conditions = [as_array(each) for each in condlist]
    if len(funclist) == len(conditions) + 1:
        conditions.append(np.logical_not(reduce(np.logical_or, conditions)))
    if len(funclist) != len(conditions):
        raise ArgumentValueError(
            f"np.piecewise: {len(funclist)} functions for {len(condlist)} conditions", location=caller()
        )
    result: Any = np.zeros(x.shape, x.dtype)
    for condition, function in zip(conditions, funclist, strict=True):
        piece = function(x, *args, **kw) if callable(function) else function
        result = np.where(condition, as_array(piece).astype(x.dtype), result)
    return result


def clip(a: Any, a_min: Any = NotGiven, a_max: Any = NotGiven, out: Any = None, *, min: Any = NotGiven,
         max: Any = NotGiven, **named: Any) -> Any:  # fmt: skip
    refuse("clip", out=out, **named)
    bounds = [given(name if old is NotGiven else old, None) for old, name in ((a_min, min), (a_max, max))]
    b = active()
    low, high = (None if each is None else lower(b, each) for each in bounds)
    return b.wrap(clipped(b, lower(b, a), low, high))


def _within(index: Any, size: int, mode: str) -> Any:
    """Indices as ``mode=`` brings them into an axis."""
    match mode:
        case "raise":
            return index
        case "wrap":
            return np.mod(index, size)
        case "clip":
            return np.clip(index, 0, size - 1)
        case _:
            raise ArgumentValueError(f"mode must be 'raise', 'wrap' or 'clip', not {mode!r}", location=caller())


def take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
    refuse("take", out=out)
    b = active()
    value = array_of(b, a)
    places = as_array(indices)
    if mode != "raise":
        size = value.type.size if axis is None else value.type.shape[r.normal_axis(axis, value.type.rank)]
        places = _within(places, size, mode)
    return b.wrap(indexing.take(b, value, index_part(b, places), axis))


def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    b = active()
    value, places = array_of(b, arr), index_part(b, as_array(indices))
    if axis is None:
        value, axis = array_of(b, np.ravel(arr)), 0
    return b.wrap(indexing.take_along_axis(b, value, places, axis))


def index_part(b: Recorder, part: Any) -> Any:
    """One part of an index: traced arrays as values, lists as arrays, the rest as it is.

    Raises: TraceError for a slice whose ends are traced.
    """
    if isinstance(part, slice):
        for end in (part.start, part.stop, part.step):
            if isinstance(end, Traced):
                raise TraceError(
                    "a slice whose ends are computed gives a shape that depends on values", location=caller(),
                    help="read a window of fixed size, x[start + np.arange(size)], or pass its ends as static_argnums",
                )  # fmt: skip
        return part
    if isinstance(part, list):
        part = as_array(part) if part else np.zeros(0, np.int64)
    return array_of(b, part) if isinstance(part, Traced) else part


def get_item(x: Traced, index: Any) -> Any:
    """``x[index]``."""
    parts = index if isinstance(index, tuple) else (index,)
    b = active()
    return b.wrap(indexing.get(b, array_of(b, x), tuple([index_part(b, part) for part in parts])))


def compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> Any:
    refuse("compress", out=out)
    places = np.flatnonzero(known("compress", "the condition", condition))
    return np.take(a, places, axis=axis)


def extract(condition: Any, arr: Any) -> Any:
    return np.take(np.ravel(arr), np.flatnonzero(known("extract", "the condition", condition)))


COUNTED = 32
"""Elements of a sorted array up to which places are counted, with no gather."""


def searchsorted(a: Any, v: Any, side: Any = "left", sorter: Any = None) -> Any:
    """np.searchsorted; NaN counts as the largest."""
    if side not in ("left", "right"):
        raise ArgumentValueError(f"np.searchsorted: side must be 'left' or 'right', not {side!r}", location=caller())
    a, v = as_array(a), as_array(v)
    if a.ndim != 1:
        raise ArgumentValueError("np.searchsorted: object of too small depth for desired array", location=caller())
    if sorter is not None:
        a = take(a, sorter)
    size = a.shape[0]

    def below(x: Any, y: Any) -> Any:
        return np.logical_or(x < y, np.logical_and(np.logical_not(np.isnan(x)), np.isnan(y)))

    def before(x: Any) -> Any:
        return below(x, v) if side == "left" else np.logical_not(below(v, x))

    if size <= COUNTED:
        v = v[..., None]
        return np.sum(before(a), axis=-1, dtype=np.int64)
    # A place is found bit by bit: it is where that many elements come before v.
    place = np.zeros(v.shape, np.int64)
    for bit in reversed(range(size.bit_length())):
        further = place + (1 << bit)
        fits = np.logical_and(further <= size, before(take(a, np.minimum(further, size) - 1)))
        place = np.where(fits, further, place)
    return place


def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """np.digitize into known bins."""
    edges = known("digitize", "bins", bins)
    side = "left" if right else "right"
    if np.all(edges[1:] >= edges[:-1]):
        return searchsorted(edges, x, side)
    if np.all(edges[1:] <= edges[:-1]):
        return edges.size - searchsorted(edges[::-1], x, side)
    raise ArgumentValueError("np.digitize: bins must be monotonically increasing or decreasing", location=caller())


def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """np.interp of increasing `xp`; differentiable by all three."""
    x, xp, fp = (as_array(each).astype(np.float64) for each in (x, xp, fp))
    if xp.ndim != 1 or xp.shape != fp.shape or not xp.size:
        raise ArgumentValueError(
            f"np.interp: xp of shape {list(xp.shape)} and fp of shape {list(fp.shape)} are not vectors of one length",
            location=caller(),
        )  # fmt: skip
    if period is not None:
        order = known("interp", "xp (with period=)", xp) % period
        places = np.argsort(order)
        size = abs(period)
        x, left, right = np.mod(x, size), None, None
        xp = np.concatenate([order[places][-1:] - size, order[places], order[places][:1] + size])
        sorted_fp = take(fp, places)
        fp = np.concatenate([sorted_fp[-1:], sorted_fp, sorted_fp[:1]])
    count = xp.shape[0]
    low = fp[0] if left is None else left
    high = fp[-1] if right is None else right
    if count == 1:
        inside = np.broadcast_to(fp[0], x.shape)
    else:
        place = np.clip(np.searchsorted(xp, x, "right") - 1, 0, count - 2)
        start, level = take(xp, place), take(fp, place)
        slope = (take(fp, place + 1) - level) / (take(xp, place + 1) - start)
        inside = level + slope * (x - start)
        inside = np.where(x == xp[-1], fp[-1], inside)
    return np.where(x < xp[0], low, np.where(x > xp[-1], high, np.where(np.isnan(x), x, inside)))


def bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Any:
    """np.bincount of known places: traced weights are added up, differentiably."""
    places = known("bincount", "the places", x)
    if places.ndim != 1 or (places.size and places.min() < 0) or places.dtype.kind not in "iub":
        raise ArgumentValueError("np.bincount takes a vector of integers that are 0 or more", location=caller())
    size = max(int(places.max()) + 1 if places.size else 0, minlength)
    parts = as_array(weights).astype(np.float64)
    if parts.shape != places.shape:
        raise ArgumentValueError(
            f"np.bincount: weights of shape {list(parts.shape)} for {places.size} places", location=caller()
        )
    b = active()
    index = b.capture(np.ascontiguousarray(places.astype(dtypes.i64.numpy)))
    return b.wrap(b.value(ScatterAdd(size), index, array_of(b, parts)))


def isin(
    element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, *, kind: Any = None
) -> Any:
    tests = np.ravel(as_array(test_elements))
    found = np.any(np.equal(as_array(element)[..., None], tests), axis=-1)
    return np.logical_not(found) if invert else found


SELECTION: Functions = MappingProxyType({
    np.where: where, np.select: select, np.choose: choose, np.piecewise: piecewise, np.clip: clip,
    np.take: take, np.take_along_axis: take_along_axis, np.compress: compress, np.extract: extract,
    np.searchsorted: searchsorted, np.digitize: digitize, np.interp: interp, np.bincount: bincount, np.isin: isin,
})  # fmt: skip
