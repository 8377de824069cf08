"""NumPy's decompositions of matrices in compiled functions: its values and types, derivatives, errors with the user's line."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb

RANDOM = np.random.default_rng(0)
TALL, BROAD = RANDOM.normal(size=(5, 3)), RANDOM.normal(size=(3, 5))
SQUARE = RANDOM.normal(size=(4, 4))
POSITIVE = SQUARE @ SQUARE.T + np.eye(4)
STACK = RANDOM.normal(size=(2, 3, 3))
STACK = STACK @ np.swapaxes(STACK, 1, 2) + np.diag([1.0, 2.0, 4.0])
B = RANDOM.normal(size=5)
FUNCTIONS: dict[str, tuple[Any, Any]] = {
    "cholesky": (np.linalg.cholesky, POSITIVE), "cholesky of a stack": (np.linalg.cholesky, STACK),
    "upper cholesky": (lambda a: np.linalg.cholesky(a, upper=True), POSITIVE),
    "slogdet": (np.linalg.slogdet, SQUARE), "slogdet of a stack": (np.linalg.slogdet, STACK),
    "det": (np.linalg.det, SQUARE), "det of 3": (np.linalg.det, STACK), "det of 2": (np.linalg.det, SQUARE[:2, 1:3]),
    "det of 1": (np.linalg.det, SQUARE[:1, :1]), "det of 0": (np.linalg.det, SQUARE[:0, :0]),
    "eigh": (np.linalg.eigh, POSITIVE), "eigh of a stack": (np.linalg.eigh, STACK),
    "eigvalsh": (np.linalg.eigvalsh, POSITIVE), "eigh of upper": (lambda a: np.linalg.eigh(a, UPLO="U"), SQUARE),
    "eigh of lower": (lambda a: np.linalg.eigh(a, "L"), SQUARE),
    "qr": (np.linalg.qr, TALL), "qr of a square": (lambda a: np.linalg.qr(a, "complete"), SQUARE),
    "r": (lambda a: np.linalg.qr(a, mode="r"), TALL), "qr of a stack": (np.linalg.qr, STACK[:, :, :2]),
    "svd": (np.linalg.svd, SQUARE), "svd of tall": (lambda a: np.linalg.svd(a, full_matrices=False), TALL),
    "svd of broad": (lambda a: np.linalg.svd(a, full_matrices=False), BROAD),
    "singular values": (lambda a: np.linalg.svd(a, compute_uv=False), BROAD), "svd of a stack": (np.linalg.svd, STACK),
    "pinv": (np.linalg.pinv, TALL), "pinv of broad": (np.linalg.pinv, BROAD), "pinv of a stack": (np.linalg.pinv, STACK),
    "pinv of low rank": (lambda a: np.linalg.pinv(a, rcond=1e-10), np.outer(B, B[:3])),
    "lstsq": (lambda a: np.linalg.lstsq(a, B, rcond=None)[:2], TALL),
    "lstsq of columns": (lambda a: np.linalg.lstsq(a, np.stack([B, B**2], 1), rcond=None), TALL),
    "lstsq of broad": (lambda a: np.linalg.lstsq(a, B[:3], rcond=None)[0], BROAD),
    "lstsq by the right side": (lambda b: np.linalg.lstsq(TALL, b, rcond=None)[0], B),
    "lstsq of two dtypes": (lambda a: np.linalg.lstsq(a.astype("f4"), B, rcond=None)[3], TALL),
    "ranks": (lambda a: (np.linalg.matrix_rank(a), np.linalg.matrix_rank(a[0]), a[0, 0]), np.outer(B, B)),
    "ranks of a stack": (lambda a: (np.linalg.matrix_rank(a, np.array([2.0, 1.0])),
                                    np.linalg.matrix_rank(a, rtol=np.array([0.5, 0.01]))), STACK),
    "condition of zeros": (lambda a: (np.linalg.cond(0 * a), np.linalg.cond(0 * a, -2)), SQUARE),
    "condition": (lambda a: (np.linalg.cond(a), np.linalg.cond(a, 1), np.linalg.cond(a, -2)), SQUARE),
    "norms": (lambda a: (np.linalg.norm(a, 2), np.linalg.norm(a, -2), np.linalg.norm(a, "nuc", keepdims=True)), TALL),
    "norms of a stack": (lambda a: np.linalg.norm(a, 2, axis=(1, 0)), STACK),
    "polyfit": (lambda y: np.polyfit(TALL[:, 0], y, 2), B), "polyfit by x": (lambda x: np.polyfit(x, B, 1), TALL[:, 1]),
    "weighted polyfit": (lambda a: np.polyfit(B, a, 1, w=np.array([1.0, 2.0, 1.0, 0.5, 1.0])), TALL),
}  # fmt: skip
NO_DERIVATIVE = ("ranks", "ranks of a stack", "condition of zeros", "det of 0", "pinv of low rank", "lstsq of two dtypes")
ANY_DERIVATIVE = {name: each for name, each in FUNCTIONS.items() if name not in NO_DERIVATIVE}


def leaves(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple) else [result]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_values_are_numpys(name: str, dtype: str) -> None:
    function, x = FUNCTIONS[name]
    x = x.astype(dtype)
    expected, found = function(x), pb.compile_grad(function)(x)
    assert type(expected) is type(found)
    for left, right in zip(leaves(expected), leaves(found), strict=True):
        assert np.shape(left) == np.shape(right)
        if dtype == "f8":
            assert np.asarray(left).dtype == np.asarray(right).dtype
        tolerance = 1e-10 if dtype == "f8" else 1e-2
        np.testing.assert_allclose(right, left, rtol=tolerance, atol=tolerance)


def test_the_rank_of_no_elements_is_zero() -> None:
    """In NumPy too, from version 2.4 at the latest."""
    assert pb.compile_grad(lambda a: np.linalg.matrix_rank(a[:, :0]))(TALL) == 0


def test_integers_are_taken_as_floats() -> None:
    x = np.array([[4, 1], [1, 3]])
    for function in (np.linalg.cholesky, np.linalg.slogdet, np.linalg.eigh, np.linalg.qr, np.linalg.svd, np.linalg.pinv):
        for left, right in zip(leaves(function(x)), leaves(pb.compile_grad(function)(x)), strict=True):
            assert left.dtype == right.dtype
            np.testing.assert_allclose(left, right, rtol=1e-12, atol=1e-14)


def weighed(function: Any) -> Any:
    """A number that all of the results take part in, smoothly."""

    def total(x: Any) -> Any:
        parts = [np.ravel(each) for each in leaves(function(x))]
        return sum((np.sum(np.cos(np.arange(each.size)) * each) for each in parts), 0.0)

    return total


@pytest.mark.parametrize("name", ANY_DERIVATIVE)
def test_gradients_and_second_derivatives_are_differences(name: str) -> None:
    function, x = ANY_DERIVATIVE[name]
    if name == "lstsq of columns":
        (function,) = [lambda a: np.linalg.lstsq(a, np.stack([B, B**2], 1), rcond=None)[:2]]
    total = weighed(function)
    f = pb.compile_grad(total)
    way = np.random.default_rng(1).normal(size=x.shape)
    step = 1e-6
    gradient = f.grad(x)
    slope = (total(x + step * way) - total(x - step * way)) / (2 * step)
    np.testing.assert_allclose(np.sum(gradient * way), slope, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(f.jvp((x,), (way,))[1], slope, rtol=1e-6, atol=1e-6)
    second = f.hvp((x,), (way,))
    bend = (f.grad(x + step * way) - f.grad(x - step * way)) / (2 * step)
    np.testing.assert_allclose(second, bend, rtol=1e-5, atol=1e-5 * np.max(np.abs(bend)))


def test_mapped() -> None:
    def likelihood(a: Any, b: Any) -> Any:
        low = np.linalg.cholesky(a)
        return np.sum(np.linalg.solve(low, b) ** 2) + np.linalg.slogdet(a)[1] + np.linalg.eigvalsh(a)[0]

    b = RANDOM.normal(size=(2, 3))
    found = pb.vmap(pb.grad(likelihood))(STACK, b)
    for each, matrix, side in zip(found, STACK, b, strict=True):
        np.testing.assert_allclose(each, pb.grad(likelihood)(matrix, side), rtol=1e-10)
    hessian = pb.hessian(likelihood)(STACK[0], b[0])
    assert hessian.shape == (3, 3, 3, 3)


def test_gradients_are_of_the_triangle_that_numpy_reads() -> None:
    for function in (np.linalg.cholesky, np.linalg.eigvalsh):
        gradient = pb.grad(lambda a, function=function: np.sum(function(a) ** 3))(POSITIVE)
        assert not np.triu(gradient, 1).any()
        assert gradient[np.tril_indices(4)].all()


def test_eigenvalues_that_are_equal_have_a_gradient_though_their_vectors_have_none() -> None:
    def powers(a: Any) -> Any:
        values, _ = np.linalg.eigh(a)
        return np.sum(values**3)

    np.testing.assert_allclose(pb.grad(powers)(2 * np.eye(3)), 12 * np.eye(3), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(pb.grad(lambda a: np.sum(np.linalg.svd(a)[1]))(np.eye(3)), np.eye(3), atol=1e-14)
    # A function of the matrix by way of its vectors: infinity times zero, and no number that looks right.
    rebuilt = pb.grad(lambda a: np.sum((np.linalg.eigh(a)[1] * np.linalg.eigh(a)[0] ** 2) @ np.linalg.eigh(a)[1].T))
    assert np.isnan(rebuilt(np.eye(3))).any()


def test_determinants_of_singular_matrices() -> None:
    np.testing.assert_allclose(pb.grad(np.linalg.det)(np.diag([1.0, 2.0, 0.0])), np.diag([0.0, 0.0, 2.0]), atol=1e-15)
    singular = np.ones((4, 4))
    assert pb.compile_grad(np.linalg.det)(singular) == 0
    sign, log = pb.compile_grad(np.linalg.slogdet)(singular)
    assert (sign, log) == (0, -np.inf)
    with pytest.raises(np.linalg.LinAlgError, match="singular"):
        pb.grad(np.linalg.det)(singular)


def test_a_matrix_that_is_not_positive_definite_says_where() -> None:
    def factor(a: Any) -> Any:
        return np.linalg.cholesky(a - 5.0)

    for call in (pb.compile_grad(factor), pb.grad(lambda a: factor(a)[0, 0])):
        with pytest.raises(np.linalg.LinAlgError, match="positive definite") as raised:
            call(np.eye(3))
        assert "np.linalg.cholesky(a - 5.0)" in str(raised.value)
        assert "identity" in str(raised.value)


def test_in_a_loop() -> None:
    def filtered(q: Any, y: Any) -> Any:
        p, total = np.eye(4), 0.0
        for each in y:
            p = 0.9 * p + q * np.eye(4) + np.outer(each, each)
            total += np.linalg.slogdet(p)[1] + np.sum(np.linalg.solve(np.linalg.cholesky(p), each) ** 2)
        return total

    y = RANDOM.normal(size=(30, 4))
    value, slope = pb.value_and_grad(filtered)(0.1, y)
    np.testing.assert_allclose(value, filtered(0.1, y), rtol=1e-12)
    np.testing.assert_allclose(slope, (filtered(0.1 + 1e-6, y) - filtered(0.1 - 1e-6, y)) / 2e-6, rtol=1e-6)


@pytest.mark.parametrize(("call", "message"), [
    (lambda a: np.linalg.cholesky(a), "no square matrix"), (lambda a: np.linalg.det(a[0]), "no square matrix"),
    (lambda a: np.linalg.eigh(a[:, :3], "x"), "UPLO must be"), (lambda a: np.linalg.svd(a[0]), "is no matrix"),
    (lambda a: np.linalg.pinv(a[:, :3], hermitian=True), "hermitian"), (lambda a: np.linalg.qr(a.T, "raw"), "mode 'raw'"),
    (lambda a: np.linalg.lstsq(a, a[0], rcond=None), "no right side"), (lambda a: np.linalg.pinv(a, a[0, 0]), "rcond"),
    (lambda a: np.polyfit(a[0], a[1], 2, full=True), "full="),
    (lambda a: np.polyfit(a[0], a[1], -1), "must not be negative: -1"),
    (lambda a: np.linalg.pinv(a, 0.1, rtol=0.2), "cannot both be given"),
])  # fmt: skip
def test_refused(call: Any, message: str) -> None:
    with pytest.raises(pb.PullbackError, match=message) as raised:
        pb.compile_grad(call)(BROAD)
    assert "test_decompositions.py" in str(raised.value)
