"""NumPy's products on traced values, and solve: dot, einsum, kron, cross, convolve, powers of matrices, polynomials."""
from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from types import MappingProxyType
from typing import Any

import numpy as np

from pullback.errors import ArgumentValueError, ShapeError
from pullback.ir.core import Value
from pullback.location import caller
from pullback.tracer.numpy_functions.arguments import Functions, as_array, newer, refuse
from pullback.tracer.semantics import linear_systems, products
from pullback.tracer.semantics import reductions as r
from pullback.tracer.traced import active, array_of


def binary(name: str, function: Callable[..., Value]) -> Callable[..., Any]:
    """np.dot and its kin: two arrays."""

    def applied(a: Any, b: Any, out: Any = None) -> Any:
        refuse(name, out=out)
        builder = active()
        return builder.wrap(function(builder, array_of(builder, a), array_of(builder, b)))

    return applied


outer = binary("outer", products.outer)


def vdot(a: Any, b: Any, /) -> Any:
    return np.dot(np.ravel(a), np.ravel(b))


def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    builder = active()
    return builder.wrap(products.tensordot(builder, array_of(builder, a), array_of(builder, b), axes))


def einsum(*operands: Any, out: Any = None, optimize: Any = False, order: Any = "K", **named: Any) -> Any:
    """np.einsum, with subscripts as text or as lists of numbers."""
    refuse("einsum", out=out, **named)
    subscripts, arrays = operands[0], operands[1:]
    if not isinstance(subscripts, str):
        subscripts, arrays = _as_text(operands)
    b = active()
    return b.wrap(products.einsum(b, subscripts, [array_of(b, each) for each in arrays]))


def _as_text(operands: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """``einsum(x, [0, 1], y, [1, 2], [0, 2])`` with letters for the numbers, in their order."""

    def term(numbers: Any) -> str:
        return "".join("..." if each is Ellipsis else chr((ord("a") if each > 25 else ord("A")) + each % 26)
                       for each in numbers)  # fmt: skip

    pairs = len(operands) // 2
    text = ",".join(term(operands[2 * each + 1]) for each in range(pairs))
    output = f"->{term(operands[-1])}" if len(operands) % 2 else ""
    return text + output, tuple(operands[2 * each] for each in range(pairs))


def kron(a: Any, b: Any) -> Any:
    a, b = as_array(a), as_array(b)
    rank = max(a.ndim, b.ndim)
    left, right = ((1,) * (rank - each.ndim) + each.shape for each in (a, b))
    rows = np.reshape(a, [size for each in left for size in (each, 1)])
    columns = np.reshape(b, [size for each in right for size in (1, each)])
    return np.reshape(rows * columns, [first * second for first, second in zip(left, right, strict=True)])


def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: Any = None) -> Any:
    """np.cross of vectors of 3 (or, as NumPy's older versions have it, 2) elements."""
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = np.moveaxis(as_array(a), axisa, -1), np.moveaxis(as_array(b), axisb, -1)
    if x.shape[-1] not in (2, 3) or y.shape[-1] not in (2, 3):
        raise ShapeError(f"np.cross: vectors of {x.shape[-1]} and {y.shape[-1]} elements, not of 3", location=caller())
    x0, x1, y0, y1 = x[..., 0], x[..., 1], y[..., 0], y[..., 1]
    last = x0 * y1 - x1 * y0
    if x.shape[-1] == y.shape[-1] == 2:
        return last
    # A vector in the plane has no third component.
    x2 = x[..., 2] if x.shape[-1] == 3 else np.zeros((), x.dtype)
    y2 = y[..., 2] if y.shape[-1] == 3 else np.zeros((), y.dtype)
    parts = np.broadcast_arrays(x1 * y2 - x2 * y1, x2 * y0 - x0 * y2, last)
    return np.moveaxis(np.stack(parts, axis=-1), -1, axisc)


UNROLLED = 32
"""Elements of the shorter operand up to which a convolution is a sum of shifted copies, with no array of windows."""


def convolve(a: Any, v: Any, mode: Any = "full") -> Any:
    """np.convolve of two vectors."""
    a, v = as_array(a), as_array(v)
    if a.ndim > 1 or v.ndim > 1:
        raise ShapeError("np.convolve takes vectors", location=caller(), help="convolve along an axis row by row, or "
                         "multiply with np.lib.stride_tricks.sliding_window_view(x, n)")  # fmt: skip
    a, v = np.ravel(a), np.ravel(v)
    if a.size == 0 or v.size == 0:
        raise ArgumentValueError("np.convolve: an operand cannot be empty", location=caller())
    if mode not in ("full", "same", "valid"):
        raise ArgumentValueError(
            f"np.convolve: mode must be 'full', 'same' or 'valid', not {mode!r}", location=caller()
        )
    if v.size > a.size:
        a, v = v, a
    long, short = a.size, v.size
    padded = np.pad(a, short - 1)
    count = long + short - 1
    if short <= UNROLLED:
        terms = [padded[short - 1 - place : short - 1 - place + count] * v[place] for place in range(short)]
        full = reduce(np.add, terms)
    else:
        windows = np.take(padded, np.arange(count)[:, None] + np.arange(short))
        full = np.matmul(windows, v[::-1])
    match mode:
        case "full":
            return full
        case "same":
            return full[(short - 1) // 2 : (short - 1) // 2 + long]
        case _:
            return full[short - 1 : long]


def correlate(a: Any, v: Any, mode: Any = "valid") -> Any:
    a, v = as_array(a), as_array(v)
    if v.size > a.size:
        return np.convolve(v, a[::-1], mode)[::-1]
    return np.convolve(a, v[::-1], mode)


def solve(a: Any, b: Any) -> Any:
    builder = active()
    return builder.wrap(linear_systems.solve(builder, array_of(builder, a), array_of(builder, b)))


def inv(a: Any) -> Any:
    builder = active()
    return builder.wrap(linear_systems.inverse(builder, array_of(builder, a)))


def matrix_power(a: Any, n: Any) -> Any:
    """np.linalg.matrix_power, by squaring."""
    a = as_array(a)
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise ShapeError(f"matrix_power of {list(a.shape)}: last two axes must be equal", location=caller())
    if n < 0:
        return matrix_power(np.linalg.inv(a), -n)
    if n == 0:
        return np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape) + np.zeros_like(a)
    result, square = None, a
    while n:
        n, odd = divmod(n, 2)
        if odd:
            result = square if result is None else np.matmul(result, square)
        if n:
            square = np.matmul(square, square)
    return result


def multi_dot(arrays: Any, *, out: Any = None) -> Any:
    """np.linalg.multi_dot: the order of products with the fewest multiplications."""
    refuse("linalg.multi_dot", out=out)
    factors = [as_array(each) for each in arrays]
    if len(factors) < 2:
        raise ArgumentValueError("multi_dot: expecting at least two arrays", location=caller())
    letters = [chr(ord("a") + place) for place in range(len(factors) + 1)]
    terms = ["".join(letters[place : place + 2]) for place in range(len(factors))]
    if factors[0].ndim == 1:
        terms[0] = letters[1]
    if factors[-1].ndim == 1:
        terms[-1] = letters[-2]
    output = (letters[0] if factors[0].ndim == 2 else "") + (letters[-1] if factors[-1].ndim == 2 else "")
    return np.einsum(f"{','.join(terms)}->{output}", *factors)


def polyval(p: Any, x: Any) -> Any:
    """np.polyval by Horner's rule."""
    p, x = as_array(p), as_array(x)
    value = np.zeros(x.shape, x.dtype)
    for place in range(p.shape[0]):
        value = value * x + p[place]
    return value


def vander(x: Any, N: Any = None, increasing: bool = False) -> Any:
    x = as_array(x)
    if x.ndim != 1:
        raise ArgumentValueError("np.vander: x must be a one-dimensional array or sequence", location=caller())
    count = x.shape[0] if N is None else N
    dtype = np.promote_types(x.dtype, int)
    powers = [np.ones(x.shape, dtype)]
    while len(powers) < count:
        powers.append(powers[-1] * x)
    if count == 0:
        return np.zeros((x.shape[0], 0), dtype)
    columns = powers[:count] if increasing else powers[:count][::-1]
    return np.stack(columns, axis=1)


def poly_sum(ufunc: np.ufunc) -> Callable[..., Any]:
    """np.polyadd and np.polysub."""

    def applied(a1: Any, a2: Any) -> Any:
        first, second = np.atleast_1d(as_array(a1)), np.atleast_1d(as_array(a2))
        size = max(first.shape[0], second.shape[0])
        return ufunc(*(np.concatenate([np.zeros(size - each.shape[0], each.dtype), each]) for each in (first, second)))

    return applied


def polyder(p: Any, m: int = 1) -> Any:
    if m < 0:
        raise ArgumentValueError("np.polyder: order of derivative must be positive", location=caller())
    p = as_array(p)
    for _ in range(m):
        p = p[:-1] * np.arange(p.shape[0] - 1, 0, -1)
    return p


def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    if m < 0:
        raise ArgumentValueError("np.polyint: order of integral must be positive", location=caller())
    p = as_array(p)
    constants = np.zeros(m) if k is None else np.broadcast_to(np.atleast_1d(as_array(k)), (m,))
    for place in range(m):
        p = np.concatenate([np.true_divide(p, np.arange(p.shape[0], 0, -1)), constants[place : place + 1]])
    return p


def _vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    return np.sum(np.moveaxis(x1, axis, -1) * np.moveaxis(x2, axis, -1), axis=-1)


def _column_by_row(x1: Any, x2: Any, /) -> Any:
    if np.ndim(x1) != 1 or np.ndim(x2) != 1:
        raise ArgumentValueError("np.linalg.outer: input arrays must be one-dimensional", location=caller())
    return outer(x1, x2)


def _cross_of_three(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    if np.shape(x1)[r.normal_axis(axis, np.ndim(x1))] != 3 or np.shape(x2)[r.normal_axis(axis, np.ndim(x2))] != 3:
        raise ArgumentValueError(
            "np.linalg.cross: both input arrays must be of 3-dimensional vectors", location=caller()
        )
    return cross(x1, x2, axis=axis)


PRODUCTS: Functions = MappingProxyType({
    np.dot: binary("dot", products.dot), np.inner: binary("inner", products.inner), np.outer: outer, np.vdot: vdot,
    np.tensordot: tensordot, np.einsum: einsum, np.kron: kron, np.cross: cross,
    np.convolve: convolve, np.correlate: correlate,
    np.linalg.solve: solve, np.linalg.inv: inv, np.linalg.matrix_power: matrix_power, np.linalg.multi_dot: multi_dot,
    np.polyval: polyval, np.vander: vander, np.polyadd: poly_sum(np.add), np.polysub: poly_sum(np.subtract),
    np.polyder: polyder, np.polyint: polyint,
    **newer(np.linalg, matmul=lambda x1, x2, /: np.matmul(x1, x2), outer=_column_by_row, cross=_cross_of_three,
            tensordot=lambda x1, x2, /, *, axes=2: tensordot(x1, x2, axes), vecdot=_vecdot),
})  # fmt: skip
