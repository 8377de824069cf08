"""More products of tensors, and PyTorch's ``linalg`` as far as it goes: norms, inverse, solve, decompositions."""

from __future__ import annotations

from typing import Any

from pullback.errors import AutogradError, UnsupportedError
from pullback.ir.core import Builder, Value
from pullback.ir.ops.decomposition import Cholesky, Decomposition, Eigh, Qr, SlogDet, Svd
from pullback.ir.ops.elementary import StopGradient
from pullback.location import caller
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics import linear_systems, shapes
from pullback.tracer.tensor_apply import DTYPE_WORDS
from pullback.tracer.tensor_arrange import movedim
from pullback.tracer.tensor_base import record, record_many
from pullback.tracer.tensor_einsum import tensordot
from pullback.tracer.tensor_pairs import named_results
from pullback.tracer.tensor_product import check_stacks, dot, matmul, mm, mv, outer, sum_with_product
from pullback.tracer.tensor_reduction import norm as _norm
from pullback.tracer.tensor_shape import clone, reshape, unsqueeze


def _plus(input: Any, product: Any, beta: float, alpha: float) -> Any:
    scaled = product if alpha == 1 else product * alpha
    return scaled if beta == 0 else (input if beta == 1 else input * beta) + scaled


def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta * input + alpha * batch1 @ batch2."""
    check_stacks(batch1, batch2)
    return record("BaddbmmBackward0", sum_with_product(beta, alpha), input, batch1, batch2)


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


def cross(input: Any, other: Any, dim: int | None = None) -> Any:
    """The vector product along an axis of size 3, without `dim` the first one. Raises: AutogradError for another size."""
    sizes = s.broadcast_shapes([input.sizes, other.sizes])
    if dim is None and 3 not in sizes:
        raise AutogradError("no dimension of size 3 in input", location=caller())
    return linalg_cross(input, other, sizes.index(3) - len(sizes) if dim is None else dim)


def linalg_cross(input: Any, other: Any, dim: int = -1) -> Any:
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
    result = clone(input) if n == 1 else input
    for _ in range(n - 1):
        result = matmul(result, input)
    return result


def _square(name: str, A: Any) -> None:
    if len(A.sizes) < 2:
        raise AutogradError(f"linalg.{name}: The input tensor A must have at least 2 dimensions.", location=caller())
    if A.sizes[-1] != A.sizes[-2]:
        raise AutogradError(f"linalg.{name}: A must be batches of square matrices, but they are {A.sizes[-2]} by {A.sizes[-1]} "
                            "matrices", location=caller())  # fmt: skip


def _floats(name: str, A: Any) -> None:
    if not A.dtype_.is_float:
        raise AutogradError(f"linalg.{name}: Expected a floating point or complex tensor as input. Got "
                            f"{DTYPE_WORDS[A.dtype_.name]}", location=caller())  # fmt: skip


def inv(A: Any) -> Any:
    """The inverse of matrices. Raises: AutogradError for one that is not square."""
    _square("inv", A)
    _floats("inv", A)
    return record("LinalgInvExBackward0", linear_systems.inverse, A)


def solve(A: Any, B: Any) -> Any:
    """X with A @ X = B; B holds a vector for each matrix where its sizes say so. Raises: AutogradError for an A not square."""
    _square("solve", A)
    _floats("solve", A)
    vectors = len(A.sizes) > 2 and B.sizes == A.sizes[:-1]

    def rule(b: Builder, a: Value, right: Value) -> Value:
        if vectors:
            right = shapes.reshape(b, right, (*right.type.shape, 1))
        found = linear_systems.solve(b, a, right)
        return shapes.squeeze(b, found, -1) if vectors else found

    return record("LinalgSolveExBackward0", rule, A, B)


def vector_norm(x: Any, ord: float = 2, dim: Any = None, keepdim: bool = False) -> Any:
    """The norm of all elements, or along `dim`."""
    return _norm(x, ord, dim, keepdim)


def matrix_norm(A: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False) -> Any:
    """The norm of matrices: "fro"; "nuc", 2, -2 of singular values; 1, -1, inf, -inf of the sums of a column or row.

    Raises: AutogradError for others.
    """
    if ord == "fro":
        return _norm(A, 2, dim, keepdim)
    if ord in ("nuc", 2, -2):
        values = svdvals(movedim(A, dim, (-2, -1)))
        found = values.sum(-1) if ord == "nuc" else values.amax(-1) if ord > 0 else values.amin(-1)
        for axis in sorted(each % len(A.sizes) for each in dim) if keepdim else ():
            found = unsqueeze(found, axis)
        return found
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


# Decompositions


_SLOGDET = named_results("linalg_slogdet", "sign", "logabsdet")
_EIGH = named_results("linalg_eigh", "eigenvalues", "eigenvectors")
_SVD, _QR = named_results("linalg_svd", "U", "S", "Vh"), named_results("linalg_qr", "Q", "R")


def _parts(name: str, step: str, op: Decomposition, A: Any, even: bool = False) -> list[Any]:
    """The parts of a matrix; `even` shares the gradient among both triangles, one of which is read."""
    if op.square:
        _square(name, A)
    _floats(name, A)

    def rule(b: Builder, x: Value) -> list[Value]:
        if even:
            half = s.mul(b, s.add(b, x, shapes.swapaxes(b, x, -1, -2)), 0.5)
            x = s.add(b, half, b.value(StopGradient(), s.sub(b, x, half)))
        return list(b.emit(op, x).results)

    return record_many(f"Linalg{step}Backward0", rule, A)


def slogdet(A: Any) -> Any:
    """Sign of the determinant, and the logarithm of its absolute value."""
    return _SLOGDET(*_parts("slogdet", "Slogdet", SlogDet(), A))


def cholesky(A: Any, *, upper: bool = False) -> Any:
    """The lower triangle L with L @ L.mT = A (`upper`: its transpose). Raises: SingularError for A not positive definite."""
    (low,) = _parts("cholesky", "CholeskyEx", Cholesky(), A.mT if upper else A, True)
    return low.mT if upper else low


def eigh(A: Any, UPLO: str = "L") -> Any:
    """Eigenvalues in rising order and eigenvectors of a symmetric matrix, one triangle of which is read."""
    if UPLO.upper() not in ("L", "U"):
        raise AutogradError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}", location=caller())
    return _EIGH(*_parts("eigh", "Eigh", Eigh(UPLO.upper() == "U"), A, True))


def eigvalsh(A: Any, UPLO: str = "L") -> Any:
    """The eigenvalues of eigh."""
    return eigh(A, UPLO)[0]


def svd(A: Any, full_matrices: bool = True) -> Any:
    """Singular vectors and values: U @ diag(S) @ Vh = A. Raises: UnsupportedError for full U, Vh of a matrix not square."""
    if full_matrices and A.sizes[-1:] != A.sizes[-2:-1]:
        raise UnsupportedError("linalg.svd: the full U and Vh of a matrix that is not square are not supported",
                               location=caller(), help="pass full_matrices=False")  # fmt: skip
    return _SVD(*_parts("svd", "Svd", Svd(), A))


def svdvals(A: Any) -> Any:
    """The singular values, falling."""
    return svd(A, False)[1]


def qr(A: Any) -> Any:
    """Q with orthonormal columns and R, an upper triangle, with Q @ R = A. Raises: ShapeError for more columns than rows."""
    return _QR(*_parts("qr", "Qr", Qr(), A))


def cdist(x1: Any, x2: Any, p: float = 2.0) -> Any:
    """Distances of all pairs of rows."""
    return _norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1)

__all__ = [
    "addmv", "addr", "baddbmm", "cdist", "chain_matmul", "cross", "inner", "kron", "matrix_power", "slogdet", "vdot",
]  # fmt: skip
