"""Matrix products of chosen elements: those that are not chosen count as zeros, in sums over the unknown axis and beside it."""
from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np

from pullback.errors import ShapeError, TraceError
from pullback.location import caller
from pullback.tracer.chosen.elements import WHAT, Chosen, filled
from pullback.tracer.chosen.elementwise import fits, lead_of
from pullback.tracer.numpy_functions.arguments import Functions, as_array, newer, refuse


def matmul(x: Any, y: Any) -> Any:
    """``x @ y``: a number or an array where the sum is over the unknown axis, else chosen rows or columns.

    Raises: TraceError where two axes of unknown length would be left, ShapeError where a known one meets an unknown one.
    """
    x, y = (each if isinstance(each, Chosen) else as_array(each) for each in (x, y))
    if x.ndim == 0 or y.ndim == 0:
        raise ShapeError("matmul: an operand without axes", location=caller(), help="use x * y")
    in_x, in_y = _unknown(x), _unknown(y)
    summed_x, summed_y = in_x == 1, in_y == (1 if y.ndim == 1 else 2)
    if summed_x or summed_y:
        if not (summed_x and summed_y):
            raise ShapeError(f"matmul: a sum over {WHAT} on one side alone", location=caller(),
                             help="choose from the other side by the mask too: x[mask] @ y[mask]")  # fmt: skip
        # As one line each they fit if they have the same mask.
        lead_of(_recorder(x), [x.like(x.values, x.ndim - 1), y.like(y.values, y.ndim - 1)])
        return np.matmul(filled(x, 0), filled(y, 0))
    if in_x and in_y:
        raise TraceError(f"{WHAT} along two different axes: a table of unknown numbers of rows and columns is not traced",
                         location=caller(), help="use np.where(mask, x, 0) for one of them")  # fmt: skip
    c, other = (x, y) if in_x else (y, x)
    if c.from_right > 2:
        fits(c, other.shape)
    # From the right the axis stays where it is, but for the one that a vector on the other side takes away.
    gone = other.ndim == 1 and (bool(in_x) or c.from_right > 2)
    result = np.matmul(*(filled(each, 0) if isinstance(each, Chosen) else each for each in (x, y)))
    return c.like(result, result.ndim - c.from_right + gone)


def _unknown(x: Any) -> int:
    """The axis of unknown length, from the right; 0 if there is none."""
    return x.from_right if isinstance(x, Chosen) else 0


def _recorder(x: Chosen) -> Any:
    return x.values.recorder


def dot(a: Any, b: Any, out: Any = None) -> Any:
    refuse("dot", out=out)
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return np.multiply(a, b)
    _two_axes("np.dot", a, b)
    return matmul(a, b)


def inner(a: Any, b: Any, /) -> Any:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return np.multiply(a, b)
    _two_axes("np.inner", a, b)
    return matmul(a, b if np.ndim(b) == 1 else np.transpose(b))


def vdot(a: Any, b: Any, /) -> Any:
    if np.ndim(a) != 1 or np.ndim(b) != 1:
        (a if isinstance(a, Chosen) else b).refuse("np.vdot of several axes", "use np.sum(x[mask] * y[mask])")
    return matmul(a, b)


def outer(a: Any, b: Any, out: Any = None) -> Any:
    refuse("outer", out=out)
    if np.ndim(a) != 1 or np.ndim(b) != 1:
        (a if isinstance(a, Chosen) else b).refuse("np.outer of several axes", "use x[..., None] * y")
    return np.multiply(as_array(a)[:, None] if not isinstance(a, Chosen) else a[:, None], b)  # type: ignore[index]


def _two_axes(name: str, a: Any, b: Any) -> None:
    if np.ndim(a) > 2 or np.ndim(b) > 2:
        (a if isinstance(a, Chosen) else b).refuse(f"{name} of more than two axes", "use x @ y")


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    return np.sum(np.multiply(x1, x2), axis=axis)


PRODUCTS: Functions = MappingProxyType({
    np.dot: dot, np.inner: inner, np.vdot: vdot, np.outer: outer,
    **newer(np.linalg, matmul=lambda x1, x2, /: matmul(x1, x2), vecdot=vecdot),
})  # fmt: skip

PRODUCT_UFUNCS: dict[np.ufunc, Callable[..., Any]] = {np.matmul: matmul, **newer(np, vecdot=vecdot)}
