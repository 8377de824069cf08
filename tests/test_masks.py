"""A branch that is not taken contributes exactly nothing, in either mode, at any order, whatever lies before and after.

Every function here is smooth where its masks are on; where they are off its branch has an infinite or undefined
derivative, which must not be seen: derivatives there are exactly 0, elsewhere those of the branch alone.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.ir.interpret import interpret
from pullback.tracer.trace import leaf_of, trace
from pullback.tracer.tree import flatten

Function = Callable[..., Any]
X = np.array([4.0, 0.0, -1.0, 1.0, 0.0, 0.25])
ON = X > 0

SINGULAR: dict[str, Function] = {
    "sqrt": lambda x: np.sqrt(x),
    "log": lambda x: np.log(x),
    "power": lambda x: x**0.5,
    "power of an array": lambda x: np.power(x, np.full(6, 0.3)),
    "negative power": lambda x: x**-1.5,
    "inverse": lambda x: 1.0 / x,
    "log of itself": lambda x: x * np.log(x),
    "arctan2": lambda x: np.arctan2(x, x),
    "sqrt of sqrt": lambda x: np.sqrt(np.sqrt(x)),
    "log of sqrt": lambda x: np.log(np.sqrt(x) / x),
    "sin of an inverse": lambda x: np.sin(1.0 / x) * np.exp(-1.0 / x),
    "logarithm one up": lambda x: np.log1p(x - 1.0),
    "exp that overflows": lambda x: np.exp(1.0 / (x + 1e-320)) * 0.0 + np.log(x),
    "arccosh": lambda x: np.arccosh(x + 1.0),
}


def where_on(branch: Function) -> Function:
    return lambda x: np.where(x > 0, branch(x), 0.0)


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    with np.errstate(all="ignore"):
        yield


def interpreted(function: Function, x: np.ndarray[Any, Any]) -> Any:
    """The function of one array by the reference interpreter."""
    values, structure = flatten(((x,), {}))
    traced = trace(function, [leaf_of(value, "") for value in values], structure, name="f")
    (result,) = interpret(traced.function, values)
    return result


def check(masked: Function, branch: Function, run: Callable[[Function, Any], Any] = lambda f, x: f(x)) -> None:
    """All derivatives to the third order and in every order of modes: those of the branch where on, else exactly 0."""

    def loss(function: Function) -> Function:
        return lambda x: np.sum(np.sin(function(x)))

    def nested(function: Function) -> dict[str, Function]:
        f = loss(function)
        ones = np.cos(np.arange(6.0)) + 2.0
        gradient = pb.grad(f)
        return {
            "grad": gradient,
            "jvp": lambda x: pb.jvp(function, (x,), (ones,))[1],
            "vjp": lambda x: pb.vjp(function, x)[1](ones)[0],
            "forward over reverse": lambda x: pb.jvp(gradient, (x,), (ones,))[1],
            "reverse over reverse": pb.grad(lambda x: np.sum(gradient(x) * ones)),
            "reverse over forward": pb.grad(lambda x: np.sum(pb.jvp(function, (x,), (ones,))[1] * ones)),
            "forward over forward": lambda x: pb.jvp(lambda x: pb.jvp(function, (x,), (ones,))[1], (x,), (ones,))[1],
            "third order": pb.grad(lambda x: np.sum(pb.jvp(gradient, (x,), (ones,))[1])),
        }

    expected = nested(branch)
    for name, derivative in nested(masked).items():
        found = run(derivative, X)
        np.testing.assert_array_equal(found[~ON], 0.0, err_msg=name)
        np.testing.assert_allclose(found[ON], expected[name](X)[ON], rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("name", SINGULAR)
def test_where(name: str) -> None:
    check(where_on(SINGULAR[name]), SINGULAR[name])


STRUCTURES: dict[str, Function] = {
    "condition the other way": lambda x: np.where(x <= 0, 0.0, np.sqrt(x)),
    "nested": lambda x: np.where(x > 0, np.where(x > -1, np.sqrt(x), np.log(x)), np.where(x > 9, 1.0 / x, 0.0)),
    "another branch with a pole": lambda x: np.where(x > 0, np.sqrt(x), np.where(x > 7, np.log(x - 7), 0.0)),
    "twice, two masks": lambda x: np.where(x > 0, np.sqrt(x), 0.0) + np.where(x > 5, np.log(x), 0.0),
    "one root, two masks": lambda x: (lambda r: np.where(x > 0, r, 0.0) + np.where(x > 9, r * r, 0.0))(np.sqrt(x)),
    "root used by maximum": lambda x: (lambda r: np.where(x > 0, r, 0.0) + np.where(x > 0, 0.0 * np.maximum(r, -1.0), 0.0))(
        np.sqrt(x)),
    "index after": lambda x: np.where(x > 0, np.sqrt(x), 0.0)[[0, 1, 2, 3, 4, 5]],
    "index inside": lambda x: np.where(x > 0, np.sqrt(x)[np.arange(6)], 0.0),
    "slices inside": lambda x: np.where(x > 0, np.concatenate([np.sqrt(x)[:2], np.sqrt(x)[2:]]), 0.0),
    "backward slices": lambda x: np.where(x > 0, np.sqrt(x[::-1])[::-1], 0.0),
    "reshape and transpose": lambda x: np.where(x.reshape(2, 3).T > 0, np.sqrt(x.reshape(2, 3).T), 0.0).T.reshape(6),
    "broadcast inside": lambda x: np.mean(np.where((x > 0)[:, None], np.sqrt(x)[:, None] * np.ones(4), 0.0), axis=1),
    "sum inside": lambda x: np.where(x > 0, np.sum(np.sqrt(x)[:, None] * np.full((6, 2), 0.5), axis=1), 0.0),
    "matmul of rows": lambda x: np.where((x > 0)[:, None], np.sqrt(x)[:, None] @ np.ones((1, 3)), 0.0)[:, 1],
    "matmul behind": lambda x: np.where(x > 0, np.sqrt(x), 0.0) @ np.eye(6),
    "matmul in front": lambda x: (lambda y: np.where(y > 0, np.sqrt(y), 0.0))(np.eye(6) @ x),
    "stack": lambda x: np.where(x > 0, np.stack([np.sqrt(x), x], axis=0)[0], 0.0),
    "assignment": lambda x: (lambda y: np.where(x > 0, y, 0.0))(np.sqrt(x) * np.ones(6)),
    "relu in front": lambda x: np.where(x > 0, np.sqrt(np.maximum(x, 0.0)), 0.0),
    "clip in front": lambda x: np.where(x > 0, np.sqrt(np.clip(x, 0.0, 100.0)), 0.0),
    "float mask by where": lambda x: np.where(np.where(x > 0, 1.0, 0.0) > 0.5, np.sqrt(x), 0.0),
    "masked root of a mask": lambda x: np.where(x > 0, np.sqrt(np.where(x > 0, x, 0.0)), 0.0),
    "root of a masked value": lambda x: np.sqrt(np.where(x > 0, x, 0.0)),
    "two roots of a masked value": lambda x: np.where(x > 0, x, 0.0) ** 0.25 * np.where(x > 0, x, 0.0) ** 0.25,
    "abs in between": lambda x: np.where(x > 0, np.abs(np.sqrt(x)), 0.0),
    "product reduced": lambda x: np.where(x > 0, np.prod(np.stack([x**0.25, x**0.25]), axis=0), 0.0),
    "maximum reduced": lambda x: np.where(x > 0, np.max(np.stack([np.sqrt(x), x - 99]), axis=0), 0.0),
}  # fmt: skip
"""All are sqrt(x) where on, apart from what has other values: see `MEANING`."""
MEANING: dict[str, Function] = {
    "twice, two masks": lambda x: np.sqrt(x) + np.where(x > 5, np.log(x), 0.0),
    "one root, two masks": lambda x: np.sqrt(x) + np.where(x > 9, x, 0.0),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_structures(name: str) -> None:
    check(STRUCTURES[name], MEANING.get(name, np.sqrt))


def test_second_order_through_a_matrix_product() -> None:
    """Rows that are off must not reach the matrix: an infinite partial meets zeros in the product there."""
    w = np.array([[0.5, -1.0], [2.0, 0.25]])
    x = np.array([[4.0, 1.0], [0.0, 1.0], [0.0, 0.0], [1.0, 9.0]])
    on = np.array([[True], [False], [False], [True]])

    def loss(w: Any, x: Any) -> Any:
        return np.sum(np.sin(np.where(on, np.sqrt(x) @ w, 0.0)))

    def without(w: Any, x: Any) -> Any:
        return np.sum(np.sin(np.sqrt(x) @ w))

    rows = on[:, 0]
    w_found, x_found = pb.hvp(loss, (w, x), (np.ones_like(w), np.ones_like(x)))
    w_wanted, x_wanted = pb.hvp(without, (w, x[rows]), (np.ones_like(w), np.ones_like(x[rows])))
    np.testing.assert_allclose(w_found, w_wanted, rtol=1e-12)
    np.testing.assert_allclose(x_found[rows], x_wanted, rtol=1e-12)
    np.testing.assert_array_equal(x_found[~rows], 0.0)
    gradient = pb.grad(lambda w, x: np.sum(pb.grad(loss, argnums=1)(w, x)), argnums=(0, 1))
    w_found, x_found = gradient(w, x)
    w_wanted, x_wanted = pb.grad(lambda w, x: np.sum(pb.grad(without, argnums=1)(w, x)), argnums=(0, 1))(w, x[rows])
    np.testing.assert_allclose(w_found, w_wanted, rtol=1e-12)
    np.testing.assert_allclose(x_found[rows], x_wanted, rtol=1e-12)
    np.testing.assert_array_equal(x_found[~rows], 0.0)


LOOPS: dict[str, Function] = {
    "for": lambda x: pb.fori_loop(0, 3, lambda i, s: s + np.where(x > 0, np.sqrt(x), 0.0) / 3.0, np.zeros(6)),
    "for over a carried root": lambda x: pb.fori_loop(
        0, 2, lambda i, s: np.where(x > 0, np.sqrt(np.sqrt(s)) * x**0.375, 0.0) * 0 + np.where(x > 0, np.sqrt(s), 0.0),
        np.where(x > 0, x * x, 0.0)),
    "while": lambda x: pb.while_loop(
        lambda s: s[0] < 2, lambda s: (s[0] + 1, s[1] + np.where(x > 0, np.sqrt(x), 0.0) / 2), (0, np.zeros(6)))[1],
    "scan": lambda x: pb.scan(lambda c, v: (c, np.where(v > 0, np.sqrt(v), 0.0)), 0.0, x)[1],
    "scan with cond": lambda x: pb.scan(
        lambda c, v: (c, pb.cond(v > 0, lambda v: np.sqrt(v), lambda v: 0.0 * v, v)), 0.0, x)[1],
    "masked root outside, loop inside": lambda x: np.where(
        x > 0, pb.fori_loop(0, 2, lambda i, s: s + np.sqrt(x) / 2, np.zeros(6)), 0.0),
    "masked root outside, carried inside": lambda x: np.where(
        x > 0, pb.fori_loop(0, 1, lambda i, s: np.sqrt(s), x), 0.0),
    "masked loop of elements": lambda x: np.where(x > 0, pb.scan(lambda c, v: (c, np.sqrt(v)), 0.0, x)[1], 0.0),
}  # fmt: skip


@pytest.mark.parametrize("name", LOOPS)
def test_loops(name: str) -> None:
    check(LOOPS[name], np.sqrt, interpreted)
