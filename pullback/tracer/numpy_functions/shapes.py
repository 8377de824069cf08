"""NumPy's functions that move elements without computing: reshape, transpose, flip, tile, pad, diagonals."""
from __future__ import annotations

import operator
from collections.abc import Callable
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np

from pullback.errors import ArgumentValueError, TraceError
from pullback.location import caller
from pullback.tracer.numpy_functions.arguments import Functions, as_array, in_order, known, newer, refuse
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics import reductions as r
from pullback.tracer.semantics import shapes
from pullback.tracer.traced import active, array_of


def reshape(a: Any, /, shape: Any = None, order: Any = "C", *, newshape: Any = None, copy: Any = None) -> Any:
    in_order("reshape", order)
    b = active()
    return b.wrap(shapes.reshape(b, array_of(b, a), newshape if shape is None else shape))


def ravel(a: Any, order: Any = "C") -> Any:
    in_order("ravel", None if order == "K" else order)
    b = active()
    return b.wrap(shapes.reshape(b, array_of(b, a), -1))


def transpose(a: Any, axes: Any = None) -> Any:
    b = active()
    return b.wrap(shapes.transpose(b, array_of(b, a), axes))


def matrix_transpose(x: Any, /) -> Any:
    if np.ndim(x) < 2:
        raise ArgumentValueError(f"matrix_transpose of an array of {np.ndim(x)} axes, fewer than 2", location=caller())
    return swapaxes(x, -1, -2)


def swapaxes(a: Any, axis1: Any, axis2: Any) -> Any:
    b = active()
    return b.wrap(shapes.swapaxes(b, array_of(b, a), axis1, axis2))


def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    b = active()
    source, destination = (tuple(each) if isinstance(each, range) else each for each in (source, destination))
    return b.wrap(shapes.moveaxis(b, array_of(b, a), source, destination))


def rollaxis(a: Any, axis: Any, start: int = 0) -> Any:
    rank = np.ndim(a)
    place, before = r.normal_axis(axis, rank), start + rank if start < 0 else start
    if not 0 <= before <= rank:
        raise ArgumentValueError(f"np.rollaxis: start {start} is out of bounds for {rank} axes", location=caller())
    return moveaxis(a, place, before - (place < before))


def expand_dims(a: Any, axis: Any) -> Any:
    b = active()
    return b.wrap(shapes.expand_dims(b, array_of(b, a), axis))


def squeeze(a: Any, axis: Any = None) -> Any:
    b = active()
    return b.wrap(shapes.squeeze(b, array_of(b, a), axis))


def flip(m: Any, axis: Any = None) -> Any:
    b = active()
    return b.wrap(shapes.flip(b, array_of(b, m), axis))


def flipped(name: str, axis: int) -> Callable[..., Any]:
    """np.flipud and np.fliplr."""

    def applied(m: Any) -> Any:
        if np.ndim(m) <= axis:
            raise ArgumentValueError(f"np.{name}: input must be >= {axis + 1}-d", location=caller())
        return flip(m, axis)

    return applied


def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    first, second = (r.normal_axis(axis, np.ndim(m)) for axis in axes)
    if first == second:
        raise ArgumentValueError("np.rot90: axes must be different", location=caller())
    match k % 4:
        case 0:
            return copied(m)
        case 1:
            return swapaxes(flip(m, second), first, second)
        case 2:
            return flip(m, (first, second))
        case _:
            return flip(swapaxes(m, first, second), second)


def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    b = active()
    return b.wrap(shapes.roll(b, array_of(b, a), shift, axis))


def tile(A: Any, reps: Any) -> Any:
    b = active()
    return b.wrap(shapes.tile(b, array_of(b, A), reps))


def repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    """np.repeat; counts that differ are known ones."""
    counts = known("repeat", "repeats", repeats)
    b = active()
    value = array_of(b, a)
    if counts.size == 1:
        return b.wrap(shapes.repeat(b, value, counts.reshape(())[()], axis))
    if axis is None:
        value, axis = shapes.reshape(b, value, -1), 0
    size = value.type.shape[r.normal_axis(axis, value.type.rank)]
    if counts.shape != (size,):
        raise ArgumentValueError(
            f"np.repeat: counts of shape {list(counts.shape)} for an axis of {size}", location=caller()
        )
    return np.take(b.wrap(value), np.repeat(np.arange(size), counts), axis=axis)


def resize(a: Any, new_shape: Any) -> Any:
    a = as_array(a)
    shape = shapes.integers(new_shape)
    if a.size == 0:
        return np.zeros(shape, a.dtype)
    places = np.arange(prod(shape)) % a.size
    return np.reshape(np.take(np.ravel(a), places), shape)


_BY_PLACE = ("edge", "reflect", "symmetric", "wrap")


def pad(array: Any, pad_width: Any, mode: Any = "constant", *, constant_values: Any = 0, reflect_type: str = "even",
        **named: Any) -> Any:  # fmt: skip
    """np.pad with constants, or by repeating elements."""
    refuse("pad", **named, reflect_type=None if reflect_type == "even" else reflect_type)
    b = active()
    value = array_of(b, array)
    if mode == "constant":
        return b.wrap(shapes.pad(b, value, pad_width, constant_values))
    if mode not in _BY_PLACE:
        raise TraceError(f"np.pad with mode {mode!r} is not traced", location=caller(),
                         help=f"use 'constant', {', '.join(map(repr, _BY_PLACE))}, or np.concatenate")  # fmt: skip
    result = b.wrap(value)
    for axis, widths in enumerate(shapes.pad_widths(pad_width, value.type.rank)):
        if any(widths):
            size = value.type.shape[axis]
            if size == 0:
                raise ArgumentValueError(
                    f"np.pad: cannot extend the empty axis {axis} by mode {mode!r}", location=caller()
                )
            result = np.take(result, np.pad(np.arange(size), widths, mode), axis=axis)
    return result


def at_least(rank: int) -> Callable[..., Any]:
    """np.atleast_1d, np.atleast_2d and np.atleast_3d."""

    def one(each: Any) -> Any:
        b = active()
        value = array_of(b, each)
        shape = value.type.shape
        if rank == 3 and len(shape) in (1, 2):
            return b.wrap(shapes.reshape(b, value, (1, *shape, 1) if len(shape) == 1 else (*shape, 1)))
        return b.wrap(shapes.at_least(b, value, rank))

    def applied(*arys: Any) -> Any:
        results = tuple(one(each) for each in arys)
        return results[0] if len(results) == 1 else results

    return applied


def broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    b = active()
    return b.wrap(s.broadcast_to(b, array_of(b, array), shapes.integers(shape)))


def broadcast_arrays(*args: Any, subok: bool = False) -> tuple[Any, ...]:
    b = active()
    values = [array_of(b, each) for each in args]
    shape = s.broadcast_shapes([value.type.shape for value in values], "arrays")
    return tuple(b.wrap(s.broadcast_to(b, value, shape)) for value in values)


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    b = active()
    value = array_of(b, a)
    if value.type.rank < 2:
        raise ArgumentValueError("diagonal requires an array of at least two dimensions", location=caller())
    return b.wrap(shapes.trace_of(b, shapes.moveaxis(b, value, (axis1, axis2), (-2, -1)), operator.index(offset)))


def diag(v: Any, k: int = 0) -> Any:
    b = active()
    value = array_of(b, v)
    if value.type.rank not in (1, 2):
        raise ArgumentValueError("np.diag: input must be 1- or 2-d", location=caller())
    return b.wrap(shapes.diagonal_matrix(b, value, k) if value.type.rank == 1 else shapes.trace_of(b, value, k))


def diagflat(v: Any, k: int = 0) -> Any:
    return diag(np.ravel(v), k)


def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None) -> Any:
    refuse("trace", out=out)
    return np.sum(diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype)


def triangle(lower_part: bool) -> Callable[..., Any]:
    """np.tril and np.triu."""

    def applied(m: Any, k: int = 0) -> Any:
        m = as_array(m)
        sizes = m.shape[-2:]
        mask = np.tri(sizes[0], sizes[-1], k if lower_part else k - 1, dtype=bool)
        return np.where(mask if lower_part else ~mask, m, np.zeros(1, m.dtype))

    return applied


def copied(a: Any, order: Any = "K", subok: bool = False) -> Any:
    b = active()
    return b.wrap(array_of(b, a))


def sliding_window_view(
    x: Any, window_shape: Any, axis: Any = None, *, subok: bool = False, writeable: bool = False
) -> Any:
    """np.lib.stride_tricks.sliding_window_view: every window's elements along new axes at the end."""
    refuse("lib.stride_tricks.sliding_window_view", writeable=writeable or None)
    x = as_array(x)
    sizes = shapes.integers(window_shape)
    axes = (
        tuple(range(x.ndim)) if axis is None else tuple(r.normal_axis(each, x.ndim) for each in shapes.integers(axis))
    )
    if len(sizes) != len(axes):
        raise ArgumentValueError(f"{len(sizes)} window sizes for {len(axes)} axes", location=caller())
    for along, size in zip(axes, sizes, strict=True):
        count = x.shape[along] - size + 1
        if size < 0 or count < 1:
            raise ArgumentValueError(f"a window of {size} along an axis of {x.shape[along]}", location=caller())
        x = np.moveaxis(np.take(x, np.arange(count)[:, None] + np.arange(size), axis=along), along + 1, -1)
    return x


def shape_of(a: Any) -> tuple[int, ...]:
    return tuple(as_array(a).shape)


def size_of(a: Any, axis: Any = None) -> int:
    shape = shape_of(a)
    axes = range(len(shape)) if axis is None else r.normal_axes(axis, len(shape))
    return prod(shape[each] for each in axes)


def no_shared_memory(a: Any, b: Any, /, max_work: Any = None) -> bool:
    """np.shares_memory: a traced value has no memory."""
    return False


SHAPES: Functions = MappingProxyType({
    np.reshape: reshape, np.ravel: ravel, np.transpose: transpose, np.swapaxes: swapaxes, np.moveaxis: moveaxis,
    np.rollaxis: rollaxis, np.expand_dims: expand_dims, np.squeeze: squeeze, np.flip: flip,
    np.flipud: flipped("flipud", 0), np.fliplr: flipped("fliplr", 1), np.rot90: rot90, np.roll: roll,
    np.tile: tile, np.repeat: repeat, np.resize: resize, np.pad: pad,
    np.atleast_1d: at_least(1), np.atleast_2d: at_least(2), np.atleast_3d: at_least(3),
    np.broadcast_to: broadcast_to, np.broadcast_arrays: broadcast_arrays,
    np.diagonal: diagonal, np.diag: diag, np.diagflat: diagflat, np.trace: trace,
    np.tril: triangle(True), np.triu: triangle(False), np.copy: copied,
    np.lib.stride_tricks.sliding_window_view: sliding_window_view,
    np.shape: shape_of, np.ndim: lambda a: len(shape_of(a)), np.size: size_of,
    np.shares_memory: no_shared_memory, np.may_share_memory: no_shared_memory,
    **newer(np, matrix_transpose=matrix_transpose), **newer(np.linalg, matrix_transpose=matrix_transpose),
    **newer(np.linalg, diagonal=lambda x, /, *, offset=0: diagonal(x, offset, -2, -1),
            trace=lambda x, /, *, offset=0, dtype=None: trace(x, offset, -2, -1, dtype)),
})  # fmt: skip
