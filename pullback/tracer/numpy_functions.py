"""NumPy's functions on traced values: arguments as NumPy takes them in, traced results out."""
from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pullback.errors import TraceError
from pullback.ir.core import Builder, Value
from pullback.ir.ops.arithmetic import Add, Mul
from pullback.location import caller
from pullback.tracer.record import Recorder
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics import indexing, products, shapes
from pullback.tracer.semantics import reductions as r
from pullback.tracer.traced import Traced, active, array_of, lower
from pullback.tracer.ufuncs import clip as clipped

NotGiven: Any = np._NoValue  # type: ignore[attr-defined]


def refuse(name: str, **given: Any) -> None:
    """Raises: TraceError naming the first argument that has another value than its default."""
    for argument, value in given.items():
        if value is not None and value is not NotGiven and value is not True:
            way = "assign the result instead" if argument == "out" else "leave it out"
            raise TraceError(f"{name} with {argument}= is not traced", location=caller(), help=way)


def given(value: Any, default: Any) -> Any:
    return default if value is NotGiven or value is None else value


def _dtype(dtype: Any) -> Any:
    return None if dtype is None or dtype is NotGiven else s.known_dtype(dtype)


def reduction(name: str, function: Callable[..., Value], takes_dtype: bool = True) -> Callable[..., Any]:
    """np.sum and its kin."""

    def reduced(
        a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False,
        initial: Any = NotGiven, where: Any = NotGiven,
    ) -> Any:  # fmt: skip
        refuse(name, out=out, initial=initial, where=where)
        b = active()
        extra = {"dtype": _dtype(dtype)} if takes_dtype and dtype is not None else {}
        return b.wrap(function(b, array_of(b, a), axis, given(keepdims, False), **extra))

    return reduced


def without_dtype(name: str, function: Callable[..., Value]) -> Callable[..., Any]:
    """np.max and its kin, which take no dtype."""
    inner = reduction(name, function, takes_dtype=False)

    def reduced(
        a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, initial: Any = NotGiven, where: Any = NotGiven
    ) -> Any:
        return inner(a, axis, None, out, keepdims, initial, where)

    return reduced


def spread(name: str, function: Callable[..., Value]) -> Callable[..., Any]:
    """np.var and np.std."""

    def reduced(
        a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: Any = False,
        *, where: Any = NotGiven, mean: Any = NotGiven, correction: Any = NotGiven,
    ) -> Any:  # fmt: skip
        refuse(name, out=out, where=where, mean=mean)
        b = active()
        freedom = ddof if correction is NotGiven else correction
        return b.wrap(function(b, array_of(b, a), axis, given(keepdims, False), freedom, _dtype(dtype)))

    return reduced


def arg_extreme(largest: bool) -> Callable[..., Any]:
    def found(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
        refuse("argmax" if largest else "argmin", out=out)
        b = active()
        return b.wrap(r.arg_extreme(b, largest, array_of(b, a), axis, given(keepdims, False)))

    return found


def unary(function: Callable[..., Value]) -> Callable[..., Any]:
    """A function of one array and plain parameters."""

    def applied(a: Any, *parameters: Any, **named: Any) -> Any:
        b = active()
        return b.wrap(function(b, array_of(b, a), *parameters, **named))

    return applied


def binary(name: str, function: Callable[..., Value]) -> Callable[..., Any]:
    """A function of two arrays."""

    def applied(a: Any, b: Any, *parameters: Any, out: Any = None, **named: Any) -> Any:
        refuse(name, out=out)
        builder = active()
        return builder.wrap(function(builder, array_of(builder, a), array_of(builder, b), *parameters, **named))

    return applied


def reshape(a: Any, /, shape: Any = None, order: str = "C", *, copy: Any = None) -> Any:
    if order != "C":
        raise TraceError(f"reshape in order {order!r} is not traced", location=caller(), help="use order='C'")
    b = active()
    return b.wrap(shapes.reshape(b, array_of(b, a), shape))


def ravel(a: Any, order: str = "C") -> Any:
    return reshape(a, -1, order)


def transpose(a: Any, axes: Any = None) -> Any:
    b = active()
    return b.wrap(shapes.transpose(b, array_of(b, a), axes))


def joined(name: str, function: Callable[[Builder, list[Value]], Value]) -> Callable[..., Any]:
    """np.vstack and its kin: a sequence of arrays."""

    def applied(tup: Any, *, dtype: Any = None, casting: Any = None) -> Any:
        refuse(name, dtype=dtype)
        b = active()
        return b.wrap(function(b, [array_of(b, each) for each in tup]))

    return applied


def concatenate(arrays: Any, /, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: Any = None) -> Any:
    refuse("concatenate", out=out)
    b = active()
    result = shapes.concatenate(b, [array_of(b, each) for each in arrays], axis)
    return b.wrap(result if dtype is None else s.cast(b, result, s.known_dtype(dtype)))


def stack(arrays: Any, axis: int = 0, out: Any = None, *, dtype: Any = None, casting: Any = None) -> Any:
    refuse("stack", out=out)
    b = active()
    values = [array_of(b, each) for each in arrays]
    common = s.promoted(values) if dtype is None else s.known_dtype(dtype)
    return b.wrap(shapes.stack(b, [s.cast(b, value, common) for value in values], axis))


def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    b = active()
    return [b.wrap(part) for part in shapes.split(b, array_of(b, ary), indices_or_sections, axis)]


def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    b = active()
    return [b.wrap(part) for part in shapes.split(b, array_of(b, ary), indices_or_sections, axis, uneven=True)]


def where(condition: Any, x: Any = NotGiven, y: Any = NotGiven, /) -> Any:
    if x is NotGiven or y is NotGiven:
        raise TraceError("np.where(condition) gives a shape that depends on values", location=caller(),
                         help="use np.where(condition, x, y)")  # fmt: skip
    b = active()
    return b.wrap(s.where(b, lower(b, condition), lower(b, x), lower(b, y)))


def clip(a: Any, a_min: Any = NotGiven, a_max: Any = NotGiven, out: Any = None, *, min: Any = NotGiven,
         max: Any = NotGiven) -> Any:  # fmt: skip
    refuse("clip", out=out)
    low, high = (given(each, None) for each in (a_min if min is NotGiven else min, a_max if max is NotGiven else max))
    b = active()
    bounds = [None if each is None else lower(b, each) for each in (low, high)]
    return b.wrap(clipped(b, lower(b, a), *bounds))


def einsum(subscripts: Any, *operands: Any, out: Any = None, optimize: Any = False, **named: Any) -> Any:
    refuse("einsum", out=out, **named)
    if not isinstance(subscripts, str):
        raise TraceError("einsum without a string of subscripts is not traced", location=caller())
    b = active()
    return b.wrap(products.einsum(b, subscripts, [array_of(b, each) for each in operands]))


def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    builder = active()
    return builder.wrap(products.tensordot(builder, array_of(builder, a), array_of(builder, b), axes))


def pad(array: Any, pad_width: Any, mode: str = "constant", **named: Any) -> Any:
    if mode != "constant":
        raise TraceError(f"np.pad with mode {mode!r} is not traced", location=caller(), help="use mode='constant'")
    b = active()
    return b.wrap(shapes.pad(b, array_of(b, array), pad_width, named.get("constant_values", 0)))


def take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
    refuse("take", out=out, mode=None if mode == "raise" else mode)
    b = active()
    return b.wrap(indexing.take(b, array_of(b, a), index_part(b, indices), axis))


def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    b = active()
    return b.wrap(indexing.take_along_axis(b, array_of(b, arr), index_part(b, indices), axis))


def index_part(b: Recorder, part: Any) -> Any:
    """One part of an index: traced arrays as values, the rest as it is."""
    return array_of(b, part) if isinstance(part, Traced) else part


def get_item(x: Traced, index: Any) -> Any:
    """``x[index]``."""
    parts = index if isinstance(index, tuple) else (index,)
    b = active()
    lowered = tuple(index_part(b, np.asarray(part) if isinstance(part, list) else part) for part in parts)
    return b.wrap(indexing.get(b, array_of(b, x), lowered))


def like(value: float) -> Callable[..., Any]:
    """np.zeros_like and np.ones_like."""

    def made(a: Any, dtype: Any = None, order: Any = "K", subok: Any = True, shape: Any = None, *, device: Any = None) -> Any:
        return full_like(a, value, dtype, shape=shape)

    return made


def full_like(a: Any, fill_value: Any, dtype: Any = None, order: Any = "K", subok: Any = True, shape: Any = None,
              *, device: Any = None) -> Any:  # fmt: skip
    b = active()
    source = array_of(b, a)
    wanted = source.type.dtype if dtype is None else s.known_dtype(dtype)
    dims = source.type.shape if shape is None else (shape if isinstance(shape, tuple) else (operator.index(shape),))
    return b.wrap(s.ready(b, lower(b, fill_value), wanted, dims))


def broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    b = active()
    return b.wrap(s.broadcast_to(b, array_of(b, array), shape if isinstance(shape, tuple) else (shape,)))


def broadcast_arrays(*args: Any, subok: bool = False) -> tuple[Any, ...]:
    b = active()
    values = [array_of(b, each) for each in args]
    shape = s.broadcast_shapes([value.type.shape for value in values])
    return tuple(b.wrap(s.broadcast_to(b, value, shape)) for value in values)


def cumulative(op: Any) -> Callable[..., Any]:
    def applied(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        refuse("cumsum or cumprod", out=out)
        b = active()
        value = r.widened(b, array_of(b, a), _dtype(dtype))
        if axis is None:
            value, axis = shapes.reshape(b, value, -1), 0
        return b.wrap(r.cumulative(b, op, value, r.normal_axis(axis, value.type.rank)))

    return applied


def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = NotGiven, append: Any = NotGiven) -> Any:
    refuse("diff", prepend=prepend, append=append)
    b = active()
    value = array_of(b, a)
    for _ in range(n):
        value = s.sub(b, *shapes.difference(b, value, axis))
    return b.wrap(value)


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    b = active()
    return b.wrap(shapes.trace_of(b, shapes.moveaxis(b, array_of(b, a), (axis1, axis2), (-2, -1)), offset))


def diag(v: Any, k: int = 0) -> Any:
    b = active()
    value = array_of(b, v)
    return b.wrap(shapes.diagonal_matrix(b, value, k) if value.type.rank == 1 else shapes.trace_of(b, value, k))


def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None) -> Any:
    refuse("trace", out=out)
    return np.sum(diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype)


def triangle(lower_part: bool) -> Callable[..., Any]:
    """np.tril and np.triu."""

    def applied(m: Any, k: int = 0) -> Any:
        rows, columns = m.shape[-2:]
        mask = np.tri(rows, columns, k, dtype=bool) if lower_part else ~np.tri(rows, columns, k - 1, dtype=bool)
        return where(mask, m, np.zeros((), m.dtype))

    return applied


def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = NotGiven) -> Any:
    refuse("average", returned=returned or None)
    if weights is None:
        return np.mean(a, axis=axis, keepdims=given(keepdims, False))
    keep = given(keepdims, False)
    return np.sum(a * weights, axis=axis, keepdims=keep) / np.sum(weights + 0 * a, axis=axis, keepdims=keep)


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    b = active()
    return b.wrap(r.norm(b, array_of(b, x), ord, axis, keepdims))


def outer(a: Any, b: Any, out: Any = None) -> Any:
    refuse("outer", out=out)
    builder = active()
    return builder.wrap(products.outer(builder, array_of(builder, a), array_of(builder, b)))


def vdot(a: Any, b: Any, /) -> Any:
    return np.dot(ravel_any(a), ravel_any(b))


def ravel_any(a: Any) -> Any:
    return ravel(a) if isinstance(a, Traced) else np.ravel(a)


def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    b = active()
    return b.wrap(s.cast(b, array_of(b, x), s.known_dtype(dtype)))


def copied(a: Any, *args: Any, **named: Any) -> Any:
    b = active()
    return b.wrap(array_of(b, a))


def at_least(rank: int) -> Callable[..., Any]:
    def applied(*arys: Any) -> Any:
        b = active()
        results = tuple(b.wrap(shapes.at_least(b, array_of(b, each), rank)) for each in arys)
        return results[0] if len(results) == 1 else results

    return applied


def _vertical(b: Builder, parts: Sequence[Value]) -> Value:
    return shapes.concatenate(b, [shapes.at_least(b, part, 2) for part in parts], 0)


def _horizontal(b: Builder, parts: Sequence[Value]) -> Value:
    lines = [shapes.at_least(b, part, 1) for part in parts]
    return shapes.concatenate(b, lines, 0 if lines and lines[0].type.rank == 1 else 1)


def _columns(b: Builder, parts: Sequence[Value]) -> Value:
    tall = [shapes.reshape(b, part, (part.type.size, 1)) if part.type.rank < 2 else part for part in parts]
    return shapes.concatenate(b, tall, 1)


def nan_to_num(x: Any, copy: bool = True, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    limits = np.finfo(x.dtype)
    high = limits.max if posinf is None else posinf
    low = limits.min if neginf is None else neginf
    return where(np.isnan(x), nan, where(x == np.inf, high, where(x == -np.inf, low, x)))


def all_close(a: Any, b: Any, *args: Any, **named: Any) -> Any:
    raise TraceError("np.allclose gives a Python bool, which is not known while tracing", location=caller(),
                     help="use np.all(np.abs(a - b) <= tolerance) and return it")  # fmt: skip


FUNCTIONS: Mapping[Any, Callable[..., Any]] = {
    np.sum: reduction("sum", r.total), np.prod: reduction("prod", r.product), np.mean: reduction("mean", r.mean),
    np.max: without_dtype("max", lambda b, x, axis, keepdims: r.extreme(b, True, x, axis, keepdims)),
    np.min: without_dtype("min", lambda b, x, axis, keepdims: r.extreme(b, False, x, axis, keepdims)),
    np.any: without_dtype("any", r.any_of), np.all: without_dtype("all", r.all_of),
    np.var: spread("var", r.variance), np.std: spread("std", r.deviation),
    np.argmax: arg_extreme(True), np.argmin: arg_extreme(False),
    np.reshape: reshape, np.ravel: ravel, np.transpose: transpose,
    np.swapaxes: unary(shapes.swapaxes), np.moveaxis: unary(shapes.moveaxis), np.expand_dims: unary(shapes.expand_dims),
    np.squeeze: unary(shapes.squeeze), np.flip: unary(shapes.flip), np.roll: unary(shapes.roll),
    np.fliplr: lambda m: np.flip(m, 1), np.flipud: lambda m: np.flip(m, 0),
    np.tile: lambda A, reps: unary(shapes.tile)(A, reps), np.repeat: unary(shapes.repeat), np.pad: pad,
    np.concatenate: concatenate, np.stack: stack, np.vstack: joined("vstack", _vertical),
    np.hstack: joined("hstack", _horizontal), np.column_stack: joined("column_stack", _columns),
    np.split: split, np.array_split: array_split, np.atleast_1d: at_least(1), np.atleast_2d: at_least(2),
    np.dot: binary("dot", products.dot), np.inner: binary("inner", products.inner), np.outer: outer, np.vdot: vdot,
    np.tensordot: tensordot, np.einsum: einsum, np.linalg.norm: norm,
    np.where: where, np.clip: clip, np.take: take, np.take_along_axis: take_along_axis,
    np.zeros_like: like(0), np.ones_like: like(1), np.empty_like: like(0), np.full_like: full_like,
    np.broadcast_to: broadcast_to, np.broadcast_arrays: broadcast_arrays, np.astype: astype, np.copy: copied,
    np.cumsum: cumulative(Add()), np.cumprod: cumulative(Mul()), np.diff: diff, np.diag: diag, np.diagonal: diagonal,
    np.trace: trace, np.tril: triangle(True), np.triu: triangle(False), np.average: average, np.nan_to_num: nan_to_num,
    np.shape: lambda a: a.shape, np.ndim: lambda a: a.ndim, np.size: lambda a, axis=None: a.size if axis is None else a.shape[axis],
    np.round: lambda a, decimals=0, out=None: np.rint(a * 10.0**decimals) / 10.0**decimals,
    np.allclose: all_close, np.array_equal: all_close, np.result_type: lambda *args: _result_type(*args),
}  # fmt: skip


def _result_type(*values: Any) -> np.dtype[Any]:
    return np.result_type(*(value.dtype if isinstance(value, Traced) else value for value in values))

