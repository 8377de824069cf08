"""NumPy's reductions and running totals on traced values: sum, mean, var, argmax, cumsum, diff and their kin."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np

from pullback.errors import ShapeError, TraceError
from pullback.ir.core import Value
from pullback.ir.ops.arithmetic import Add, Mul
from pullback.location import caller
from pullback.tracer.numpy_arguments import NotGiven, dtype_or_none, given, is_given, masked, refuse
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics import reductions as r
from pullback.tracer.semantics import shapes
from pullback.tracer.traced import active, array_of, lower
from pullback.tracer.ufuncs import elementwise


def reduction(ufunc: np.ufunc, function: Callable[..., Value], identity: float | bool) -> Callable[..., Any]:
    """np.sum and np.prod: `ufunc` takes in the initial value, `identity` stands where ``where=`` does not hold."""

    def reduced(
        a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, initial: Any = NotGiven,
        where: Any = NotGiven,
    ) -> Any:  # fmt: skip
        refuse(ufunc.__name__, out=out)
        b = active()
        value = array_of(b, a)
        if is_given(where) and where is not True:
            value = masked(b, value, array_of(b, where), identity)
        result = function(b, value, axis, bool(given(keepdims, False)), dtype_or_none(dtype))
        if is_given(initial):
            result = s.cast(b, elementwise(b, ufunc, result, lower(b, initial)), result.type.dtype)  # type: ignore[arg-type]
        return b.wrap(result)

    return reduced


def extreme(ufunc: np.ufunc, largest: bool) -> Callable[..., Any]:
    """np.max and np.min."""

    def reduced(
        a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, initial: Any = NotGiven, where: Any = NotGiven
    ) -> Any:
        name = "max" if largest else "min"
        refuse(name, out=out)
        b = active()
        value = array_of(b, a)
        if is_given(where) and where is not True:
            if not is_given(initial):
                raise TraceError(f"np.{name} with where= needs initial=", location=caller())
            value = masked(b, value, array_of(b, where), initial)
        if is_given(initial) and value.type.size == 0:
            axes = r.normal_axes(axis, value.type.rank)
            dims = r.without(value.type.shape, axes)
            return b.wrap(r.keep(b, s.number(b, initial, value.type.dtype, dims), value.type.shape, axes, bool(keepdims)))
        result = r.extreme(b, largest, value, axis, bool(given(keepdims, False)))
        return b.wrap(elementwise(b, ufunc, result, lower(b, initial)) if is_given(initial) else result)

    return reduced


def truth(name: str, function: Callable[..., Value], identity: bool) -> Callable[..., Any]:
    """np.any and np.all."""

    def reduced(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = NotGiven) -> Any:
        refuse(name, out=out)
        b = active()
        value = s.truth(b, array_of(b, a))
        if is_given(where) and where is not True:
            value = masked(b, value, array_of(b, where), identity)
        return b.wrap(function(b, value, axis, bool(given(keepdims, False))))

    return reduced


def mean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *,
         where: Any = NotGiven) -> Any:  # fmt: skip
    refuse("mean", out=out)
    keep = bool(given(keepdims, False))
    if is_given(where) and where is not True:
        count = np.sum(np.broadcast_to(where, np.shape(a)), axis=axis, keepdims=keep)
        total = np.sum(a, axis=axis, dtype=dtype, keepdims=keep, where=where)
        return total / count.astype(total.dtype) if total.dtype.kind == "f" else total / count
    b = active()
    return b.wrap(r.mean(b, array_of(b, a), axis, keep, dtype_or_none(dtype)))


def spread(name: str, function: Callable[..., Value]) -> Callable[..., Any]:
    """np.var and np.std."""

    def reduced(
        a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: Any = False,
        *, where: Any = NotGiven, mean: Any = NotGiven, correction: Any = NotGiven,
    ) -> Any:  # fmt: skip
        refuse(name, out=out, where=where, mean=mean)
        b = active()
        freedom = ddof if correction is NotGiven else correction
        return b.wrap(function(b, array_of(b, a), axis, bool(given(keepdims, False)), freedom, dtype_or_none(dtype)))

    return reduced


def arg_extreme(largest: bool) -> Callable[..., Any]:
    """np.argmax and np.argmin."""

    def found(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
        refuse("argmax" if largest else "argmin", out=out)
        b = active()
        return b.wrap(r.arg_extreme(b, largest, array_of(b, a), axis, bool(given(keepdims, False))))

    return found


def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    refuse("ptp", out=out)
    keep = bool(given(keepdims, False))
    return np.max(a, axis=axis, keepdims=keep) - np.min(a, axis=axis, keepdims=keep)


def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    return np.sum(np.not_equal(a, 0), axis=axis, keepdims=keepdims)


def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = NotGiven) -> Any:
    """np.average; weights of one axis lie along `axis`."""
    keep = bool(given(keepdims, False))
    if weights is None:
        result = np.mean(a, axis=axis, keepdims=keep)
        count = np.size(a) // max(np.size(result), 1)
        return (result, np.full(np.shape(result), float(count))) if returned else result
    if np.shape(weights) != np.shape(a):
        if axis is None or np.ndim(weights) != (len(axis) if isinstance(axis, tuple) else 1):
            raise ShapeError(
                f"np.average: weights of shape {list(np.shape(weights))} need an axis of {list(np.shape(a))}",
                location=caller(),
            )
        axes = r.normal_axes(axis, np.ndim(a))
        shape = [size if place in axes else 1 for place, size in enumerate(np.shape(a))]
        weights = np.broadcast_to(np.reshape(weights, shape), np.shape(a))
    if np.result_type(a, weights).kind != "f":
        a = np.multiply(a, 1.0)
    total = np.sum(weights, axis=axis, keepdims=keep)
    result = np.sum(np.multiply(a, weights), axis=axis, keepdims=keep) / total
    return (result, total) if returned else result


def without_nan(function: Callable[..., Any], neutral: float) -> Callable[..., Any]:
    """np.nansum and its kin: NaN counts as `neutral`."""

    def reduced(a: Any, axis: Any = None, *args: Any, **named: Any) -> Any:
        return function(np.where(np.isnan(a), neutral, a), axis, *args, **named)

    return reduced


def nanmean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *,
            where: Any = NotGiven) -> Any:  # fmt: skip
    refuse("nanmean", out=out, where=where)
    keep = bool(given(keepdims, False))
    known = np.logical_not(np.isnan(a))
    total = np.sum(np.where(known, a, 0), axis=axis, dtype=dtype, keepdims=keep)
    count = np.sum(known, axis=axis, keepdims=keep)
    return total / (count.astype(total.dtype) if total.dtype.kind == "f" else count)


def running(op: Any) -> Callable[..., Any]:
    """np.cumsum and np.cumprod."""

    def applied(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        refuse("cumsum" if isinstance(op, Add) else "cumprod", out=out)
        b = active()
        value = r.widened(b, array_of(b, a), dtype_or_none(dtype))
        if axis is None:
            value, axis = shapes.reshape(b, value, -1), 0
        return b.wrap(r.cumulative(b, op, value, r.normal_axis(axis, value.type.rank)))

    return applied


def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = NotGiven, append: Any = NotGiven) -> Any:
    if n < 0:
        raise TraceError(f"np.diff: order must be non-negative, not {n}", location=caller())
    if is_given(prepend) or is_given(append):
        edge = list(np.shape(a))
        edge[axis] = 1
        parts = [np.broadcast_to(each, edge) if np.ndim(each) == 0 else each for each in (prepend, a, append)
                 if each is a or is_given(each)]  # fmt: skip
        a = np.concatenate(parts, axis=axis)
    b = active()
    value = array_of(b, a)
    for _ in range(n):
        later, earlier = shapes.difference(b, value, axis)
        value = elementwise(b, np.not_equal if value.type.dtype.is_bool else np.subtract, later, earlier)  # type: ignore[assignment]
    return b.wrap(value)


def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    inner = np.diff(np.ravel(ary))
    ends = [np.ravel(to_begin)] if to_begin is not None else []
    tail = [np.ravel(to_end)] if to_end is not None else []
    return np.concatenate([*ends, inner, *tail]) if ends or tail else inner


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    along = r.normal_axis(axis, np.ndim(y))
    rows = np.moveaxis(y, along, -1)
    if x is None:
        width = dx
    else:
        width = np.diff(x) if np.ndim(x) == 1 else np.diff(np.moveaxis(x, along, -1))
    return np.sum(width * (rows[..., 1:] + rows[..., :-1]) / 2.0, axis=-1)


def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """np.gradient on even or uneven spacings, with first-order edges."""
    if edge_order != 1:
        raise TraceError("np.gradient with edge_order=2 is not traced", location=caller(), help="use edge_order=1")
    axes = r.normal_axes(axis, np.ndim(f))
    spacings = list(varargs) * len(axes) if len(varargs) == 1 else list(varargs) or [1.0] * len(axes)
    if len(spacings) != len(axes):
        raise TraceError(f"np.gradient: {len(varargs)} spacings for {len(axes)} axes", location=caller())
    results = []
    for each, spacing in zip(axes, spacings, strict=True):
        rows = np.moveaxis(f, each, -1)
        steps = np.diff(spacing) if np.ndim(spacing) else np.full(np.shape(rows)[-1] - 1, 1.0) * spacing
        slopes = np.diff(rows) / steps
        before, after = steps[:-1], steps[1:]
        inner = (slopes[..., :-1] * after + slopes[..., 1:] * before) / (before + after)
        joined = np.concatenate([slopes[..., :1], inner, slopes[..., -1:]], axis=-1)
        results.append(np.moveaxis(joined, -1, each))
    return results[0] if len(results) == 1 else tuple(results)


def cov(m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: Any = None, fweights: Any = None,
        aweights: Any = None, *, dtype: Any = None) -> Any:  # fmt: skip
    refuse("cov", fweights=fweights, aweights=aweights)
    rows = _variables(m, rowvar)
    if y is not None:
        rows = np.concatenate([rows, _variables(y, rowvar)], axis=0)
    if dtype is not None:
        rows = rows.astype(dtype)
    freedom = ddof if ddof is not None else 0 if bias else 1
    centered = rows - np.mean(rows, axis=1, keepdims=True)
    return np.squeeze(np.matmul(centered, centered.T) / float(max(np.shape(rows)[1] - freedom, 0)))


def _variables(m: Any, rowvar: bool) -> Any:
    rows = np.atleast_2d(m)
    return rows.T if not rowvar and np.ndim(m) > 1 and np.shape(rows)[0] != 1 else rows


def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    covariance = np.cov(x, y, rowvar, dtype=dtype)
    if np.ndim(covariance) == 0:
        return covariance / covariance
    size = np.sqrt(np.diag(covariance))
    return np.clip(covariance / size[:, None] / size[None, :], -1, 1)


def logsumexp_reduce(a: Any, axis: Any = 0, keepdims: bool = False) -> Any:
    """np.logaddexp.reduce."""
    b = active()
    return b.wrap(r.logsumexp(b, array_of(b, a), axis, keepdims))


def cumulative(name: str, function: Any, identity: float) -> Callable[..., Any]:
    """np.cumulative_sum and np.cumulative_prod."""

    def applied(x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: bool = False) -> Any:
        refuse(name, out=out)
        if axis is None and np.ndim(x) != 1:
            raise TraceError(f"np.{name} needs an axis for an array of {np.ndim(x)} axes", location=caller())
        along = 0 if axis is None else axis
        total = function(x, axis=along, dtype=dtype)
        if not include_initial:
            return total
        edge = list(np.shape(total))
        edge[along] = 1
        return np.concatenate([np.full(edge, identity, total.dtype), total], axis=along)

    return applied


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """np.linalg.norm."""
    b = active()
    return b.wrap(r.norm(b, array_of(b, x), ord, axis, keepdims))


def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """np.linalg.vector_norm: over several axes as over one long one."""
    axes = r.normal_axes(axis, np.ndim(x))
    if len(axes) == 1:
        return np.linalg.norm(x, ord, axes[0], keepdims)
    moved = np.moveaxis(x, axes, range(-len(axes), 0))
    shape = np.shape(moved)
    kept = shape[: len(shape) - len(axes)]
    flat = np.reshape(moved, (*kept, prod(shape[len(kept) :])))
    result = np.linalg.norm(flat, ord, -1)
    return np.expand_dims(result, axes) if keepdims else result


def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    return np.linalg.norm(x, ord, (-2, -1), keepdims)



_newer: dict[Any, Callable[..., Any]] = {}
if hasattr(np, "cumulative_sum"):
    _newer = {
        np.cumulative_sum: cumulative("cumulative_sum", np.cumsum, 0),
        np.cumulative_prod: cumulative("cumulative_prod", np.cumprod, 1),
    }

REDUCTIONS: Mapping[Any, Callable[..., Any]] = MappingProxyType({
    np.sum: reduction(np.add, r.total, 0), np.prod: reduction(np.multiply, r.product, 1), np.mean: mean,
    np.max: extreme(np.maximum, True), np.min: extreme(np.minimum, False),
    np.amax: extreme(np.maximum, True), np.amin: extreme(np.minimum, False),
    np.any: truth("any", r.any_of, False), np.all: truth("all", r.all_of, True),
    np.var: spread("var", r.variance), np.std: spread("std", r.deviation),
    np.argmax: arg_extreme(True), np.argmin: arg_extreme(False), np.ptp: ptp, np.count_nonzero: count_nonzero,
    np.average: average, np.nansum: without_nan(np.sum, 0), np.nanprod: without_nan(np.prod, 1), np.nanmean: nanmean,
    np.nanmax: without_nan(np.max, -np.inf), np.nanmin: without_nan(np.min, np.inf),
    np.cumsum: running(Add()), np.cumprod: running(Mul()), np.diff: diff, np.ediff1d: ediff1d,
    np.trapezoid: trapezoid, np.gradient: gradient, np.cov: cov, np.corrcoef: corrcoef,
    np.linalg.norm: norm, np.linalg.vector_norm: vector_norm, np.linalg.matrix_norm: matrix_norm,
    **_newer,
})  # fmt: skip
