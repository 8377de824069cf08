"""Sparse Jacobians and Hessians: the dense values, patterns no fuller than they need be, few colours, clear refusals."""
from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.errors import DerivativeError, TraceError
from pullback.tracer.tree import flatten

scipy_sparse = pytest.importorskip("scipy.sparse")
R = np.random.default_rng(11)


def specialization(f: Any, name: str = "sparse_jacobian") -> Any:
    """The only one made of a sparse derivative."""
    (made,) = f._dispatchers[name].specializations.values()
    return made


def products(f: Any, name: str = "sparse_jacobian") -> int:
    made = specialization(f, name)
    return int(made.plan.columns + made.plan.rows)


def same(found: Any, wanted: Any, rtol: float = 1e-12) -> None:
    """Matrices, in nests, that hold what the dense derivative does."""
    for matrix, dense in zip(flatten(found)[0], flatten(wanted)[0], strict=True):
        assert isinstance(matrix, scipy_sparse.csr_array)
        dense = np.asarray(dense)
        assert dense.size == matrix.shape[0] * matrix.shape[1] and matrix.dtype == dense.dtype
        np.testing.assert_allclose(matrix.toarray().reshape(dense.shape), dense, rtol=rtol, atol=rtol)


def jacobian(fun: Callable[..., Any], *args: Any, entries: int | None = None, most: int | None = None) -> Any:
    """The sparse Jacobian, compared with the dense one, with the number of entries and products that it should take."""
    f = pb.compile_grad(fun)
    found = f.sparse_jacobian(*args)
    same(found, f.jacobian(*args))
    assert entries is None or found.nnz == entries
    assert most is None or products(f) <= most
    return found


def hessian(fun: Callable[..., Any], *args: Any, entries: int | None = None, most: int | None = None) -> Any:
    f = pb.compile_grad(fun)
    found = f.sparse_hessian(*args)
    same(found, f.hessian(*args))
    assert entries is None or found.nnz == entries
    assert most is None or products(f, "sparse_hessian") <= most
    return found


# Bands


def slices(x: Any) -> Any:
    return x[2:] - 2 * x[1:-1] ** 2 + x[:-2]


def loop(x: Any) -> Any:
    out = np.zeros_like(x)
    for i in range(1, len(x) - 1):
        out[i] = x[i - 1] - 2 * x[i] ** 2 + np.sin(x[i + 1])
    return out


def rosenbrock(x: Any) -> Any:
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def rosenbrock_loop(x: Any) -> Any:
    total = 0.0
    for i in range(len(x) - 1):
        total += 100 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2
    return total


@pytest.mark.parametrize("n", [3, 8, 500])
def test_bands(n: int) -> None:
    x = R.normal(size=n)
    jacobian(slices, x, entries=3 * (n - 2), most=3)
    jacobian(loop, x, entries=3 * (n - 2), most=3)
    hessian(rosenbrock, x, entries=3 * n - 2, most=3)
    hessian(rosenbrock_loop, x, entries=3 * n - 2, most=3)


@pytest.mark.parametrize("fun", [slices, loop], ids=lambda fun: fun.__name__)
def test_many_unknowns(fun: Callable[..., Any]) -> None:
    n = 100_000
    x = R.normal(size=n)
    f = pb.compile_grad(fun)
    matrix = f.sparse_jacobian(x)
    assert matrix.nnz == 3 * (n - 2) and products(f) == 3
    v = R.normal(size=n)
    np.testing.assert_allclose(matrix @ v, f.jvp((x,), (v,))[1], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("fun", [rosenbrock, rosenbrock_loop], ids=lambda fun: fun.__name__)
def test_hessian_of_many_unknowns(fun: Callable[..., Any]) -> None:
    n = 100_000
    x = R.normal(size=n)
    f = pb.compile_grad(fun)
    matrix = f.sparse_hessian(x)
    assert matrix.nnz == 3 * n - 2 and products(f, "sparse_hessian") == 3
    v = R.normal(size=n)
    np.testing.assert_allclose(matrix @ v, f.hvp((x,), (v,)), rtol=1e-9, atol=1e-9)


# Grids and other structures


def laplace(u: Any) -> Any:
    return u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:] - 4 * u[1:-1, 1:-1] ** 2


def laplace_loop(u: Any) -> Any:
    rows, columns = u.shape
    out = np.zeros_like(u)
    for i in range(1, rows - 1):
        for j in range(1, columns - 1):
            out[i, j] = u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1] - 4 * u[i, j] ** 2
    return out


@pytest.mark.parametrize("shape", [(5, 6), (30, 17)])
def test_grids(shape: tuple[int, int]) -> None:
    u = R.normal(size=shape)
    inner = (shape[0] - 2) * (shape[1] - 2)
    jacobian(laplace, u, entries=5 * inner, most=8)
    jacobian(laplace_loop, u, entries=5 * inner, most=8)
    jacobian(lambda x: laplace(np.pad(x.reshape(shape), 1)).reshape(-1), u.reshape(-1), most=8)
    jacobian(lambda x: np.roll(x, 1, 0) * x + np.roll(x, -1, 1), u, most=8)


def test_energy_of_a_grid() -> None:
    def energy(u: Any) -> Any:
        return 0.5 * np.sum(np.diff(u, axis=0) ** 2) + np.sum((u[:, 1:] - u[:, :-1]) ** 4) + np.sum(np.cos(u))

    u = R.normal(size=(12, 9))
    hessian(energy, u, entries=5 * 108 - 2 * (12 + 9), most=8)


def test_arrow() -> None:
    """A full row and a full column beside a diagonal: two forward products and a reverse one."""
    n = 400

    def arrow(x: Any) -> Any:
        return np.concatenate([np.sum(x**2, keepdims=True), x[0] * x[1:] ** 2])

    jacobian(arrow, R.normal(size=n), entries=n + 2 * (n - 1), most=3)
    hessian(lambda x: np.sum(x[0] * x[1:] ** 2) + np.sum(x**3), R.normal(size=n), entries=n + 2 * (n - 1), most=2)
    hessian(lambda x: x[-1] * np.sum(x[:-1] ** 2) + np.sum(x**4), R.normal(size=n), entries=n + 2 * (n - 1), most=2)
    # Few full columns, all else diagonal.
    jacobian(lambda x: x[2:] * x[0] + np.sin(x[1]), R.normal(size=n), entries=3 * (n - 2), most=3)
    jacobian(lambda x: np.concatenate([x**2, np.cumsum(x)[-2:]]), R.normal(size=n), most=3)


def test_blocks() -> None:
    blocks = R.normal(size=(20, 3, 3))

    def f(x: Any) -> Any:
        return np.matmul(blocks, np.sin(x).reshape(20, 3, 1)).reshape(-1)

    jacobian(f, R.normal(size=60), entries=180, most=3)
    hessian(lambda x: np.sum(np.prod(x.reshape(20, 3), axis=1)), R.normal(size=60), most=3)


def test_full_matrices_are_right_too() -> None:
    w = R.normal(size=(7, 5))
    jacobian(lambda x: np.tanh(w @ x) / np.sum(x**2), R.normal(size=5), entries=35)
    jacobian(lambda x: np.sort(x) * np.max(x), R.normal(size=6))
    jacobian(lambda x: x - np.mean(x), R.normal(size=6), entries=36)
    jacobian(lambda x: np.sum(x - np.mean(x)), R.normal(size=6), entries=6)
    hessian(lambda x: np.log(np.sum(np.exp(x))), R.normal(size=6), entries=36)
    jacobian(np.cumsum, R.normal(size=9), entries=45)
    jacobian(np.cumprod, R.normal(size=9), entries=45)


# What is read of indices, conditions and constant matrices


def test_indices() -> None:
    ends = np.array([[0, 1], [1, 4], [4, 2], [2, 0], [3, 3]])
    x = R.normal(size=5)
    jacobian(lambda x: x[ends[:, 0]] - x[ends[:, 1]] ** 2, x, entries=9)
    jacobian(lambda x: x[::2], x, entries=3, most=1)
    jacobian(lambda x: np.take(x, np.array([3, 3, 0])), x, entries=3)
    jacobian(lambda x: np.where(np.arange(5) > 2, x[0], x), x, entries=5)
    jacobian(lambda x: np.where(x > 0, x[::-1], x), x, entries=9)

    def assembled(x: Any) -> Any:
        out = np.zeros_like(x)
        np.add.at(out, ends[:, 0], x[ends[:, 1]] ** 2)
        return out

    jacobian(assembled, x, entries=5, most=1)


def test_what_the_pattern_rests_on_may_change() -> None:
    """Indices that are arguments, and outside arrays changed in place, are looked at in every call."""
    x, outside = R.normal(size=6), np.eye(6)[:2]
    f = pb.compile_grad(lambda x, index: x[index] ** 2 * (outside @ x))
    for chosen, ones in ((2, 3), (0, 1)), ((2, 3), (5, 1)), ((4, 0), (5, 1)), ((4, 0), (5, 1)):
        outside[:] = np.eye(6)[list(ones)]
        found = f.sparse_jacobian(x, np.array(chosen))
        same(found, f.jacobian(x, np.array(chosen)))
        assert found.nnz == 4
    assert len(specialization(f).rests_on) == 2 and f.explain().count("other elements") == 2


def test_constant_matrices() -> None:
    banded = np.diag(np.ones(8)) - np.diag(np.ones(7), 1)
    x = R.normal(size=8)
    jacobian(lambda x: banded @ x**2, x, entries=15, most=2)
    jacobian(lambda x: x**2 @ banded, x, entries=15, most=2)
    jacobian(lambda x: banded.T @ (banded @ x) ** 3, x, entries=22, most=3)
    jacobian(lambda x: np.reshape(x, (2, 4)) @ banded[:4, :4], x, entries=14)
    jacobian(lambda x: banded[:4, :4] @ np.reshape(x, (4, 2)), x, entries=14)
    f = pb.compile_grad(lambda x, matrix: matrix @ x)
    assert f.sparse_jacobian(x, banded).nnz == 15 and f.sparse_jacobian(x, banded + np.eye(8)[::-1]).nnz == 21


# Loops


def difference_of_neighbours(x: Any) -> Any:
    out, before = np.zeros(len(x)), 0.0
    for i in range(len(x)):
        out[i] = x[i] - before
        before = x[i] ** 2
    return out


def fluxes(x: Any) -> Any:
    out = np.zeros(len(x))
    for i in range(len(x) - 1):
        flux = np.tanh(x[i + 1] - x[i])
        out[i] += flux
        out[i + 1] -= flux
    return out


def scratch(x: Any) -> Any:
    out = np.zeros(len(x))
    for i in range(2, len(x)):
        pair = np.zeros(2)
        pair[0] = x[i]
        pair[1] = x[i - 2] * pair[0]
        out[i] = pair[0] + pair[1]
    return out


def ends_apart(x: Any) -> Any:
    out = np.zeros(len(x))
    for i in range(len(x)):
        if i == 0:
            out[i] = x[0] - 1.0
        elif i == len(x) - 1:
            out[i] = x[i] ** 2
        elif x[i] > 0:
            out[i] = x[i - 1] * x[i]
        else:
            out[i] = x[i + 1]
    return out


def triangle(x: Any) -> Any:
    out, k = np.zeros(len(x)), 0
    for i in range(6):
        for j in range(i + 1):
            out[k] = x[i] * x[j]
            k += 1
    return out


def halves(x: Any) -> Any:
    """Newton steps for one square root each, with a while loop inside."""
    out = np.zeros(len(x))
    for i in range(len(x)):
        y = 1.0 + x[i] ** 2
        while y * y > 1.01 * (1.0 + x[i] ** 2):
            y = 0.5 * (y + (1.0 + x[i] ** 2) / y)
        out[i] = y
    return out


def steps(x: Any) -> Any:
    for _ in range(3):
        x = x + 0.1 * (np.roll(x, 1) - 2 * x + np.roll(x, -1)) * x
    return x


def recurrence(x: Any) -> Any:
    out = np.zeros(len(x))
    out[0] = x[0]
    for i in range(1, len(x)):
        out[i] = 0.5 * out[i - 1] + x[i]
    return out


LOOPS = [(difference_of_neighbours, 2, 2), (fluxes, 3, 3), (scratch, 2, 3), (ends_apart, 3, 3), (halves, 1, 1), (steps, 7, 9)]


@pytest.mark.parametrize(("fun", "width", "most"), LOOPS, ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize("n", [9, 40])
@pytest.mark.parametrize("few", [0, 3000], ids=["together", "one by one"])
def test_loops(fun: Callable[..., Any], width: int, most: int, n: int, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Precisely, whether iterations are looked at together or one after the other; and so their second derivatives."""
    monkeypatch.setattr("pullback.ir.analysis.dependence_loops.FEW", few)
    x = R.uniform(0.5, 1.5, n) * np.where(R.uniform(size=n) > 0.5, 1, -1)
    jacobian(fun, x, most=most + 3)
    found = pb.jacobian(fun, sparse=True)(x)
    assert int(np.diff(found.indptr).max()) <= width
    matrix = hessian(lambda x: np.sum(np.sin(fun(x))), x)
    assert int(np.diff(matrix.indptr).max()) <= 2 * width - 1 + (fun is steps)


@pytest.mark.parametrize("few", [0, 3000], ids=["together", "one by one"])
def test_loops_of_other_shapes(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pullback.ir.analysis.dependence_loops.FEW", few)
    jacobian(triangle, R.normal(size=21))
    jacobian(recurrence, R.normal(size=12))
    hessian(lambda x: np.sum(recurrence(x) ** 3), R.normal(size=12))
    jacobian(lambda x: pb.scan(lambda total, each: (total + each, total * each), 0.0, x)[1], R.normal(size=7))
    jacobian(laplace_loop, R.normal(size=(6, 5)), entries=60)


def test_backward_and_strided_loops() -> None:
    def f(x: Any) -> Any:
        out = np.zeros(len(x))
        for i in range(len(x) - 1, 0, -2):
            out[i] = x[i] * x[i - 1]
        return out

    jacobian(f, R.normal(size=2000), entries=2000, most=2)


# Arguments, results, dtypes


def test_nests_of_arguments_and_results() -> None:
    def f(p: Any, x: Any) -> Any:
        return {"a": p["w"][:, 0] * x[1:], "b": (x**2, np.sum(p["s"] * x[:2]))}

    arguments = ({"w": R.normal(size=(4, 2)), "s": 2.0}, R.normal(size=5))
    found = pb.jacobian(f, argnums=(0, 1), sparse=True)(*arguments)
    same(found, pb.jacobian(f, argnums=(0, 1))(*arguments))
    assert found["a"][0]["w"].shape == (4, 8) and found["a"][0]["w"].nnz == 4 and found["a"][0]["s"].nnz == 0
    assert found["b"][1][1].shape == (1, 5) and found["b"][1][1].nnz == 2

    def g(x: Any, y: Any) -> Any:
        return np.sum(x * x * y[:, 0]) + np.sum(np.exp(y))

    pair = (R.normal(size=3), R.normal(size=(3, 2)))
    (xx, xy), (yx, yy) = both = pb.hessian(g, argnums=(0, 1), sparse=True)(*pair)
    same(both, pb.hessian(g, argnums=(0, 1))(*pair))
    assert (xx.nnz, xy.nnz, yx.nnz, yy.nnz) == (3, 3, 3, 9 - 3)


def test_dtypes() -> None:
    single = R.normal(size=7).astype(np.float32)
    found = pb.jacobian(slices, sparse=True)(single)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.toarray(), pb.jacobian(slices)(single), rtol=1e-6)
    same(pb.hessian(rosenbrock, sparse=True)(single), pb.hessian(rosenbrock)(single), 1e-5)

    def mixed(x: Any, y: Any) -> Any:
        return np.sum(x.astype(np.float64) * y**2)

    pair = (single, R.normal(size=7))
    found = pb.hessian(mixed, argnums=(0, 1), sparse=True)(*pair)
    for line, wanted in zip(found, pb.hessian(mixed, argnums=(0, 1))(*pair), strict=True):
        for matrix, dense in zip(line, wanted, strict=True):
            assert matrix.dtype == dense.dtype
            np.testing.assert_allclose(matrix.toarray(), dense, rtol=1e-6)


def test_nothing_and_scalars() -> None:
    assert pb.jacobian(lambda x: x * 2, sparse=True)(3.0).toarray() == [[2.0]]
    assert pb.hessian(lambda x: x**3, sparse=True)(2.0).toarray() == [[12.0]]
    assert pb.jacobian(lambda x: x[:0], sparse=True)(np.ones(5)).shape == (0, 5)
    assert pb.jacobian(lambda x: np.sum(x) + np.ones(3), sparse=True)(np.zeros(0)).shape == (3, 0)
    assert pb.jacobian(lambda x: np.ones(2), sparse=True)(np.ones(5)).nnz == 0
    assert pb.hessian(lambda x: np.sum(x) * 2, sparse=True)(np.ones(4)).nnz == 0
    assert pb.hessian(np.sum, sparse=True)(np.zeros(0)).shape == (0, 0)
    assert pb.jacobian(lambda x: x * pb.stop_gradient(x[::-1]), sparse=True)(np.ones(4)).nnz == 4
    assert pb.jacobian(lambda x: np.floor(x[1:]) + x[:-1], sparse=True)(np.ones(4)).nnz == 3


def test_auxiliary_results_static_arguments_and_methods() -> None:
    @pb.compile_grad(has_aux=True, static_argnames="power")
    def f(x: Any, power: int = 2) -> Any:
        return x[1:] ** power, {"sum": np.sum(x)}

    x = R.normal(size=4)
    for power in (2, 3):
        found, aux = f.sparse_jacobian(x, power=power)
        np.testing.assert_allclose(found.toarray(), np.eye(4)[1:] * power * x ** (power - 1))
        np.testing.assert_allclose(aux["sum"], np.sum(x))

    class Model:
        scale = 3.0

        @pb.compile_grad
        def energy(self, x: Any) -> Any:
            return np.sum(x**2) * self.scale

    model = Model()
    np.testing.assert_allclose(model.energy.sparse_hessian(x).toarray(), 6 * np.eye(4))


# What is kept


def test_found_once_and_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    f = pb.compile_grad(slices)
    x = R.normal(size=50)
    first = f.sparse_jacobian(x)
    monkeypatch.setattr("pullback.sparse.dependence", None)
    monkeypatch.setattr("pullback.sparse.plan", None)
    first.data[:] = 0
    first.indices[:] = 0
    again = f.sparse_jacobian(x + 1)
    np.testing.assert_allclose(again.toarray(), f.jacobian(x + 1))
    assert again.has_canonical_format and f.stats()["sparse_jacobian"]["specializations"] == 1
    with pytest.raises(TypeError):
        f.sparse_jacobian(x[1:])  # another shape would need them again


def test_refusals() -> None:
    x = np.ones(4)
    with pytest.raises(DerivativeError, match="outside of compiled functions") as caught:
        pb.compile_grad(lambda x: np.sum(pb.jacobian(slices, sparse=True)(x)))(x)
    assert "help:" in str(caught.value)
    with pytest.raises(DerivativeError, match="made of arrays"):
        pb.jacobian(slices, sparse=True)(pb.ones(4))
    with pytest.raises(DerivativeError, match="derivatives are of floats"):
        pb.jacobian(lambda x: x > 0, sparse=True)(x)
    with pytest.raises(DerivativeError, match="one float result"):
        pb.hessian(slices, sparse=True)(x)
    with pytest.raises(DerivativeError, match=r"not sparse: 40000000000 of 200000 x 200000 entries"):
        pb.jacobian(lambda x: x - np.mean(x), sparse=True)(np.ones(200_000))


def test_scipy_is_optional() -> None:
    program = (
        "import sys; sys.modules['scipy'] = None\n"
        "import numpy as np, pullback as pb\n"
        "try:\n    pb.jacobian(np.sin, sparse=True)(np.ones(3))\n"
        "except ImportError as error:\n    print(error)\n"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "need SciPy" in shown and "help: pip install scipy" in shown


def test_a_hessian_by_rules_of_the_users_own_need_not_be_symmetric() -> None:
    @pb.custom_jvp
    def square_sum(x: Any) -> Any:
        return np.sum(x * x)

    def rule(primals: Any, tangents: Any) -> Any:
        (x,), (dot,) = primals, tangents
        # No derivative of anything: its own derivative is not symmetric.
        return square_sum(x), np.sum(dot[1:] * x[:-1] ** 2) + np.sum(dot)

    square_sum.defjvp(rule)
    x = np.arange(1.0, 7.0)
    wanted = pb.hessian(square_sum)(x)
    assert not np.array_equal(wanted, wanted.T)
    np.testing.assert_allclose(pb.hessian(square_sum, sparse=True)(x).toarray(), wanted)


def test_functions_that_change_their_arguments_or_raise() -> None:
    def changes(x: Any) -> Any:
        x[0] = 1.0
        return x * x

    with pytest.raises(TraceError, match="would change the caller's array"):
        pb.jacobian(changes, sparse=True)(np.ones(3))

    def checks(x: Any) -> Any:
        assert x[0] > 0, "positive"
        return x * x

    f = pb.jacobian(checks, sparse=True)
    np.testing.assert_array_equal(f(np.ones(3)).toarray(), 2 * np.eye(3))
    with pytest.raises(AssertionError, match="positive"):
        f(-np.ones(3))
