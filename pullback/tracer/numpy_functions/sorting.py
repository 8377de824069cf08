"""NumPy's functions that sort: sort, argsort, median, quantile and their kin."""
from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np

from pullback.errors import ArgumentValueError, TraceError
from pullback.location import caller
from pullback.tracer.numpy_functions.arguments import Functions, NotGiven, as_array, given, known, refuse
from pullback.tracer.semantics import reductions as r
from pullback.tracer.semantics import shapes, sorting
from pullback.tracer.traced import active, array_of

_KINDS = (None, "quicksort", "mergesort", "heapsort", "stable", "introselect")


def _sorted_by(name: str, function: Any, a: Any, axis: Any, kind: Any, order: Any) -> Any:
    refuse(name, order=order)
    if kind not in _KINDS:
        raise ArgumentValueError(f"np.{name}: kind must be one of {_KINDS[1:]}, not {kind!r}", location=caller())
    b = active()
    value = array_of(b, a)
    if axis is None or (value.type.rank == 0 and function is sorting.arg_sort):
        value, axis = shapes.reshape(b, value, -1), 0 if axis is None else axis
    return b.wrap(function(b, value, axis))


def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    return _sorted_by("sort", sorting.sort, a, axis, kind, order)


def argsort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    """np.argsort; always stable."""
    return _sorted_by("argsort", sorting.arg_sort, a, axis, kind, order)


def partition(a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect", order: Any = None) -> Any:
    """np.partition: all elements are sorted, so that each `kth` is in its place."""
    return _sorted_by("partition", sorting.sort, a, axis, kind, order)


def argpartition(a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect", order: Any = None) -> Any:
    return _sorted_by("argpartition", sorting.arg_sort, a, axis, kind, order)


def lexsort(keys: Any, axis: Any = -1) -> Any:
    """np.lexsort: the last key counts most."""
    rows = [as_array(key) for key in keys]
    if not rows:
        raise ArgumentValueError("np.lexsort: need a sequence of keys with len > 0", location=caller())
    order = np.argsort(rows[0], axis=axis, kind="stable")
    for row in rows[1:]:
        moved = np.take_along_axis(row, order, axis=axis)
        order = np.take_along_axis(order, np.argsort(moved, axis=axis, kind="stable"), axis=axis)
    return order


def _rows(a: Any, axis: Any) -> tuple[Any, tuple[int, ...]]:
    """The reduced axes joined into a last one, and which they were."""
    axes = r.normal_axes(axis, a.ndim)
    moved = np.moveaxis(a, axes, tuple(range(-len(axes), 0)))
    return np.reshape(
        moved, (*moved.shape[: a.ndim - len(axes)], -1) if a.size else (*r.without(a.shape, axes), 0)
    ), axes


def _back(result: Any, axes: tuple[int, ...], lead: int, keepdims: bool) -> Any:
    """The reduced axes put back with size 1 behind `lead` new ones, if so wished."""
    return np.expand_dims(result, tuple(axis + lead for axis in axes)) if keepdims else result


def median(a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = False) -> Any:
    refuse("median", out=out)
    a = as_array(a)
    rows, axes = _rows(a, axis)
    count = rows.shape[-1]
    if count == 0:
        return _back(np.mean(rows, axis=-1), axes, 0, keepdims)
    ordered = np.sort(rows, axis=-1)
    result = np.mean(ordered[..., (count - 1) // 2 : count // 2 + 1], axis=-1)
    if a.dtype.kind == "f":
        result = np.where(np.isnan(ordered[..., -1]), ordered[..., -1], result)
    return _back(result, axes, 0, keepdims)


# Hyndman and Fan's continuous definitions, by their plotting positions alpha and beta.
_POSITIONS = {
    "linear": (1.0, 1.0), "hazen": (0.5, 0.5), "weibull": (0.0, 0.0), "median_unbiased": (1 / 3, 1 / 3),
    "normal_unbiased": (3 / 8, 3 / 8),
}  # fmt: skip
_ROUNDED = {"lower": np.floor, "higher": np.ceil, "nearest": np.rint}


def _places(q: Any, count: Any, method: str) -> Any:
    """Where in `count` sorted elements the quantiles lie, as floats; `count` may be traced."""
    if method in _POSITIONS:
        alpha, beta = _POSITIONS[method]
        virtual = q * (count - 1) if alpha == beta == 1.0 else count * q + (alpha + q * (1 - alpha - beta)) - 1
        return np.minimum(np.maximum(virtual, 0.0), np.maximum(count - 1, 0))
    virtual = q * (count - 1)
    if method in _ROUNDED:
        return _ROUNDED[method](virtual)
    if method == "midpoint":
        return 0.5 * (np.floor(virtual) + np.ceil(virtual))
    raise TraceError(f"quantiles by method {method!r} are not traced", location=caller(),
                     help=f"use one of {', '.join((*_POSITIONS, *_ROUNDED, 'midpoint'))}")  # fmt: skip


def _between(ordered: Any, places: Any) -> Any:
    """Linear interpolation in sorted rows at places along the last axis."""
    below = np.floor(places)
    share = places - below
    low = below.astype(np.int64)
    # At an element itself the next one, which may be NaN or not there, is not looked at.
    high = low + (share > 0)
    if ordered.dtype.kind == "f":
        share = share.astype(np.result_type(ordered.dtype, share.dtype))
    first, second = (np.take_along_axis(ordered, index, axis=-1) for index in (low, high))
    apart = np.subtract(second, first)
    return np.where(share >= 0.5, second - apart * (1 - share), first + apart * share)


def quantile_by(name: str, scale: float, skips_nan: bool) -> Callable[..., Any]:
    """np.quantile, np.percentile (where `scale` is 100), and those that skip NaN."""

    def applied(
        a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear",
        keepdims: Any = False, *, weights: Any = None,
    ) -> Any:  # fmt: skip
        refuse(name, out=out, weights=weights)
        a = as_array(a)
        if a.dtype == bool:
            raise TraceError(f"np.{name} of bools is not defined", location=caller(), help="use x.astype(int)")
        narrow = isinstance(q, int | float) and a.dtype.kind == "f"
        levels = known(name, "q", q).astype(a.dtype if narrow else np.float64) / scale
        if levels.size and not (levels.min() >= 0 and levels.max() <= 1):
            raise ArgumentValueError(f"np.{name}: values must be in the range [0, {scale:g}]", location=caller())
        rows, axes = _rows(a, axis)
        if rows.shape[-1] == 0:
            raise ArgumentValueError(f"np.{name} of no elements", location=caller())
        ordered = np.sort(rows, axis=-1)
        flat = levels.reshape(-1)
        dtype = np.result_type(a.dtype if a.dtype.kind == "f" else np.float64, levels.dtype)
        bad: Any = False
        if skips_nan and a.dtype.kind == "f":
            count = np.sum(np.logical_not(np.isnan(rows)), axis=-1)[..., None]
            places, bad = _places(flat, count, method), count == 0
        else:
            places = np.broadcast_to(_places(flat, rows.shape[-1], method), (*rows.shape[:-1], flat.size))
            if a.dtype.kind == "f":
                bad = np.isnan(ordered[..., -1:])
        result = np.where(bad, np.nan, _between(ordered, places)).astype(dtype)
        result = np.reshape(np.moveaxis(result, -1, 0), (*levels.shape, *rows.shape[:-1]))
        return _back(result, axes, levels.ndim, given(keepdims, False))

    return applied


def nanmedian(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = NotGiven
) -> Any:
    refuse("nanmedian", out=out)
    if as_array(a).dtype.kind != "f":
        return median(a, axis, keepdims=given(keepdims, False))
    return quantile_by("nanmedian", 1.0, True)(a, 0.5, axis, keepdims=given(keepdims, False))


SORTING: Functions = MappingProxyType({
    np.sort: sort, np.argsort: argsort, np.partition: partition, np.argpartition: argpartition, np.lexsort: lexsort,
    np.median: median, np.nanmedian: nanmedian,
    np.quantile: quantile_by("quantile", 1.0, False), np.percentile: quantile_by("percentile", 100.0, False),
    np.nanquantile: quantile_by("nanquantile", 1.0, True), np.nanpercentile: quantile_by("nanpercentile", 100.0, True),
})  # fmt: skip
