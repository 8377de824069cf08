"""`vmap`: one function for many cases, along any axes, nested, with derivatives inside and outside."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.errors import ArgumentError

R = np.random.default_rng(6)
X = R.normal(size=(4, 3))
W = R.normal(size=(3, 3))


def each(f: Callable[..., Any], *cases: Any) -> Any:
    """Case after case, by NumPy."""
    return np.stack([f(*case) for case in zip(*cases, strict=True)])


def f(x: Any) -> Any:
    return np.tanh(W @ x) * np.max(x)


def test_along_the_first_axis() -> None:
    np.testing.assert_allclose(pb.vmap(f)(X), each(f, X), rtol=1e-14)
    assert pb.vmap(f)(X[:0]).shape == (0, 3)
    assert pb.vmap(f)(X[:1].astype(np.float32)).dtype == np.float64
    assert pb.vmap(lambda x: x * 2)(X.astype(np.float32)).dtype == np.float32
    assert pb.vmap(lambda x: x > 0)(X).dtype == bool


@pytest.mark.parametrize(("in_axis", "out_axis"), [(0, 0), (1, 0), (0, 1), (-1, -1), (1, 1)])
def test_along_other_axes(in_axis: int, out_axis: int) -> None:
    given = np.moveaxis(X, 0, in_axis)
    np.testing.assert_allclose(pb.vmap(f, in_axes=in_axis, out_axes=out_axis)(given),
                               np.moveaxis(each(f, X), 0, out_axis), rtol=1e-14)  # fmt: skip


def test_arguments_that_are_the_same_for_all() -> None:
    def g(x: Any, scale: Any, nest: Any) -> Any:
        return {"a": x * scale + nest["w"], "b": nest["n"] * scale}

    nest = {"w": X + 1, "n": np.arange(3.0)}
    mapped = pb.vmap(g, in_axes=(0, None, {"n": None, "w": 0}), out_axes={"a": 0, "b": None})
    found = mapped(X, 2.0, nest)
    np.testing.assert_allclose(found["a"], X * 2 + nest["w"])
    np.testing.assert_allclose(found["b"], nest["n"] * 2)
    spread = pb.vmap(g, in_axes=(0, None, {"n": None, "w": 0}))(X, 2.0, nest)
    np.testing.assert_allclose(spread["b"], np.tile(nest["n"] * 2, (4, 1)))
    np.testing.assert_allclose(pb.vmap(lambda x, *, y: x * y)(X, y=X), X * X)


def test_nested() -> None:
    """A table of distances, by two maps."""
    distance = lambda x, y: np.sqrt(np.sum((x - y) ** 2))  # noqa: E731
    table = pb.vmap(pb.vmap(distance, in_axes=(None, 0)), in_axes=(0, None))(X, X[:2])
    np.testing.assert_allclose(table, np.linalg.norm(X[:, None] - X[None, :2], axis=-1), rtol=1e-14)


def test_gradients_inside_and_outside() -> None:
    def loss(w: Any, x: Any) -> Any:
        return np.sum(np.tanh(w @ x) ** 2)

    singly = pb.vmap(pb.grad(loss), in_axes=(None, 0))(W, X)
    np.testing.assert_allclose(singly, each(lambda x: pb.grad(loss)(W, x), X), rtol=1e-12, atol=1e-15)
    total = pb.grad(lambda w: np.sum(pb.vmap(loss, in_axes=(None, 0))(w, X)))(W)
    np.testing.assert_allclose(total, singly.sum(0), rtol=1e-12)
    np.testing.assert_allclose(pb.vmap(pb.hessian(lambda x: loss(W, x)))(X),
                               each(pb.hessian(lambda x: loss(W, x)), X), rtol=1e-12, atol=1e-14)  # fmt: skip
    moved = pb.jvp(pb.vmap(f), (X,), (np.ones_like(X),))[1]
    np.testing.assert_allclose(moved, each(lambda x: pb.jvp(f, (x,), (np.ones(3),))[1], X), rtol=1e-12)
    compiled = pb.compile_grad(lambda x: np.sum(pb.vmap(f)(x)))
    value, gradient = compiled.value_and_grad(X)
    np.testing.assert_allclose(value, each(f, X).sum(), rtol=1e-13)
    np.testing.assert_allclose(gradient, each(pb.grad(lambda x: np.sum(f(x))), X), rtol=1e-12)


CASES: dict[str, Callable[..., Any]] = {
    "indexing by a case's own indices": lambda x: x[np.argsort(x)],
    "the largest": lambda x: x[np.argmax(x)],
    "where": lambda x: np.where(x > 0, np.sqrt(np.where(x > 0, x, 1.0)), 0.0),
    "reductions": lambda x: np.stack([x.sum(), x.mean(), x.prod(), x.min(), x.var()]),
    "concatenation": lambda x: np.concatenate([x[::-1], [1.0], x[1:2]]),
    "cumulative": np.cumsum, "outer": lambda x: np.outer(x, x), "sorting": np.sort, "median": np.median,
    "matrix on the right": lambda x: x @ W, "matrix of the case": lambda x: np.outer(x, x) @ W @ np.outer(x, x),
    "condition": lambda x: pb.cond(x[0] > 0, lambda x: x * 2, lambda x: x - 1, x),
    "counted loop": lambda x: pb.fori_loop(0, 3, lambda i, s: np.sin(s) + i, x),
    "while of each case": lambda x: pb.while_loop(lambda s: np.sum(s) < 9.0, lambda s: s * s + 1.0, x),
    "scan": lambda x: pb.scan(lambda c, v: (c * 0.5 + v, c), 0.0, x)[1],
    "closure": lambda x: x * X[0],
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_functions_do(name: str) -> None:
    """Values, gradients of each case, and gradients through the map."""
    g = pb.compile_grad(CASES[name])
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(pb.vmap(g)(X), each(g, X), rtol=1e-12)
    scalar = lambda x: np.sum(np.sin(CASES[name](x)))  # noqa: E731
    wanted = each(pb.grad(scalar), X)
    np.testing.assert_allclose(pb.vmap(pb.grad(scalar))(X), wanted, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(pb.grad(lambda x: np.sum(pb.vmap(scalar)(x)))(X), wanted, rtol=1e-11, atol=1e-13)


MISTAKES: dict[str, tuple[Callable[[], Any], str]] = {
    "sizes differ": (lambda: pb.vmap(lambda x, y: x + y)(X, X[:2].copy()), r"4 \(argument 0\), 2 \(argument 1\)"),
    "no axis": (lambda: pb.vmap(f, in_axes=2)(X), "has no axis 2"),
    "a number": (lambda: pb.vmap(lambda x, y: x * y)(X, 2.0), "in_axes=None passes"),
    "nothing mapped": (lambda: pb.vmap(f, in_axes=None)(X), "there are none"),
    "too many axes": (lambda: pb.vmap(f, in_axes=(0, 0))(X), "do not nest"),
    "nested too deep": (lambda: pb.vmap(f, in_axes=((0,),))(X), "do not nest"),
    "result axis": (lambda: pb.vmap(f, out_axes=2)(X), "result with 2 axes"),
    "result differs": (lambda: pb.vmap(f, out_axes=None)(X), "differs from case to case"),
    "result nest": (lambda: pb.vmap(f, out_axes=(0, 0))(X), "do not nest"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_explained(name: str) -> None:
    mistake, message = MISTAKES[name]
    with pytest.raises(ArgumentError, match=message) as caught:
        mistake()
    assert "test_vmap.py" in str(caught.value)


def test_index_errors_are_those_of_the_case() -> None:
    rows = np.array([[0, 1], [2, 0], [1, 5]])
    with pytest.raises(IndexError, match="index 5 is out of bounds"):
        pb.vmap(lambda x, i: x[i], in_axes=(0, 0))(X[:3], rows)
