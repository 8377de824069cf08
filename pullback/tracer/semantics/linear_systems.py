"""Linear systems of arrays: operands of any shapes in, solve in, the answer in NumPy 2's shape out."""
from __future__ import annotations

from math import prod

from pullback import dtypes
from pullback.dtypes import DType
from pullback.errors import ShapeError
from pullback.ir.core import Builder, Value
from pullback.ir.ops.creation import Iota
from pullback.ir.ops.linear_system import Solve, with_more_columns
from pullback.ir.ops.logic import Equal
from pullback.location import caller
from pullback.tracer.semantics.elementwise import broadcast_shapes, broadcast_to, cast
from pullback.tracer.semantics.shapes import reshape


def solve(b: Builder, a: Value, right: Value) -> Value:
    """np.linalg.solve: ``(f[..., n, n], f[n]) -> f[..., n]`` or ``(f[..., n, n], f[..., n, k]) -> f[..., n, k]``.

    Leading axes broadcast. Raises: ShapeError for sizes that do not fit.
    """
    _check_square("solve", a)
    n, vector = a.type.shape[-1], right.type.rank == 1
    rows = right.type.shape[-1 if vector else -2] if right.type.rank else None
    if rows != n:
        raise ShapeError(
            f"np.linalg.solve: {right.type} is no right side for {a.type}", location=caller(),
            help="the right side is one vector, or has the unknowns along its last axis but one: b[..., None] for vectors",
        )  # fmt: skip
    dtype = dtypes.f32 if a.type.dtype == right.type.dtype == dtypes.f32 else dtypes.f64
    a, right = cast(b, a, dtype), cast(b, right, dtype)
    if vector:
        right = reshape(b, right, (n, 1))
    lead = broadcast_shapes([a.type.shape[:-2], right.type.shape[:-2]], "leading axes of np.linalg.solve's operands")
    k = right.type.shape[-1]
    right = broadcast_to(b, right, (*lead, n, k))
    if a.type.rank == 2 and lead:
        many = reshape(b, right, (prod(lead), n, k))
        solved = reshape(b, with_more_columns(b, Solve(), a, many), (*lead, n, k))
    else:
        solved = b.value(Solve(), broadcast_to(b, a, (*lead, n, n)), right)
    return reshape(b, solved, (*lead, n)) if vector else solved


def inverse(b: Builder, a: Value) -> Value:
    """np.linalg.inv: ``f[..., n, n] -> f[..., n, n]``. Raises: ShapeError for a matrix that is not square."""
    _check_square("inv", a)
    dtype = dtypes.f32 if a.type.dtype == dtypes.f32 else dtypes.f64
    return b.value(Solve(), cast(b, a, dtype), broadcast_to(b, _identity(b, a.type.shape[-1], dtype), a.type.shape))


def _identity(b: Builder, n: int, dtype: DType) -> Value:
    return cast(b, b.value(Equal(), *(b.value(Iota(axis, dtypes.i64, (n, n))) for axis in (0, 1))), dtype)


def _check_square(name: str, a: Value) -> None:
    if a.type.rank < 2 or a.type.shape[-1] != a.type.shape[-2]:
        raise ShapeError(f"np.linalg.{name}: {a.type} is no square matrix", location=caller())
