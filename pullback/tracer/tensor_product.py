"""Products of tensors: matmul in all ranks, mm, mv, dot, bmm, addmm, outer."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from pullback.errors import AutogradError
from pullback.ir.core import Builder, Value
from pullback.ir.ops.shape import Reshape
from pullback.location import caller
from pullback.tracer.recipe import Kept
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics import products
from pullback.tracer.tensor_arithmetic import mul
from pullback.tracer.tensor_base import record, take_view
from pullback.tracer.tensor_shape import expand, reshape, unsqueeze, view

_product = Kept(products.matmul)

_NAMES = {"f32": "float", "f64": "double", "i64": "long int", "i32": "int", "bool": "bool", "u8": "unsigned char"}


def _same_dtype(x: Any, y: Any) -> None:
    """Raises: AutogradError for operands of two dtypes: PyTorch promotes nothing in products."""
    if x.dtype_ != y.dtype_:
        left, right = (_NAMES.get(each.dtype_.name, each.dtype_.short_name) for each in (x, y))
        raise AutogradError(f"expected m1 and m2 to have the same dtype, but got: {left} != {right}", location=caller())


def matmul(input: Any, other: Any) -> Any:
    """input @ other. Raises: AutogradError for sizes that do not fit, in PyTorch's words."""
    rows, columns = input.sizes, other.sizes
    m, n = len(rows), len(columns)
    if m == n == 2 and rows[1] == columns[0] and input.dtype_ is other.dtype_:
        return record("MmBackward0", _product, input, other)
    if m == 0 or n == 0:
        raise AutogradError(f"both arguments to matmul need to be at least 1D, but they are {m}D and {n}D", location=caller())
    _same_dtype(input, other)
    if m == 1 and n == 1:
        return dot(input, other)
    if m == 2 and n == 1:
        return mv(input, other)
    if m == 2 and n == 2:
        return mm(input, other)
    inner = input.sizes[-1], other.sizes[-2 if n > 1 else 0]
    if inner[0] != inner[1]:
        if m == 1:
            raise AutogradError(f"mat1 and mat2 shapes cannot be multiplied (1x{inner[0]} and {inner[1]}x{other.sizes[-1]})",
                                location=caller())  # fmt: skip
        raise AutogradError(
            f"mat1 and mat2 shapes cannot be multiplied ({input.numel() // inner[0] if inner[0] else 0}x{inner[0]} and "
            f"{inner[1]}x{other.sizes[-1] if n > 1 else 1})", location=caller(),
        )  # fmt: skip
    if m == 1 and n == 2:
        return take_view(mm(unsqueeze(input, 0), other), "SqueezeBackward4", Reshape(other.sizes[1:]))
    if n <= 2:
        # One matrix (or vector) for all: the rows of every stack in one product.
        rows = reshape(input, prod(input.sizes[:-1]), input.sizes[-1])
        return unsafe_view(mm(rows, other) if n == 2 else mv(rows, other), *input.sizes[:-1], *other.sizes[1:])
    return _batched(input, other)


def _batched(input: Any, other: Any) -> Any:
    """Products of matrices under leading axes that broadcast."""
    row = len(input.sizes) == 1
    x = unsqueeze(input, 0) if row else input
    lead = s.broadcast_shapes([x.sizes[:-2], other.sizes[:-2]], "leading axes")
    count = prod(lead)
    left = reshape(expand(x, *lead, *x.sizes[-2:]), count, *x.sizes[-2:])
    right = reshape(expand(other, *lead, *other.sizes[-2:]), count, *other.sizes[-2:])
    shape = (*lead, other.sizes[-1]) if row else (*lead, x.sizes[-2], other.sizes[-1])
    return unsafe_view(bmm(left, right), *shape)


def unsafe_view(input: Any, *sizes: int) -> Any:
    """A product under its final shape."""
    return take_view(input, "UnsafeViewBackward0", Reshape(tuple(sizes)))


def mm(input: Any, mat2: Any) -> Any:
    """The product of two matrices."""
    _check_matrices(input, mat2)
    return record("MmBackward0", _product, input, mat2)


def _check_matrices(input: Any, mat2: Any) -> None:
    """Raises: AutogradError for what is no pair of matrices that can be multiplied."""
    _same_dtype(input, mat2)
    for each, name in ((input, "self"), (mat2, "mat2")):
        if len(each.sizes) != 2:
            raise AutogradError(f"{name} must be a matrix", location=caller())
    if input.sizes[1] != mat2.sizes[0]:
        shown = [f"{each.sizes[0]}x{each.sizes[1]}" for each in (input, mat2)]
        raise AutogradError(f"mat1 and mat2 shapes cannot be multiplied ({shown[0]} and {shown[1]})", location=caller())


def mv(input: Any, vec: Any) -> Any:
    """A matrix times a vector."""
    _same_dtype(input, vec)
    if len(input.sizes) != 2 or len(vec.sizes) != 1:
        raise AutogradError(
            f"vector + matrix @ vector expected, got 1, {len(input.sizes)}, {len(vec.sizes)}", location=caller()
        )
    if input.sizes[1] != vec.sizes[0]:
        raise AutogradError(f"size mismatch, got input ({input.sizes[0]}), mat ({input.sizes[0]}x{input.sizes[1]}), "
                            f"vec ({vec.sizes[0]})", location=caller())  # fmt: skip
    return record("MvBackward0", _product, input, vec)


def dot(input: Any, other: Any) -> Any:
    """The sum of products of two vectors."""
    if len(input.sizes) != 1 or len(other.sizes) != 1:
        raise AutogradError(
            f"1D tensors expected, but got {len(input.sizes)}D and {len(other.sizes)}D tensors", location=caller()
        )
    _same_dtype(input, other)
    if input.sizes != other.sizes:
        raise AutogradError(
            "inconsistent tensor size, expected tensor "
            f"[{input.sizes[0]}] and src [{other.sizes[0]}] to have the same number of elements, but got "
            f"{input.sizes[0]} and {other.sizes[0]} elements respectively", location=caller(),
        )  # fmt: skip
    return record("DotBackward0", _product, input, other)


def bmm(input: Any, mat2: Any) -> Any:
    """Products of as many pairs of matrices."""
    check_stacks(input, mat2)
    return record("BmmBackward0", _product, input, mat2)


def check_stacks(input: Any, mat2: Any) -> None:
    """Raises: AutogradError for what are no stacks of as many matrices that can be multiplied."""
    if len(input.sizes) != 3 or len(mat2.sizes) != 3:
        raise AutogradError("batch1 must be a 3D tensor", location=caller())
    if input.sizes[0] != mat2.sizes[0] or input.sizes[2] != mat2.sizes[1]:
        raise AutogradError(
            "Expected size for first two dimensions of batch2 tensor to be: "
            f"[{input.sizes[0]}, {input.sizes[2]}] but got: [{mat2.sizes[0]}, {mat2.sizes[1]}].", location=caller(),
        )  # fmt: skip
    _same_dtype(input, mat2)


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta * input + alpha * mat1 @ mat2."""
    _check_matrices(mat1, mat2)
    rule = _SUM if beta == alpha == 1 else sum_with_product(beta, alpha)
    return record("AddmmBackward0", rule, input, mat1, mat2)


def sum_with_product(beta: float, alpha: float) -> Callable[..., Value]:
    """The rule of beta * x + alpha * y @ z; without x, NaN and infinity included, where beta is 0."""

    def rule(b: Builder, x: Value, y: Value, z: Value) -> Value:
        product = products.matmul(b, y, z)
        product = product if alpha == 1 else s.mul(b, product, alpha)
        if beta == 0:
            return product
        return s.add(b, s.broadcast_to(b, x if beta == 1 else s.mul(b, x, beta), product.type.shape), product)

    return rule


_SUM = Kept(sum_with_product(1, 1))


def outer(input: Any, vec2: Any) -> Any:
    """All products of the elements of two vectors."""
    return mul(view(input, -1, 1), vec2)
