"""More products of tensors, and PyTorch's ``linalg`` as far as it goes: norms, inverse, solve."""

from __future__ import annotations

from typing import Any

from pullback.errors import AutogradError
from pullback.ir.core import Builder, Value
from pullback.location import caller
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics import linear_systems, products, shapes
from pullback.tracer.tensor_base import record
from pullback.tracer.tensor_einsum import tensordot
from pullback.tracer.tensor_product import bmm, dot, matmul, mm, mv, outer
from pullback.tracer.tensor_reduction import norm as _norm
from pullback.tracer.tensor_shape import reshape


def _plus(input: Any, product: Any, beta: float, alpha: float) -> Any:
    scaled = product if alpha == 1 else product * alpha
    return scaled if beta == 0 else (input if beta == 1 else input * beta) + scaled


def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta * input + alpha * batch1 @ batch2."""
    if batch1.sizes[0] != batch2.sizes[0] or batch1.sizes[2] != batch2.sizes[1]:
        return bmm(batch1, batch2)

    def rule(b: Builder, x: Value, y: Value, z: Value) -> Value:
        product = products.matmul(b, y, z)
        product = product if alpha == 1 else s.mul(b, product, alpha)
        return s.add(b, s.broadcast_to(b, x if beta == 1 else s.mul(b, x, beta), product.type.shape), product)

    return record("BaddbmmBackward0", rule, input, batch1, batch2)


def addmv(input: Any, mat: Any, vec: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta * input + alpha * mat @ vec."""
    return _plus(input, mv(mat, vec), beta, alpha)


def addr(input: Any, vec1: Any, vec2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta * input + alpha * outer(vec1, vec2)."""
    return _plus(input, outer(vec1, vec2), beta, alpha)


def inner(input: Any, other: Any) -> Any:
    """Products summed over the last axes."""
    if not input.sizes or not other.sizes:
        return input * other
    return tensordot(input, other, ([-1], [-1]))


def vdot(input: Any, other: Any) -> Any:
    """The sum of products of two vectors."""
    return dot(input, other)


def cross(input: Any, other: Any, dim: int = -1) -> Any:
    """The vector product along an axis of size 3. Raises: AutogradError for another size."""
    if input.sizes[dim] != 3 or other.sizes[dim] != 3:
        raise AutogradError(f"linalg.cross: inputs dimension {dim} must have length 3. Got {input.sizes[dim]} and "
                            f"{other.sizes[dim]}", location=caller())  # fmt: skip

    def rule(b: Builder, x: Value, y: Value) -> Value:
        shape = s.broadcast_shapes([x.type.shape, y.type.shape])
        x, y = s.broadcast_to(b, x, shape), s.broadcast_to(b, y, shape)
        axis = dim % len(shape)
        turned = [[shapes.roll(b, each, shift, axis) for shift in (-1, -2)] for each in (x, y)]
        return s.sub(b, s.mul(b, turned[0][0], turned[1][1]), s.mul(b, turned[0][1], turned[1][0]))

    return record("LinalgCrossBackward0", rule, input, other)


def kron(input: Any, other: Any) -> Any:
    """Each element of the first times the second, as one matrix."""
    rank = max(len(input.sizes), len(other.sizes))
    x, y = ((1,) * (rank - len(each.sizes)) + each.sizes for each in (input, other))
    left = reshape(input, *[size for each in x for size in (each, 1)])
    right = reshape(other, *[size for each in y for size in (1, each)])
    return reshape(left * right, *[m * n for m, n in zip(x, y, strict=True)])


def chain_matmul(*matrices: Any) -> Any:
    """Matrices multiplied from the left."""
    result = matrices[0]
    for each in matrices[1:]:
        result = mm(result, each)
    return result


def matrix_power(input: Any, n: int) -> Any:
    """The matrix multiplied with itself, its inverse for negative n."""
    if n < 0:
        return matrix_power(inv(input), -n)
    if n == 0:
        rows = input.sizes[-1]
        return input.new_ones(rows).diag().expand(*input.sizes).clone()
    result = input
    for _ in range(n - 1):
        result = matmul(result, input)
    return result


def _square(name: str, A: Any) -> None:
    if len(A.sizes) < 2:
        raise AutogradError(f"linalg.{name}: The input tensor A must have at least 2 dimensions.", location=caller())
    if A.sizes[-1] != A.sizes[-2]:
        raise AutogradError(f"linalg.{name}: A must be batches of square matrices, but they are {A.sizes[-2]} by {A.sizes[-1]} "
                            "matrices", location=caller())  # fmt: skip


def inv(A: Any) -> Any:
    """The inverse of matrices. Raises: AutogradError for one that is not square."""
    _square("inv", A)
    return record("LinalgInvExBackward0", linear_systems.inverse, A)


def solve(A: Any, B: Any) -> Any:
    """X with A @ X = B. Raises: AutogradError for an A that is not square."""
    _square("solve", A)
    return record("LinalgSolveExBackward0", linear_systems.solve, A, B)


def vector_norm(x: Any, ord: float = 2, dim: Any = None, keepdim: bool = False) -> Any:
    """The norm of all elements, or along `dim`."""
    return _norm(x, ord, dim, keepdim)


def matrix_norm(A: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False) -> Any:
    """The norm of matrices: "fro", or 1, -1, inf, -inf of the sums of a column or row. Raises: AutogradError for others."""
    if ord == "fro":
        return _norm(A, 2, dim, keepdim)
    if ord not in (1, -1, float("inf"), float("-inf")):
        raise AutogradError(f"linalg.matrix_norm: Order {ord} not supported.", location=caller())
    first, second = (each % len(A.sizes) for each in dim)
    along = first if abs(ord) == 1 else second
    sums = A.abs().sum(along, True)
    rest = second if abs(ord) == 1 else first
    found = sums.amax(rest, True) if ord > 0 else sums.amin(rest, True)
    return found if keepdim else found.squeeze((first, second))


def norm(A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False) -> Any:
    """vector_norm of one axis (or all elements), matrix_norm of two."""
    two = (dim is None and len(A.sizes) == 2) or (isinstance(dim, tuple | list) and len(dim) == 2)
    if ord is not None and two:
        return matrix_norm(A, ord, (-2, -1) if dim is None else dim, keepdim)
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim)


def cdist(x1: Any, x2: Any, p: float = 2.0) -> Any:
    """Distances of all pairs of rows."""
    return _norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1)

__all__ = [
    "addmv", "addr", "baddbmm", "cdist", "chain_matmul", "cross", "inner", "kron", "matrix_power", "vdot",
]  # fmt: skip
