"""Running totals, differences and integrals along an axis: cumsum, diff, gradient, trapezoid and their kin."""
from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np

from pullback.errors import ArgumentValueError, TraceError
from pullback.ir.core import Op
from pullback.ir.ops.arithmetic import Add, Mul
from pullback.location import caller
from pullback.tracer.numpy_functions.arguments import (
    Functions,
    NotGiven,
    as_array,
    dtype_or_none,
    is_given,
    newer,
    refuse,
)
from pullback.tracer.semantics import reductions as r
from pullback.tracer.semantics import shapes
from pullback.tracer.traced import active, array_of
from pullback.tracer.ufuncs import single


def running(name: str, op: Op, neutral_for_nan: float | None = None) -> Callable[..., Any]:
    """np.cumsum and np.cumprod, and with a neutral element those that skip NaN."""

    def applied(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        refuse(name, out=out)
        a = as_array(a)
        if neutral_for_nan is not None and a.dtype.kind == "f":
            a = np.where(np.isnan(a), neutral_for_nan, a)
        b = active()
        value = r.widened(b, array_of(b, a), dtype_or_none(dtype))
        if axis is None or value.type.rank == 0:
            value, axis = shapes.reshape(b, value, -1), 0 if axis is None else axis
        return b.wrap(r.cumulative(b, op, value, r.normal_axis(axis, value.type.rank)))

    return applied


def cumulative(name: str, function: Any, identity: float) -> Callable[..., Any]:
    """np.cumulative_sum and np.cumulative_prod."""

    def applied(
        x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: bool = False
    ) -> Any:
        refuse(name, out=out)
        if axis is None and np.ndim(x) != 1:
            raise ArgumentValueError(f"np.{name} needs an axis for an array of {np.ndim(x)} axes", location=caller())
        along = 0 if axis is None else axis
        total = function(x, axis=along, dtype=dtype)
        if not include_initial:
            return total
        edge = list(np.shape(total))
        edge[along] = 1
        return np.concatenate([np.full(edge, identity, total.dtype), total], axis=along)

    return applied


def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = NotGiven, append: Any = NotGiven) -> Any:
    if n < 0:
        raise ArgumentValueError(f"np.diff: order must be non-negative, not {n}", location=caller())
    if n == 0:
        return as_array(a)
    a = as_array(a)
    along = r.normal_axis(axis, a.ndim)
    edge = (*a.shape[:along], 1, *a.shape[along + 1 :])
    ends = [[as_array(each)] if is_given(each) else [] for each in (prepend, append)]
    ends = [[np.broadcast_to(each, edge) if each.ndim == 0 else each for each in end] for end in ends]
    if any(ends):
        a = np.concatenate([*ends[0], a, *ends[1]], axis=along)
    b = active()
    value = array_of(b, a)
    for _ in range(n):
        later, earlier = shapes.difference(b, value, along)
        value = single(b, np.not_equal if value.type.dtype.is_bool else np.subtract, later, earlier)
    return b.wrap(value)


def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """np.ediff1d: the ends take the array's dtype."""
    inner = np.diff(np.ravel(ary))
    begin, end = ([] if each is None else [np.ravel(each).astype(inner.dtype)] for each in (to_begin, to_end))
    return np.concatenate([*begin, inner, *end]) if begin or end else inner


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    y = as_array(y)
    along = r.normal_axis(axis, y.ndim)
    rows = np.moveaxis(y, along, -1)
    width = dx
    if x is not None:
        x = as_array(x)
        width = np.diff(x) if x.ndim == 1 else np.diff(np.moveaxis(x, along, -1))
    return np.sum(width * (rows[..., 1:] + rows[..., :-1]) / 2.0, axis=-1)


def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """np.gradient on even or uneven spacings: second order inside, of `edge_order` (1 or 2) at the edges."""
    f = as_array(f)
    axes = range(f.ndim) if axis is None else [r.normal_axis(each, f.ndim) for each in np.atleast_1d(axis)]
    spacings = [1.0] * len(axes) if not varargs else list(varargs) * len(axes) if len(varargs) == 1 else list(varargs)
    if len(spacings) != len(axes):
        raise ArgumentValueError(f"np.gradient: {len(varargs)} spacings for {len(axes)} axes", location=caller())
    if edge_order not in (1, 2):
        raise ArgumentValueError("np.gradient: 'edge_order' greater than 2 not supported", location=caller())
    rows = f if f.dtype.kind == "f" else f.astype(np.float64)
    found = tuple(_slopes(rows, along, spacing, edge_order) for along, spacing in zip(axes, spacings, strict=True))
    return found[0] if len(found) == 1 else found


def _slopes(f: Any, along: int, spacing: Any, edge_order: int) -> Any:
    rows = np.moveaxis(f, along, -1)
    count = rows.shape[-1]
    if count < edge_order + 1:
        raise ArgumentValueError(
            f"np.gradient: {count} elements along axis {along}, at least edge_order + 1 are needed", location=caller()
        )
    spacing = as_array(spacing)
    if spacing.ndim == 1 and spacing.shape[0] != count:
        raise ArgumentValueError(f"np.gradient: {spacing.shape[0]} coordinates for {count} elements", location=caller())
    steps = np.diff(spacing) if spacing.ndim else np.broadcast_to(spacing, (count - 1,))
    chords = np.diff(rows) / steps
    before, after = steps[:-1], steps[1:]
    inner = (chords[..., :-1] * after + chords[..., 1:] * before) / (before + after)
    first, last = chords[..., :1], chords[..., -1:]
    if edge_order == 2:
        # The parabola through three points: its slope at an end leaves the chord's by half of the bend.
        first = first + (first - inner[..., :1])
        last = last + (last - inner[..., -1:])
    joined = np.concatenate([first, inner, last], axis=-1)
    return np.moveaxis(joined, -1, along).astype(f.dtype)


def unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: float = 2 * np.pi) -> Any:
    p = as_array(p)
    along = r.normal_axis(axis, p.ndim)
    rows = np.moveaxis(p if p.dtype.kind == "f" else p.astype(np.float64), along, -1)
    if p.dtype.kind != "f" and float(period).is_integer():
        raise TraceError("np.unwrap of integers is not traced", location=caller(), help="use p.astype(np.float64)")
    steps = np.diff(rows)
    limit = period / 2 if discont is None else discont
    wrapped = np.mod(steps + period / 2, period) - period / 2
    wrapped = np.where((wrapped == -period / 2) & (steps > 0), period / 2, wrapped)
    correction = np.where(np.abs(steps) < limit, 0.0, wrapped - steps)
    moved = np.concatenate([rows[..., :1], rows[..., 1:] + np.cumsum(correction, axis=-1)], axis=-1)
    return np.moveaxis(moved, -1, along)


RUNNING: Functions = MappingProxyType({
    np.cumsum: running("cumsum", Add()), np.cumprod: running("cumprod", Mul()),
    np.nancumsum: running("nancumsum", Add(), 0.0), np.nancumprod: running("nancumprod", Mul(), 1.0),
    np.diff: diff, np.ediff1d: ediff1d, np.trapezoid: trapezoid, np.gradient: gradient, np.unwrap: unwrap,
    **newer(np, cumulative_sum=cumulative("cumulative_sum", np.cumsum, 0),
            cumulative_prod=cumulative("cumulative_prod", np.cumprod, 1)),
})  # fmt: skip
