"""What derivative rules of matrix decompositions are written in: Terms of matrices, leading axes along.

All functions take and give ``f[..., m, n]``.
"""
from __future__ import annotations

from pullback.dtypes import i64
from pullback.ir.core import Builder, Value
from pullback.ir.ops.base import Term
from pullback.ir.ops.contraction import Matmul
from pullback.ir.ops.creation import Iota
from pullback.ir.ops.linear_system import Solve
from pullback.ir.ops.reduction import Broadcast, ReduceSum
from pullback.ir.ops.shape import Transpose


def product(x: Term, y: Term, *, turn_x: bool = False, turn_y: bool = False) -> Term:
    """x y, each transposed first where said."""
    return Term(x.b, x.b.value(Matmul(turn_x, turn_y), x.value, y.value))


def turned(x: Term) -> Term:
    """xᵀ."""
    rank = x.value.type.rank
    return Term(x.b, x.b.value(Transpose((*range(rank - 2), rank - 1, rank - 2)), x.value))


def solved(a: Term, x: Term, *, turn: bool = False) -> Term:
    """a⁻¹ x, or a⁻ᵀ x."""
    return Term(x.b, x.b.value(Solve(turn), a.value, x.value))


def divided(x: Term, a: Term, *, turn: bool = False) -> Term:
    """x a⁻¹, or x a⁻ᵀ."""
    return turned(solved(a, turned(x), turn=not turn))


def compared(x: Term, name: str) -> Term:
    """Bools: how the row number compares with the column number, by the op called `name`."""
    kind = x.value.type
    rows, columns = (Term(x.b, x.b.value(Iota(axis, i64, kind.dims))) for axis in (kind.rank - 2, kind.rank - 1))
    return rows.apply(name, columns)


def lower(x: Term) -> Term:
    """The lower triangle with the diagonal; zeros above."""
    return compared(x, "greater_equal").select(x, 0.0)


def strictly_lower(x: Term) -> Term:
    """The lower triangle without the diagonal."""
    return compared(x, "greater").select(x, 0.0)


def mirrored(x: Term) -> Term:
    """The symmetric matrix whose lower triangle is that of x."""
    return compared(x, "greater_equal").select(x, turned(x))


def gathered(x: Term) -> Term:
    """The transpose of `mirrored`: what belongs to the lower triangle's elements."""
    return lower(x) + strictly_lower(turned(x))


def diagonal(x: Term) -> Term:
    """``f[..., n, n] -> f[..., n]``."""
    on_it = compared(x, "equal").select(x, 0.0)
    return Term(x.b, x.b.value(ReduceSum((x.value.type.rank - 1,)), on_it.value))


def trace(x: Term) -> Term:
    """``f[..., n, n] -> f[...]``."""
    on_it = diagonal(x)
    return Term(x.b, x.b.value(ReduceSum((on_it.value.type.rank - 1,)), on_it.value))


def as_rows(s: Term, rows: int) -> Term:
    """``f[..., n] -> f[..., rows, n]``: s in every row."""
    *lead, n = s.value.type.dims
    axes = (*range(len(lead)), len(lead) + 1)
    return Term(s.b, s.b.value(Broadcast((*lead, rows, n), axes), s.value))


def as_columns(s: Term, columns: int) -> Term:
    """``f[..., n] -> f[..., n, columns]``: s in every column."""
    kind = s.value.type
    return Term(s.b, s.b.value(Broadcast((*kind.dims, columns), tuple(range(kind.rank))), s.value))


def as_diagonal(s: Term) -> Term:
    """``f[..., n] -> f[..., n, n]``: s on the diagonal, zeros beside it."""
    whole = as_rows(s, s.value.type.shape[-1])
    return compared(whole, "equal").select(whole, 0.0)


def over_differences(s: Term) -> Term:
    """``f[..., n] -> f[..., n, n]``: 1 / (s_j - s_i), and 0 on the diagonal."""
    n = s.value.type.shape[-1]
    differences = as_rows(s, n) - as_columns(s, n)
    on_it = compared(differences, "equal")
    return on_it.select(0.0, 1.0 / on_it.select(1.0, differences))


def identity(like: Term) -> Term:
    """The identity matrix of a square matrix's type."""
    equal = compared(like, "equal")
    return equal.select(like.lift(1.0), 0.0)


def terms(b: Builder, *values: Value | None) -> list[Term | None]:
    """Values that may be missing as Terms, or missing, in turn; masked zeros are kept."""
    return [None if value is None else Term(b, b.keep_zeros(value)) for value in values]


def total(*parts: Term | None) -> Term | None:
    """The sum of what is there."""
    found: Term | None = None
    for part in parts:
        if part is not None:
            found = part if found is None else found + part
    return found
