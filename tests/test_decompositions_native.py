"""Decompositions in native code: every LAPACK on this machine, no call of Python, empty and strided matrices, errors, loops."""
from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback import dtypes
from pullback.codegen.lapack_routine import INTEGERS, INTEGERS_SIZE, WORK, WORK_SIZE, Routine
from pullback.codegen.program import build_program
from pullback.compiler import compile_function
from pullback.ir.core import Function, Region, RegionBuilder, Value
from pullback.ir.interpret import interpret
from pullback.ir.ops.decomposition import Cholesky, Decomposition, Eigh, Pinv, Qr, SlogDet, Svd
from pullback.ir.types import type_of
from pullback.runtime import blas

LIBRARIES = {"bundled": blas.find_bundled, "scipy": blas.find_scipy, "none": lambda: None}
OPS = {"cholesky": Cholesky(), "slogdet": SlogDet(), "eigh": Eigh(), "eigh of upper": Eigh(True), "svd": Svd(), "qr": Qr(),
       "pinv": Pinv()}  # fmt: skip
NUMPY = {"cholesky": np.linalg.cholesky, "slogdet": np.linalg.slogdet, "eigh": np.linalg.eigh, "eigvalsh": np.linalg.eigvalsh,
         "svd": lambda a: np.linalg.svd(a, full_matrices=False), "svdvals": lambda a: np.linalg.svd(a, compute_uv=False),
         "qr": np.linalg.qr, "pinv": np.linalg.pinv}  # fmt: skip
SQUARE_ONLY = ("cholesky", "slogdet", "eigh", "eigvalsh")


def matrices(*shape: int, seed: int = 0) -> np.ndarray:
    """Positive definite matrices whose eigenvalues are well apart, or random ones of other shapes."""
    x = np.random.default_rng(seed).normal(size=shape)
    if shape[-1] != shape[-2]:
        return x
    return x @ np.swapaxes(x, -1, -2) / shape[-1] + np.diag(1.0 + np.arange(shape[-1]))


def alone(op: Decomposition, a: np.ndarray, results: slice = slice(None)) -> Function:
    """A function of nothing but the op."""
    region = Region([Value(type_of(a))])
    region.yields = tuple(RegionBuilder(region).emit(op, *region.arguments).results[results])
    return Function("parts", region)


def leaves(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple) else [result]


@pytest.mark.parametrize("name", LIBRARIES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("op", OPS)
def test_every_library(op: str, dtype: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = LIBRARIES[name]()
    if library is None and name != "none":
        pytest.skip(f"no {name} BLAS here")
    monkeypatch.setattr(blas, "find", lambda: library)
    shapes: list[tuple[int, ...]] = [(1, 1), (2, 5, 5), (2, 2, 3, 3), (37, 37)]
    shapes += [(5, 3), (2, 40, 17), (4, 1)] if op in ("svd", "qr", "pinv") else []
    shapes += [(3, 5), (17, 40), (1, 4)] if op in ("svd", "pinv") else []
    for shape in shapes:
        a = matrices(*shape).astype(dtype)
        if op == "eigh of upper":
            a = np.asarray(a + np.tril(np.ones(shape[-2:], dtype), -1))
        function = alone(OPS[op], a)
        expected = interpret(function, [a])
        assert bool(build_program(function).module.addresses) == (name == "none")
        tolerance = 1e-10 if dtype is np.float64 else 1e-5
        for found, wanted in zip(compile_function(function)([a]), expected, strict=True):
            assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
            np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


def test_no_call_of_python_is_left() -> None:
    """Neither in the value nor in the gradient: a call of Python calls a function `host` with a number."""
    for name, function in NUMPY.items():

        def total(a: Any, function: Any = function) -> Any:
            return sum(np.sum(part * part) for part in leaves(function(a)))

        for each in (function, pb.grad(total)):
            text = pb.compile_grad(each).lower(matrices(4, 4)).llvm
            assert re.search(r"@host\d", text) is None, name
            assert "@blas_d" in text, name
    called = pb.compile_grad(lambda a: pb.pure_callback(np.linalg.cholesky, a, a)).lower(matrices(4, 4)).llvm
    assert re.search(r"@host\d", called)


@pytest.mark.parametrize("name", NUMPY)
def test_matrices_without_elements(name: str) -> None:
    shapes = [(0, 0), (2, 0, 0), (0, 3, 3), (2, 0, 3, 3)]
    shapes += [] if name in SQUARE_ONLY else [(3, 0), (0, 4, 2), (2, 5, 0)]
    shapes += [(0, 3), (2, 0, 2)] if name in ("svd", "svdvals", "pinv") else []
    for shape in shapes:
        a = np.zeros(shape)
        expected, found = leaves(NUMPY[name](a)), leaves(pb.compile_grad(NUMPY[name])(a))
        for wanted, part in zip(expected, found, strict=True):
            assert np.shape(part) == np.shape(wanted), shape
            np.testing.assert_array_equal(part, wanted)


@pytest.mark.parametrize("name", NUMPY)
def test_strided_matrices(name: str) -> None:
    """Those that are handed over, and those that are views of other values in the function."""
    large = matrices(2, 12, 12)
    for view in (lambda a: a[0].T, lambda a: a[1, ::2, ::2], lambda a: a[:, 3:9, 3:9], lambda a: a[::-1, ::-1, ::-1]):
        expected = leaves(NUMPY[name](view(large)))
        given = leaves(pb.compile_grad(NUMPY[name])(view(large)))
        inside = leaves(pb.compile_grad(lambda a, view=view: NUMPY[name](view(a)))(large))
        for wanted, *parts in zip(expected, given, inside, strict=True):
            for part in parts:
                np.testing.assert_allclose(part, wanted, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("n", [1, 7, 8, 9, 16, 61])
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_signs_are_numpys(n: int, dtype: str) -> None:
    """Of all sizes around those at which code or library change their ways; zeros are zeros."""
    tolerance = 1e-10 if dtype == "f8" else 1e-4
    general = np.random.default_rng(n).normal(size=(n, n)).astype(dtype)
    for name, function in NUMPY.items():
        a = matrices(n, n).astype(dtype) if name == "cholesky" else general
        for wanted, part in zip(leaves(function(a)), leaves(pb.compile_grad(function)(a)), strict=True):
            np.testing.assert_allclose(part, wanted, rtol=tolerance, atol=tolerance, err_msg=name)
            np.testing.assert_array_equal(np.asarray(part) == 0, np.asarray(wanted) == 0)


def test_values_alone_take_no_vectors() -> None:
    a = matrices(6, 6)
    for op, values in ((Eigh(), slice(0, 1)), (Svd(), slice(1, 2))):
        function = alone(op, a, values)
        program, whole = build_program(function), build_program(alone(op, a))
        assert "@lapack_N" in str(program.module)
        assert "@lapack_N" not in str(whole.module)
        assert program.cost < whole.cost
        (found,) = compile_function(function)([a])
        np.testing.assert_allclose(found, interpret(function, [a])[0], rtol=1e-13)
    for part in (0, 2):  # some vectors are wanted
        found = compile_function(alone(Svd(), a, slice(part, part + 1)))([a])[0]
        np.testing.assert_allclose(found, np.linalg.svd(a)[part], rtol=1e-11, atol=1e-12)


def test_workspace_is_what_lapack_demands_at_least() -> None:
    library = blas.find()
    if library is None or blas.symbol("dsyevd") not in library.addresses:
        pytest.skip("no LAPACK here")
    for n in (1, 2, 30, 200):
        for dtype in (dtypes.f64, dtypes.f32):
            syevd = Routine("syevd", "VL", (n, "a", n, "w", WORK, WORK_SIZE, INTEGERS, INTEGERS_SIZE))
            sizes = syevd.workspace(dtype, library)
            assert sizes[WORK_SIZE] >= (1 if n == 1 else 1 + 6 * n + 2 * n * n)
            assert sizes[INTEGERS_SIZE] >= (1 if n == 1 else 3 + 5 * n)
            geqrf = Routine("geqrf", "", (2 * n, n, "a", 2 * n, "tau", WORK, WORK_SIZE))
            assert geqrf.workspace(dtype, library)[WORK_SIZE] >= n
    assert Routine("potrf", "U", (3, "a", 3)).workspace(dtypes.f64, library) == {}


def test_a_matrix_of_a_stack_that_is_not_positive_definite() -> None:
    @pb.compile_grad
    def f(a: Any) -> Any:
        return np.sum(np.linalg.cholesky(a))  # here

    stack = matrices(2, 3, 4, 4)
    f(stack)
    stack[1, 2] = -np.eye(4)
    for call in (f, f.grad, f.hessian):
        with pytest.raises(np.linalg.LinAlgError, match="is not positive definite") as caught:
            call(stack)
        assert "the matrix at [1, 2] of f64[2, 3, 4, 4]" in str(caught.value)
        assert "# here" in str(caught.value)
        assert isinstance(caught.value, pb.PullbackError)
    f(matrices(2, 3, 4, 4))


@pytest.mark.parametrize("name", ["svd", "svdvals", "pinv"])
def test_what_does_not_converge(name: str) -> None:
    f = pb.compile_grad(lambda a: NUMPY[name](a))
    for shape in ((4, 4), (3, 4, 4)):
        a = matrices(*shape)
        a.reshape(-1, 4, 4)[-1, 1, 2] = np.nan
        with pytest.raises(np.linalg.LinAlgError):
            NUMPY[name](a)
        with pytest.raises(np.linalg.LinAlgError, match="the iteration does not converge") as caught:
            f(a)
        assert "test_decompositions_native.py:" in str(caught.value)
        assert "NaN" in str(caught.value)
        assert ("at [2] of" in str(caught.value)) == (len(shape) == 3)


def test_in_loops_and_branches() -> None:
    """Scratch memory is there in each turn; what is not reached does not raise."""

    def run(a: Any, count: Any) -> Any:
        x, total = a, 0.0
        for _ in range(count):
            q, r = np.linalg.qr(x)
            x = r @ q + 0.1 * np.eye(5)
            values, vectors = np.linalg.eigh(x + x.T)
            total = total + np.sum(np.sin(values)) + np.linalg.slogdet(x)[1] + np.sum(np.linalg.svd(x)[1])
            total = total + np.sum((vectors * values) @ vectors.T) + np.sum(np.linalg.pinv(x))
        return total

    def guarded(a: Any, go: Any) -> Any:
        low = a
        if go > 0.0:
            low = np.linalg.cholesky(a)
        return np.sum(low * low)

    a = matrices(5, 5)
    f = pb.compile_grad(run)
    for count in (0, 1, 4):
        assert f(a, count) == pytest.approx(run(a, count), rel=1e-11)
    way = np.random.default_rng(3).normal(size=(5, 5))
    slope = (run(a + 1e-6 * way, 4) - run(a - 1e-6 * way, 4)) / 2e-6
    assert np.sum(f.grad(a, 4) * way) == pytest.approx(slope, rel=1e-5)
    g = pb.compile_grad(guarded)
    np.testing.assert_array_equal(g.grad(-a, -1.0), -2 * a)
    assert g(a, 1.0) == pytest.approx(np.trace(a))
    with pytest.raises(np.linalg.LinAlgError, match="positive definite"):
        g(-a, 1.0)


def test_operands_stay_as_they_are() -> None:
    """LAPACK works in place: on copies, even of an argument that is a result as well, or is read afterwards."""
    a = matrices(6, 6)
    before = a.copy()
    for name, function in NUMPY.items():
        parts = pb.compile_grad(lambda a, function=function: (*leaves(function(2 * a)), *leaves(function(a)), a + 1.0))(a)
        np.testing.assert_array_equal(a, before)
        np.testing.assert_array_equal(parts[-1], a + 1.0)
        expected = [*leaves(function(2 * a)), *leaves(function(a))]
        for wanted, part in zip(expected, parts, strict=False):
            np.testing.assert_allclose(part, wanted, rtol=1e-11, atol=1e-12, err_msg=name)
