"""Recursion with a bound that is known: traced once for each set of values, right in value and gradient."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.tracer.recursion import is_pure_recursion

LOG: list[Any] = []


def determinant(rows: Any) -> Any:
    if len(rows) == 1:
        return rows[0][0]
    total = 0.0
    for j in range(len(rows)):
        minor = [row[:j] + row[j + 1 :] for row in rows[1:]]
        total = total + (-1.0) ** j * rows[0][j] * determinant(minor)
    return total


def fibonacci(n: int, a: Any, b: Any) -> Any:
    return a if n == 0 else b if n == 1 else fibonacci(n - 1, a, b) + fibonacci(n - 2, a, b)


def noting(n: int, x: Any) -> Any:
    LOG.append(n)
    return x if n == 0 else noting(n - 1, x) + noting(n - 1, x)


def test_purity_is_read_from_the_code() -> None:
    assert is_pure_recursion(determinant) and is_pure_recursion(fibonacci)
    assert not is_pure_recursion(noting) and not is_pure_recursion(test_purity_is_read_from_the_code)


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_determinant_by_expansion(size: int) -> None:
    matrix = np.random.default_rng(0).normal(size=(size, size))

    @pb.compile_grad
    def f(m: Any) -> Any:
        return determinant([[m[i, j] for j in range(size)] for i in range(size)])

    value, gradient = f.value_and_grad(matrix)
    np.testing.assert_allclose(value, np.linalg.det(matrix), rtol=1e-10)
    np.testing.assert_allclose(gradient, value * np.linalg.inv(matrix).T, rtol=1e-8, atol=1e-10)


def test_what_is_remembered_depends_on_the_values() -> None:
    @pb.compile_grad(argnums=(0, 1))
    def f(a: Any, b: Any) -> Any:
        return fibonacci(20, a, b) + fibonacci(20, b, a)

    value, gradient = f.value_and_grad(2.0, 3.0)
    assert value == fibonacci(20, 2.0, 3.0) + fibonacci(20, 3.0, 2.0)
    assert gradient == (4181.0 + 6765.0, 6765.0 + 4181.0)


def test_a_function_with_effects_is_called_each_time() -> None:
    LOG.clear()
    assert pb.compile_grad(lambda x: noting(3, x))(1.5) == 12.0
    assert len(LOG) == 15


def test_inside_of_branches() -> None:
    @pb.compile_grad
    def f(x: Any) -> Any:
        y = fibonacci(6, x, x * 2)
        if x > 0:
            y = y + fibonacci(6, x, 1.0)
        else:
            y = y - fibonacci(6, x, 1.0)
        return y + fibonacci(6, x, 1.0)

    for x in (1.5, -0.5):
        assert f(x) == pytest.approx(f.__wrapped__(x))
        step = (f.__wrapped__(x + 1e-6) - f.__wrapped__(x - 1e-6)) / 2e-6
        assert f.grad(x) == pytest.approx(step, rel=1e-6)
