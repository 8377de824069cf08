"""Derivatives of NumPy functions: every transform, nested to the fourth order, and what is said of mistakes."""
from __future__ import annotations

import dataclasses
import time
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.errors import ArgumentError, DerivativeError

R = np.random.default_rng(4)
X = R.normal(size=5)
W = R.normal(size=(3, 5))
S = 0.7


def central(f: Callable[..., Any], x: Any, h: float = 1e-6) -> Any:
    """Partial derivatives of an array function by central differences: the result's axes, then those of x."""
    x = np.asarray(x, np.float64)
    columns = []
    for place in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[place] = h
        columns.append((np.asarray(f(x + step)) - np.asarray(f(x - step))) / (2 * h))
    result = np.shape(f(x))
    return np.stack(columns, -1).reshape((*result, *x.shape)) if columns else np.zeros((*result, *x.shape))


def loss(x: Any) -> Any:
    return np.sum(np.tanh(W @ x) ** 2) + np.sum(np.exp(-x * x))


def field(x: Any) -> Any:
    return np.tanh(W @ x) * np.sum(x)


# One transform each


def test_grad_and_value() -> None:
    value, gradient = pb.value_and_grad(loss)(X)
    assert value == pb.compile_grad(loss)(X) and gradient.tobytes() == pb.grad(loss)(X).tobytes()
    np.testing.assert_allclose(value, loss(X), rtol=1e-14)
    np.testing.assert_allclose(gradient, central(loss, X), rtol=1e-7, atol=1e-8)


def test_vjp_is_the_transpose_of_jvp() -> None:
    dot, bar = R.normal(size=5), R.normal(size=3)
    value, moved = pb.jvp(field, (X,), (dot,))
    same, pullback = pb.vjp(field, X)
    (pulled,) = pullback(bar)
    assert value.tobytes() == same.tobytes() == pb.compile_grad(field)(X).tobytes()
    np.testing.assert_allclose(bar @ moved, pulled @ dot, rtol=1e-12)
    np.testing.assert_allclose(moved, central(field, X) @ dot, rtol=1e-7)


def test_linearize() -> None:
    value, pushforward = pb.linearize(field, X)
    np.testing.assert_allclose(value, field(X))
    first, second = R.normal(size=5), R.normal(size=5)
    both = pushforward(first) + 2 * pushforward(second)
    np.testing.assert_allclose(pushforward(first + 2 * second), both, rtol=1e-12)
    np.testing.assert_allclose(pushforward(first), pb.jvp(field, (X,), (first,))[1])


@pytest.mark.parametrize("transform", [pb.jacobian, pb.jacfwd, pb.jacrev], ids=lambda f: f.__name__)
def test_jacobians(transform: Callable[..., Any]) -> None:
    np.testing.assert_allclose(transform(field)(X), central(field, X), rtol=1e-7, atol=1e-9)
    matrix = transform(lambda w: np.sin(w @ X)[:, None] * np.ones(2))(W)
    assert matrix.shape == (3, 2, 3, 5)
    np.testing.assert_allclose(matrix, central(lambda w: np.sin(w @ X)[:, None] * np.ones(2), W), rtol=1e-7, atol=1e-8)
    assert transform(lambda x: x * 2.0)(3.0) == 2.0
    assert transform(lambda x: x * 2)(np.float32(3)).dtype == np.float32


def test_jacobian_of_nests() -> None:
    """Structure of the results, each in the structure of the arguments."""

    def f(p: Any, x: Any) -> Any:
        return {"a": p["w"] @ x, "b": np.sum(x) * p["s"]}

    arguments = ({"w": W, "s": 2.0}, X)
    for transform in (pb.jacobian, pb.jacfwd, pb.jacrev):
        found = transform(f, argnums=(0, 1))(*arguments)
        assert set(found) == {"a", "b"} and set(found["a"][0]) == {"w", "s"}
        np.testing.assert_allclose(found["a"][1], W)
        np.testing.assert_allclose(found["a"][0]["w"], np.einsum("ij,k->ijk", np.eye(3), X))
        np.testing.assert_allclose(found["a"][0]["s"], np.zeros(3))
        np.testing.assert_allclose(found["b"][0]["s"], np.sum(X))
        np.testing.assert_allclose(found["b"][1], np.full(5, 2.0))


def test_jacobian_with_nothing() -> None:
    assert pb.jacobian(lambda x: x[:0])(X).shape == (0, 5)
    assert pb.jacfwd(lambda x: np.sum(x) + np.ones(3))(np.zeros(0)).shape == (3, 0)
    np.testing.assert_array_equal(pb.jacobian(lambda x: np.ones(2))(X), np.zeros((2, 5)))


def test_hessian() -> None:
    found = pb.hessian(loss)(X)
    np.testing.assert_allclose(found, central(pb.grad(loss), X), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found, found.T, rtol=1e-12, atol=1e-14)
    dot = R.normal(size=5)
    np.testing.assert_allclose(pb.hvp(loss, (X,), (dot,)), found @ dot, rtol=1e-12)


def test_hessian_of_two_arguments() -> None:
    def f(x: Any, y: Any) -> Any:
        return np.sum(x * x * y) + np.sum(np.exp(y))

    x, y = np.array([1.0, 2.0]), np.array([0.5, -1.0])
    (xx, xy), (yx, yy) = pb.hessian(f, argnums=(0, 1))(x, y)
    np.testing.assert_allclose(xx, np.diag(2 * y))
    np.testing.assert_allclose(xy, np.diag(2 * x))
    np.testing.assert_allclose(yx, np.diag(2 * x))
    np.testing.assert_allclose(yy, np.diag(np.exp(y)))
    both = pb.hvp(f, (x, y), (np.ones(2), np.zeros(2)))
    np.testing.assert_allclose(both[0], 2 * y)
    np.testing.assert_allclose(both[1], 2 * x)


def test_jacobian_and_hessian_compile_in_time() -> None:
    """One derivative is mapped over all unit vectors: code does not grow with their number."""
    sizes = []
    for n in (5, 50):
        matrix = R.normal(size=(n, n))
        compiled = pb.compile_grad(lambda x, matrix=matrix: np.tanh(matrix @ x) * x)
        started = time.perf_counter()
        found = compiled.jacobian(np.linspace(0, 1, n))
        assert time.perf_counter() - started < 20 and found.shape == (n, n)
        sizes.append(pb.hessian(lambda x, matrix=matrix: np.sum(np.sin(matrix @ x)))(np.ones(n)).shape)
    assert sizes == [(5, 5), (50, 50)]


# Arguments and results of all kinds

Pair = namedtuple("Pair", "w b")


@dataclasses.dataclass(frozen=True)
class Parameters:
    w: Any
    layers: Any


def test_structures() -> None:
    def f(p: Any) -> Any:
        return np.sum(p.w * 2.0) + p.layers["a"][0] * 3.0 + np.sum(p.layers["b"].w ** 2) + p.layers["b"].b

    given = Parameters(np.ones(3), {"a": [1.5, None], "b": Pair(np.arange(2.0), np.float64(1.0))})
    found = pb.grad(f)(given)
    assert isinstance(found, Parameters) and isinstance(found.layers["b"], Pair) and found.layers["a"][1] is None
    np.testing.assert_array_equal(found.w, np.full(3, 2.0))
    assert found.layers["a"][0] == 3.0 and found.layers["b"].b == 1.0
    np.testing.assert_array_equal(found.layers["b"].w, [0.0, 2.0])


def test_argnums_argnames_and_keywords() -> None:
    def f(x: Any, y: Any = 2.0, *, z: Any = 3.0) -> Any:
        return x * y * y * z

    assert pb.grad(f, argnums=1)(1.0, 5.0) == 30.0
    assert pb.grad(f, argnums=(1, 0))(1.0, 5.0, z=2.0) == (20.0, 50.0)
    assert pb.grad(f, argnums=-1)(1.0, 5.0) == 30.0
    assert pb.compile_grad(f, argnames="y").grad(1.0, 4.0) == 24.0
    assert pb.grad(f)(1.0) == 12.0


def test_has_aux() -> None:
    def f(x: Any) -> Any:
        return np.sum(x * x), {"double": x * 2, "count": np.sum(x > 0)}

    gradient, aux = pb.grad(f, has_aux=True)(X)
    (value, again), same = pb.value_and_grad(f, has_aux=True)(X)
    np.testing.assert_array_equal(gradient, 2 * X)
    assert gradient.tobytes() == same.tobytes() and aux["count"] == np.sum(X > 0) == again["count"]
    np.testing.assert_array_equal(aux["double"], 2 * X)
    np.testing.assert_allclose(value, np.sum(X * X))
    compiled = pb.compile_grad(f, has_aux=True)
    matrix, aux = compiled.hessian(X)
    np.testing.assert_allclose(matrix, 2 * np.eye(5), atol=1e-15)
    assert aux["count"] == np.sum(X > 0)
    rows, aux = pb.compile_grad(lambda x: (x * x, x[0]), has_aux=True).jacobian(X)
    np.testing.assert_allclose(rows, np.diag(2 * X))
    assert aux == X[0]
    np.testing.assert_allclose(compiled.hvp((X,), (X,)), 2 * X)


def test_stop_gradient() -> None:
    assert pb.grad(lambda x: pb.stop_gradient(x * x) * x)(3.0) == 9.0
    assert pb.grad(lambda p: p["a"] * pb.stop_gradient(p)["b"])({"a": 2.0, "b": 5.0}) == {"a": 5.0, "b": 0.0}
    assert pb.jvp(lambda x: pb.stop_gradient(x) + x, (2.0,), (1.0,))[1] == 1.0
    assert pb.grad(pb.grad(lambda x: pb.stop_gradient(x) ** 2 * x**2))(3.0) == 18.0
    assert pb.stop_gradient(1.5) == 1.5


def test_captured_arrays_are_read_where_they_lie() -> None:
    table = np.arange(4.0)
    gradient = pb.grad(lambda x: np.sum(table * x))
    np.testing.assert_array_equal(gradient(np.ones(4)), table)
    table[:] = 7.0
    np.testing.assert_array_equal(gradient(np.ones(4)), np.full(4, 7.0))


def test_mixed_dtypes() -> None:
    x, y = X.astype(np.float32), X
    found = pb.grad(lambda x, y: np.sum(x * y * y), argnums=(0, 1))(x, y)
    assert [each.dtype for each in found] == [np.float32, np.float64]
    np.testing.assert_allclose(found[0], y * y, rtol=1e-6)
    np.testing.assert_allclose(found[1], 2 * x.astype(np.float64) * y, rtol=1e-15)
    n = np.array([1, 2, 3, 4, 5])
    np.testing.assert_array_equal(pb.grad(lambda x, n: np.sum(x * n))(X, n), n)


@pytest.mark.parametrize("f", [np.sin, np.tanh, np.sqrt, np.exp], ids=lambda f: f.__name__)
def test_ufuncs_themselves(f: Any) -> None:
    np.testing.assert_allclose(pb.grad(f)(0.3), central(f, 0.3), rtol=1e-8)
    _, pullback = pb.vjp(f, np.array([0.3, 0.4]))
    np.testing.assert_allclose(pullback(np.ones(2))[0], central(lambda x: np.sum(f(x)), np.array([0.3, 0.4])), rtol=1e-8)


# Nesting


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_grad_of_grad(order: int) -> None:
    """d^n of exp(2x) sin(x) is the imaginary part of (2 + i)^n exp((2 + i) x)."""
    f: Any = lambda x: np.exp(2 * x) * np.sin(x)  # noqa: E731
    for _ in range(order):
        f = pb.grad(f)
    c = 2 + 1j
    np.testing.assert_allclose(f(S), (c**order * np.exp(c * S)).imag, rtol=1e-12)


def forward(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: pb.jvp(f, (x,), (1.0,))[1]


def backward(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: pb.vjp(f, x)[1](1.0)[0]


MODES = {"f": forward, "r": backward, "g": pb.grad, "j": pb.jacobian, "h": pb.hessian}


@pytest.mark.parametrize("modes", ["ff", "fr", "rf", "rr", "frf", "rfr", "ffr", "rrf", "gfj", "jrg", "frfr", "hf", "gh", "hh",
                                   "jjj", "rrrr", "ffff"])  # fmt: skip
def test_modes_in_every_order(modes: str) -> None:
    def f(x: Any) -> Any:
        return np.sin(x) * np.exp(x / 2) + 1 / (1 + x * x)

    g: Any = f
    for mode in modes:
        g = MODES[mode](g)
    order = len(modes) + modes.count("h")
    # f is analytic within |z| < 1 of 0: its derivatives by Cauchy's integral on a circle of radius 0.5 around 0.2.
    angles = 2j * np.pi * np.arange(256) / 256
    circle = f(0.2 + 0.5 * np.exp(angles))
    factorial = float(np.prod(np.arange(1, order + 1)))
    wanted = (factorial * np.mean(circle * np.exp(-order * angles)) / 0.5**order).real
    np.testing.assert_allclose(pb.compile_grad(g)(0.2), wanted, rtol=1e-8)


def test_a_function_that_uses_gradients() -> None:
    """A step of Newton's method, differentiated by what the inner function depends on."""

    def step(x: Any, a: Any) -> Any:
        inner = lambda x: np.cosh(x) - a * x  # noqa: E731
        return x - pb.grad(inner)(x) / pb.grad(pb.grad(inner))(x)

    # x - (sinh x - a) / cosh x: by a it is 1 / cosh x.
    np.testing.assert_allclose(pb.grad(step, argnums=1)(0.5, 2.0), 1 / np.cosh(0.5), rtol=1e-14)
    np.testing.assert_allclose(pb.grad(step)(0.5, 2.0), central(lambda x: x - (np.sinh(x) - 2) / np.cosh(x), 0.5), rtol=1e-7)
    hessian = pb.hessian(lambda x: np.sum(pb.grad(lambda y: np.sum(y**3 * x))(x)))(np.array([1.0, 2.0]))
    np.testing.assert_allclose(hessian, np.diag([18.0, 36.0]))


CONFUSIONS: dict[str, tuple[Callable[..., Any], float]] = {
    # d/dx [x * d/dy (x + y)] = 1, not 2.
    "sum inside": (lambda d: d(lambda x: x * d(lambda y: x + y)(1.0))(1.0), 1.0),
    # d/dx [x * d/dy (x * y)] = 2x.
    "product inside": (lambda d: d(lambda x: x * d(lambda y: x * y)(2.0))(3.0), 6.0),
    # d/dx [d/dy (x * x * y * y * y) at y = x] = d/dx 3 x^4 = 12 x^3.
    "inner point is outer variable": (lambda d: d(lambda x: d(lambda y: x * x * y * y * y)(x))(2.0), 96.0),
    "three levels": (lambda d: d(lambda x: d(lambda y: d(lambda z: x * y * z * z)(x * y))(x))(1.5), 12 * 1.5**2),
    "inner closes over the middle": (
        lambda d: d(lambda x: d(lambda y: x * d(lambda z: np.sin(z * y))(x))(x))(0.4), np.nan),
    "inner ignores its argument": (lambda d: d(lambda x: d(lambda y: x * x)(x) + x)(3.0), 1.0),
    "outer ignored": (lambda d: d(lambda x: d(lambda y: y * y)(5.0))(3.0), 0.0),
    "function returned": (lambda d: d(lambda x: (lambda g: g(x) * x)(d(lambda y: y * x)))(3.0), 6.0),
}  # fmt: skip


@pytest.mark.parametrize("name", CONFUSIONS)
@pytest.mark.parametrize("mode", ["grad", "forward", "jacobian", "mixed"])
def test_perturbations_are_not_confused(name: str, mode: str) -> None:
    """Levels of nested derivatives are told apart, in every mode."""
    use, wanted = CONFUSIONS[name]
    if mode == "mixed":
        turns = iter([forward, pb.grad, forward, pb.grad] * 20)
        found = use(lambda f: next(turns)(f))
    else:
        found = use({"grad": pb.grad, "forward": forward, "jacobian": pb.jacobian}[mode])
    if np.isnan(wanted):
        # x * y * cos(x y) by y, at y = x: x cos(x²) - x³ · ... by differences of the closed form.
        closed = lambda x: x * (np.cos(x * x) - x * x * np.sin(x * x))  # noqa: E731
        wanted = float(central(closed, 0.4))
        np.testing.assert_allclose(found, wanted, rtol=1e-7)
        return
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_closures_over_arrays_of_outer_traces() -> None:
    def outer(w: Any) -> Any:
        hidden = np.tanh(w)
        return np.sum(pb.grad(lambda x: np.sum(hidden * x * x))(X)) + np.sum(pb.jacobian(lambda x: hidden * x)(X))

    wanted = central(lambda w: np.sum(2 * np.tanh(w) * X) + np.sum(np.tanh(w)), X)
    np.testing.assert_allclose(pb.grad(outer)(X), wanted, rtol=1e-7)


def test_compiled_functions_nest() -> None:
    inner = pb.compile_grad(lambda x: np.sum(x**3))
    outer = pb.compile_grad(lambda x: np.sum(inner.grad(x) * inner(x)))
    np.testing.assert_allclose(outer.grad(X), central(lambda x: np.sum(3 * x**2) * np.sum(x**3), X), rtol=1e-6, atol=1e-7)


def test_gradcheck() -> None:
    assert pb.gradcheck(lambda x, y: np.sum(np.sin(x) * y), (X, X + 1))
    wrong = lambda x: np.sum(pb.stop_gradient(x) * x)  # noqa: E731
    with pytest.raises(ArgumentError, match="gradient of argument 0"):
        pb.gradcheck(wrong, (X,))


# Mistakes

MISTAKES: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "array result": (lambda: pb.grad(lambda x: x * 2)(X), DerivativeError, r"one float result without axes.*f64\[5\]"),
    "integer result": (lambda: pb.grad(lambda x: np.argmax(x))(X), DerivativeError, r"i64\[\]"),
    "two results": (lambda: pb.grad(lambda x: (x[0], x[1]))(X), DerivativeError, r"f64\[\], f64\[\]"),
    "no result": (lambda: pb.grad(lambda x: None)(X), DerivativeError, "gives nothing"),
    "integer argument": (lambda: pb.grad(lambda x: x * 2.0)(3), DerivativeError, "argument 0 is int64"),
    "integer leaf": (lambda: pb.grad(lambda p: p["a"] * 2.0)({"a": 1.0, "n": 2}), DerivativeError, r"\['n'\] is int64"),
    "argnums beyond": (lambda: pb.grad(lambda x: x, argnums=1)(1.0), ArgumentError, "argument 1 of a call with 1"),
    "no aux": (lambda: pb.grad(lambda x: x, has_aux=True)(1.0), DerivativeError, r"pair \(value, aux\)"),
    "cotangent nest": (lambda: pb.vjp(lambda x: (x, x), X)[1](X), ArgumentError, "nest as the results"),
    "cotangent shape": (lambda: pb.vjp(lambda x: x * 2, X)[1](np.ones(4)), ArgumentError, r"cotangent of shape \[4\]"),
    "tangent nest": (lambda: pb.jvp(lambda x: x, (X,), (X, X)), ArgumentError, "nest as the primals"),
    "tangent shape": (lambda: pb.jvp(lambda x: x, (X,), (np.ones(3),)), ArgumentError, r"tangent of shape \[3\]"),
    "jacobian of integers": (lambda: pb.jacobian(lambda x: np.argsort(x))(X), DerivativeError, r"is i64\[5\]"),
    "jacobian by integers": (lambda: pb.jacobian(lambda n: n * 1.5)(np.arange(3)), DerivativeError, "is int64"),
    "hessian of an array": (lambda: pb.hessian(lambda x: x)(X), DerivativeError, "one float result"),
    "text": (lambda: pb.grad(lambda x: 1.0)("a"), ArgumentError, "is a str"),
    "complex": (lambda: pb.grad(lambda x: np.sum(x))(np.ones(2) * 1j), ArgumentError, "complex128"),
    "no function": (lambda: pb.grad(3.0), ArgumentError, "takes a function, not a float"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_explained(name: str) -> None:
    """The fact and the user's own line."""
    mistake, error, message = MISTAKES[name]
    with pytest.raises(error, match=message) as caught:
        mistake()
    assert "test_derivatives.py" in str(caught.value)
