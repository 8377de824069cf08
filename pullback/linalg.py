"""PyTorch's ``linalg`` by its names, as far as it goes: norms, inverse, solve, products, decompositions."""

from pullback.tracer.tensor_linalg import (
    cholesky,
    eigh,
    eigvalsh,
    inv,
    matrix_norm,
    matrix_power,
    norm,
    qr,
    slogdet,
    solve,
    svd,
    svdvals,
    vector_norm,
)
from pullback.tracer.tensor_linalg import linalg_cross as cross
from pullback.tracer.tensor_product import matmul

__all__ = [
    "cholesky", "cross", "eigh", "eigvalsh", "inv", "matmul", "matrix_norm", "matrix_power", "norm", "qr", "slogdet", "solve",
    "svd", "svdvals", "vector_norm",
]  # fmt: skip
