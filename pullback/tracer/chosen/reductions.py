"""Reductions of chosen elements: over the axis of unknown length, what the mask leaves out is the neutral element."""
from __future__ import annotations

from collections.abc import Callable
from math import inf
from types import MappingProxyType
from typing import Any

import numpy as np

from pullback.errors import ArgumentValueError
from pullback.location import caller
from pullback.tracer.chosen.elements import Chosen, check_some, filled, with_places
from pullback.tracer.chosen.elementwise import elementwise
from pullback.tracer.masked import Masked, Row, spread
from pullback.tracer.memory import View, root_of
from pullback.tracer.numpy_functions.arguments import Functions, NotGiven, given, is_given, newer, refuse
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics.reductions import normal_axes, normal_axis
from pullback.tracer.traced import active, array_of
from pullback.tracer.views import Snapshot

Reduce = Callable[..., Any]


def _over(c: Chosen, axis: Any) -> bool:
    """Whether a reduction goes over the axis of unknown length."""
    return c.at in normal_axes(axis, c.ndim)


def _along_rest(function: Reduce, c: Chosen, axis: Any, keepdims: bool, **named: Any) -> Any:
    """A reduction over other axes: still chosen elements."""
    result = function(c.values, axis=axis, keepdims=keepdims, **named)
    before = sum(each < c.at for each in normal_axes(axis, c.ndim))
    return c.like(result, c.at if keepdims else c.at - before)


def _mask(c: Chosen) -> Any:
    """The mask at every element."""
    b = active()
    return b.wrap(spread(b, array_of(b, c.mask), c.values.shape, c.at))


def _optional(**named: Any) -> dict[str, Any]:
    return {name: value for name, value in named.items() if is_given(value)}


def with_neutral(function: Any, name: str, neutral: Any) -> Reduce:
    """np.sum and np.prod."""

    def reduced(a: Chosen, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False,
                initial: Any = NotGiven, where: Any = NotGiven) -> Any:  # fmt: skip
        refuse(name, out=out, where=where)
        named = _optional(dtype=dtype, initial=initial)
        keep = bool(given(keepdims, False))
        if not _over(a, axis):
            return _along_rest(function, a, axis, keep, **named)
        return function(filled(a, neutral), axis=axis, keepdims=keep, **named)

    return reduced


def mean(a: Chosen, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *,
         where: Any = NotGiven) -> Any:  # fmt: skip
    """np.mean: of nothing NaN, as in NumPy."""
    refuse("mean", out=out, where=where)
    keep = bool(given(keepdims, False))
    if not _over(a, axis):
        return _along_rest(np.mean, a, axis, keep, **_optional(dtype=dtype))
    return np.mean(a.values, axis=axis, keepdims=keep, where=_mask(a), **_optional(dtype=dtype))


def scatter(function: Any, name: str) -> Reduce:
    """np.var and np.std."""

    def reduced(a: Chosen, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: Any = False,
                *, where: Any = NotGiven, mean: Any = NotGiven, correction: Any = NotGiven) -> Any:  # fmt: skip
        refuse(name, out=out, where=where, mean=mean)
        keep, named = bool(given(keepdims, False)), _optional(dtype=dtype)
        freedom = given(correction, ddof)
        if not _over(a, axis):
            return _along_rest(function, a, axis, keep, ddof=freedom, **named)
        return function(a.values, axis=axis, keepdims=keep, ddof=freedom, where=_mask(a), **named)

    return reduced


def truth(function: Any, name: str, neutral: bool) -> Reduce:
    """np.any and np.all."""

    def reduced(a: Chosen, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = NotGiven) -> Any:
        refuse(name, out=out, where=where)
        keep = bool(given(keepdims, False))
        if not _over(a, axis):
            return _along_rest(function, a, axis, keep)
        return function(filled(a.like(np.not_equal(a.values, 0)), neutral), axis=axis, keepdims=keep)

    return reduced


def lowest(c: Chosen, largest: bool) -> Any:
    """What is never the largest, or smallest, of the elements."""
    dtype = c.values.type.dtype
    if dtype.is_float:
        return -inf if largest else inf
    if dtype.is_bool:
        return not largest
    return s.limits(dtype)[0 if largest else 1]


def extreme(function: Any, name: str, largest: bool) -> Reduce:
    """np.max and np.min; of nothing a ValueError when the compiled code runs."""

    def reduced(a: Chosen, axis: Any = None, out: Any = None, keepdims: Any = False, initial: Any = NotGiven,
                where: Any = NotGiven) -> Any:  # fmt: skip
        refuse(name, out=out, where=where)
        keep = bool(given(keepdims, False))
        if not _over(a, axis):
            return _along_rest(function, a, axis, keep, **_optional(initial=initial))
        if not is_given(initial):
            check_some(a, f"zero-size array to reduction operation {'maximum' if largest else 'minimum'} which has no "
                       "identity")  # fmt: skip
        a = with_places(a)
        return function(filled(a, lowest(a, largest)), axis=axis, keepdims=keep, **_optional(initial=initial))

    return reduced


def settled(c: Chosen) -> Any:
    """The elements as they are now, where they are a part of another array: to read them when that was changed since, or to
    write them, raises a TraceError. For what NumPy makes a copy or a view of, by how the other array lies in memory.
    """
    array = c.values
    while isinstance(array.memory, View):
        if isinstance(array.memory.part, Masked | Row):
            root = root_of(array)
            made = active().made()
            made.state = (None, Snapshot(c.values.value, root, root.state, "reshape"))
            return c.like(made)
        array = array.memory.base
    return c


def flat(c: Chosen) -> Any:
    """All elements in a row."""
    if c.ndim == 1:
        return c
    b, c = active(), settled(c)
    mask = spread(b, array_of(b, c.mask), c.values.shape, c.at)
    return c.like(np.reshape(c.values, -1), 0, np.reshape(b.wrap(mask), -1))


def arg_extreme(name: str, largest: bool) -> Reduce:
    """np.argmax and np.argmin: places among the chosen elements."""

    def found(a: Chosen, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
        refuse(name, out=out)
        keep = bool(given(keepdims, False))
        function: Any = np.argmax if largest else np.argmin
        if axis is not None and not _over(a, axis):
            return _along_rest(function, a, axis, keep)
        line = with_places(flat(a) if axis is None else a)
        check_some(line, f"attempt to get {name} of an empty sequence")
        # Where all that is chosen is infinite, the first of all elements may be beside the mask: none comes before it.
        place = function(filled(line, lowest(line, largest)), axis=line.at, keepdims=keep and axis is not None)
        result = np.take(ranks(line.mask), place)
        return np.reshape(result, (1,) * a.ndim) if keep and axis is None else result

    return found


def ranks(mask: Any) -> Any:
    """How many chosen places there are before each place."""
    numbers = mask.astype(np.int64)
    return np.cumsum(numbers) - numbers


def count_nonzero(a: Chosen, axis: Any = None, *, keepdims: Any = False) -> Any:
    return np.sum(np.not_equal(a, 0), axis=axis, keepdims=keepdims)


def ptp(a: Chosen, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    refuse("ptp", out=out)
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)


def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = NotGiven) -> Any:
    """np.average, with weights that are chosen too and have the same axes."""
    keep = bool(given(keepdims, False))
    if not isinstance(a, Chosen) or (weights is not None and getattr(weights, "ndim", 0) != a.ndim):
        lead = a if isinstance(a, Chosen) else weights
        lead.refuse("np.average with weights of other axes", "use np.sum(x[mask] * w) / np.sum(w)")
    if weights is None:
        result = np.mean(a, axis=axis, keepdims=keep)
        if returned:
            a.refuse("np.average with returned=True", "count with np.count_nonzero(mask)")
        return result
    dtype = np.result_type(a.dtype, weights.dtype, *(() if a.dtype.kind == "f" else (np.float64,)))
    total = np.sum(weights, axis=axis, dtype=dtype, keepdims=keep)
    result = np.sum(np.multiply(a, weights, dtype=dtype), axis=axis, keepdims=keep) / total
    return (result, total) if returned else result


def norm(x: Chosen, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """np.linalg.norm of all elements, or of vectors in an order of 0 or more."""
    axes = normal_axes(axis, x.ndim)
    if x.at not in axes:
        return _along_rest(lambda a, axis, keepdims: np.linalg.norm(a, ord, axis, keepdims), x, axis, keepdims)
    plain = ord is None or (ord == "fro" and len(axes) == 2)
    if not plain and (len(axes) > 1 or isinstance(ord, str) or ord < 0):
        x.refuse(f"np.linalg.norm of order {ord!r}", "use the Frobenius norm, or write it with np.sum and np.max")
    if ord == inf:
        check_some(x, "zero-size array to reduction operation maximum which has no identity")
        x = with_places(x)
    return np.linalg.norm(filled(x, 0), ord, axis, keepdims)


def vector_norm(x: Chosen, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    if x.ndim != 1:
        x.refuse("np.linalg.vector_norm of several axes", "use np.linalg.norm, or np.sqrt(np.sum(x[mask]**2))")
    return norm(x, ord, 0, keepdims)


def running(function: Any, name: str, neutral: int) -> Reduce:
    """np.cumsum and np.cumprod: running along the chosen elements."""

    def applied(a: Chosen, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        refuse(name, out=out)
        if axis is None:
            a, axis = flat(a), 0
        along = normal_axis(axis, a.ndim)
        if along != a.at:
            return a.like(function(a.values, axis=along, dtype=dtype))
        return a.like(function(filled(a, neutral), axis=along, dtype=dtype))

    return applied


def log_sum_of_powers(c: Chosen, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
    """np.logaddexp.reduce."""
    refuse("logaddexp.reduce", out=out)
    if not _over(c, axis):
        return _along_rest(np.logaddexp.reduce, c, axis, keepdims)
    reduce: Any = np.logaddexp.reduce
    return reduce(filled(c, -inf), axis=axis, keepdims=keepdims)


def reduce_by(ufunc: np.ufunc, c: Chosen, **named: Any) -> Any:
    """``ufunc.reduce``, along axis 0 if none is given."""
    function = _BY_UFUNC.get(ufunc)
    if function is None:
        c.refuse(f"np.{ufunc.__name__}.reduce")
    named.setdefault("axis", 0)
    return function(c, **named)


def accumulate_by(ufunc: np.ufunc, c: Chosen, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
    """``ufunc.accumulate`` of sums and products."""
    if ufunc not in (np.add, np.multiply):
        c.refuse(f"np.{ufunc.__name__}.accumulate")
    return REDUCTIONS[np.cumsum if ufunc is np.add else np.cumprod](c, axis, dtype, out)


def all_close(a: Any, b: Any, rtol: Any = 1.0e-5, atol: Any = 1.0e-8, equal_nan: bool = False) -> Any:
    return np.all(elementwise(np.isclose, (a, b), rtol=rtol, atol=atol, equal_nan=equal_nan))


def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    """np.array_equal of elements that one mask chooses."""
    if not isinstance(a1, Chosen) or not isinstance(a2, Chosen):
        (a1 if isinstance(a1, Chosen) else a2).refuse("np.array_equal with another array", "choose from it by the mask too")
    same = np.equal(a1, a2)
    return np.all(np.logical_or(same, np.logical_and(np.isnan(a1), np.isnan(a2))) if equal_nan else same)


def _axis_only(x: Chosen, /, *, axis: Any = None, dtype: Any = None, out: Any = None) -> tuple[Any, ...]:
    if axis is None and x.ndim != 1:
        raise ArgumentValueError(f"a running total needs an axis for an array of {x.ndim} axes", location=caller())
    return x, axis, dtype, out


_sum, _prod = with_neutral(np.sum, "sum", 0), with_neutral(np.prod, "prod", 1)
_max, _min = extreme(np.max, "max", True), extreme(np.min, "min", False)
_any, _all = truth(np.any, "any", False), truth(np.all, "all", True)
_cumsum, _cumprod = running(np.cumsum, "cumsum", 0), running(np.cumprod, "cumprod", 1)

REDUCTIONS: Functions = MappingProxyType({
    np.sum: _sum, np.prod: _prod, np.max: _max, np.min: _min, np.amax: _max, np.amin: _min, np.any: _any, np.all: _all,
    np.mean: mean, np.var: scatter(np.var, "var"), np.std: scatter(np.std, "std"),
    np.argmax: arg_extreme("argmax", True), np.argmin: arg_extreme("argmin", False),
    np.count_nonzero: count_nonzero, np.ptp: ptp, np.average: average, np.linalg.norm: norm,
    np.cumsum: _cumsum, np.cumprod: _cumprod, np.allclose: all_close, np.array_equal: array_equal,
    **newer(np.linalg, vector_norm=vector_norm),
    **newer(np, cumulative_sum=lambda x, /, **named: _cumsum(*_axis_only(x, **named)),
            cumulative_prod=lambda x, /, **named: _cumprod(*_axis_only(x, **named))),
})  # fmt: skip
"""What functions of NumPy do with chosen elements."""

_BY_UFUNC: Functions = MappingProxyType({
    np.add: _sum, np.multiply: _prod, np.maximum: _max, np.minimum: _min, np.logical_and: _all, np.logical_or: _any,
    np.logaddexp: log_sum_of_powers,
})  # fmt: skip
