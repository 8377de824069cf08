"""Linear systems: solve, the one op that divides by a matrix."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pullback.dtypes import f32, f64
from pullback.errors import DTypeError, ShapeError, SingularError
from pullback.ir.core import Array, Builder, Op, Region, Sample, Value
from pullback.ir.ops.arithmetic import Sub
from pullback.ir.ops.base import Term, alike, arrays
from pullback.ir.ops.contraction import Matmul
from pullback.ir.ops.shape import Reshape, Transpose
from pullback.ir.registry import register
from pullback.ir.types import ArrayType


@register
@dataclass(frozen=True)
class Solve(Op):
    """The X of ``A X = B``: ``(f[..., n, n], f[..., n, k]) -> f[..., n, k]``; with `transpose` that of ``Aᵀ X = B``.

    By an LU factorization with partial pivoting: X is exact for a matrix within about ``n eps |A|`` of A. A pivot of
    exactly zero is an error; a nearly singular A gives large, inaccurate numbers, as in NumPy.
    Derivatives: M. B. Giles, An extended collection of matrix derivative results for forward and reverse mode
    algorithmic differentiation, 2008, section 2.3.
    """

    name: ClassVar[str] = "solve"
    arity: ClassVar[int | None] = 2
    transpose: bool = False

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        a, b = types
        if a.dtype != b.dtype or not a.dtype.is_float:
            raise DTypeError(f"solve takes two of one float dtype, not {a} and {b}")
        if a.rank < 2 or a.rank != b.rank or a.dims[:-2] != b.dims[:-2]:
            raise ShapeError(f"solve: {a} and {b} do not fit")
        if a.dims[-1] != a.dims[-2]:
            raise ShapeError(f"solve: the matrix {a} is not square")
        if a.dims[-1] != b.dims[-2]:
            raise ShapeError(f"solve: sizes differ: {a.dims[-1]} of {a} and {b.dims[-2]} of {b}")
        return (b,)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        a, b = operands
        try:
            return (np.linalg.solve(np.swapaxes(a, -1, -2) if self.transpose else a, b),)
        except np.linalg.LinAlgError:
            raise SingularError(f"the matrix of solve, {a.dtype}{list(a.shape)}, is singular") from None

    def jvp(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], tangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        # A X_dot = B_dot - A_dot X
        a_dot, right = tangents
        if a_dot is not None:
            moved = b.value(Matmul(self.transpose, False), a_dot, results[0])
            right = (-Term(b, moved)).value if right is None else b.value(Sub(), right, moved)
        return (None if right is None else b.value(self, operands[0], right),)

    def pullback(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], cotangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        (bar,) = cotangents
        if bar is None:
            return None, None
        # Aᵀ B_bar = X_bar and A_bar = -B_bar Xᵀ
        b_bar = b.value(Solve(not self.transpose), operands[0], b.keep_zeros(bar))
        pair = (results[0], b_bar) if self.transpose else (b_bar, results[0])
        return (-Term(b, b.value(Matmul(False, True), *pair))).value, b_bar

    def batch(
        self, b: Builder, operands: tuple[Value, ...], batched: tuple[bool, ...], size: int
    ) -> tuple[Value, ...] | None:
        if batched[0]:
            return (b.value(self, *alike(b, operands, batched, size)),)
        return (with_more_columns(b, self, *operands),)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for dtype in (f64, f32):
            for lead, n, k in (((), 3, 2), ((2,), 4, 3), ((), 1, 1), ((2, 2), 2, 1), ((), 20, 3), ((3,), 13, 1)):
                a, b = arrays((*lead, n, n), (*lead, n, k), dtype=dtype)
                a = a + (2 * n * np.eye(n)).astype(a.dtype)
                yield Sample(cls(), (a, b))
                yield Sample(cls(True), (a, b))
            for shapes in (((0, 0), (0, 2)), ((2, 2), (2, 0)), ((0, 2, 2), (0, 2, 1))):
                yield Sample(cls(), tuple(each + np.eye(*each.shape[-2:], dtype=each.dtype)
                                          for each in arrays(*shapes, dtype=dtype)))  # fmt: skip
        # Rows must change places, of all of these matrices but the last.
        swaps = np.array([[0.0, 2.0, 1.0], [3.0, 1.0, -1.0], [1.0, -4.0, 2.0]])
        yield Sample(cls(), (swaps, *arrays((3, 2))))
        large = np.eye(17)[::-1] + 0.01 * np.arange(289.0).reshape(17, 17) / 289
        yield Sample(cls(), (np.stack([large, large.T, np.eye(17)]), *arrays((3, 17, 2))))


def with_more_columns(b: Builder, op: Solve, a: Value, many: Value) -> Value:
    """One matrix for many right sides: ``(f[..., n, n], f[size, ..., n, k]) -> f[size, ..., n, k]``, factored once."""
    rank = many.type.rank
    size, *lead, n, k = many.type.shape
    inward = (*range(1, rank - 1), 0, rank - 1)
    wide = b.value(Reshape((*lead, n, size * k)), b.value(Transpose(inward), many))
    solved = b.value(Reshape((*lead, n, size, k)), b.value(op, a, wide))
    return b.value(Transpose((rank - 2, *range(rank - 2), rank - 1)), solved)
