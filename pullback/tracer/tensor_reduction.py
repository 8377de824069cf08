"""Reductions of tensors: sum, mean, max and their kin, with ``dim`` and ``keepdim``."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from pullback import dtypes
from pullback.dtypes import DType
from pullback.errors import AutogradError, OutOfBoundsError
from pullback.ir.core import Builder, Value
from pullback.ir.ops import arithmetic as a
from pullback.ir.ops import elementary as e
from pullback.ir.ops import reduction as r
from pullback.ir.ops.logic import Equal, NotEqual
from pullback.ir.ops.shape import Reshape
from pullback.location import caller
from pullback.tracer.recipe import kept_rules
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics import indexing
from pullback.tracer.semantics import reductions as sr
from pullback.tracer.tensor_apply import DTYPE_WORDS, as_float
from pullback.tracer.tensor_arithmetic import maximum, minimum
from pullback.tracer.tensor_base import record, record_many
from pullback.tracer.tensor_pairs import named_results
from pullback.tracer.tensor_shape import axis_of

Axes = tuple[int, ...]
Rule = Callable[..., Value]


def axes_of(input: Any, dim: Any, axis: Any = None) -> Axes | None:
    """Reduced axes from 0; None for all of them, asked for by no `dim` at all."""
    chosen = dim if dim is not None else axis
    if chosen is None or (isinstance(chosen, list | tuple) and not chosen):
        return None
    rank = len(input.sizes)
    found = [axis_of(each, rank) for each in (chosen if isinstance(chosen, list | tuple) else [chosen])]
    if len(set(found)) < len(found):
        raise AutogradError(f"dim {found[-1]} appears multiple times in the list of dims", location=caller())
    return tuple(sorted(found)) if rank else ()


def _every(rank: int, axes: Axes | None) -> Axes:
    return tuple(range(rank)) if axes is None else axes


def _numbered(name: str, axes: Axes | None) -> str:
    """PyTorch numbers the overloads: 0 without a dimension, 1 with."""
    return f"{name}Backward{0 if axes is None else 1}"


def sum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, axis: Any = None,
        keepdims: bool = False) -> Any:  # fmt: skip
    """The sum; of integers and bools in int64."""
    axes = axes_of(input, dim, axis)
    kind = dtype_of(dtype) or (input.dtype_ if input.dtype_.is_float else dtypes.i64)
    return record(_numbered("Sum", axes), _total(axes, bool(keepdim or keepdims), kind), input)


@kept_rules
def _total(axes: Axes | None, keepdim: bool, kind: DType) -> Rule:
    return lambda b, x: sr.total(b, x, _every(x.type.rank, axes), keepdim, kind)


def dtype_of(dtype: Any) -> DType | None:
    """A tensor dtype's element type."""
    return None if dtype is None else dtype.kind


def mean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, axis: Any = None,
         keepdims: bool = False) -> Any:  # fmt: skip
    """The mean of floats. Raises: AutogradError for other dtypes."""
    axes = axes_of(input, dim, axis)
    kind = dtype_of(dtype) or input.dtype_
    if not kind.is_float:
        raise AutogradError(
            "mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. Got: "
            f"{DTYPE_WORDS[kind.name]}", location=caller(),
        )  # fmt: skip
    return record(_numbered("Mean", axes), _mean(axes, bool(keepdim or keepdims), kind), input)


@kept_rules
def _mean(axes: Axes | None, keepdim: bool, kind: DType) -> Rule:
    return lambda b, x: sr.mean(b, x, _every(x.type.rank, axes), keepdim, kind)


def prod_of(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, axis: Any = None) -> Any:
    """The product; of integers and bools in int64."""
    axes = axes_of(input, dim, axis)
    kind = dtype_of(dtype) or (input.dtype_ if input.dtype_.is_float else dtypes.i64)
    return record(_numbered("Prod", axes), lambda b, x: sr.product(b, x, _every(x.type.rank, axes), keepdim, kind), input)


def _spread(name: str, function: Callable[..., Value]) -> Callable[..., Any]:
    def spread(input: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None,
               axis: Any = None) -> Any:  # fmt: skip
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        if not input.dtype_.is_float:
            raise AutogradError("std and var only support floating point and complex dtypes", location=caller())
        freedom = 1 if correction is None and unbiased is not False else correction or 0
        axes = axes_of(input, dim, axis)
        return record(f"{name}Backward0", lambda b, x: function(b, x, _every(x.type.rank, axes), keepdim, freedom), input)

    return spread


def _deviation(b: Builder, x: Value, axes: Axes, keepdim: bool, freedom: float) -> Value:
    return sr.deviation(b, x, axes, keepdim, freedom)


var, std = _spread("Var", sr.variance), _spread("Std", _deviation)


Max, Min = named_results("max"), named_results("min")
"""What max and min along a dimension give."""


def _extreme_of(largest: bool) -> Callable[..., Any]:
    name = "Max" if largest else "Min"

    def extreme(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None) -> Any:
        chosen = dim if dim is not None else axis
        if chosen is None:
            _not_empty(input, name.lower())
            return record(f"{name}Backward1", lambda b, x: sr.extreme(b, largest, x), input)
        if not isinstance(chosen, int):
            return (maximum if largest else minimum)(input, chosen)
        along = axis_of(chosen, len(input.sizes))
        if input.sizes and input.sizes[along] == 0:
            raise OutOfBoundsError(f"{name.lower()}(): Expected reduction dim {chosen} to have non-zero size.",
                                   location=caller())  # fmt: skip

        def rule(b: Builder, x: Value) -> list[Value]:
            if x.type.rank == 0:
                return [x, s.number(b, 0, dtypes.i64)]
            index = sr.arg_extreme(b, largest, x, along, True)
            picked = indexing.take_along_axis(b, x, index, along)
            rest = tuple(size for place, size in enumerate(x.type.shape) if place != along)
            shape = picked.type.shape if keepdim else rest
            return [_shaped(b, picked, shape), _shaped(b, index, shape)]

        found = record_many(f"{name}Backward0", rule, input)
        return (Max if largest else Min)(*found)

    extreme.__name__ = name.lower()
    return extreme


def _shaped(b: Builder, value: Value, shape: tuple[int, ...]) -> Value:
    return value if value.type.shape == shape else b.value(Reshape(shape), value)


max, min = _extreme_of(True), _extreme_of(False)


def _not_empty(input: Any, name: str) -> None:
    if prod(input.sizes) == 0:
        raise AutogradError(f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction "
                            "dim with the 'dim' argument.", location=caller())  # fmt: skip


def _a_extreme(largest: bool) -> Callable[..., Any]:
    name = "Amax" if largest else "Amin"

    def extreme(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
        axes = axes_of(input, dim)
        return record(f"{name}Backward0", lambda b, x: sr.extreme(b, largest, x, _every(x.type.rank, axes), keepdim), input)

    return extreme


amax, amin = _a_extreme(True), _a_extreme(False)


def _arg(largest: bool) -> Callable[..., Any]:
    def found(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
        _not_empty(input, "argmax" if largest else "argmin")
        along = None if dim is None else axis_of(dim, len(input.sizes))
        return record("", lambda b, x: sr.arg_extreme(b, largest, x, along, keepdim), input)

    return found


argmax, argmin = _arg(True), _arg(False)


def _truth(function: Callable[..., Value]) -> Callable[..., Any]:
    def reduced(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None) -> Any:
        axes = axes_of(input, dim, axis)
        # As in PyTorch, truth values of bytes are bytes.
        kind = dtypes.u8 if input.dtype_ == dtypes.u8 else dtypes.boolean
        return record("", lambda b, x: s.cast(b, function(b, x, _every(x.type.rank, axes), keepdim), kind), input)

    return reduced


all, any = _truth(sr.all_of), _truth(sr.any_of)


def norm(input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False) -> Any:
    """The p-norm of all elements, or along `dim`."""
    axes = _every(len(input.sizes), axes_of(input, dim))
    order = 2.0 if p in ("fro", None) else float(p)
    if not input.dtype_.is_float:
        raise AutogradError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
            f"{DTYPE_WORDS[input.dtype_.name]}", location=caller(),
        )  # fmt: skip
    return record("LinalgVectorNormBackward0", lambda b, x: _vector_norm(b, x, order, axes, keepdim), input)


def _vector_norm(b: Builder, x: Value, order: float, axes: Axes, keepdim: bool) -> Value:
    """The norm over axes as over one; its gradient at 0 is 0."""
    size = b.value(a.Abs(), x)
    if order in (float("inf"), float("-inf")):
        return sr.extreme(b, order > 0, size, axes, keepdim)
    if order == 0:
        return sr.reduce(b, r.ReduceSum, s.cast(b, s.truth(b, size), x.type.dtype), axes, keepdim)
    if order == 1:
        return sr.reduce(b, r.ReduceSum, size, axes, keepdim)
    powers = s.mul(b, x, x) if order == 2 else s.power(b, size, order)
    total = sr.reduce(b, r.ReduceSum, powers, axes, keepdim)
    # Where all is 0 the root has no slope: a constant stands there.
    empty = s.apply(b, Equal(), total, 0.0)
    safe = s.where(b, empty, 1.0, total)
    root = b.value(e.Sqrt(), safe) if order == 2 else s.power(b, safe, 1.0 / order)
    return s.where(b, empty, 0.0, root)


def logsumexp(input: Any, dim: Any, keepdim: bool = False) -> Any:
    """log(sum(exp(input))) without overflow."""
    axes = _every(len(input.sizes), axes_of(input, dim))
    return record("LogsumexpBackward0", _logsumexp(axes, bool(keepdim), as_float(input.dtype_)), input)


@kept_rules
def _logsumexp(axes: Axes, keepdim: bool, kind: DType) -> Rule:
    return lambda b, x: sr.logsumexp(b, s.cast(b, x, kind), axes, keepdim)


def softmax(input: Any, dim: Any = None, dtype: Any = None) -> Any:
    """exp(input) over its sum along `dim`."""
    along = _last(input, dim)
    return record("SoftmaxBackward0", _softmax(along, dtype_of(dtype) or as_float(input.dtype_)), input)


@kept_rules
def _softmax(along: int, kind: DType) -> Rule:
    return lambda b, x: sr.softmax(b, s.cast(b, x, kind), along)


def log_softmax(input: Any, dim: Any = None, dtype: Any = None) -> Any:
    """The logarithm of softmax, without underflow."""
    along = _last(input, dim)
    return record("LogSoftmaxBackward0", _log_softmax(along, dtype_of(dtype) or as_float(input.dtype_)), input)


@kept_rules
def _log_softmax(along: int, kind: DType) -> Rule:
    def rule(b: Builder, x: Value) -> Value:
        values = s.cast(b, x, kind)
        return s.sub(b, values, sr.logsumexp(b, values, along, True))

    return rule


def _last(input: Any, dim: Any) -> int:
    if dim is None:
        rank = len(input.sizes)
        dim = 0 if rank in (0, 1, 3) else 1
    return axis_of(dim, len(input.sizes))


def _running(name: str, op: Any) -> Callable[..., Any]:
    def running(input: Any, dim: int, *, dtype: Any = None) -> Any:
        along = axis_of(dim, len(input.sizes))
        kind = dtype_of(dtype) or (input.dtype_ if input.dtype_.is_float else dtypes.i64)

        def rule(b: Builder, x: Value) -> Value:
            values = s.cast(b, x, kind)
            return sr.cumulative(b, op, values, along) if x.type.rank else values

        return record(name, rule, input)

    return running


cumsum, cumprod = _running("CumsumBackward0", a.Add()), _running("CumprodBackward0", a.Mul())


def logcumsumexp(input: Any, dim: int) -> Any:
    """log(cumsum(exp(input))) without overflow."""
    along = axis_of(dim, len(input.sizes))
    kind = as_float(input.dtype_)

    def rule(b: Builder, x: Value) -> Value:
        values = s.cast(b, x, kind)
        return sr.cumulative(b, e.Logaddexp(), values, along) if x.type.rank else values

    return record("LogcumsumexpBackward0", rule, input)


def nansum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The sum, NaN counting as 0."""
    axes = axes_of(input, dim)
    kind = dtype_of(dtype) or (input.dtype_ if input.dtype_.is_float else dtypes.i64)

    def rule(b: Builder, x: Value) -> Value:
        known = s.where(b, b.value(NotEqual(), x, x), 0, x)
        return sr.total(b, known, _every(x.type.rank, axes), keepdim, kind)

    return record("NansumBackward0", rule, input)


def nanmean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean of what is a number."""
    return nansum(input, dim, keepdim, dtype=dtype) / (input == input).sum(dim, keepdim)


def var_mean(input: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None) -> Any:
    """The variance and the mean."""
    axes = None if isinstance(dim, bool) else dim
    return var(input, dim, unbiased, keepdim, correction=correction), mean(input, axes, keepdim)


def std_mean(input: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None) -> Any:
    """The deviation and the mean."""
    axes = None if isinstance(dim, bool) else dim
    return std(input, dim, unbiased, keepdim, correction=correction), mean(input, axes, keepdim)


def count_nonzero(input: Any, dim: Any = None) -> Any:
    """How many elements are not 0."""
    axes = _every(len(input.sizes), axes_of(input, dim))
    return record("", lambda b, x: sr.total(b, s.truth(b, x), axes), input)


def trace(input: Any) -> Any:
    """The sum of a matrix's diagonal."""
    if len(input.sizes) != 2:
        raise AutogradError(f"trace: expected a matrix, but got tensor with dim {len(input.sizes)}", location=caller())
    mask = np.eye(*input.sizes) > 0
    kind = input.dtype_ if input.dtype_.is_float else dtypes.i64

    def rule(b: Any, x: Value) -> Value:
        return sr.total(b, s.where(b, b.capture(mask), s.cast(b, x, kind), 0), None, False, kind)

    return record("TraceBackward0", rule, input)
