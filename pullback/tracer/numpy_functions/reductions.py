"""NumPy's reductions on traced values: sum, mean, var, argmax and their kin, those that skip NaN, and the norms."""
from __future__ import annotations

from collections.abc import Callable
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np

from pullback.errors import ArgumentValueError, ShapeError
from pullback.ir.core import Value
from pullback.location import caller
from pullback.tracer.numpy_functions.arguments import (
    Functions,
    NotGiven,
    as_array,
    dtype_or_none,
    given,
    is_given,
    masked,
    newer,
    refuse,
)
from pullback.tracer.numpy_functions.decompositions import SPECTRAL_NORMS
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics import reductions as r
from pullback.tracer.traced import active, array_of, lower
from pullback.tracer.ufuncs import single


def _chosen(where: Any) -> bool:
    """Whether ``where=`` leaves anything out."""
    return is_given(where) and where is not True


def reduction(name: str, ufunc: np.ufunc, function: Callable[..., Value], identity: float | bool) -> Callable[..., Any]:
    """np.sum and np.prod: `ufunc` takes in the initial value, `identity` stands where ``where=`` does not hold."""

    def reduced(
        a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, initial: Any = NotGiven,
        where: Any = NotGiven,
    ) -> Any:  # fmt: skip
        refuse(name, out=out)
        b = active()
        value = array_of(b, a)
        if _chosen(where):
            value = masked(b, value, array_of(b, where), identity)
        result = function(b, value, axis, bool(given(keepdims, False)), dtype_or_none(dtype))
        if is_given(initial):
            result = s.cast(b, single(b, ufunc, result, lower(b, initial)), result.type.dtype)
        return b.wrap(result)

    return reduced


def extreme(name: str, ufunc: np.ufunc, largest: bool) -> Callable[..., Any]:
    """np.max and np.min."""

    def reduced(
        a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, initial: Any = NotGiven, where: Any = NotGiven
    ) -> Any:
        refuse(name, out=out)
        b = active()
        value = array_of(b, a)
        keep = bool(given(keepdims, False))
        if _chosen(where):
            if not is_given(initial):
                raise ArgumentValueError(f"np.{name} with where= needs initial=", location=caller())
            value = masked(b, value, array_of(b, where), initial)
        if is_given(initial) and value.type.size == 0:
            axes = r.normal_axes(axis, value.type.rank)
            dims = r.without(value.type.shape, axes)
            return b.wrap(r.keep(b, s.number(b, initial, value.type.dtype, dims), value.type.shape, axes, keep))
        result = r.extreme(b, largest, value, axis, keep)
        if is_given(initial):
            result = s.cast(b, single(b, ufunc, result, lower(b, initial)), value.type.dtype)
        return b.wrap(result)

    return reduced


def truth(name: str, function: Callable[..., Value], identity: bool) -> Callable[..., Any]:
    """np.any and np.all."""

    def reduced(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = NotGiven) -> Any:
        refuse(name, out=out)
        b = active()
        value = s.truth(b, array_of(b, a))
        if _chosen(where):
            value = masked(b, value, array_of(b, where), identity)
        return b.wrap(function(b, value, axis, bool(given(keepdims, False))))

    return reduced


def _count(a: Any, axis: Any, where: Any, keepdims: bool) -> Any:
    """How many elements each reduction takes in, as an ndarray or a traced integer."""
    return np.sum(np.broadcast_to(as_array(where), np.shape(a)), axis=axis, keepdims=keepdims)


def _over(total: Any, count: Any) -> Any:
    """total / count in the total's dtype, if that is a float."""
    if total.dtype.kind == "f" and hasattr(count, "astype"):
        count = count.astype(total.dtype)
    return np.true_divide(total, count)


def mean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *,
         where: Any = NotGiven) -> Any:  # fmt: skip
    refuse("mean", out=out)
    keep = bool(given(keepdims, False))
    if _chosen(where):
        total = np.sum(a, axis=axis, dtype=dtype, keepdims=keep, where=where)
        return _over(total, _count(a, axis, where, keep))
    b = active()
    return b.wrap(r.mean(b, array_of(b, a), axis, keep, dtype_or_none(dtype)))


def var(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: Any = False,
        *, where: Any = NotGiven, mean: Any = NotGiven, correction: Any = NotGiven) -> Any:  # fmt: skip
    refuse("var", out=out)
    keep = bool(given(keepdims, False))
    freedom = given(correction, ddof)
    b = active()
    if not _chosen(where) and not is_given(mean):
        return b.wrap(r.variance(b, array_of(b, a), axis, keep, freedom, dtype_or_none(dtype)))
    a = as_array(a)
    chosen = where if _chosen(where) else True
    center = mean if is_given(mean) else np.mean(a, axis=axis, dtype=dtype, keepdims=True, where=chosen)
    apart = np.subtract(a, center) if dtype is None else np.subtract(a, center).astype(dtype)
    total = np.sum(apart * apart, axis=axis, keepdims=keep, where=chosen)
    return _over(total, np.maximum(_count(a, axis, chosen, keep) - freedom, 0))


def std(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: Any = False,
        *, where: Any = NotGiven, mean: Any = NotGiven, correction: Any = NotGiven) -> Any:  # fmt: skip
    refuse("std", out=out)
    return _root(var(a, axis, dtype, None, ddof, keepdims, where=where, mean=mean, correction=correction))


def _root(x: Any) -> Any:
    """The square root with derivative 0 at 0."""
    b = active()
    return b.wrap(r.root(b, array_of(b, x)))


def arg_extreme(name: str, largest: bool) -> Callable[..., Any]:
    """np.argmax and np.argmin."""

    def found(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
        refuse(name, out=out)
        b = active()
        return b.wrap(r.arg_extreme(b, largest, array_of(b, a), axis, bool(given(keepdims, False))))

    return found


def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    refuse("ptp", out=out)
    keep = bool(given(keepdims, False))
    return np.max(a, axis=axis, keepdims=keep) - np.min(a, axis=axis, keepdims=keep)


def count_nonzero(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
    return np.sum(np.not_equal(a, 0), axis=axis, keepdims=keepdims)


def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = NotGiven) -> Any:
    """np.average; weights of fewer axes lie along `axis`."""
    keep = bool(given(keepdims, False))
    a = as_array(a)
    if weights is None:
        result = np.mean(a, axis=axis, keepdims=keep)
        count = a.size // max(np.size(result), 1)
        return (result, np.full(np.shape(result), count, result.dtype)) if returned else result
    weights = as_array(weights)
    if weights.shape != a.shape:
        axes = () if axis is None else axis if isinstance(axis, tuple) else (axis,)
        places = [r.normal_axis(each, a.ndim) for each in axes]
        if weights.shape != tuple(a.shape[each] for each in places):
            raise ShapeError(
                f"np.average: weights of shape {list(weights.shape)} do not lie along axis {axis} of {list(a.shape)}",
                location=caller(), help="give weights the array's shape, or the sizes of the axes named by axis=",
            )  # fmt: skip
        order = sorted(range(len(places)), key=places.__getitem__)
        shape = [a.shape[each] if each in places else 1 for each in range(a.ndim)]
        weights = np.broadcast_to(np.reshape(np.transpose(weights, order), shape), a.shape)
    dtype = np.result_type(a.dtype, weights.dtype, *(() if a.dtype.kind == "f" else (np.float64,)))
    total = np.sum(weights, axis=axis, dtype=dtype, keepdims=keep)
    result = np.sum(np.multiply(a, weights, dtype=dtype), axis=axis, keepdims=keep) / total
    return (result, total) if returned else result


def without_nan(name: str, function: Callable[..., Any], neutral: float) -> Callable[..., Any]:
    """np.nansum and np.nanprod: NaN counts as `neutral`."""

    def reduced(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False,
                initial: Any = NotGiven, where: Any = NotGiven) -> Any:  # fmt: skip
        refuse(name, out=out)
        return function(_filled(a, neutral), axis=axis, dtype=dtype, keepdims=given(keepdims, False), initial=initial,
                        where=where)  # fmt: skip

    return reduced


def _is_float(a: Any) -> bool:
    return bool(as_array(a).dtype.kind == "f")


def _filled(a: Any, neutral: float) -> Any:
    return np.where(np.isnan(a), neutral, a) if _is_float(a) else a


def nan_extreme(name: str, function: Callable[..., Any], neutral: float) -> Callable[..., Any]:
    """np.nanmax and np.nanmin: NaN only where all elements are."""

    def reduced(
        a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, initial: Any = NotGiven, where: Any = NotGiven
    ) -> Any:
        refuse(name, out=out)
        keep = given(keepdims, False)
        result = function(_filled(a, neutral), axis=axis, keepdims=keep, initial=initial, where=where)
        if not _is_float(a) or is_given(initial):
            return result
        return np.where(np.all(np.isnan(a), axis=axis, keepdims=keep), np.nan, result)

    return reduced


def nan_arg_extreme(function: Callable[..., Any], neutral: float) -> Callable[..., Any]:
    """np.nanargmax and np.nanargmin; of elements that are all NaN the first is found, where NumPy raises."""

    def found(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = NotGiven) -> Any:
        return function(_filled(a, neutral), axis=axis, out=out, keepdims=given(keepdims, False))

    return found


def _known_mask(a: Any, where: Any) -> Any:
    known = np.logical_not(np.isnan(a)) if _is_float(a) else np.ones(np.shape(a), bool)
    return np.logical_and(known, where) if _chosen(where) else known


def nanmean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *,
            where: Any = NotGiven) -> Any:  # fmt: skip
    refuse("nanmean", out=out)
    return np.mean(
        _filled(a, 0.0), axis=axis, dtype=dtype, keepdims=given(keepdims, False), where=_known_mask(a, where)
    )


def nanvar(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: Any = False, *,
           where: Any = NotGiven, mean: Any = NotGiven, correction: Any = NotGiven) -> Any:  # fmt: skip
    refuse("nanvar", out=out)
    keep, mask, freedom = given(keepdims, False), _known_mask(a, where), given(correction, ddof)
    result = var(_filled(a, 0.0), axis, dtype, None, 0, keep, where=mask, mean=mean, correction=freedom)
    enough = np.greater(_count(a, axis, mask, keep), freedom)
    return np.where(enough, result, np.nan)


def nanstd(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: Any = False, *,
           where: Any = NotGiven, mean: Any = NotGiven, correction: Any = NotGiven) -> Any:  # fmt: skip
    refuse("nanstd", out=out)
    return _root(nanvar(a, axis, dtype, None, ddof, keepdims, where=where, mean=mean, correction=correction))


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """np.linalg.norm."""
    axes = r.normal_axes(axis, np.ndim(x))
    if len(axes) == 2 and ord in SPECTRAL_NORMS:
        return SPECTRAL_NORMS[ord](x, axes, keepdims)
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
    result = np.linalg.norm(np.reshape(moved, (*kept, prod(shape[len(kept) :]))), ord, -1)
    return np.expand_dims(result, axes) if keepdims else result


def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    return np.linalg.norm(x, ord, (-2, -1), keepdims)


def cov(m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: Any = None, fweights: Any = None,
        aweights: Any = None, *, dtype: Any = None) -> Any:  # fmt: skip
    refuse("cov", fweights=fweights, aweights=aweights)
    rows = _variables(m, rowvar)
    if y is not None:
        rows = np.concatenate([rows, _variables(y, rowvar)], axis=0)
    rows = rows.astype(np.result_type(rows.dtype, np.float64) if dtype is None else dtype)
    freedom = ddof if ddof is not None else 0 if bias else 1
    centered = rows - np.mean(rows, axis=1, keepdims=True)
    return np.squeeze(np.matmul(centered, centered.T) / float(max(rows.shape[1] - freedom, 0)))


def _variables(m: Any, rowvar: bool) -> Any:
    """One variable a row."""
    m = as_array(m)
    if m.ndim > 2:
        raise ArgumentValueError(f"np.cov: an array of {m.ndim} axes, more than 2", location=caller())
    rows = np.atleast_2d(m)
    return rows.T if not rowvar and m.ndim > 1 and rows.shape[0] != 1 else rows


def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    covariance = cov(x, y, rowvar, dtype=dtype)
    if covariance.ndim == 0:
        return covariance / covariance
    size = np.sqrt(np.diag(covariance))
    return np.clip(covariance / size[:, None] / size[None, :], -1, 1)


_sum = reduction("sum", np.add, r.total, 0)
_prod = reduction("prod", np.multiply, r.product, 1)
_max, _min = extreme("max", np.maximum, True), extreme("min", np.minimum, False)

REDUCTIONS: Functions = MappingProxyType({
    np.sum: _sum, np.prod: _prod, np.mean: mean, np.var: var, np.std: std,
    np.max: _max, np.min: _min, np.amax: _max, np.amin: _min,
    np.any: truth("any", r.any_of, False), np.all: truth("all", r.all_of, True),
    np.argmax: arg_extreme("argmax", True), np.argmin: arg_extreme("argmin", False),
    np.ptp: ptp, np.count_nonzero: count_nonzero, np.average: average,
    np.nansum: without_nan("nansum", np.sum, 0.0), np.nanprod: without_nan("nanprod", np.prod, 1.0),
    np.nanmax: nan_extreme("nanmax", np.max, -np.inf), np.nanmin: nan_extreme("nanmin", np.min, np.inf),
    np.nanargmax: nan_arg_extreme(np.argmax, -np.inf), np.nanargmin: nan_arg_extreme(np.argmin, np.inf),
    np.nanmean: nanmean, np.nanvar: nanvar, np.nanstd: nanstd, np.cov: cov, np.corrcoef: corrcoef,
    np.linalg.norm: norm, **newer(np.linalg, vector_norm=vector_norm, matrix_norm=matrix_norm),
})  # fmt: skip
