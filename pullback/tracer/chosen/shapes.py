"""Chosen elements in another arrangement: transposed, with other axes beside the unknown one, joined."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np

from pullback.errors import ArgumentValueError, ShapeError
from pullback.location import caller
from pullback.tracer.chosen.elements import Chosen
from pullback.tracer.chosen.elementwise import lead_of
from pullback.tracer.chosen.reductions import flat, settled
from pullback.tracer.numpy_functions.arguments import Functions, as_array, in_order, newer, refuse
from pullback.tracer.semantics.reductions import normal_axis
from pullback.tracer.traced import Traced, active


def arranging(function: Any) -> Callable[..., Any]:
    """A function that moves, adds or takes away axes. Where the unknown one comes to be, an array of such a shape shows."""

    def arranged(c: Chosen, *args: Any, **named: Any) -> Any:
        sizes = list(c.values.shape)
        sizes[c.at] = mark = max(sizes) + 2
        shown = function(np.broadcast_to(np.int8(0), sizes), *args, **named).shape
        return c.like(function(c.values, *args, **named), shown.index(mark))

    return arranged


def squeeze(a: Chosen, axis: Any = None) -> Any:
    if axis is None:
        axis = tuple(each for each, size in enumerate(a.values.shape) if size == 1 and each != a.at)
    return arranging(np.squeeze)(a, axis)


def reshape(a: Chosen, /, shape: Any = None, order: str = "C", *, newshape: Any = None, copy: Any = None) -> Any:
    """np.reshape, where the elements stay in their rows; -1 or the number of chosen elements stands for the unknown axis.

    Raises: TraceError for other shapes.
    """
    in_order("reshape", order)
    shape = newshape if shape is None else shape
    wanted = tuple(shape) if isinstance(shape, list | tuple) else (shape,)
    free = [place for place, size in enumerate(wanted) if isinstance(size, Traced) or size == -1]
    if len(free) != 1:
        a.refuse("a reshape without -1 for the axis of unknown length", "use x.reshape(-1, 3)")
    (at,) = free
    if len(wanted) == 1:
        return flat(a)
    before, rest = wanted[:at], wanted[at + 1 :]
    sizes = a.values.shape
    if prod(before) != prod(sizes[: a.at]) or prod(rest) != prod(sizes[a.at + 1 :]):
        a.refuse("a reshape that joins or splits the axis of unknown length", "use x.ravel(), or reshape before choosing")
    return a.like(np.reshape(settled(a).values, (*before, sizes[a.at], *rest)), at)


def ravel(a: Chosen, order: str = "C") -> Any:
    in_order("ravel", order)
    return flat(a)


def concatenate(arrays: Any, /, axis: Any = 0, out: Any = None, **named: Any) -> Any:
    """np.concatenate: along the unknown axis also with arrays, all of whose elements are there."""
    refuse("concatenate", out=out, **named)
    parts = [each if isinstance(each, Chosen) else as_array(each) for each in arrays]
    lead = next(each for each in parts if isinstance(each, Chosen))
    if axis is None:
        parts, axis = [flat(each) if isinstance(each, Chosen) else np.ravel(each) for each in parts], 0
        lead = next(each for each in parts if isinstance(each, Chosen))
    along = normal_axis(axis, lead.ndim)
    if along != lead.at:
        _all_chosen("concatenate", parts)
        lead_of(active(), parts)
        return lead.like(np.concatenate([each.values for each in parts], axis=along))
    if any(isinstance(each, Chosen) and each.at != along for each in parts) or any(each.ndim != lead.ndim for each in parts):
        raise ShapeError("np.concatenate: the arrays do not have the same axes", location=caller())
    masks = [each.mask if isinstance(each, Chosen) else np.ones(each.shape[along], bool) for each in parts]
    values = np.concatenate([each.values if isinstance(each, Chosen) else each for each in parts], axis=along)
    return lead.like(values, mask=np.concatenate(masks))


def stack(arrays: Any, axis: int = 0, out: Any = None, **named: Any) -> Any:
    """np.stack of elements that one mask chooses."""
    refuse("stack", out=out, **named)
    parts = list(arrays)
    _all_chosen("stack", parts)
    lead = lead_of(active(), parts)
    along = normal_axis(axis, lead.ndim + 1)
    return lead.like(np.stack([each.values for each in parts], axis=along), lead.at + (along <= lead.at))


def _all_chosen(name: str, parts: Sequence[Any]) -> None:
    for each in parts:
        if not isinstance(each, Chosen):
            lead = next(part for part in parts if isinstance(part, Chosen))
            lead.refuse(f"np.{name} with other arrays", "choose from these by the mask too: y[mask]")


def column_stack(tup: Any) -> Any:
    parts = list(tup)
    _all_chosen("column_stack", parts)
    return concatenate([each if each.ndim > 1 else each[:, None] for each in parts], axis=1)


def hstack(tup: Any, **named: Any) -> Any:
    parts = list(tup)
    return concatenate(parts, axis=0 if np.ndim(parts[0]) < 2 else 1, **named)


def vstack(tup: Any, **named: Any) -> Any:
    parts = list(tup)
    if np.ndim(parts[0]) < 2:
        return stack(parts, 0, **named)
    return concatenate(parts, axis=0, **named)


def append(arr: Any, values: Any, axis: Any = None) -> Any:
    return concatenate((arr, values), axis=axis)


def size_of(a: Chosen, axis: Any = None) -> Any:
    """np.size."""
    return a.size if axis is None else a.shape[normal_axis(axis, a.ndim)]




def copied(a: Chosen, order: str = "K", subok: bool = False) -> Any:
    return a.copy()


def flip(m: Chosen, axis: Any = None) -> Any:
    axes = range(m.ndim) if axis is None else [normal_axis(each, m.ndim) for each in np.atleast_1d(axis).tolist()]
    if len(set(axes)) != len(axes):
        raise ArgumentValueError("duplicate value in 'axis'", location=caller())
    values = np.flip(m.values, tuple(axes))
    return m.like(values.copy(), mask=np.flip(m.mask) if m.at in axes else m.mask)


SHAPES: Functions = MappingProxyType({
    **{each: arranging(each) for each in (np.transpose, np.swapaxes, np.moveaxis, np.rollaxis, np.expand_dims,
                                          np.atleast_1d, np.atleast_2d, np.atleast_3d)},
    **{getattr(np, name): arranging(getattr(np, name)) for name in ("matrix_transpose", "permute_dims") if hasattr(np, name)},
    np.squeeze: squeeze, np.reshape: reshape, np.ravel: ravel, np.concatenate: concatenate, np.stack: stack,
    np.column_stack: column_stack, np.hstack: hstack, np.vstack: vstack, np.append: append, np.flip: flip,
    np.shape: lambda a: a.shape, np.size: size_of, np.ndim: lambda a: a.ndim, np.copy: copied,
    **newer(np, concat=concatenate),
})  # fmt: skip
