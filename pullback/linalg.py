"""PyTorch's ``linalg`` by its names, as far as it goes: norms, inverse, solve, products."""

from pullback.tracer.tensor_linalg import cross, inv, matrix_norm, matrix_power, norm, solve, vector_norm
from pullback.tracer.tensor_product import matmul

__all__ = ["cross", "inv", "matmul", "matrix_norm", "matrix_power", "norm", "solve", "vector_norm"]
