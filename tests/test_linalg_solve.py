"""np.linalg.solve and inv in compiled functions: NumPy's values and shapes, derivatives of all orders, errors."""
from __future__ import annotations

import re

import numpy as np
import pytest

import pullback as pb
from pullback.codegen import lapack_call
from pullback.compiler import compile_function
from pullback.ir.core import Function, Region, RegionBuilder, Value
from pullback.ir.interpret import interpret
from pullback.ir.ops.linear_system import Solve
from pullback.ir.types import type_of
from pullback.runtime import blas

LIBRARIES = {"bundled": blas.find_bundled, "scipy": blas.find_scipy, "none": lambda: None}


def matrices(*lead: int, n: int = 3, seed: int = 0) -> np.ndarray:
    """Matrices with condition numbers of a few, whose rows must change places."""
    random = np.random.default_rng(seed)
    return np.roll(random.normal(size=(*lead, n, n)) + 3 * np.sqrt(n) * np.eye(n), 1, axis=-2)


def right(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


CASES = {
    "vector": (matrices(), right(3)),
    "columns": (matrices(), right(3, 2)),
    "stacks": (matrices(2), right(2, 3, 4)),
    "one matrix": (matrices(), right(5, 3, 2)),
    "one matrix, more axes": (matrices(), right(2, 5, 3, 1)),
    "one vector": (matrices(4), right(3)),
    "one side": (matrices(4, 2), right(2, 3, 2)),
    "a broadcast matrix": (matrices(1, 2), right(4, 2, 3, 2)),
    "large": (matrices(n=40), right(40, 3)),
    "large vector": (matrices(2, n=33), right(33)),
    "one unknown": (matrices(n=1), right(1)),
    "nothing": (matrices(n=1)[:0, :0], right(0, 2)),
    "no systems": (matrices(2)[:0], right(0, 3, 1)),
    "no sides": (matrices(), right(3, 0)),
}


@pytest.mark.parametrize("case", CASES)
def test_values_and_shapes_are_numpys(case):
    a, b = CASES[case]
    f = pb.compile_grad(np.linalg.solve)
    expected = np.linalg.solve(a, b)
    found = f(a, b)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("a", "b"), [("f4", "f4"), ("f4", "f8"), ("i8", "f4"), ("i4", "i8"), ("f8", "?"), ("f4", "i2")]
)
def test_dtypes_are_numpys(a, b):
    left, side = matrices().round(1).astype(a), right(3).round(1).astype(b)
    left += 4 * np.eye(3, dtype=a)
    expected, inverse = np.linalg.solve(left, side), np.linalg.inv(left)
    found, inverted = pb.compile_grad(np.linalg.solve)(left, side), pb.compile_grad(np.linalg.inv)(left)
    assert (found.dtype, inverted.dtype) == (expected.dtype, inverse.dtype)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(inverted, inverse, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", [case for case in CASES if case not in ("nothing", "no systems", "no sides")])
def test_gradients_of_both_operands(case):
    a, b = CASES[case]
    weights = right(*np.linalg.solve(a, b).shape, seed=5)
    f = pb.compile_grad(lambda a, b: np.sum(weights * np.linalg.solve(a, b)), argnums=(0, 1))
    a_bar, b_bar = f.grad(a, b)
    assert (a_bar.shape, b_bar.shape) == (a.shape, b.shape)
    # By the text book, on operands of one shape each: B_bar = A^-T X_bar, A_bar = -B_bar X^T.
    vector = b.ndim == 1
    x, bar = (each[..., None] if vector else each for each in (np.linalg.solve(a, b), weights))
    full = np.linalg.solve(np.swapaxes(a, -1, -2), bar)
    np.testing.assert_allclose(b_bar, summed_to(full[..., 0] if vector else full, b.shape), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(a_bar, summed_to(-full @ np.swapaxes(x, -1, -2), a.shape), rtol=1e-9, atol=1e-12)


def summed_to(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The sum over the axes along which an array of `shape` was broadcast."""
    array = array.sum(axis=tuple(range(array.ndim - len(shape))))
    return array.sum(axis=tuple(axis for axis, size in enumerate(shape) if size != array.shape[axis]), keepdims=True)


def test_inverse():
    a = matrices(2, n=4)
    np.testing.assert_allclose(pb.compile_grad(np.linalg.inv)(a), np.linalg.inv(a), rtol=1e-12, atol=1e-14)
    assert pb.gradcheck(lambda a: np.sum(np.linalg.inv(a) ** 3), [a])
    np.testing.assert_allclose(
        pb.compile_grad(lambda a: np.linalg.matrix_power(a, -3))(a), np.linalg.matrix_power(a, -3), rtol=1e-11
    )


def test_second_derivatives_and_both_modes():
    a, b = matrices(), right(3)
    f = pb.compile_grad(lambda a: np.sum(np.linalg.solve(a, b) ** 2 + np.linalg.solve(a.T, b)))
    hessian = f.hessian(a)
    step = 1e-6
    for place in np.ndindex(3, 3):
        moved = np.zeros((3, 3))
        moved[place] = step
        numeric = (f.grad(a + moved) - f.grad(a - moved)) / (2 * step)
        np.testing.assert_allclose(hessian[(..., *place)], numeric, rtol=1e-6, atol=1e-8)
    g = pb.compile_grad(lambda a: np.linalg.solve(a, b))
    np.testing.assert_allclose(g.jacfwd(a), g.jacrev(a), rtol=1e-12, atol=1e-14)
    inverse = np.linalg.inv(a)
    np.testing.assert_allclose(g.jacfwd(a), -np.einsum("ij,k->ijk", inverse, inverse @ b), rtol=1e-11)


@pytest.mark.parametrize("name", LIBRARIES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("transpose", [False, True])
def test_every_library(name, dtype, transpose, monkeypatch):
    library = LIBRARIES[name]()
    if library is None and name != "none":
        pytest.skip(f"no {name} BLAS here")
    monkeypatch.setattr(blas, "find", lambda: library)
    monkeypatch.setattr(lapack_call, "OWN_UP_TO", 1)
    for n, k in ((2, 1), (3, 2), (20, 1), (37, 5)):
        a, b = matrices(2, n=n).astype(dtype), right(2, n, k).astype(dtype)
        region = Region([Value(type_of(array)) for array in (a, b)])
        region.yields = (RegionBuilder(region).value(Solve(transpose), *region.arguments),)
        function = Function("system", region)
        (found,), (expected,) = compile_function(function)([a, b]), interpret(function, [a, b])
        tolerance = 1e-11 if dtype is np.float64 else 1e-4
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
        singular = a.copy()
        singular[1, :, -1] = 0
        with pytest.raises(np.linalg.LinAlgError, match=re.escape(f"the matrix at [1] of {type_of(a)} is singular")):
            compile_function(function)([singular, b])
        with pytest.raises(np.linalg.LinAlgError, match="singular"):
            interpret(function, [singular, b])


def test_singular_matrices_raise_with_the_users_line():
    @pb.compile_grad
    def f(a, b):
        return np.sum(np.linalg.solve(a, b))  # here

    a = matrices()
    f(a, right(3))
    for call in (f, f.grad, f.hessian):
        with pytest.raises(np.linalg.LinAlgError, match=r"the matrix f64\[3, 3\] is singular.*zero in column 2") as caught:
            call(np.ones((3, 3)) + np.diag([1.0, 0.0, 0.0]), right(3))
        assert "# here" in str(caught.value)
        assert isinstance(caught.value, pb.PullbackError)
    assert np.isnan(f(np.where(np.eye(3) == 1, np.nan, a), right(3)))


def test_misfits():
    f = pb.compile_grad(np.linalg.solve)
    misfits = [
        (right(3, 4), right(3), "no square matrix"), (right(3), right(3), "no square matrix"),
        (matrices(), right(4), "no right side"), (matrices(2), right(2, 3), "no right side"),
        (matrices(), np.float64(1.0), "no right side"), (matrices(2), right(4, 3, 1), "leading axes"),
    ]  # fmt: skip
    for a, b, text in misfits:
        with pytest.raises(ValueError, match=text):
            f(a, b)
        with pytest.raises((ValueError, np.linalg.LinAlgError)):
            np.linalg.solve(a, b)


def test_a_system_that_is_not_solved_does_not_raise():
    """Neither a branch that is not taken nor a loop without trips meets the singular matrix."""

    @pb.compile_grad
    def guarded(a, b, go):
        x = b
        if go > 0.0:
            x = np.linalg.solve(a, b)
        return np.sum(x * x)

    @pb.compile_grad
    def repeated(a, b, count):
        x = b
        for _ in range(count):
            x = x + np.linalg.solve(a, b)
        return np.sum(x * x)

    b, singular = right(3), np.ones((3, 3))
    assert guarded(singular, b, -1.0) == pytest.approx(np.sum(b * b))
    np.testing.assert_array_equal(guarded.grad(singular, b, -1.0), np.zeros((3, 3)))
    assert repeated(singular, b, 0) == pytest.approx(np.sum(b * b))
    np.testing.assert_array_equal(repeated.grad(singular, b, 0), np.zeros((3, 3)))
    with pytest.raises(np.linalg.LinAlgError):
        repeated.grad(singular, b, 1)


def test_in_loops():
    """Implicit Euler steps: the gradient through a loop of solves."""

    def run(a, x):
        for _ in range(6):
            x = np.linalg.solve(np.eye(3) + 0.1 * a, x + 0.05 * np.sin(x))
        return np.sum(x * x)

    a, x = matrices(), right(3)
    assert pb.compile_grad(run)(a, x) == pytest.approx(run(a, x), rel=1e-12)
    assert pb.gradcheck(run, [a, x])


def test_vmap():
    a, b = matrices(5), right(5, 3)
    solve = np.linalg.solve
    np.testing.assert_allclose(pb.vmap(solve)(a, b), solve(a, b[..., None])[..., 0], rtol=1e-12)
    np.testing.assert_allclose(pb.vmap(solve, (None, 0))(a[0], b), solve(a[0], b.T).T, rtol=1e-12)
    np.testing.assert_allclose(pb.vmap(solve, (0, None))(a, b[0]), solve(a, b[0]), rtol=1e-12)
    stacks, sides = matrices(2, n=3), right(4, 2, 3, 2)
    np.testing.assert_allclose(pb.vmap(solve, (None, 0))(stacks, sides), solve(stacks, sides), rtol=1e-12)
    mapped = pb.compile_grad(lambda a: np.sum(pb.vmap(solve, (None, 0))(a, b) ** 2))
    np.testing.assert_allclose(mapped.grad(a[0]), pb.grad(lambda a: np.sum(solve(a, b.T) ** 2))(a[0]), rtol=1e-11)
