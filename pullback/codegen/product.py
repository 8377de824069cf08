"""What a matrix product is to codegen: sizes, which operands are stored transposed, whether it adds to its result."""
from __future__ import annotations

from dataclasses import dataclass

from pullback.dtypes import DType


@dataclass(frozen=True)
class Product:
    """C[m, n] = op(A)[m, k] op(B)[k, n], or += with `accumulate`; all three C-contiguous.

    op transposes: with `transpose_a` A is stored as [k, m], with `transpose_b` B as [n, k].
    """

    dtype: DType
    m: int
    n: int
    k: int
    transpose_a: bool = False
    transpose_b: bool = False
    accumulate: bool = False
